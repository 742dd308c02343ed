"""Figures of the poster "GANs powered by autoencoding"."""

from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median

import matplotlib.figure
import numpy as np
import torch
from matplotlib.axes import Axes

from benchmark import registry
from benchmark.cells import Cell
from benchmark.errors import UserError
from benchmark.figure import Figure, Records, line_style
from benchmark.figures.synthetic import updates
from benchmark.page import blank
from benchmark.records import Record, Store
from benchmark.schema import Row, Selection
from benchmark.tables import gan_ae
from benchmark.training import make_data, make_module, make_trainer, quiet
from datamodules.mixture import GaussianMixture
from modules.density import optimal_pairs
from modules.gan_ae import EQUILIBRIUM, GANAE

Array = np.ndarray
Pair = tuple[Cell, Record]

#: Numbers of points that matchings are measured on, and repetitions of which the median time counts.
_COUNTS, _REPEATS = (16, 32, 64, 128, 256, 512, 1_024), 3
#: Epochs that an autoencoder is trained again for, as no network is stored.
_AGAIN = 4


def _firsts(selection: Selection, records: Records, dataset: str) -> Iterator[tuple[Row, Pair]]:
    """Each row's first finished seed on a data set, where it has any."""
    for row in selection.rows:
        here = [pair for pair in records.get(row.id, ()) if pair[0].dataset == dataset]
        if here:
            yield row, here[0]


def mosaic(images: Array) -> Array:
    """Images ``[n, C, H, W]`` side by side in a square, as far as they go, black between them: ``[H', W', 3]``."""
    side = math.isqrt(len(images))
    padded = np.pad(images[: side * side], ((0, 0), (0, 0), (0, 1), (0, 1)))
    if padded.shape[1] == 1:
        padded = padded.repeat(3, 1)
    _, channels, height, width = padded.shape
    grid = padded.reshape(side, side, channels, height, width).transpose(0, 3, 1, 4, 2)
    return grid.reshape(side * height, side * width, channels)[:-1, :-1]


def _moments(cell: Cell, record: Record, store: Store) -> dict[int, Array]:
    """Images along the training, by the batches that it had taken."""
    frames = store.frames(cell, record)
    if frames is None:
        raise UserError("these models kept no images along their training; run them with --set protocol.frames=1,10")
    return dict(zip((updates(cell, epoch) for epoch in cell.protocol.named_frames), frames, strict=True))


def _show(ax: Axes, images: Array, title: str) -> None:
    ax.imshow(mosaic(images), interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=7)


def _batches(count: int) -> str:
    return f"{count:,} {'batch' if count == 1 else 'batches'}"


def _short(title: str) -> str:
    return "\n".join(textwrap.wrap(title, 16))


def draw_moments(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Samples after the epochs that were kept, a column for each method."""
    (dataset,) = selection.datasets
    columns = [(row, _moments(*pair, store)) for row, pair in _firsts(selection, records, dataset)]
    lines = max(len(moments) for _, moments in columns)
    picture = blank(max(8.0, 1.5 * len(columns)), 1.6 * lines)
    axes = picture.subplots(lines, len(columns), squeeze=False)
    for column, (row, moments) in zip(axes.T, columns, strict=True):
        for spare in column[len(moments) :]:
            spare.remove()
        for ax, (batches, images) in zip(column, moments.items(), strict=False):
            _show(ax, images, f"{_short(row.title)}\nafter {_batches(batches)}")
    return picture


def draw_natural(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Last samples, a line of panels for each data set and a column for each method."""
    lines = {name: list(_firsts(selection, records, name)) for name in selection.datasets}
    lines = {name: found for name, found in lines.items() if found}
    columns = max(map(len, lines.values()))
    picture = blank(max(8.0, 1.7 * columns), 1.9 * len(lines))
    axes = picture.subplots(len(lines), columns, squeeze=False)
    for line, (name, found) in zip(axes, lines.items(), strict=True):
        for spare in line[len(found) :]:
            spare.remove()
        for ax, (row, pair) in zip(line, found, strict=False):
            batches, images = list(_moments(*pair, store).items())[-1]
            _show(ax, images, f"{_short(row.title)}\n{name}, {_batches(batches)}")
    return picture


def draw_instability(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Discriminator loss, gradient that the discriminator sends to the generator's output, and early samples: a line of
    panels for each method."""
    (dataset,) = selection.datasets
    lines = [(row, *pair, _moments(*pair, store)) for row, pair in _firsts(selection, records, dataset)]
    pictures = max(len(moments) for *_, moments in lines)
    picture = blank(3.2 + 1.6 * (2 + pictures), 2.1 * len(lines))
    axes = picture.subplots(len(lines), 2 + pictures, squeeze=False, width_ratios=[1.5, 1.5, *[1] * pictures])
    curves = {"loss.discrimination": "discriminator loss", "trace.gradient": "mean |gradient| at G(E(x))"}
    for line, (row, cell, record, moments) in zip(axes, lines, strict=True):
        colour, _ = line_style(selection, row.id)
        for ax, (name, label) in zip(line, curves.items(), strict=False):
            values = np.array(record.curves[name], dtype=float)
            ax.plot(updates(cell, 1) * np.arange(1, len(values) + 1), values, color=colour, linewidth=1)
            ax.set_title(f"{row.title}\n{label}", fontsize=7)
            ax.set_xlabel("batches")
            ax.grid(color="0.92", linewidth=0.6)
        line[0].axhline(EQUILIBRIUM, color="0.5", linewidth=0.8, linestyle=(0, (1, 2)))
        line[0].set_ylim(0, None)
        line[1].set_yscale("log")
        for spare in line[2 + len(moments) :]:
            spare.remove()
        for ax, (batches, images) in zip(line[2:], moments.items(), strict=False):
            _show(ax, images, f"{_short(row.title)}\nafter {_batches(batches)}")
    for column in axes[:, :2].T:
        low, high = zip(*(ax.get_ylim() for ax in column), strict=True)
        for ax in column:
            ax.set_ylim(min(low), max(high))
    return picture


# Hungarian against autoencoder ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MatchingCost:
    """Mean Euclidean distance per point that a matching or a reconstruction leaves on ``n`` points, and what it costs
    on this machine, in milliseconds (median of three)."""

    n: int
    distance: float
    milliseconds: float


def matching_distance(real: Array, made: Array) -> float:
    """Mean distance of the exact one-to-one pairs of least total distance between ``real`` and ``made [n, d]``: the
    1-Wasserstein distance of the two samples."""
    partners = optimal_pairs(real, made)
    return float(np.linalg.norm(real - made[partners], axis=1).mean())


def measure_costs(
    distance: Callable[[int], float], counts: Sequence[int], repeats: int = _REPEATS
) -> list[MatchingCost]:
    """``distance(n)`` and its time for every ``n`` of ``counts``, after one call that is not timed."""
    found = []
    distance(counts[0])
    for n in counts:
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            value = distance(n)
            times.append(1_000 * (time.perf_counter() - began))
        found.append(MatchingCost(n, value, median(times)))
    return found


def reconstruction_distance(module: GANAE, points: Array, mixture: GaussianMixture) -> float:
    """Mean distance of ``points [n, d]``, in original units, from what the autoencoder makes of them."""
    scaled = module.training_setup.scaling == "unit"
    seen = torch.from_numpy(mixture.scale(points) if scaled else points).float()
    with torch.no_grad():
        rebuilt = module.generator(module.encoder(seen.unsqueeze(0)))[0].numpy()
    return float(np.linalg.norm(points - (mixture.unscale(rebuilt) if scaled else rebuilt), axis=1).mean())


def trained_again(cell: Cell) -> GANAE:
    """The cell's method after its first epochs, alone in its block."""
    module = make_module(cell, (cell.seed,))
    assert isinstance(module, GANAE)
    with quiet():
        trainer = make_trainer(cell, [], "cpu", max_epochs=min(_AGAIN, cell.protocol.epochs))
        trainer.fit(module, make_data(cell, (cell.seed,), module))
    return module.cpu()


def compare_costs(chosen: Sequence[tuple[Row, Pair]], store: Store) -> dict[str, list[MatchingCost]]:
    """The Hungarian distance between new data and each row's stored samples, by its title; that between two samples of
    the data; and the autoencoder's, of the first row that is one."""
    cell = chosen[0][1][0]
    mixture = registry.mixture(cell.dataset)
    rng = np.random.default_rng((*b"matching ", *mixture.name.encode()))
    real, other = mixture.real(max(_COUNTS), rng), mixture.real(max(_COUNTS), rng)
    sets = {"data": other} | {row.title: store.samples(*pair).astype(float) for row, pair in chosen}
    counts = [n for n in _COUNTS if n <= min(map(len, sets.values()))]
    distances = {f"Hungarian, {title}": partial(_matching_of_first, real, made) for title, made in sets.items()}
    autoencoders = [(row, pair[0]) for row, pair in chosen if registry.method(pair[0].method) is GANAE]
    for row, stored in autoencoders[:1]:
        distances[f"autoencoder of {row.title}"] = partial(_error_of_first, trained_again(stored), real, mixture)
    return {title: measure_costs(distance, counts) for title, distance in distances.items()}


def _matching_of_first(real: Array, made: Array, n: int) -> float:
    return matching_distance(real[:n], made[:n])


def _error_of_first(module: GANAE, real: Array, mixture: GaussianMixture, n: int) -> float:
    return reconstruction_distance(module, real[:n], mixture)


def _kept_costs(chosen: Sequence[tuple[Row, Pair]], store: Store) -> dict[str, list[MatchingCost]]:
    """``compare_costs``, measured once and kept beside the records, as a time is never the same again."""

    def measure() -> dict[str, list[dict[str, float]]]:
        return {title: [asdict(cost) for cost in costs] for title, costs in compare_costs(chosen, store).items()}

    key = [*([row.title, cell.id, record.samples] for row, (cell, record) in chosen), *_COUNTS]
    kept = store.remember("matching", key, measure)
    return {title: [MatchingCost(**cost) for cost in costs] for title, costs in kept.items()}


def draw_matching(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Distances and costs against the number of points, a line of panels for each data set."""
    lines = {name: list(_firsts(selection, records, name)) for name in selection.datasets}
    lines = {name: found for name, found in lines.items() if found}
    picture = blank(8.4, 2.7 * len(lines))
    axes = picture.subplots(len(lines), 2, squeeze=False)
    for line, (name, chosen) in zip(axes, lines.items(), strict=True):
        for index, (title, costs) in enumerate(_kept_costs(chosen, store).items()):
            style = "--" if title.startswith("autoencoder") else "-"
            n = [cost.n for cost in costs]
            line[0].plot(n, [cost.distance for cost in costs], style, color=f"C{index}", label=title, linewidth=1.2)
            line[1].plot(n, [cost.milliseconds for cost in costs], style, color=f"C{index}", linewidth=1.2)
        line[0].set(xscale="log", yscale="log", xlabel="points", ylabel="mean distance (units of the data)", title=name)
        line[1].set(xscale="log", yscale="log", xlabel="points", ylabel="milliseconds", title=f"{name}, cost")
        line[1].legend(*line[0].get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return picture


MNIST = Figure(
    id="gan-ae-mnist",
    title="MNIST: samples of seven methods with one architecture, early and late",
    citation=gan_ae.CITATION,
    table=gan_ae.DIGITS.id,
    draw=draw_moments,
)
NATURAL = Figure(
    id="gan-ae-natural",
    title="CIFAR-10 and faces: samples of seven methods with one architecture",
    citation=gan_ae.CITATION,
    table=gan_ae.NATURAL.id,
    draw=draw_natural,
)
INSTABILITY = Figure(
    id="gan-ae-instability",
    title="GAN + AE without and with the decay alpha: discriminator loss (dotted: equilibrium, 2 log 2), gradient of "
    "the adversarial error, its weight and alpha included, and samples (codes from Gaussians fitted to the data's)",
    citation=gan_ae.CITATION,
    table=gan_ae.INSTABILITY.id,
    draw=draw_instability,
)
MATCHING = Figure(
    id="gan-ae-hungarian",
    title="Exact matching of data and samples against the reconstruction by an autoencoder: what is left, and what it "
    "costs (on the machine that drew this)",
    citation=gan_ae.CITATION,
    table=gan_ae.TABLE_2.id,
    draw=draw_matching,
    rows=("gan", "gan-ae", "gan-hungarian"),
)
