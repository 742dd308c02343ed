"""Losses on the seeds axis: every function returns one value per seed, ``[S]``, a mean over batch and outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def bce_real(logits: Tensor) -> Tensor:
    """-log D for logits of D: the logistic loss with label "real" (Goodfellow et al. 2014, Eq. 1)."""
    return per_seed(functional.softplus(-logits))


def bce_fake(logits: Tensor) -> Tensor:
    """-log(1 - D) for logits of D: the logistic loss with label "fake" (Goodfellow et al. 2014, Eq. 1)."""
    return per_seed(functional.softplus(logits))


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distance of paired samples ``[S, B, ...]``, mean over the batch."""
    return (a - b).square().flatten(2).sum(2).mean(1)


def bce_with_logits(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of ``sigmoid(logits)`` against targets in [0, 1], mean over batch and coordinates."""
    return per_seed(functional.binary_cross_entropy_with_logits(logits, target, reduction="none"))


def gaussian_bandwidths(dim: int, scaling: str, scale: float = 0.0) -> list[float]:
    """Squared bandwidths 2, 5, 10, 20, 40 and 80 of GMMN's released code (Li et al. 2015), which are for MNIST's 784
    numbers in [0, 1], times ``scale``. 0 stands for the growth of squared distances with the dimension, and with the
    width of the data's range, which is 2 for ``symmetric`` scaling and else counts as 1: of data in original units
    nothing is known here, so that for those ``scale`` is to be given, as their width squared times ``dim / 784``."""
    span = 2.0 if scaling == "symmetric" else 1.0
    return [(scale or span**2 * dim / 784) * width for width in (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)]


def squared_mmd(a: Tensor, b: Tensor, bandwidths: Sequence[float], *, unbiased: bool = False) -> Tensor:
    """Squared maximum mean discrepancy of samples ``a [S, n, ...]`` and ``b [S, m, ...]`` (Gretton et al. 2012), with
    the sum of the Gaussian kernels exp(-|u - v|^2 / (2 w)) over squared bandwidths ``w``.

    The biased estimator (Eq. 5) takes means over all pairs: never negative, and 0 for equal samples. The unbiased one
    (Eq. 3) leaves out the pairs of a sample with itself: 0 on average for equal distributions. Taken in 32 bits also
    where training is in mixed precision.
    """
    # Squared distances are differences of large numbers.
    with autocast_disabled(a):
        a, b = a.float().flatten(2), b.float().flatten(2)

        def kernels(u: Tensor, v: Tensor) -> Tensor:
            norms = u.square().sum(2).unsqueeze(2) + v.square().sum(2).unsqueeze(1)
            squares = (norms - 2 * u @ v.transpose(1, 2)).clamp_min(0)
            return torch.stack([(squares * (-0.5 / width)).exp() for width in bandwidths]).sum(0)

        def within(u: Tensor) -> Tensor:
            n, found = u.shape[1], kernels(u, u)
            if not unbiased:
                return per_seed(found)
            return (found.flatten(1).sum(1) - found.diagonal(dim1=1, dim2=2).sum(1)) / (n * (n - 1))

        return within(a) + within(b) - 2 * per_seed(kernels(a, b))


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, I)), summed over coordinates, mean over the batch
    (Kingma and Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(2).sum(2).mean(1)


def autocast_disabled(like: Tensor) -> AbstractContextManager[object]:
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
    with autocast_disabled(real):
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
