"""Tools that demonstrations share: digits, small GANs for many seeds at once, gradients, exact transport."""

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
    """Load scikit-learn's 1,797 digits of 8 x 8 pixels, ``[n, 64]`` in [-1, 1]."""
    return torch.from_numpy(load_digits().data / 8 - 1).float()


class Game:
    """A generator and a discriminator for S seeds at once, each network with its own Adam.

    Both networks have the same number and width of hidden layers. Every seed draws its own batches and its own latents.

    Args:
        points: Training data ``[n, d]``.
        seeds: The S seeds.
        latent: Dimension of the latents, which are drawn from N(0, I).
        hidden: Number of hidden layers.
        width: Number of units in a hidden layer.
        batch: Size B of a batch.
        rate: Learning rate of both optimizers.
        output: Activation of the generator's output.
        beta1: Adam's beta1; beta2 is 0.999.
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
        """Replace the discriminator by its initial state, and its Adam by a new one."""
        self.discriminator = MLP(
            "discriminator", self.points.shape[1], 1, seeds=self.seeds, hidden=self.hidden, width=self.width
        )
        self.discriminator_adam = self.adam(self.discriminator)

    def real(self) -> Tensor:
        """Draw the next batch of data, ``[S, B, d]``."""
        index = np.stack([order.integers(len(self.points), size=self.batch) for order in self._orders])
        return self.points[torch.from_numpy(index)]

    def latents(self) -> Tensor:
        """Draw the next batch of latents, ``[S, B, latent]``."""
        self._draws += 1
        return self._noise("z", self._draws, "normal", (self.batch, self.latent))

    def held_latents(self, n: int) -> Tensor:
        """Return ``n`` latents for measurements, ``[S, n, latent]``; they are the same in every call."""
        return self._noise("held z", 0, "normal", (n, self.latent))

    def discriminator_step(self) -> None:
        """Take one step on -E log D(x) - E log(1 - D(G(z))) (Goodfellow et al. 2014, Eq. 1)."""
        with torch.no_grad():
            fake = self.generator(self.latents())
        real_logits, fake_logits = forward_batched(self.discriminator.logits, self.real(), fake)
        step(self.discriminator_adam, bce_real(real_logits) + bce_fake(fake_logits))

    def loss(self, kind: str, z: Tensor) -> Tensor:
        """Compute the generator's loss ``[S]``.

        Args:
            kind: ``non-saturating`` for -E log D(G(z)), ``minimax`` for E log(1 - D(G(z))).
            z: Latents ``[S, n, latent]``.
        """
        logits = self.discriminator.logits(self.generator(z))
        return bce_real(logits) if kind == "non-saturating" else -bce_fake(logits)

    def generator_step(self, kind: str) -> None:
        step(self.generator_adam, self.loss(kind, self.latents()))


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one optimizer step on the losses ``[S]`` of independent copies."""
    optimizer.zero_grad()
    loss.sum().backward()
    optimizer.step()


def anneal(optimizer: torch.optim.Optimizer, rate: float, done: float) -> None:
    """Set the learning rate: constant in the first half of training, then falling linearly to 0.

    Args:
        optimizer: Optimizer to change.
        rate: Learning rate in the first half.
        done: Share of the training that is done, in [0, 1].
    """
    for group in optimizer.param_groups:
        group["lr"] = rate * min(1.0, 2 * (1 - done))


def gradients(loss: Tensor, network: nn.Module, keep: bool = False) -> Tensor:
    """Compute the gradient of each seed's loss with respect to the network's parameters.

    Args:
        loss: Losses ``[S]``.
        network: Network of S copies with P parameters each.
        keep: Whether to keep the graph for a further gradient.

    Returns:
        Gradients ``[S, P]``.
    """
    parts = torch.autograd.grad(loss.sum(), list(network.parameters()), retain_graph=keep)
    return torch.cat([part.flatten(1) for part in parts], 1)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Compute the cosine between ``a`` and ``b`` along the last axis; 0 where one of them is 0."""
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1, eps=1e-300)


def transport(a: Array, b: Array) -> float:
    """Compute the exact W1 distance between two sets of ``n`` points ``[n, d]`` of equal weight.

    An optimal transport plan between such sets is a matching (Birkhoff and von Neumann), which the Hungarian algorithm
    finds.
    """
    costs = cdist(a, b)
    return float(costs[linear_sum_assignment(costs)].mean())


def moments(last: int, per_decade: int = 6) -> list[int]:
    """Return 0, 1 and further whole numbers up to ``last``, evenly spaced on a logarithmic axis."""
    count = max(2, round(per_decade * np.log10(max(2, last))) + 1)
    return sorted({0, *np.geomspace(1, last, count).round().astype(int).tolist()})
