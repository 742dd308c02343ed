"""The paper's own measure: how evenly the samples fall on the modes."""

from __future__ import annotations

import math

import numpy as np
import torch

from datamodules.mixture import GaussianMixture
from evaluators.digits import kl_to_uniform
from evaluators.margins import Margin, with_margin
from evaluators.registered import registered_counts

_MARGIN = Margin(
    0.05,
    "absolute",
    "as if the modes that are really in use, K exp(-KL), were 5 % more or fewer",
    "lower",
    worst=lambda modes, samples: math.log(modes),
)


@with_margin(_MARGIN)
def reverse_kl(samples: np.ndarray, dataset: GaussianMixture) -> float:
    """Reverse KL divergence over modes in nats, ``sum p ln(p K)``: 0 to ln K (Lin et al. 2018, section 4.1).

    ``p`` are the shares of the modes among the samples of high quality, each counted at its nearest mode.

    Args:
        samples: ``[n, d]`` in original units.
        dataset: Of ``K`` modes; a sample is of high quality within its ``radius``.

    Returns:
        The divergence; NaN where no sample is of high quality.

    Raises:
        TypeError: The data are no mixture.
    """
    if not isinstance(dataset, GaussianMixture):
        raise TypeError("the reverse KL over modes is a measure of mixtures")
    centres = torch.tensor(dataset.centres, dtype=torch.float64)
    counts = registered_counts(torch.from_numpy(samples), centres, dataset.radius)
    return float(kl_to_uniform(counts))
