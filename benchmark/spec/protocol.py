"""Protocols: everything that results depend on besides data, method and seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from benchmark.spec import registry
from modules.options import Training

Setting = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Protocol(Training):
    """Everything that results depend on besides data, method and seed, the fields of ``Training`` included.

    Attributes:
        profile: Name of the profile that says how much is trained.
        reading: Name of the reading: how the paper, its slips and its released code are interpreted.
        epochs: Passes through the training data. An evaluation follows each, unless ``evaluate_every`` says otherwise.
        fresh_iterations: Iterations per epoch with newly drawn data; 0 for one pass through the fixed training set.
        embedding: Where the noise of a mixture lies that has noise in a subspace only: in the first coordinates
            (``padded``) or in a random subspace (``projected``).
        width: Number of seeds trained together. Kernels depend on it in the last bit, so it is part of the protocol,
            and blocks with fewer seeds are padded.
        precision: Precision in the words of Lightning's trainer.
        world_size: Number of devices that share each batch. Sums in another order differ in the last bits.
        channels_last: Whether convolutional networks use PyTorch's channels-last memory format. It changes the last
            bits.
        compile: Whether convolutional networks are compiled by ``torch.compile``. It changes the last bits.
        samples: Samples per evaluation.
        evaluate_every: Epochs between evaluations. The last epoch is always evaluated.
        real_samples: Test images that generated images are compared with; all if there are fewer.
        features: Network whose features serve to compare images (a key of ``EXTRACTORS``). With ``none`` only the
            generator is evaluated.
        inverted: Test images that the final generator is inverted for (IvOM); 0 for none.
        frames: Epochs whose samples are kept for pictures, such as ``1,10``. If empty, twenty epochs spread over the
            training for points, and none for images.
        mode_radius: Radius within which a sample is registered with a mode, in original units.
        mode_min_points: Registered samples, of 2,000, that make a mode registered.
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
        """The epochs in ``frames`` that are not beyond the last epoch."""
        return [epoch for epoch in map(int, filter(None, self.frames.split(","))) if epoch <= self.epochs]


def iterations_per_epoch(protocol: Protocol, dataset: registry.DataSet, size: int = 0) -> int:
    """Number of iterations in one epoch.

    Args:
        protocol: The protocol.
        dataset: The data set.
        size: Size of the training set; 0 for that of ``dataset``.
    """
    return protocol.fresh_iterations or math.ceil((size or dataset.training_size) / protocol.batch_size)


#: Samples of so many epochs, so many of each, are kept for pictures of the training, in up to three dimensions; of
#: images so many, at the epochs that the protocol names.
FRAMES, FRAME_SAMPLES, FRAME_DIM, FRAME_IMAGES = 20, 400, 3, 25


def frame_epochs(protocol: Protocol, dim: int = FRAME_DIM) -> list[int]:
    """Epochs whose samples are kept for pictures.

    These are the epochs that the protocol names. If it names none, they are spread evenly from the first to the last
    for points in up to three dimensions, and there are none for other data.

    Args:
        protocol: The protocol.
        dim: Number of coordinates of a sample.
    """
    epochs = protocol.epochs
    if protocol.frames or dim > FRAME_DIM:
        return protocol.named_frames
    count = min(FRAMES, epochs)
    return sorted({round(1 + (epochs - 1) * i / max(1, count - 1)) for i in range(count)})
