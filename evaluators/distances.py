"""Distances between two sets of images in the features of a network, computed by torch-fidelity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric
from torchmetrics import Metric

from evaluators.features import features
from evaluators.names import measure_names

#: Images that each side has at least: as many as have a third nearest neighbour.
LEAST = 4


def frechet_distance(generated: Tensor, real: Tensor) -> float:
    """Squared Frechet distance of two Gaussians with the means and covariances of features ``[n, d]``.

    See Heusel et al. 2017, arXiv:1706.08500, Eq. 6.
    """
    moments = [fid_features_to_statistics(part.double()) for part in (generated, real)]
    return float(fid_statistics_to_metric(*moments, verbose=False)[KEY_METRIC_FID])


def kernel_distance(generated: Tensor, real: Tensor) -> float:
    """Squared maximum mean discrepancy of features ``[n, d]`` with the kernel (x.y / d + 1)^3.

    It is the mean over 100 subsets of at most 1,000 images (Binkowski et al. 2018, arXiv:1801.01401, section 4).
    """
    size = min(1_000, len(generated), len(real))
    found = kid_features_to_metric(generated, real, kid_subset_size=size, verbose=False)
    return float(found[KEY_METRIC_KID_MEAN])


def precision_recall(generated: Tensor, real: Tensor) -> tuple[float, float]:
    """Precision and recall of generated features (Kynkaanniemi et al. 2019, arXiv:1904.06991, Eqs. 1 and 2).

    Precision is the share of generated features that are within the distance of a real feature to its third nearest
    neighbour. Recall is the same with the roles exchanged.

    Args:
        generated: Features ``[n, d]``, n at least 4.
        real: Features ``[m, d]``, m at least 4.
    """
    found = prc_features_to_metric(generated, real, verbose=False)
    return found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL]


def distance_measures(generated: Tensor, real: Tensor, extractor: str) -> dict[str, float]:
    """All measures of ``DISTANCE_MEASURES``, by the names that they have for the network.

    Args:
        generated: Features ``[n, d]``.
        real: Features ``[m, d]``.
        extractor: A key of ``EXTRACTORS``, the network of the features.

    Raises:
        ValueError: A set has fewer than 4 images.
    """
    if min(len(generated), len(real)) < LEAST:
        raise ValueError(f"distances of images need at least {LEAST} of them")
    values = (frechet_distance(generated, real), kernel_distance(generated, real), *precision_recall(generated, real))
    return dict(zip(measure_names(extractor).values(), values, strict=True))


class ImageDistances(Metric):
    """The measures of ``distance_measures`` over batches of uint8 images ``[n, C, H, W]``, on one process or many.

    Args:
        real: Features of the real images, ``[m, d]``.
        extractor: A key of ``EXTRACTORS``, the network of the features.
        metric_options: Options of ``torchmetrics.Metric``.
    """

    full_state_update = False
    found: list[Tensor]

    def __init__(self, real: Tensor, extractor: str = "inception", **metric_options: Any) -> None:
        super().__init__(**metric_options)
        self.real, self.extractor = real, extractor
        self.add_state("found", [], dist_reduce_fx="cat")

    def update(self, images: Tensor) -> None:
        self.found.append(features(images, self.extractor))

    def compute(self) -> dict[str, float]:
        generated = torch.cat(self.found) if isinstance(self.found, list) else self.found
        return distance_measures(generated, self.real, self.extractor)
