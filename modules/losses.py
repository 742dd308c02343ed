"""Losses on the seeds axis: every function returns one value per seed, ``[S]``, a mean over batch and outputs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

GeneratorLoss = Literal["non-saturating", "minimax"]
PenaltyNorm = Literal["squared", "l2", "rms"]


def per_seed(values: Tensor) -> Tensor:
    """Mean over everything but the seeds axis: ``[S, ...] -> [S]``."""
    return values.flatten(1).mean(1)


def says_real(logits: Tensor) -> Tensor:
    """-log D for logits of D: the logistic loss with label "real" (Goodfellow et al. 2014, Eq. 1)."""
    return per_seed(functional.softplus(-logits))


def says_fake(logits: Tensor) -> Tensor:
    """-log(1 - D) for logits of D: the logistic loss with label "fake" (Goodfellow et al. 2014, Eq. 1)."""
    return per_seed(functional.softplus(logits))


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distance of paired samples ``[S, B, ...]``, mean over the batch."""
    return (a - b).square().flatten(2).sum(2).mean(1)


def sigmoid_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of ``sigmoid(logits)`` against targets in [0, 1], mean over batch and coordinates."""
    return per_seed(functional.binary_cross_entropy_with_logits(logits, target, reduction="none"))


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, I)), summed over coordinates, mean over the batch
    (Kingma and Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(2).sum(2).mean(1)


def in_32_bits(like: Tensor) -> AbstractContextManager[object]:
    """No mixed precision inside: in 16 bits the squares of gradients overflow, or their root's derivative does."""
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, epsilon: Tensor, norm: PenaltyNorm = "l2"
) -> Tensor:
    """Gradient penalty at random points between real and fake samples (Gulrajani et al. 2017, Eq. 3).

    ``epsilon`` is ``[S, B, 1, ...]`` in [0, 1], the share of the real sample. The gradient is that of the critic's
    logit, taken in 32 bits also where training is in mixed precision. ``norm`` says what is drawn to 1: the Euclidean
    norm (``l2``), its square (``squared``, as GAAN's Eq. 4 prints it), or the root mean square over coordinates
    (``rms``, as GAAN's released code has it).
    """
    with in_32_bits(real):
        between = (epsilon * real + (1 - epsilon) * fake).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    squares = gradient.flatten(2).square()
    if norm == "squared":
        deviation = squares.sum(2) - 1
    else:
        mean_or_sum = squares.sum(2) if norm == "l2" else squares.mean(2)
        # A dead critic has gradient 0, where the square root has no derivative: the floor keeps it finite.
        deviation = mean_or_sum.clamp_min(1e-24).sqrt() - 1
    return per_seed(deviation.square())
