"""Helpers for figures of images: labelled mosaics, and bar charts of digits."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from benchmark.plotting.figure import Records, line_style
from benchmark.plotting.mosaic import firsts, image_set, show_mosaic
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.spec.table import Row
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training.evaluation import draw_samples
from benchmark.training.trainer import load_module
from datamodules.images import ImageSet
from evaluators.digits import digits, kl_to

Array = np.ndarray
Pair = tuple[Run, Record]
#: Images in one line of a mosaic.
IN_A_LINE = 16


def run_title(row: Row, run: Run) -> str:
    """Return the title of a row with the seed of the model that is shown."""
    return f"{row.title}, seed {run.seed}"


def digit_counts(found: Array) -> Array:
    """Count how often each of the ten digits occurs: ``[10]``."""
    return np.bincount(found, minlength=10)


def show_labelled(ax: Axes, images: Array, columns: int, label: str = "") -> None:
    """Draw a mosaic with a label on its left."""
    show_mosaic(ax, images, columns)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_ylabel("\n".join(textwrap.wrap(label, 16)), rotation=0, ha="right", va="center", fontsize=7)


def draw_digit_bars(ax: Axes, shown: Sequence[tuple[str, str, Array]], real: Array) -> None:
    """Draw the shares of the ten digits in samples and in the data.

    Args:
        ax: Axes to draw on.
        shown: Title, colour and counts ``[10]`` of each row.
        real: Counts ``[10]`` of the data.
    """
    width = 0.8 / (len(shown) + 1)
    reference = torch.from_numpy(real)
    bars = [("data", "0.8", real)] + [
        (f"{title}, KL {float(kl_to(torch.from_numpy(counts), reference)):.3f}", colour, counts)
        for title, colour, counts in shown
    ]
    for place, (label, colour, counts) in enumerate(bars):
        ax.bar(np.arange(10) + place * width, counts / counts.sum(), width, color=colour, label=label)
    ax.set(xticks=np.arange(10) + 0.4 - width / 2, xticklabels=list(range(10)), xlabel="digit", ylabel="share")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)


def digits_of_rows(selection: Selection, records: Records, store: Store) -> Iterator[tuple[str, str, Array]]:
    """Classify the samples of each row's first finished run.

    Yields:
        The title of the run, the colour of the row and the counts ``[10]`` of the digits.
    """
    for row, (run, record) in firsts(selection, records):
        module = load_module(run, record, store)
        samples = draw_samples(module, image_set(run), run.protocol, run.protocol.epochs)[0]
        yield (
            run_title(row, run),
            line_style(selection, row.id)[0],
            digit_counts(digits(torch.from_numpy(samples))[:, 0].numpy()),
        )


def real_digit_counts(selection: Selection) -> Array:
    """Count how often each digit occurs in the training set: ``[10]``."""
    dataset = selection.table.dataset(selection.datasets[0])
    assert isinstance(dataset, ImageSet)
    return digit_counts(dataset.labels("train"))
