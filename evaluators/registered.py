"""Registered modes and points, and how evenly points are spread over modes.

See Tran et al. 2018, arXiv:1803.08887, section 4.1. A sample is registered with its nearest mode if it lies within a
radius of it. All measures are functions of the registered samples per mode, ``counts [..., K]`` with any leading axes.
A measure without a value (a ratio when nothing is registered) is NaN.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

#: Names of the measures, in the order of the columns.
REGISTERED_MEASURES = (
    "registered_modes",
    "registered_points",
    "max_deficit",
    "cv",
    "tv_true",
    "tv_differential",
    "max_relative_deviation",
)


def registered_counts(samples: Tensor, centres: Tensor, radius: float) -> Tensor:
    """Count the samples within a radius of their nearest mode. Samples that are not finite are not counted.

    Args:
        samples: Samples ``[..., n, d]``.
        centres: Centres of the modes, ``[K, d]``.
        radius: Largest Euclidean distance, in the unit of the samples.

    Returns:
        Counts ``[..., K]``.
    """
    distances = torch.cdist(samples.double(), centres.double(), compute_mode="donot_use_mm_for_euclid_dist")
    distance, nearest = distances.min(-1)
    hit = torch.nn.functional.one_hot(nearest, len(centres)) * (distance <= radius).unsqueeze(-1)
    return hit.sum(-2)


def registered_modes(counts: Tensor, min_points: float) -> Tensor:
    """Number of modes with at least ``min_points`` registered samples. GAAN requires 20 of 2,000."""
    return (counts >= min_points).sum(-1)


def registered_points(counts: Tensor) -> Tensor:
    """Number of samples that are registered with any mode."""
    return counts.sum(-1)


def max_deficit(counts: Tensor) -> Tensor:
    """Largest relative shortfall of a mode, ``max_k (1 - n_k / mean n)``.

    It is exactly 1 if a mode is empty, also if all are. This measure is ours. GAAN's values of
    "TV (True)" are consistent with it.
    """
    mean = counts.double().mean(-1)
    return torch.where(mean > 0, 1 - counts.amin(-1) / mean, torch.ones_like(mean))


def cv(counts: Tensor) -> Tensor:
    """Coefficient of variation: population standard deviation of n_k over their mean.

    This measure is ours. It is shown beside GAAN's "TV (Differential)".
    """
    n = counts.double()
    return n.std(-1, correction=0) / n.mean(-1)


def tv_true(counts: Tensor, n: int, inside: float) -> Tensor:
    """Total variation (half the L1 distance) from the exact sampler over K + 1 cells: the modes and "unregistered".

    Args:
        counts: Registered samples per mode, ``[..., K]``.
        n: Number of all samples.
        inside: Share of the exact sampler's points that are registered, in equal parts per mode.
    """
    k = counts.shape[-1]
    shares = torch.cat([counts.double(), n - counts.sum(-1, keepdim=True).double()], -1) / n
    true = torch.tensor([inside / k] * k + [1 - inside], dtype=torch.float64, device=counts.device)
    return 0.5 * (shares - true).abs().sum(-1)


def tv_differential(counts: Tensor) -> Tensor:
    """Total variation (half the L1 distance) of the registered samples' shares from the uniform distribution over
    modes.
    """
    n = counts.double()
    return 0.5 * (n / n.sum(-1, keepdim=True) - 1 / counts.shape[-1]).abs().sum(-1)


def max_relative_deviation(counts: Tensor) -> Tensor:
    """Largest relative deviation of a mode from the mean, ``max_k |n_k - mean n| / mean n``."""
    n = counts.double()
    mean = n.mean(-1, keepdim=True)
    return ((n - mean).abs() / mean).amax(-1)


def registered_measures(counts: Tensor, n: int, inside: float, min_points: float) -> dict[str, Tensor]:
    """All measures of ``REGISTERED_MEASURES``, ``[...]`` each.

    Args:
        counts: Registered samples per mode, ``[..., K]``.
        n: Number of all samples.
        inside: Share of the exact sampler's points that are registered.
        min_points: Samples that make a mode registered.
    """
    values = (
        registered_modes(counts, min_points),
        registered_points(counts),
        max_deficit(counts),
        cv(counts),
        tv_true(counts, n, inside),
        tv_differential(counts),
        max_relative_deviation(counts),
    )
    return dict(zip(REGISTERED_MEASURES, values, strict=True))


class RegisteredModes(Metric):
    """The measures of ``registered_measures`` over batches of samples ``[n, d]``, on one process or many.

    Args:
        centres: Centres of the modes, ``[K, d]``.
        radius: Largest distance of a registered sample.
        inside: Share of the exact sampler's points that are registered.
        min_share: Share of all samples that makes a mode registered, at least one sample. 0.01 is GAAN's 20 of 2,000.
        metric_options: Options of ``torchmetrics.Metric``.
    """

    full_state_update = False
    counts: Tensor
    n: Tensor
    centres: Tensor

    def __init__(
        self, centres: Tensor, radius: float, inside: float, min_share: float = 0.01, **metric_options: Any
    ) -> None:
        super().__init__(**metric_options)
        self.register_buffer("centres", centres, persistent=False)
        self.radius, self.inside, self.min_share = radius, inside, min_share
        self.add_state("counts", torch.zeros(len(centres), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("n", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, samples: Tensor) -> None:
        """Count a batch of samples."""
        self.counts += registered_counts(samples, self.centres, self.radius)
        self.n += len(samples)

    def compute(self) -> dict[str, Tensor]:
        """The measures of all samples so far."""
        n = int(self.n)
        # Without samples the threshold would be 0 points, and every mode would count as registered.
        return registered_measures(self.counts, n, self.inside, max(1.0, self.min_share * n))
