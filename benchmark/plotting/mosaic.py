"""Helpers for figures of images and mixtures: the choice of models, and mosaics of images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from matplotlib.axes import Axes

from benchmark.plotting.figure import Records
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.spec.table import Row
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training.evaluation import as_pixels
from benchmark.training.trainer import load_module
from datamodules.images import ImageSet

Array = np.ndarray
Pair = tuple[Run, Record]


def firsts(selection: Selection, records: Records, dataset: str = "") -> Iterator[tuple[Row, Pair]]:
    """Yield each row's first finished run, on one data set if it is named. Rows without any are skipped."""
    for row in selection.rows:
        here = [pair for pair in records.get(row.id, ()) if pair[0].dataset == (dataset or pair[0].dataset)]
        if here:
            yield row, here[0]


def image_set(run: Run) -> ImageSet:
    """Return the image set that a run is trained on."""
    dataset = registry.dataset(run.dataset)
    assert isinstance(dataset, ImageSet)
    return dataset


def as_read(images: Array, protocol: Protocol) -> torch.Tensor:
    """Convert uint8 images to the scale of the networks' inputs."""
    unit = torch.from_numpy(np.array(images)).float() / 255
    return unit * 2 - 1 if protocol.scaling == "symmetric" else unit


def mosaic(images: Array, columns: int, gap: int = 0) -> Array:
    """Join images ``[n, C, H, W]`` to one image.

    Args:
        images: The images.
        columns: Images in a line.
        gap: Pixels between images. Gaps and the unused rest of the last line are white.

    Returns:
        An image ``[H', W']``, or ``[H', W', 3]`` for three colours.
    """
    n, channels, height, width = images.shape
    lines = -(-n // columns)
    sheet = np.full((lines * columns, channels, height + gap, width + gap), 255, images.dtype)
    sheet[:n, :, :height, :width] = images
    rows = sheet.reshape(lines, columns, channels, height + gap, width + gap).transpose(0, 3, 1, 4, 2)
    joined = rows.reshape(lines * (height + gap), columns * (width + gap), channels)
    joined = joined[: len(joined) - gap, : joined.shape[1] - gap]
    return joined[..., 0] if channels == 1 else joined


def show_mosaic(ax: Axes, images: Array, columns: int, gap: int = 0) -> None:
    """Draw a mosaic without axes."""
    ax.imshow(mosaic(images, columns, gap), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set(xticks=[], yticks=[])


def reconstructions(run: Run, record: Record, store: Store, n: int) -> Array:
    """Return the first ``n`` test images, each followed by the reconstruction of a stored autoencoder.

    Returns:
        Images ``[2 n, C, H, W]``.

    Raises:
        UserError: The weights are missing.
    """
    module, real = load_module(run, record, store), image_set(run).reference(n)
    with torch.no_grad(), module.evaluating(run.protocol.norm_at_evaluation):
        made = module.generator(module.encoder(as_read(real, run.protocol)[None]))[0]  # type: ignore[operator]
    pairs = np.stack([real, as_pixels(made, run.protocol.scaling).numpy()], 1)
    return pairs.reshape(2 * n, *real.shape[1:])
