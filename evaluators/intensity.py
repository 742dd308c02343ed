"""Distribution of the mean intensity of images, M_d in GAAN (Tran et al. 2018, section 3.2 and Fig. 4)."""

from __future__ import annotations

import torch
from torch import Tensor

#: Bins over the range of the real means; two more take what lies outside.
BINS = 100
#: Added to the share of every bin.
_FLOOR = 1e-6


def mean_intensities(images: Tensor) -> Tensor:
    """M_d of uint8 images ``[n, C, H, W]``: the mean over all numbers of an image, in [0, 1], ``[n]`` float64."""
    return torch.cat([part.flatten(1).double().mean(1) for part in images.split(4_096)]) / 255


def intensity_shares(means: Tensor, low: float, high: float) -> Tensor:
    """Share of ``means [n]`` below ``low``, in ``BINS`` equal bins from ``low`` to ``high``, and above: ``[BINS + 2]``
    float64."""
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    # The last bin holds its upper end, as histograms have it.
    edges[-1] = edges[-1].nextafter(torch.tensor(torch.inf, dtype=torch.float64))
    places = torch.bucketize(means.double(), edges, right=True)
    return torch.bincount(places, minlength=BINS + 2).double() / len(means)


def intensity_kl(means: Tensor, real: Tensor) -> Tensor:
    """KL divergence in nats of the distribution of ``means [n]`` from that of ``real [m]``.

    The paper says neither bins nor direction; ours: ``BINS`` equal bins over the real range and one on either side,
    1e-6 added to every share, generated from real.
    """
    low, high = float(real.min()), float(real.max())
    p, q = (intensity_shares(part, low, high) + _FLOOR for part in (means, real))
    return (p * (p / q).log()).sum()
