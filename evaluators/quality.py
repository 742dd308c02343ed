"""Captured modes, high-quality samples and Jensen-Shannon divergence.

See Srivastava et al. 2017, arXiv:1705.07761, section 4.1, and Lee and Lee 2018. A sample is of high quality if it lies
within a radius of its nearest mode. A mode is captured by one such sample.

All measures are functions of counts: ``[..., K + 1]``, the high-quality samples of each mode and, last, all others; or
``[..., H + 1]``, a fine histogram and, last, the samples outside it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from evaluators.registered import registered_counts

#: Names of the measures, in the order of the columns.
QUALITY_MEASURES = ("captured_modes", "high_quality_fraction", "jsd", "jsd_histogram")
#: Names of the measures that also exist for a paper's own radius, where that differs.
LITERAL_MEASURES = ("captured_modes_literal", "high_quality_fraction_literal")

#: Bins per axis of the fine histogram, by number of axes.
BINS = {1: 50, 2: 50, 3: 20}
#: Margin of the histogram beyond the data on each side, as a share of the data's range.
MARGIN = 0.25


def cell_counts(samples: Tensor, centres: Tensor, radius: float) -> Tensor:
    """Count samples by nearest mode.

    Args:
        samples: Samples ``[..., n, d]``.
        centres: Centres of the modes, ``[K, d]``.
        radius: Largest Euclidean distance to the nearest centre, in the unit of the samples.

    Returns:
        Counts ``[..., K + 1]``: samples within the radius, by centre, and all others.
    """
    modes = registered_counts(samples, centres, radius)
    return torch.cat([modes, samples.shape[-2] - modes.sum(-1, keepdim=True)], -1)


def histogram_counts(samples: Tensor, limit: float) -> Tensor:
    """Count samples on a regular grid over ``[-1.5 limit, 1.5 limit]``, a quarter of the data's range beyond it on each
    side.

    There are 50 bins per axis in one or two dimensions and 20 in three. In more dimensions there are 50 bins of the
    mean of the coordinates, because such mixtures have their centres on the line where all coordinates are equal.

    Args:
        samples: Samples ``[..., n, d]``.
        limit: Largest absolute coordinate of the data.

    Returns:
        Counts ``[..., H + 1]``. Samples outside the grid or not finite are counted last.
    """
    points = samples.double()
    if points.shape[-1] > max(BINS):
        points = points.mean(-1, keepdim=True)
    axes = points.shape[-1]
    bins = BINS[axes]
    reach = limit * (1 + 2 * MARGIN)
    place = ((points + reach) / (2 * reach) * bins).floor()
    inside = ((place >= 0) & (place < bins)).all(-1)
    place = torch.where(inside.unsqueeze(-1), place, 0).long()
    index = torch.zeros_like(place[..., 0])
    for axis in range(axes):
        index = index * bins + place[..., axis]
    cells = bins**axes
    index = torch.where(inside, index, cells)
    return torch.zeros(*index.shape[:-1], cells + 1, dtype=torch.long, device=index.device).scatter_add_(
        -1, index, torch.ones_like(index)
    )


def captured_modes(cells: Tensor) -> Tensor:
    """Number of modes with at least one high-quality sample, from ``cell_counts``."""
    return (cells[..., :-1] > 0).sum(-1)


def high_quality_fraction(cells: Tensor) -> Tensor:
    """Share of high-quality samples in [0, 1], from ``cell_counts``."""
    return cells[..., :-1].sum(-1).double() / cells.sum(-1)


def jensen_shannon_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats, from 0 to ln 2, of two distributions given by counts ``[..., C]``.

    See Lin 1991, Eq. 4.1.
    """
    p, q = (counts.double() / counts.sum(-1, keepdim=True) for counts in (p, q))
    middle = (p + q) / 2
    from_p, from_q = ((torch.xlogy(x, x) - torch.xlogy(x, middle)).sum(-1) for x in (p, q))
    return 0.5 * (from_p + from_q)


def quality_measures(cells: Tensor, histogram: Tensor, real_cells: Tensor, real_histogram: Tensor) -> dict[str, Tensor]:
    """All measures of ``QUALITY_MEASURES``, ``[...]`` each.

    Args:
        cells: ``cell_counts`` of the samples.
        histogram: ``histogram_counts`` of the samples.
        real_cells: ``cell_counts`` of as many real samples.
        real_histogram: ``histogram_counts`` of as many real samples.
    """
    values = (
        captured_modes(cells),
        high_quality_fraction(cells),
        jensen_shannon_divergence(cells, real_cells),
        jensen_shannon_divergence(histogram, real_histogram),
    )
    return dict(zip(QUALITY_MEASURES, values, strict=True))


def literal_measures(cells: Tensor) -> dict[str, Tensor]:
    """Captured modes and share of high-quality samples for a paper's own radius, from counts made with it."""
    values = (captured_modes(cells), high_quality_fraction(cells))
    return dict(zip(LITERAL_MEASURES, values, strict=True))


class SampleQuality(Metric):
    """The measures of ``quality_measures`` over batches of samples ``[n, d]``, on one process or many.

    Args:
        centres: Centres of the modes, ``[K, d]``.
        radius: Radius of high-quality samples.
        limit: Largest absolute coordinate of the data.
        real: Real samples ``[m, d]`` for the divergences.
        metric_options: Options of ``torchmetrics.Metric``.
    """

    full_state_update = False
    cells: Tensor
    histogram: Tensor
    centres: Tensor
    real_cells: Tensor
    real_histogram: Tensor

    def __init__(self, centres: Tensor, radius: float, limit: float, real: Tensor, **metric_options: Any) -> None:
        super().__init__(**metric_options)
        self.radius, self.limit = radius, limit
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("real_cells", cell_counts(real, centres, radius), persistent=False)
        self.register_buffer("real_histogram", histogram_counts(real, limit), persistent=False)
        self.add_state("cells", torch.zeros_like(self.real_cells), dist_reduce_fx="sum")
        self.add_state("histogram", torch.zeros_like(self.real_histogram), dist_reduce_fx="sum")

    def update(self, samples: Tensor) -> None:
        """Count a batch of samples."""
        self.cells += cell_counts(samples, self.centres, self.radius)
        self.histogram += histogram_counts(samples, self.limit)

    def compute(self) -> dict[str, Tensor]:
        """The measures of all samples so far."""
        return quality_measures(self.cells, self.histogram, self.real_cells, self.real_histogram)
