"""How methods are trained: the options that they share. Loads no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Distribution = Literal["uniform", "normal"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a method is trained, as far as methods share it.

    networks: name of the network family.
    latent_dim, prior: dimension and distribution of z, U[-1, 1] or N(0, 1) per coordinate.
    scaling: networks see data in [0, 1] and generators end in a sigmoid (``unit``), in [-1, 1] and they end in a tanh
        (``symmetric``), or in original units and they end linearly (``none``).
    norm_at_evaluation: batch norm in evaluation uses its running statistics, or those of the batch.
    batch_size: samples per batch; the last batch of an epoch may be shorter.
    optimizer: Adam, or RMSProp as PyTorch has it.
    lr, beta1, beta2: Adam, one optimizer per update; RMSProp knows only the rate.
    lr_decay, lr_decay_every, lr_counter: the rate is multiplied by ``lr_decay`` after every ``lr_decay_every`` counts
        of iterations (one pass through a method's updates) or of optimizer calls. Simultaneous updates share one rate,
        at the count after all calls of their iteration.
    draws: one x and z for a whole iteration, or fresh ones for every update.
    instance_noise: standard deviation, in the scale that networks see, of the Gaussian noise on all data and samples
        that discriminators see (Sonderby et al. 2017, arXiv:1610.04490, section 3.2).
    instance_noise_schedule: that noise stays ``constant``, or falls in a ``linear`` way to 0 at the end of training.
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
