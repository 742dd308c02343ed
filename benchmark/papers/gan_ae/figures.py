"""Figures of the poster "GANs powered by autoencoding"."""

from __future__ import annotations

import math
import textwrap

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes

from benchmark.errors import UserError
from benchmark.papers.gan_ae import tables
from benchmark.plotting.canvas import blank
from benchmark.plotting.figure import Figure, Records, line_style
from benchmark.plotting.mosaic import Pair, firsts, reconstructions, show_mosaic
from benchmark.plotting.points import updates
from benchmark.spec import registry
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.spec.table import Row
from benchmark.store.record import Record
from benchmark.store.store import Store
from modules.gan_ae import EQUILIBRIUM, GANAE

Array = np.ndarray

#: Number of test images that are shown with their reconstructions.
_REBUILT = 8


def _moments(run: Run, record: Record, store: Store) -> dict[int, Array]:
    """Return the images that were kept during training, by the number of batches trained so far.

    Raises:
        UserError: If the model kept none.
    """
    frames = store.frames(run, record)
    if frames is None:
        raise UserError("these models kept no images along their training; run them with --set protocol.frames=1,10")
    return dict(zip((updates(run, epoch) for epoch in run.protocol.named_frames), frames, strict=True))


def _show(ax: Axes, images: Array, title: str) -> None:
    """Show the images as a square mosaic; those that do not fill the square are left out."""
    side = math.isqrt(len(images))
    show_mosaic(ax, images[: side * side], side, gap=1)
    ax.set_title(title, fontsize=7)


def _has_codes(row: Row) -> bool:
    return registry.method(row.method) is GANAE


def _show_rebuilt(ax: Axes, row: Row, pair: Pair, store: Store) -> None:
    """Show test images, each beside its reconstruction."""
    _show(ax, reconstructions(*pair, store, _REBUILT), f"{_short(row.title)}\ntest images, G(E(x)) beside")


def _batches(count: int) -> str:
    return f"{count:,} {'batch' if count == 1 else 'batches'}"


def _short(title: str) -> str:
    return "\n".join(textwrap.wrap(title, 16))


def draw_moments(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw samples after each kept epoch, one column for each method.

    The last row shows reconstructions at the end of training, for the methods that have an encoder.
    """
    (dataset,) = selection.datasets
    columns = [(row, pair, _moments(*pair, store)) for row, pair in firsts(selection, records, dataset)]
    lines = max(len(moments) for *_, moments in columns)
    rebuilt = any(_has_codes(row) for row, *_ in columns)
    picture = blank(max(8.0, 1.5 * len(columns)), 1.6 * (lines + rebuilt))
    axes = picture.subplots(lines + rebuilt, len(columns), squeeze=False)
    for column, (row, pair, moments) in zip(axes.T, columns, strict=True):
        for spare in column[len(moments) : lines]:
            spare.remove()
        for ax, (batches, images) in zip(column, moments.items(), strict=False):
            _show(ax, images, f"{_short(row.title)}\nafter {_batches(batches)}")
        if _has_codes(row):
            _show_rebuilt(column[-1], row, pair, store)
        elif rebuilt:
            column[-1].remove()
    return picture


def draw_natural(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw the last samples of each method, one line of panels for each data set.

    Each line ends with reconstructions, for the methods that have an encoder.
    """
    lines = {name: list(firsts(selection, records, name)) for name in selection.datasets}
    lines = {name: found for name, found in lines.items() if found}
    columns = max(len(found) + sum(_has_codes(row) for row, _ in found) for found in lines.values())
    picture = blank(max(8.0, 1.7 * columns), 1.9 * len(lines))
    axes = picture.subplots(len(lines), columns, squeeze=False)
    for line, (name, found) in zip(axes, lines.items(), strict=True):
        panels = iter(line)
        for row, pair in found:
            batches, images = list(_moments(*pair, store).items())[-1]
            _show(next(panels), images, f"{_short(row.title)}\n{name}, {_batches(batches)}")
        for row, pair in found:
            if _has_codes(row):
                _show_rebuilt(next(panels), row, pair, store)
        for spare in panels:
            spare.remove()
    return picture


def draw_instability(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw the training of each method in one line of panels.

    The panels show the discriminator loss, the gradient that the discriminator sends to the generator's output, samples
    during training, and reconstructions at the end.
    """
    (dataset,) = selection.datasets
    lines = [(row, *pair, _moments(*pair, store)) for row, pair in firsts(selection, records, dataset)]
    pictures = max(len(moments) for *_, moments in lines)
    picture = blank(3.2 + 1.6 * (3 + pictures), 2.1 * len(lines))
    axes = picture.subplots(len(lines), 3 + pictures, squeeze=False, width_ratios=[1.5, 1.5, *[1] * (1 + pictures)])
    curves = {"loss.discriminator": "discriminator loss", "trace.gradient": "mean |gradient| at G(E(x))"}
    for line, (row, run, record, moments) in zip(axes, lines, strict=True):
        colour, _ = line_style(selection, row.id)
        for ax, (name, label) in zip(line, curves.items(), strict=False):
            values = np.array(record.curves[name], dtype=float)
            ax.plot(updates(run, 1) * np.arange(1, len(values) + 1), values, color=colour, linewidth=1)
            ax.set_title(f"{row.title}\n{label}", fontsize=7)
            ax.set_xlabel("batches")
            ax.grid(color="0.92", linewidth=0.6)
        line[0].axhline(EQUILIBRIUM, color="0.5", linewidth=0.8, linestyle=(0, (1, 2)))
        line[0].set_ylim(0, None)
        line[1].set_yscale("log")
        for spare in line[2 + len(moments) : -1]:
            spare.remove()
        _show_rebuilt(line[-1], row, (run, record), store)
        for ax, (batches, images) in zip(line[2:], moments.items(), strict=False):
            _show(ax, images, f"{_short(row.title)}\nafter {_batches(batches)}")
    for column in axes[:, :2].T:
        low, high = zip(*(ax.get_ylim() for ax in column), strict=True)
        for ax in column:
            ax.set_ylim(min(low), max(high))
    return picture


MNIST = Figure(
    id="gan-ae-mnist",
    title="MNIST: samples of seven methods with one architecture, early and late",
    citation=tables.CITATION,
    table=tables.DIGITS.id,
    draw=draw_moments,
)
NATURAL = Figure(
    id="gan-ae-natural",
    title="CIFAR-10 and faces: samples of seven methods with one architecture",
    citation=tables.CITATION,
    table=tables.NATURAL.id,
    draw=draw_natural,
)
INSTABILITY = Figure(
    id="gan-ae-instability",
    title="GAN + AE without and with the decay alpha: discriminator loss (dotted: equilibrium, 2 log 2), gradient of "
    "the adversarial error, its weight and alpha included, samples (codes from Gaussians fitted to the data's) and, at "
    "the end, reconstructions",
    citation=tables.CITATION,
    table=tables.INSTABILITY.id,
    draw=draw_instability,
)
