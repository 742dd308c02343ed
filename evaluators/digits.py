"""Modes of images whose channels are digits: which numbers they spell, by a classifier of single digits.

The classifier is one for all methods and data sets, trained by ``python -m benchmark classifier``; its weights are part
of this package, their hash of every record.
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
#: Pixels that an image is resized to, and digits that are classified at a time: as many as a processor's cache holds
#: the layers of, as more take up to four times as long each.
SIDE, _AT_A_TIME = 28, 100


class DigitClassifier(nn.Module):
    """Grey images ``[n, 1, 28, 28]`` in [0, 1] to logits of the ten digits ``[n, 10]``: six 3 x 3 convolutions with
    batch norm, 16, 16, 32, 32, 64 and 64 channels, and one linear layer on their mean."""

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
    """The classifier in evaluation mode, with the weights of this package; ``FileNotFoundError`` without them."""
    classifier = DigitClassifier()
    classifier.load_state_dict(load_file(WEIGHTS))
    return classifier.eval().to(memory_format=torch.channels_last)


def weights_hash() -> str:
    """SHA-256 of the weights' file."""
    return hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


@torch.no_grad()
def digits(images: Tensor, classifier: nn.Module | None = None) -> Tensor:
    """Digits that the channels of uint8 ``images [n, C, H, W]`` show, ``[n, C]``; images are resized to 28 x 28."""
    classifier = classifier or load_classifier()
    found = []
    for part in images.flatten(0, 1).unsqueeze(1).split(_AT_A_TIME):
        grey = part.float() / 255
        if grey.shape[2:] != (SIDE, SIDE):
            grey = functional.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)
        found.append(classifier(grey).argmax(1))
    return torch.cat(found).unflatten(0, images.shape[:2])


def number_counts(digits: Tensor) -> Tensor:
    """How often each number is spelt by ``digits [n, C]``: counts ``[10^C]``."""
    places = 10 ** torch.arange(digits.shape[1] - 1, -1, -1, device=digits.device)
    return torch.bincount((digits * places).sum(1), minlength=10 ** digits.shape[1])


def modes(counts: Tensor) -> Tensor:
    """Numbers that are spelt at least once (Metz et al. 2017, arXiv:1611.02163, section 3.3.1)."""
    return (counts > 0).sum(-1)


def kl_to_uniform(counts: Tensor) -> Tensor:
    """KL divergence of the generated numbers from uniform in nats, ``sum p ln(p K)``: 0 to ln K, at least ln(K / modes)
    (Metz et al. 2017, section 3.3.1; natural logarithm as in PacGAN's code)."""
    p = counts.double() / counts.sum(-1, keepdim=True)
    return torch.xlogy(p, p * counts.shape[-1]).sum(-1)


def kl_to(counts: Tensor, reference: Tensor) -> Tensor:
    """KL divergence of generated digits from the data's in nats, ``sum p ln(p / q)``, from the counts ``[K]`` of both;
    infinite where a digit is made that the data do not have (GAAN, Tran et al. 2018, Fig. 8)."""
    p, q = (c.double() / c.sum() for c in (counts, reference))
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum()


def digit_measures(counts: Tensor) -> dict[str, Tensor]:
    """Every measure of this file, from the counts of numbers."""
    return dict(zip(DIGIT_MEASURES, (modes(counts), kl_to_uniform(counts)), strict=True))


class DigitModes(Metric):
    """The measures of this file over uint8 images that come in batches ``[n, channels, H, W]``, on one process or many.

    channels: digits per image.
    metric_options: as for every ``torchmetrics.Metric``.
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, channels: int, classifier: nn.Module | None = None, **metric_options: Any) -> None:
        super().__init__(**metric_options)
        self.classifier = classifier or load_classifier()
        self.add_state("counts", torch.zeros(10**channels, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, images: Tensor) -> None:
        self.counts += number_counts(digits(images, self.classifier))

    def compute(self) -> dict[str, Tensor]:
        return digit_measures(self.counts)
