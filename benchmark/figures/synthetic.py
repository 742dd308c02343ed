"""Figures of the papers on synthetic mixtures: VEEGAN (2017) and the importance-sampling poster (2018)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib.figure
import numpy as np
import torch
from matplotlib.axes import Axes
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist, pdist

from benchmark import registry
from benchmark.cells import Run
from benchmark.errors import UserError
from benchmark.evaluation import evaluation_generators
from benchmark.figure import Figure, Records, line_style
from benchmark.figures.mosaic import Pair, firsts
from benchmark.page import blank
from benchmark.records import Store
from benchmark.schema import Row, Selection
from benchmark.tables import aeis, veegan
from benchmark.training import frame_epochs, make_data, make_module, make_trainer, quiet
from datamodules.mixture import GaussianMixture
from modules.aeis import AEIS
from modules.losses import squared_distance
from modules.networks import MLP
from modules.noise import draw

Array = np.ndarray

#: Pixels of a density along each axis, and the width of its smoothing in pixels.
_PIXELS, _SMOOTHING = 240, 2.0
#: Moments of the training that are shown side by side.
_MOMENTS = 5
#: Rows whose training is shown where the user names none: the poster's two, and GAAN.
_COMPARED = ("veegan", "aeis", "gaan_2")
#: How far the third coordinate shifts a point in the other two.
_SLANT = (0.35, 0.25)
#: Steps and hidden width of the reconstructor that is fitted to stored samples.
_FIT_STEPS, _FIT_WIDTH = 600, 64


def _by_dataset(selection: Selection, records: Records, names: Sequence[str]) -> dict[str, list[tuple[Row, Pair]]]:
    """Each row's first finished seed, by data set; data sets without any are left out."""
    found = {name: rows for name in names if (rows := list(firsts(selection, records, name)))}
    if not found:
        raise UserError(f"nothing is stored on {' or '.join(names)}, which this figure shows; leave out --datasets")
    return found


def _real(mixture: GaussianMixture, n: int) -> Array:
    rng = np.random.default_rng((*b"figure real ", *mixture.name.encode()))
    return mixture.sample(n, rng).astype(np.float32)


def flat(points: Array) -> Array:
    """Points ``[n, 2]`` for the page; a third coordinate is seen at a slant."""
    if points.shape[1] == 2:
        return points
    return points[:, :2] + points[:, 2:3] * np.array(_SLANT, dtype=points.dtype)


def half_width(mixture: GaussianMixture) -> float:
    """Half the width of a panel, in the data's units."""
    slant = 1 + max(_SLANT) if len(mixture.centres[0]) == 3 else 1
    return 1.35 * slant * mixture.limit


def density(points: Array, half: float) -> Array:
    """Smoothed share of points ``[n, 2]`` per pixel, over ``[-half, half]`` in both directions, rows upwards."""
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=_PIXELS, range=[(-half, half)] * 2)
    return gaussian_filter(counts / len(points), _SMOOTHING)


def draw_densities(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Densities of the data and of each method's first seed on ring and grid (Fig. 2)."""
    shown = _by_dataset(selection, records, ("ring8", "grid25"))
    columns = 1 + max(map(len, shown.values()))
    picture = blank(max(8.0, 1.9 * columns), 2.2 * len(shown))
    axes = picture.subplots(len(shown), columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for line, (name, rows) in zip(axes, shown.items(), strict=True):
        mixture = registry.mixture(name)
        half = half_width(mixture)
        panels = [("data", _real(mixture, 2_500))]
        panels += [(f"{row.title}, seed {run.seed}", store.samples(run, record)) for row, (run, record) in rows]
        for ax, (title, points) in zip(line, panels, strict=False):
            ax.imshow(density(flat(points), half), origin="lower", extent=(-half, half, -half, half), cmap="Blues")
            ax.set_title(f"{title}\n{name}")
    return picture


def draw_progress(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Samples of each method's first seed at five moments of the training (Fig. 2)."""
    if selection.rows == selection.table.rows:
        records = {row: pairs for row, pairs in records.items() if row in _COMPARED} or records
    shown = _by_dataset(selection, records, selection.table.datasets)
    lines = [(name, row, pair) for name, rows in shown.items() for row, pair in rows if pair[1].frames]
    if not lines:
        raise UserError("none of the stored models kept samples along its training; run them again")
    picture = blank(1.6 * _MOMENTS + 1.2, 1.6 * len(lines))
    axes = picture.subplots(len(lines), _MOMENTS, squeeze=False)
    for line, (name, row, (run, record)) in zip(axes, lines, strict=True):
        frames, epochs = store.frames(run, record), frame_epochs(run.protocol)
        assert frames is not None
        chosen = np.unique(np.linspace(0, len(frames) - 1, _MOMENTS).round().astype(int))
        for spare in line[len(chosen) :]:
            spare.remove()
        for ax, index in zip(line, chosen, strict=False):
            scatter(ax, frames[index], registry.mixture(name), line_style(selection, row.id)[0])
            ax.set_title(f"after {updates(run, epochs[index]):,} updates", fontsize=6.5)
        title = "\n".join(textwrap.wrap(row.title, 18))
        line[0].set_ylabel(f"{title}\n{name}", fontsize=6.5)
    return picture


def updates(run: Run, epoch: int) -> int:
    """Generator updates after an epoch, pre-training not counted."""
    fresh = run.protocol.fresh_iterations
    return epoch * (fresh or -(-registry.dataset(run.dataset).training_size // run.protocol.batch_size))


def scatter(ax: Axes, points: Array, mixture: GaussianMixture, colour: str) -> None:
    """Samples over the data's centres, without ticks."""
    half, centres = half_width(mixture), flat(np.array(mixture.centres))
    ax.scatter(centres[:, 0], centres[:, 1], s=14, facecolors="none", edgecolors="0.7", linewidths=0.5)
    there = flat(points)
    ax.scatter(there[:, 0], there[:, 1], s=1.6, color=colour, alpha=0.6, linewidths=0, rasterized=True)
    ax.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", xticks=[], yticks=[])


def draw_reconstruction(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """What a reconstructor that knows only a generator's samples makes of the data (Fig. 1): on each data set, of the
    model with the fewest modes and of the one with the most.

    The latents behind stored samples are drawn again from their stream, a reconstructor is fitted to the pairs, and
    shown on the data: of a generator that misses modes it gives something else than the prior.
    """
    lines: list[tuple[Row, Pair]] = []
    for name in ("ring8", "grid25"):
        usable = [
            (row, pair)
            for row in selection.rows
            for pair in records.get(row.id, ())
            if pair[0].dataset == name and _in_the_plane(pair)
        ]
        usable.sort(key=lambda item: _captured(item[1]))
        lines += usable[:1] + usable[1:][-1:]
    if not lines:
        raise UserError("this figure needs models with two-dimensional noise on ring8 or grid25; try another --reading")
    picture = blank(9.6, 3.1 * len(lines))
    axes = picture.subplots(len(lines), 3, squeeze=False)
    for line, (row, (run, record)) in zip(axes, lines, strict=True):
        mixture = registry.mixture(run.dataset)
        samples, latents = store.samples(run, record), latents_of(run)
        real = _real(mixture, len(samples))
        codes = [reconstruct(samples / mixture.limit, latents, points / mixture.limit) for points in (samples, real)]
        colour = line_style(selection, row.id)[0]
        scatter(line[0], samples, mixture, colour)
        found = _captured((run, record))
        line[0].set_title(f"{row.title}, {run.dataset}, seed {run.seed}: {found:.0f} of {len(mixture.centres)} modes")
        half = 4.0 if run.protocol.prior == "normal" else 1.6
        for ax, points, what in zip(line[1:], codes, ("F of its samples", "F of the data"), strict=True):
            ax.scatter(latents[:, 0], latents[:, 1], s=1.2, color="0.8", linewidths=0, rasterized=True, label="prior")
            ax.scatter(points[:, 0], points[:, 1], s=1.6, color=colour, alpha=0.6, linewidths=0, rasterized=True)
            title = f"{what}: {energy_distance(points, latents):.3f} from the prior"
            ax.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", title=title)
    return picture


def energy_distance(left: Array, right: Array) -> float:
    """Szekely and Rizzo's ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` of two sets of points ``[n, d]``, ``[m, d]``, in the
    points' unit: 0 between equal distributions only, and slightly above it between two samples of one."""
    between, within = cdist(left, right).mean(), (pdist(left), pdist(right))
    n, m = len(left), len(right)
    return float(2 * between - 2 * within[0].sum() / n**2 - 2 * within[1].sum() / m**2)


def _in_the_plane(pair: Pair) -> bool:
    """Whether a run's samples come from two numbers each, which are known from their stream."""
    run, _ = pair
    return run.protocol.latent_dim == 2 and registry.method(run.method).name != "veegan"


def _captured(pair: Pair) -> float:
    return pair[1].measures["captured_modes"] or 0


def latents_of(run: Run) -> Array:
    """The latents ``[n, latent_dim]`` of a run's stored samples."""
    protocol = run.protocol
    (generator,) = evaluation_generators(run.dataset, (run.seed,), protocol.epochs)
    return draw(generator, protocol.prior, (protocol.samples, protocol.latent_dim))


def reconstruct(samples: Array, latents: Array, points: Array) -> Array:
    """``F(points)`` for a small network fitted to ``samples -> latents`` by least squares."""
    network = MLP("figure", samples.shape[1], latents.shape[1], seeds=(0,), hidden=2, width=_FIT_WIDTH)
    # In PyTorch's own memory: products of NumPy's, which begins anywhere, differ in their last bits.
    x, z = torch.tensor(samples).unsqueeze(0), torch.tensor(latents).unsqueeze(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(_FIT_STEPS):
        optimizer.zero_grad()
        squared_distance(network(x), z).sum().backward()
        optimizer.step()
    with torch.no_grad():
        return network(torch.tensor(points).unsqueeze(0))[0].numpy()


def draw_steps(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """The steps of importance sampling on one batch, early in the training of one stored model (Fig. 1).

    Its autoencoder is trained again from the same seed and data, as no network is stored; fakes are its stored samples.
    """
    stored = [pair for pairs in records.values() for pair in pairs if registry.method(pair[0].method) is AEIS]
    stored = [pair for pair in stored if pair[1].frames and len(registry.mixture(pair[0].dataset).centres[0]) == 2]
    if not stored:
        raise UserError("this figure needs a model of aeis on ring8 or grid25 with samples along its training")
    run, record = max(stored, key=lambda pair: (pair[0].overrides == (), pair[0].dataset == "grid25"))
    frames, mixture = store.frames(run, record), registry.mixture(run.dataset)
    assert frames is not None
    module, index = pretrained(run), min(1, len(frames) - 1)
    scale = mixture.scale if run.protocol.scaling == "unit" else lambda points: points
    real = _real(mixture, run.protocol.batch_size)
    made = frames[index]
    with torch.no_grad():
        seen, codes, fakes = (torch.from_numpy(scale(p)).float().unsqueeze(0) for p in (real, real, made))
        rebuilt = module.decoder(module.encoder(seen))[0].numpy()
        codes, fakes = module.codes(codes), module.codes(fakes)
    for batch, kept in zip(fakes.split(run.protocol.batch_size, 1), module.fake_codes[0], strict=False):
        kept[: batch.shape[1]] = batch[0]
    partners, weights = module.pairs(codes, fakes[:, : codes.shape[1]])
    return _steps(run, mixture, index, real, rebuilt, made, codes[0].numpy(), partners[0].numpy(), weights[0].numpy())


def pretrained(run: Run) -> AEIS:
    """The run's method after its pre-training, alone in its block."""
    module = make_module(run, (run.seed,))
    assert isinstance(module, AEIS)
    with quiet():
        trainer = make_trainer(run, [], "cpu", max_epochs=module.pretraining_epochs)
        trainer.fit(module, make_data(run, (run.seed,), module))
    module.prepare()
    return module


def _steps(
    run: Run,
    mixture: GaussianMixture,
    index: int,
    real: Array,
    rebuilt: Array,
    made: Array,
    codes: Array,
    partners: Array,
    weights: Array,
) -> matplotlib.figure.Figure:
    picture = blank(10.4, 3.4)
    axes = picture.subplots(1, 4)
    shown = mixture.unscale(rebuilt) if run.protocol.scaling == "unit" else rebuilt
    scatter(axes[0], real, mixture, "#0072B2")
    axes[0].scatter(shown[:, 0], shown[:, 1], s=3, marker="x", color="#D55E00", linewidths=0.5)
    axes[0].set_title("1. autoencoder: data (blue)\nand reconstructions (crosses)")
    axes[1].scatter(codes[:, 0], codes[:, 1], s=4, color="#0072B2", linewidths=0)
    axes[1].set(title="2. codes of a batch of data,\nstandardised", aspect="equal")
    count = updates(run, frame_epochs(run.protocol)[index])
    scatter(axes[2], made, mixture, "0.6")
    points = axes[2].scatter(real[:, 0], real[:, 1], c=weights, s=6, cmap="viridis", linewidths=0)
    axes[2].set_title(f"3. samples after {count:,} updates (grey),\ndata by the weight of their pair")
    picture.colorbar(points, ax=axes[2], shrink=0.6)
    scatter(axes[3], made, mixture, "0.6")
    fakes = made[partners]
    axes[3].plot(*np.stack([real, fakes], 1).transpose(2, 1, 0), color="#009E73", linewidth=0.5, alpha=0.7)
    axes[3].set_title("4. one-to-one pairs of\nleast total distance between codes")
    return picture


VEEGAN_FIG_1 = Figure(
    id="veegan-fig1",
    title="A reconstructor F fitted to a generator's samples, on each data set of the model with the fewest modes "
    "(above) and of the one with the most (below), and the energy distance of what it makes to the prior (grey)",
    citation=f"{veegan.CITATION}, Fig. 1",
    table=veegan.TABLE_1.id,
    draw=draw_reconstruction,
)
VEEGAN_FIG_2 = Figure(
    id="veegan-fig2",
    title="Density of 2,500 samples at the end of training",
    citation=f"{veegan.CITATION}, Fig. 2",
    table=veegan.TABLE_1.id,
    draw=draw_densities,
)
AEIS_FIG_2 = Figure(
    id="aeis-fig2",
    title="Samples along the training (circles: the data's modes)",
    citation=f"{aeis.CITATION}, Fig. 2",
    table=aeis.TABLE_1.id,
    draw=draw_progress,
)
AEIS_FIG_1 = Figure(
    id="aeis-fig1",
    title="GAN with autoencoder and importance sampling: the steps of one iteration",
    citation=f"{aeis.CITATION}, Fig. 1",
    table=aeis.TABLE_1.id,
    draw=draw_steps,
)
