"""A measure for mixtures whose modes have an order."""

import numpy as np

from datamodules.mixture import GaussianMixture

#: A mode is there if it has at least this share of the samples that it should have.
_LEAST = 0.25


def longest_gap(samples: np.ndarray, dataset: GaussianMixture) -> float:
    """Longest run of neighbouring modes that are missing, as a share of all modes, in the order of ``dataset.centres``.

    samples: ``[n, d]`` in original units. A sample counts for its nearest mode, within three standard deviations.
    """
    distances = np.linalg.norm(samples[:, None] - np.array(dataset.centres), axis=2)
    hits = np.bincount(distances.argmin(1)[distances.min(1) <= 3 * dataset.std], minlength=dataset.modes)
    missing = hits < _LEAST * len(samples) / dataset.modes
    runs = "".join("x" if gone else " " for gone in missing).split()
    return max(map(len, runs), default=0) / dataset.modes
