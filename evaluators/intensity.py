"""Distribution of the mean intensity of images, M_d in GAAN (Tran et al. 2018, section 3.2 and Fig. 4)."""

from __future__ import annotations

import torch
from torch import Tensor

#: Bins over the range of the real means. Two more bins count values outside it.
BINS = 100
#: Added to the share of every bin.
_FLOOR = 1e-6


def mean_intensities(images: Tensor) -> Tensor:
    """Mean intensity M_d of uint8 images ``[n, C, H, W]`` over all channels and pixels, float64 ``[n]`` in [0, 1]."""
    return torch.cat([part.flatten(1).double().mean(1) for part in images.split(4_096)]) / 255


def intensity_shares(means: Tensor, low: float, high: float) -> Tensor:
    """Histogram of mean intensities, as shares.

    Args:
        means: Mean intensities ``[n]``.
        low: Lower end of the first of ``BINS`` equal bins.
        high: Upper end of the last one.

    Returns:
        Shares float64 ``[BINS + 2]``: below ``low``, in each bin, above ``high``.
    """
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    # The last bin includes its upper end, as is usual for histograms.
    edges[-1] = edges[-1].nextafter(torch.tensor(torch.inf, dtype=torch.float64))
    places = torch.bucketize(means.double(), edges, right=True)
    return torch.bincount(places, minlength=BINS + 2).double() / len(means)


def intensity_kl(means: Tensor, real: Tensor) -> Tensor:
    """KL divergence in nats of the distribution of generated mean intensities from that of real ones.

    The paper states neither bins nor direction. We use ``BINS`` equal bins over the real range and one on either side,
    add 1e-6 to every share, and measure generated from real.

    Args:
        means: Mean intensities of generated images, ``[n]``.
        real: Mean intensities of real images, ``[m]``.
    """
    low, high = float(real.min()), float(real.max())
    p, q = (intensity_shares(part, low, high) + _FLOOR for part in (means, real))
    return (p * (p / q).log()).sum()
