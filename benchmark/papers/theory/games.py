"""What several demonstrations need: digits, a small game on the seeds axis, gradients per seed, exact transport."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from torch import Tensor, nn

from modules.families import Output
from modules.losses import bce_fake, bce_real
from modules.networks import MLP, forward_batched
from modules.noise import Noise

Array = np.ndarray


def digits() -> Tensor:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, ``[n, 64]`` in [-1, 1]."""
    return torch.from_numpy(load_digits().data / 8 - 1).float()


class Game:
    """A generator and a discriminator on the seeds axis, of one size, each with an Adam of its own.

    Seed ``s`` draws its batches of ``points [n, d]`` and its latents from N(0, I) by itself.
    """

    def __init__(
        self,
        points: Tensor,
        seeds: Sequence[int],
        *,
        latent: int,
        hidden: int,
        width: int,
        batch: int,
        rate: float,
        output: Output,
        beta1: float = 0.5,
    ) -> None:
        self.points, self.seeds, self.latent, self.batch = points, tuple(seeds), latent, batch
        self.hidden, self.width, self.rate, self.betas = hidden, width, rate, (beta1, 0.999)
        self.generator = MLP(
            "generator", latent, points.shape[1], seeds=seeds, hidden=hidden, width=width, output=output
        )
        self.generator_adam = self.adam(self.generator)
        self.renew_discriminator()
        self._noise = Noise(seeds)
        self._orders = [np.random.default_rng((*b"demonstration batches", seed)) for seed in seeds]
        self._draws = 0

    def adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), lr=self.rate, betas=self.betas)

    def renew_discriminator(self) -> None:
        """A new discriminator and a new Adam for it; the same one every time."""
        self.discriminator = MLP(
            "discriminator", self.points.shape[1], 1, seeds=self.seeds, hidden=self.hidden, width=self.width
        )
        self.discriminator_adam = self.adam(self.discriminator)

    def real(self) -> Tensor:
        """The next batch of data, ``[S, B, d]``."""
        index = np.stack([order.integers(len(self.points), size=self.batch) for order in self._orders])
        return self.points[torch.from_numpy(index)]

    def latents(self) -> Tensor:
        """The next batch of latents, ``[S, B, latent]``."""
        self._draws += 1
        return self._noise("z", self._draws, "normal", (self.batch, self.latent))

    def held_latents(self, n: int) -> Tensor:
        """``[S, n, latent]`` latents that are always the same, for what is measured."""
        return self._noise("held z", 0, "normal", (n, self.latent))

    def discriminator_step(self) -> None:
        """One step of -E log D(x) - E log(1 - D(G(z))) (Goodfellow et al. 2014, Eq. 1)."""
        with torch.no_grad():
            fake = self.generator(self.latents())
        real_logits, fake_logits = forward_batched(self.discriminator.logits, self.real(), fake)
        step(self.discriminator_adam, bce_real(real_logits) + bce_fake(fake_logits))

    def loss(self, kind: str, z: Tensor) -> Tensor:
        """The generator's loss ``[S]``: -E log D (``non-saturating``) or E log(1 - D) (``minimax``)."""
        logits = self.discriminator.logits(self.generator(z))
        return bce_real(logits) if kind == "non-saturating" else -bce_fake(logits)

    def generator_step(self, kind: str) -> None:
        step(self.generator_adam, self.loss(kind, self.latents()))


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step on losses ``[S]``, whose gradients are independent."""
    optimizer.zero_grad()
    loss.sum().backward()
    optimizer.step()


def anneal(optimizer: torch.optim.Optimizer, rate: float, done: float) -> None:
    """The rate for a share ``done`` of a training to convergence: it falls to 0 over the second half."""
    for group in optimizer.param_groups:
        group["lr"] = rate * min(1.0, 2 * (1 - done))


def gradients(loss: Tensor, network: nn.Module, keep: bool = False) -> Tensor:
    """Gradient of each seed's loss ``[S]`` by the network's parameters, ``[S, P]``."""
    parts = torch.autograd.grad(loss.sum(), list(network.parameters()), retain_graph=keep)
    return torch.cat([part.flatten(1) for part in parts], 1)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine between ``a`` and ``b [..., P]``; 0 where one of them is 0."""
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1, eps=1e-300)


def transport(a: Array, b: Array) -> float:
    """Exact W1 between equally many points ``[n, d]`` of equal weight, by the Hungarian algorithm: an optimal plan
    between such clouds is a matching (Birkhoff and von Neumann)."""
    costs = cdist(a, b)
    return float(costs[linear_sum_assignment(costs)].mean())


def moments(last: int, per_decade: int = 6) -> list[int]:
    """0, 1 and further whole numbers up to ``last``, evenly spaced on a logarithmic axis."""
    count = max(2, round(per_decade * np.log10(max(2, last))) + 1)
    return sorted({0, *np.geomspace(1, last, count).round().astype(int).tolist()})
