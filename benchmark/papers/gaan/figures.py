"""Figures of Tran, Bui and Cheung, "Generative Adversarial Autoencoder Networks" (2018, arXiv:1803.08887 v1)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import matplotlib.figure
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from benchmark.papers.gaan.tables import CITATION, TABLE_2
from benchmark.plotting.canvas import blank
from benchmark.plotting.figure import Figure, Records, line_style
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.spec.table import Row
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training.evaluation import inside_share, measure
from datamodules.mixture import GaussianMixture
from evaluators.registered import registered_counts

Array = np.ndarray

#: Panels per line, in figures with one panel for each method.
_PER_LINE = 4
#: Least width in inches: titles and notes need it even with few panels.
_LEAST_WIDTH = 8.0
#: Curves of up to this many epochs have a marker at every epoch. A curve of one epoch would be invisible without it.
_MARKED_EPOCHS = 20
_ROUND_STEPS = (1, 2, 5, 10)
#: Half the width of the panels of Fig. 6, in the unit of the data.
_HALF_WIDTH = 5.5


def _shown(selection: Selection, records: Records) -> Iterator[tuple[Row, Sequence[tuple[Run, Record]]]]:
    """Yield the rows that have finished runs, with these runs, in the order of the selection."""
    return ((row, records[row.id]) for row in selection.rows if row.id in records)


def _grid(n: int) -> tuple[int, int]:
    """Return the number of lines and columns for ``n`` panels: as few lines as possible, about equally full."""
    lines = math.ceil(n / _PER_LINE)
    return lines, math.ceil(n / lines)


def _panels(picture: matplotlib.figure.Figure, n: int, x_label: str, y_label: str) -> list[Axes]:
    """Make ``n`` panels with common axes, labelled at the left and at the bottom.

    Unused places of the last line stay empty.
    """
    lines, columns = _grid(n)
    axes = picture.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    panels = list(axes.flat[:n])
    for spare in axes.flat[n:]:
        spare.remove()
    for panel in panels:
        panel.tick_params(left=False, bottom=False)
    for panel in panels[::columns]:
        panel.set_ylabel(y_label)
        panel.tick_params(left=True)
    for panel in panels[-columns:]:
        panel.set_xlabel(x_label)
        panel.tick_params(bottom=True, labelbottom=True)
    return panels


def curve(pairs: Sequence[tuple[Run, Record]], measure_name: str) -> Array:
    """Return a measure after every epoch, for each seed.

    Returns:
        Values ``[S, E]`` (seeds, epochs) in the unit of the measure; NaN where it had no value.
    """
    return np.array([record.curves[measure_name] for _, record in pairs], dtype=float)


def draw_curves(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw registered modes and registered points over the epochs of training, one line for each method (Fig. 5)."""
    picture = blank(10, 3.6)
    axes = picture.subplots(1, 2)
    protocol = selection.protocol(next(_shown(selection, records))[0])
    mixture = registry.mixture(selection.datasets[0])
    modes = len(mixture.centres)
    _draw_measure(axes[0], selection, records, "registered_modes")
    axes[0].set(ylabel=f"registered modes, of {modes}", ylim=(0, modes * 1.04))
    _draw_measure(axes[1], selection, records, "registered_points")
    axes[1].set(ylabel=f"registered points, of {protocol.samples:,} samples", ylim=(0, protocol.samples * 1.04))
    for ax, level in zip(axes, (modes, protocol.samples * inside_share(mixture, protocol.mode_radius)), strict=True):
        ax.axhline(level, color="0.5", linewidth=0.8, linestyle=(0, (1, 2)), zorder=1, label="exact sampler")
    axes[1].legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False)
    return picture


def _draw_measure(ax: Axes, selection: Selection, records: Records, name: str) -> None:
    for row, pairs in _shown(selection, records):
        values = curve(pairs, name)
        epochs = np.arange(1, values.shape[1] + 1)
        colour, style = line_style(selection, row.id)
        mark = "o" if len(epochs) <= _MARKED_EPOCHS else None
        # Without an edge the band of a single epoch would be invisible.
        ax.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0.7)
        ax.plot(
            epochs, values.mean(0), color=colour, linestyle=style, linewidth=1.4, marker=mark, ms=3, label=row.title
        )
    ax.set_xlabel("epochs of training")
    ax.set_xlim(0, 1.02 * max(selection.protocol(row).epochs for row, _ in _shown(selection, records)))
    ax.xaxis.set_major_locator(MaxNLocator(steps=_ROUND_STEPS, integer=True, min_n_ticks=1))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)


def draw_sample_grid(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw the final samples of each method's first finished seed, and equally many new points of the data (Fig. 6)."""
    shown = list(_shown(selection, records))
    mixture = registry.mixture(selection.datasets[0])
    lines, columns = _grid(len(shown) + 1)
    picture = blank(max(2.5 * columns, _LEAST_WIDTH), 2.85 * lines + 0.3)
    axes = _panels(picture, len(shown) + 1, "x₁ (units of the data)", "x₂ (units of the data)")
    first = selection.protocol(shown[0][0])
    _draw_real(axes[0], mixture, first)
    for ax, (row, pairs) in zip(axes[1:], shown, strict=True):
        run, record = pairs[0]
        counts = _title_counts(record.measures["registered_modes"], record.measures["registered_points"])
        ax.set_title(f"{row.title}, seed {run.seed}\n{counts}")
        colour, _ = line_style(selection, row.id)
        _draw_points(ax, store.samples(run, record), mixture, selection.protocol(row).mode_radius, colour)
    return picture


def _draw_real(ax: Axes, mixture: GaussianMixture, protocol: Protocol) -> None:
    rng = np.random.default_rng((*b"figure real ", *mixture.name.encode()))
    points = mixture.sample(protocol.samples, rng).astype(np.float32)
    values = measure(mixture, protocol, points[None])
    counts = _title_counts(values["registered_modes"][0], values["registered_points"][0])
    ax.set_title(f"real data\n{counts}")
    _draw_points(ax, points, mixture, protocol.mode_radius, "0.35")


def _title_counts(modes: float | None, points: float | None) -> str:
    return f"{modes or 0:.0f} {'mode' if modes == 1 else 'modes'}, {points or 0:,.0f} points"


def _draw_points(ax: Axes, points: Array, mixture: GaussianMixture, radius: float, colour: str) -> None:
    """Draw points ``[n, 2]`` in the unit of the data, and a ring of this radius around each centre.

    A point inside a ring registers with the mode at its centre.
    """
    size = 2 * radius
    rings = EllipseCollection(
        size, size, 0, units="xy", offsets=np.array(mixture.centres), offset_transform=ax.transData
    )
    rings.set(facecolor="none", edgecolor="0.75", linewidth=0.6, zorder=1)
    ax.add_collection(rings)
    # Rasterized, because thousands of vector points would make an SVG of several megabytes.
    ax.scatter(points[:, 0], points[:, 1], s=1.6, color=colour, alpha=0.6, linewidths=0, rasterized=True, zorder=2)
    ticks = range(-4, 5, 2)
    ax.set(
        xlim=(-_HALF_WIDTH, _HALF_WIDTH), ylim=(-_HALF_WIDTH, _HALF_WIDTH), aspect="equal", xticks=ticks, yticks=ticks
    )


def mode_shares(samples: Array, centres: Array, radius: float) -> Array:
    """Compute the share of each mode in the registered points.

    Args:
        samples: Points ``[..., n, d]``.
        centres: Centres of the modes, ``[K, d]``.
        radius: Largest distance from a centre at which a point registers.

    Returns:
        Shares ``[..., K]``; NaN where no point registers.
    """
    counts: Array = registered_counts(torch.from_numpy(samples), torch.from_numpy(centres), radius).double().numpy()
    total = counts.sum(-1, keepdims=True)
    return np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)


def _stored_shares(selection: Selection, row: Row, pairs: Sequence[tuple[Run, Record]], store: Store) -> Array:
    """Return the shares of the modes ``[S, K]``, for the seeds that have a registered point."""
    centres = np.array(registry.mixture(selection.datasets[0]).centres)
    radius = selection.protocol(row).mode_radius
    shares = np.stack([mode_shares(store.samples(run, record), centres, radius) for run, record in pairs])
    return shares[np.isfinite(shares).all(-1)]


def draw_shares(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw the share of the registered points in each mode, one panel for each method (Fig. 7)."""
    shown = list(_shown(selection, records))
    mixture = registry.mixture(selection.datasets[0])
    lines, columns = _grid(len(shown))
    picture = blank(max(2.75 * columns, _LEAST_WIDTH), 2.2 * lines + 0.5)
    axes = _panels(picture, len(shown), "mode, by its x₁ (units of the data), then x₂", "share of registered points")
    for ax, (row, pairs) in zip(axes, shown, strict=True):
        shares = _stored_shares(selection, row, pairs, store)
        used = "" if len(shares) == len(pairs) else f"\n{len(shares)} of {len(pairs)} seeds register any point"
        ax.set_title(f"{row.title}{used}")
        _draw_bars(ax, shares, line_style(selection, row.id)[0])
        _label_modes(ax, mixture)
    axes[0].set_ylim(0, None)
    return picture


def _draw_bars(ax: Axes, shares: Array, colour: str) -> None:
    """Draw the mean over seeds of shares ``[S, K]`` as bars, with whiskers from the minimum to the maximum."""
    modes = np.arange(shares.shape[1])
    if len(shares):
        mean = shares.mean(0)
        whiskers = np.abs(np.stack([shares.min(0), shares.max(0)]) - mean)
        ax.bar(modes, mean, width=0.8, color=colour, alpha=0.6, zorder=2)
        ax.errorbar(modes, mean, whiskers, fmt="none", ecolor="0.1", elinewidth=0.7, capsize=1.2, zorder=3)
    ax.axhline(1 / len(modes), color="0.25", linewidth=0.8, linestyle=(0, (4, 2)), zorder=4)
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=_ROUND_STEPS))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _label_modes(ax: Axes, mixture: GaussianMixture) -> None:
    """Label the modes on the horizontal axis, in the order of the data set.

    Neighbouring modes with the same first coordinate share one label.
    """
    start = 0
    ticks, labels = [], []
    for x, run in itertools.groupby(centre[0] for centre in mixture.centres):
        length = len(list(run))
        ticks.append(start + (length - 1) / 2)
        labels.append(f"{x:g}".replace("-", "−"))
        start += length
        if start < len(mixture.centres):
            ax.axvline(start - 0.5, color="0.85", linewidth=0.6, zorder=0)
    ax.set_xticks(ticks, labels)
    ax.tick_params(axis="x", bottom=False)
    ax.set_xlim(-0.7, len(mixture.centres) - 0.3)


FIG_5 = Figure(
    id="gaan-fig5",
    title="25 Gaussians: registered modes and points during training (mean over seeds; band from minimum to maximum)",
    citation=f"{CITATION}, Fig. 5",
    table=TABLE_2.id,
    draw=draw_curves,
)
FIG_6 = Figure(
    id="gaan-fig6",
    title="25 Gaussians: samples at the end of training (rings: where a point registers with a mode)",
    citation=f"{CITATION}, Fig. 6",
    table=TABLE_2.id,
    draw=draw_sample_grid,
)
FIG_7 = Figure(
    id="gaan-fig7",
    title="25 Gaussians: share of the registered points per mode (mean over seeds; whiskers from minimum to maximum; "
    "dashed: 1/25)",
    citation=f"{CITATION}, Fig. 7",
    table=TABLE_2.id,
    draw=draw_shares,
)
