"""Protocols: everything a number depends on besides data, method and seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from benchmark.spec import registry
from modules.options import Training

Setting = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Protocol(Training):
    """Everything a number depends on besides data, method and seed; the fields of ``Training`` included.

    profile, reading: the names it was picked by: how much is trained, and which of the paper's readings.
    epochs: passes through the training data, one evaluation after each.
    fresh_iterations: iterations of an epoch on new points of a mixture, 0 for a pass through its fixed training set.
    embedding: noise of a mixture that fills a subspace: in its first coordinates (``padded``) or in a random subspace
        (``projected``).
    width: seeds trained side by side. Kernels depend on it, so that it belongs to the protocol; short blocks are
        padded.
    precision: as Lightning's trainer names it.
    world_size: devices that share every batch of a block; sums in another order differ in their last bits.
    channels_last, compile: of convolutional networks, as PyTorch names them: other kernels, other last bits.
    samples: samples per evaluation.
    real_samples: test images that they are compared with, where images are compared; all if there are fewer.
    evaluate_every: epochs between evaluations; the last epoch is always followed by one.
    features: network whose features compare images (a name in ``EXTRACTORS``), or none where only the generator is
        judged.
    inverted: test images that the final generator is inverted for (IvOM), 0 for none.
    frames: epochs after which samples are kept for pictures, as in ``1,10``; if empty, of points twenty along the
        training and of images none.
    mode_radius, mode_min_points: a sample registers within this radius (original units) of a mode, a mode with at
        least so many of 2,000 samples.
    """

    profile: str = "paper"
    reading: str = "corrected"
    epochs: int = 1
    fresh_iterations: int = 0
    embedding: Literal["padded", "projected"] = "padded"
    width: int = 8
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    world_size: int = 1
    channels_last: bool = False
    compile: bool = False
    samples: int = 2_000
    evaluate_every: int = 1
    real_samples: int = 10_000
    features: Literal["inception", "efficientnet-lite0", "none"] = "inception"
    inverted: int = 0
    frames: str = ""
    mode_radius: float = 0.1 * math.sqrt(2)
    mode_min_points: int = 20

    @property
    def named_frames(self) -> list[int]:
        """The epochs in ``frames`` that this training has."""
        return [epoch for epoch in map(int, filter(None, self.frames.split(","))) if epoch <= self.epochs]


def iterations_per_epoch(protocol: Protocol, dataset: registry.DataSet, size: int = 0) -> int:
    """Iterations between two looks at a model: as many as the protocol says, or a pass through the training set, of
    another ``size`` if one is given."""
    return protocol.fresh_iterations or math.ceil((size or dataset.training_size) / protocol.batch_size)


#: Samples of so many epochs, so many of each, are kept for pictures of the training, in up to three dimensions; of
#: images so many, at the epochs that the protocol names.
FRAMES, FRAME_SAMPLES, FRAME_DIM, FRAME_IMAGES = 20, 400, 3, 25


def frame_epochs(protocol: Protocol, dim: int = FRAME_DIM) -> list[int]:
    """Epochs whose samples, of ``dim`` numbers each, are kept: those that the protocol names, or of points in up to
    three dimensions the first, the last, and evenly between."""
    epochs = protocol.epochs
    if protocol.frames or dim > FRAME_DIM:
        return protocol.named_frames
    count = min(FRAMES, epochs)
    return sorted({round(1 + (epochs - 1) * i / max(1, count - 1)) for i in range(count)})
