"""Modes of images whose channels show digits: the numbers that the digits form, read by a classifier.

One classifier serves all methods and data sets. ``python -m benchmark classifier`` trains it. Its weights are part of
this package, and every record holds their hash.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import Metric

#: Names of the measures, in the order of the columns.
DIGIT_MEASURES = ("modes", "kl")

WEIGHTS = Path(__file__).with_name("digits.safetensors")
#: Side in pixels that images are resized to, and digits per pass. The layers of one pass fit the processor's cache;
#: with more digits each takes up to four times as long.
SIDE, _AT_A_TIME = 28, 100


class DigitClassifier(nn.Module):
    """Classifier of grey images ``[n, 1, 28, 28]`` in [0, 1], with logits ``[n, 10]`` of the ten digits.

    Six 3 x 3 convolutions with batch norm and 16, 16, 32, 32, 64 and 64 channels are followed by a mean over the pixels
    and a linear layer.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, pool in ((1, 16, False), (16, 16, True), (16, 32, False), (32, 32, True), (32, 64, False)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if pool else []
        layers += [nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(x).mean((2, 3)))


@cache
def load_classifier() -> DigitClassifier:
    """The classifier in evaluation mode, with the weights of this package.

    Raises:
        FileNotFoundError: The weights are missing.
    """
    classifier = DigitClassifier()
    classifier.load_state_dict(load_file(WEIGHTS))
    return classifier.eval().to(memory_format=torch.channels_last)


def weights_hash() -> str:
    """SHA-256 of the file of weights."""
    return hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


@torch.no_grad()
def digits(images: Tensor, classifier: nn.Module | None = None) -> Tensor:
    """Classify the digit in each channel of images.

    Args:
        images: uint8 ``[n, C, H, W]``. They are resized to 28 x 28.
        classifier: The classifier, by default that of this package.

    Returns:
        Digits int64 ``[n, C]``.
    """
    classifier = classifier or load_classifier()
    found = []
    for part in images.flatten(0, 1).unsqueeze(1).split(_AT_A_TIME):
        grey = part.float() / 255
        if grey.shape[2:] != (SIDE, SIDE):
            grey = functional.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)
        found.append(classifier(grey).argmax(1))
    return torch.cat(found).unflatten(0, images.shape[:2])


def number_counts(digits: Tensor) -> Tensor:
    """Count how often ``digits [n, C]`` form each number: ``[10^C]``."""
    places = 10 ** torch.arange(digits.shape[1] - 1, -1, -1, device=digits.device)
    return torch.bincount((digits * places).sum(1), minlength=10 ** digits.shape[1])


def modes(counts: Tensor) -> Tensor:
    """Number of modes with at least one sample, from counts ``[..., K]`` (Metz et al. 2017, arXiv:1611.02163, section
    3.3.1).
    """
    return (counts > 0).sum(-1)


def kl_to_uniform(counts: Tensor) -> Tensor:
    """KL divergence in nats of the generated numbers from the uniform distribution, ``sum p ln(p K)``.

    It ranges from 0 to ln K and is at least ln(K / modes) (Metz et al. 2017, section 3.3.1; natural logarithm as in
    PacGAN's code). Counts are ``[..., K]``.
    """
    p = counts.double() / counts.sum(-1, keepdim=True)
    return torch.xlogy(p, p * counts.shape[-1]).sum(-1)


def kl_to(counts: Tensor, reference: Tensor) -> Tensor:
    """KL divergence in nats of the generated digits from the data's, ``sum p ln(p / q)`` (GAAN, Tran et al. 2018, Fig.
    8).

    It is infinite if a digit is generated that the data do not contain. Both counts are ``[K]``.
    """
    p, q = (c.double() / c.sum() for c in (counts, reference))
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum()


def digit_measures(counts: Tensor) -> dict[str, Tensor]:
    """All measures of ``DIGIT_MEASURES`` from the counts of numbers."""
    return dict(zip(DIGIT_MEASURES, (modes(counts), kl_to_uniform(counts)), strict=True))


class DigitModes(Metric):
    """The measures of ``digit_measures`` over batches of uint8 images ``[n, channels, H, W]``, on one process or many.

    Args:
        channels: Digits per image.
        classifier: The classifier, by default that of this package.
        metric_options: Options of ``torchmetrics.Metric``.
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, channels: int, classifier: nn.Module | None = None, **metric_options: Any) -> None:
        super().__init__(**metric_options)
        self.classifier = classifier or load_classifier()
        self.add_state("counts", torch.zeros(10**channels, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, images: Tensor) -> None:
        """Count the numbers that a batch of images shows."""
        self.counts += number_counts(digits(images, self.classifier))

    def compute(self) -> dict[str, Tensor]:
        """The measures of all images so far."""
        return digit_measures(self.counts)
