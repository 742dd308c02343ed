"""Losses on the seeds axis: every loss returns one value per seed, ``[S]``, a mean over the batch."""

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
    """Mean over all axes but the seeds axis: ``[S, ...] -> [S]``."""
    return values.flatten(1).mean(1)


def bce_real(logits: Tensor) -> Tensor:
    """Logistic loss with label "real", -log D, from logits of D (Goodfellow et al. 2014, Eq. 1)."""
    return per_seed(functional.softplus(-logits))


def bce_fake(logits: Tensor) -> Tensor:
    """Logistic loss with label "fake", -log(1 - D), from logits of D (Goodfellow et al. 2014, Eq. 1)."""
    return per_seed(functional.softplus(logits))


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distance of paired samples ``[S, B, ...]``, averaged over the batch."""
    return (a - b).square().flatten(2).sum(2).mean(1)


def bce_with_logits(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of ``sigmoid(logits)`` against targets in [0, 1], averaged over batch and coordinates."""
    return per_seed(functional.binary_cross_entropy_with_logits(logits, target, reduction="none"))


def gaussian_bandwidths(dim: int, scaling: str, scale: float = 0.0) -> list[float]:
    """Squared bandwidths of the Gaussian kernels of GMMN, rescaled to other data (Li et al. 2015).

    The released code has 2, 5, 10, 20, 40 and 80 for MNIST, which has 784 pixels in [0, 1].

    Args:
        dim: Dimension of the data.
        scaling: The protocol's scaling of the data.
        scale: Factor on the six values. With 0 the factor is ``width**2 * dim / 784``, because squared distances grow
            with the dimension and with the squared width of the data's range. The width is 2 for ``symmetric`` scaling
            and otherwise taken as 1. For data in original units the width is unknown, so give ``scale``.
    """
    span = 2.0 if scaling == "symmetric" else 1.0
    return [(scale or span**2 * dim / 784) * width for width in (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)]


def squared_mmd(a: Tensor, b: Tensor, bandwidths: Sequence[float], *, unbiased: bool = False) -> Tensor:
    """Squared maximum mean discrepancy of two sets of samples (Gretton et al. 2012).

    The kernel is the sum of exp(-|u - v|^2 / (2 w)) over squared bandwidths ``w``. It is computed in 32 bits in mixed
    precision, too.

    Args:
        a: Samples ``[S, n, ...]``.
        b: Samples ``[S, m, ...]``.
        bandwidths: Squared bandwidths.
        unbiased: False: the biased estimator (Eq. 5), a mean over all pairs, which is never negative and 0 for equal
            samples. True: the unbiased one (Eq. 3), without pairs of a sample with itself, which is 0 on average for
            equal distributions.

    Returns:
        Squared discrepancy ``[S]``.
    """
    # Squared distances are differences of large numbers, which 16 bits are too coarse for.
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
    """KL(N(mean, exp(log_variance)) || N(0, I)) (Kingma and Welling 2014, appendix B).

    It is summed over coordinates and averaged over the batch, from ``[S, B, d]`` to ``[S]``.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(2).sum(2).mean(1)


def autocast_disabled(like: Tensor) -> AbstractContextManager[object]:
    """Disable mixed precision inside the ``with`` block, on the device of ``like``.

    In 16 bits the squares of gradients overflow, or the derivative of their root does.
    """
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, epsilon: Tensor, norm: PenaltyNorm = "l2"
) -> Tensor:
    """Gradient penalty at random points between real and fake samples (Gulrajani et al. 2017, Eq. 3).

    The gradient of the critic's logit is computed in 32 bits in mixed precision, too.

    Args:
        critic: Function from samples ``[S, B, ...]`` to logits.
        real: Real samples ``[S, B, ...]``.
        fake: Fake samples ``[S, B, ...]``.
        epsilon: Share of the real sample at each point, ``[S, B, 1, ...]`` in [0, 1].
        norm: What the penalty pulls to 1: the Euclidean norm of the gradient (``l2``), its square (``squared``, as
            printed in GAAN's Eq. 4), or the root mean square over coordinates (``rms``, as in GAAN's released code).

    Returns:
        Penalty ``[S]``.
    """
    with autocast_disabled(real):
        between = (epsilon * real + (1 - epsilon) * fake).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    squares = gradient.flatten(2).square()
    if norm == "squared":
        deviation = squares.sum(2) - 1
    else:
        mean_or_sum = squares.sum(2) if norm == "l2" else squares.mean(2)
        # A dead critic has gradient 0, where the square root has no derivative. The floor keeps the gradient finite.
        deviation = mean_or_sum.clamp_min(1e-24).sqrt() - 1
    return per_seed(deviation.square())
