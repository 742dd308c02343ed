"""How methods are trained: the options that they share. Loads no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Distribution = Literal["uniform", "normal"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """Training settings that methods share.

    Attributes:
        networks: Name of the network family.
        latent_dim: Dimension of the latent z.
        prior: Distribution of z, per coordinate: U[-1, 1] or N(0, 1).
        scaling: Range of the data that networks see. ``unit``: [0, 1], and generators end in a sigmoid. ``symmetric``:
            [-1, 1], and generators end in a tanh. ``none``: original units, and generators end linearly.
        norm_at_evaluation: Whether batch norm uses its running statistics or those of the batch in evaluation.
        batch_size: Samples per batch. The last batch of an epoch may be shorter.
        optimizer: Adam or RMSProp, as implemented in PyTorch. Each update has an optimizer of its own.
        lr: Learning rate.
        beta1: Decay rate of Adam's first moment. RMSProp does not use it.
        beta2: Decay rate of Adam's second moment. RMSProp does not use it.
        lr_decay: Factor of the learning rate after every ``lr_decay_every`` counts.
        lr_decay_every: Counts between two decays.
        lr_counter: Unit of the count: iterations (one pass through a method's updates) or optimizer calls. Simultaneous
            updates share one rate, at the count after all calls of their iteration.
        draws: Whether x and z are drawn once per iteration or once per update.
        instance_noise: Standard deviation of the Gaussian noise on all inputs of discriminators, in the scale that
            networks see (Sonderby et al. 2017, arXiv:1610.04490, section 3.2).
        instance_noise_schedule: ``constant``, or ``linear``: the standard deviation falls to 0 at the end of
            training.
    """

    networks: str = "gaan-1"
    latent_dim: int = 2
    prior: Distribution = "uniform"
    scaling: Literal["unit", "symmetric", "none"] = "unit"
    norm_at_evaluation: Literal["running", "batch"] = "running"
    batch_size: int = 128
    optimizer: Literal["adam", "rmsprop"] = "adam"
    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    lr_decay: float = 1.0
    lr_decay_every: int = 10_000
    lr_counter: Literal["iterations", "optimizer-calls"] = "iterations"
    draws: Literal["iteration", "update"] = "iteration"
    instance_noise: float = 0.0
    instance_noise_schedule: Literal["constant", "linear"] = "constant"
