"""The base class of every adversarial method: everything a reader of a method should not have to see twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from modules.networks import MLP, NETWORKS, Output
from modules.noise import Distribution, Noise, draw


class Update(NamedTuple):
    """One optimizer step: lower ``loss(x, z)`` (``[S]``, one value per seed) by moving the networks in ``moves``.

    ``times`` repeats it, each time with fresh draws where the protocol says so.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    moves: tuple[nn.Module, ...]
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a method is trained, as far as methods share it.

    networks: name of the network family.
    latent_dim, prior: dimension and distribution of z, U[-1, 1] or N(0, 1) per coordinate.
    batch_size: samples per batch; the last batch of an epoch may be shorter.
    lr, beta1, beta2: Adam, one optimizer per update.
    lr_decay, lr_decay_every, lr_counter: the rate is multiplied by ``lr_decay`` after every ``lr_decay_every`` counts
        of iterations (one pass through a method's updates) or of optimizer calls. Simultaneous updates share one rate,
        at the count after all calls of their iteration.
    draws: one x and z for a whole iteration, or fresh ones for every update.
    """

    networks: str = "gaan-1"
    latent_dim: int = 2
    prior: Distribution = "uniform"
    batch_size: int = 128
    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    lr_decay: float = 1.0
    lr_decay_every: int = 10_000
    lr_counter: Literal["iterations", "optimizer-calls"] = "iterations"
    draws: Literal["iteration", "update"] = "iteration"


class AdversarialModule(LightningModule):
    """A generative model trained by a list of updates, ``S`` seeds at a time.

    A method builds its networks with ``build``, lists its steps in ``updates`` in the order its paper prints them, and
    writes one loss per step. Losses take data ``x [S, B, ...]`` and latents ``z [S, B, latent_dim]`` to ``[S]``.
    One iteration is all updates once.

    training: what is shared with other methods.
    data_shape: shape of one sample.
    seeds: one integer per copy; copy ``s`` depends on ``seeds[s]`` alone.
    """

    #: Short name on the command line; classes without one are not listed.
    name: ClassVar[str] = ""
    #: All gradients are taken before any network moves (ALI and VEEGAN), instead of one update after another.
    simultaneous: ClassVar[bool] = False

    generator: nn.Module

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.training_setup = training
        self.data_shape = tuple(data_shape)
        self.seeds = tuple(seeds)
        self.iteration = 0
        self.noise = Noise(seeds)
        self._slot = 0
        self._losses: list[Tensor] = []
        self._steps: list[tuple[Update, list[nn.Parameter]]] | None = None

    # What a method writes ---------------------------------------------------------------------------------------

    def updates(self) -> Iterator[Update]:
        """The steps of one iteration, in the order of the paper's algorithm."""
        raise TypeError(f"{type(self).__name__} does not say how it is trained: write its updates()")

    def generate(self, z: Tensor) -> Tensor:
        """Samples ``[S, B, *data_shape]`` for latents ``[S, B, latent_dim]``, in the scale of the training data."""
        return self.generator(z)

    # What a method uses -----------------------------------------------------------------------------------------

    @property
    def data_dim(self) -> int:
        return int(np.prod(self.data_shape))

    def build(self, role: str, inputs: int, outputs: int, output: Output = "linear") -> MLP:
        """A network of the protocol's family, one copy per seed; equal roles and sizes start equal in every method."""
        return NETWORKS[self.training_setup.networks].build(role, inputs, outputs, self.seeds, output)

    def fake(self, z: Tensor) -> Tensor:
        """``G(z)`` as a constant: what a discriminator's step sees of the generator."""
        with torch.no_grad():
            return self.generator(z)

    def random(self, name: str, like: Tensor, distribution: Distribution, *shape: int) -> Tensor:
        """Extra noise ``[S, B, *shape]`` for this update, ``B`` and the device as in ``like``."""
        return self._noise(name, distribution, like, shape)

    # Training ---------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> list[tuple[Update, list[nn.Parameter]]]:
        """The updates with the parameters that each of them moves."""
        if self._steps is None:
            updates = list(self.updates())
            self._steps = [(u, [p for network in u.moves for p in network.parameters()]) for u in updates]
        return self._steps

    @property
    def update_names(self) -> list[str]:
        return [getattr(update.loss, "__name__", "loss") for update, _ in self.steps]

    @property
    def calls_per_iteration(self) -> int:
        """Optimizer calls in one iteration."""
        return sum(update.times for update, _ in self.steps)

    @property
    def draws_per_iteration(self) -> int:
        """Batches that one iteration reads."""
        return self.calls_per_iteration if self.training_setup.draws == "update" else 1

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        t = self.training_setup
        return [torch.optim.Adam(p, lr=t.lr, betas=(t.beta1, t.beta2), fused=True) for _, p in self.steps]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Several iterations, one per entry ``[draws_per_iteration, S, B, ...]``: Lightning's loop costs as much as a
        step of a small network, so that it comes round once in many."""
        for draws in batch:
            self.iterate(draws)

    def iterate(self, draws: Tensor) -> None:
        """One iteration on ``draws [draws_per_iteration, S, B, ...]``."""
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        waiting = []
        self._slot = 0
        for (update, parameters), optimizer in zip(self.steps, optimizers, strict=True):
            for _ in range(update.times):
                x = draws[self._slot if len(draws) > 1 else 0]
                loss = update.loss(x, self._latents(x))
                for parameter in parameters:
                    parameter.grad = None
                self.manual_backward(loss.sum(), inputs=parameters)
                if self.simultaneous:
                    waiting.append(optimizer)
                else:
                    self._step(optimizer)
                self._slot += 1
            self._losses.append(loss.detach())
        for optimizer in waiting:
            self._step(optimizer)
        self.iteration += 1

    def _step(self, optimizer: Any) -> None:
        t = self.training_setup
        per_call = t.lr_counter == "optimizer-calls"
        count = self.iteration * self.calls_per_iteration + self._slot if per_call else self.iteration
        rate = t.lr * t.lr_decay ** (count // t.lr_decay_every)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()

    def _latents(self, x: Tensor) -> Tensor:
        return self._noise("z", self.training_setup.prior, x, (self.training_setup.latent_dim,))

    def _noise(self, name: str, distribution: Distribution, like: Tensor, shape: Sequence[int]) -> Tensor:
        slot = self._slot if self.training_setup.draws == "update" else 0
        shape = (self.training_setup.batch_size, *shape)
        return self.noise(f"{name}/{slot}", self.iteration, distribution, shape)[:, : like.shape[1]].to(like.device)

    def take_losses(self) -> Tensor:
        """Losses since the last call, ``[iterations, updates, S]``; the record of them starts anew."""
        count = len(self.steps)
        rows = torch.stack(self._losses) if self._losses else torch.empty(0, len(self.seeds))
        self._losses = []
        return rows.reshape(-1, count, len(self.seeds))

    # Sampling ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, n: int, generators: Sequence[np.random.Generator]) -> Tensor:
        """``n`` samples per seed, ``[S, n, *data_shape]``, from one generator per seed.

        Touches neither the training streams nor the module's mode.
        """
        t = self.training_setup
        z = torch.from_numpy(np.stack([draw(g, t.prior, (n, t.latent_dim)) for g in generators]))
        with self._evaluating():
            return self.generate(z.to(self.device))

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        was = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            yield
        finally:
            for module, mode in was:
                module.training = mode

    # Checkpoints ------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["iteration"] = self.iteration

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.iteration = checkpoint["iteration"]
