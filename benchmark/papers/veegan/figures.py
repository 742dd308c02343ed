"""Figures of VEEGAN (Srivastava et al. 2017) on mixtures."""

from __future__ import annotations

import matplotlib.figure
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist, pdist

from benchmark.errors import UserError
from benchmark.papers.veegan.tables import CITATION, TABLE_1
from benchmark.plotting.canvas import blank
from benchmark.plotting.figure import Figure, Records, line_style
from benchmark.plotting.mosaic import Pair
from benchmark.plotting.points import firsts_by_dataset, flat, half_width, latents_of, real_points, scatter
from benchmark.spec import registry
from benchmark.spec.selection import Selection
from benchmark.spec.table import Row
from benchmark.store.store import Store
from modules.losses import squared_distance
from modules.networks import MLP

Array = np.ndarray

#: Number of pixels along each axis of a density plot, and standard deviation in pixels of its smoothing.
_PIXELS, _SMOOTHING = 240, 2.0
#: Number of training steps and hidden width of the reconstructor that is fitted to stored samples.
_FIT_STEPS, _FIT_WIDTH = 600, 64


def point_density(points: Array, half: float) -> Array:
    """Estimate the density of points ``[n, 2]`` on a grid of pixels.

    Args:
        points: Points ``[n, 2]``.
        half: Half the width of the plot, which covers ``[-half, half]`` in both directions.

    Returns:
        Smoothed share of the points in each pixel. Rows go from the lowest second coordinate upwards.
    """
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=_PIXELS, range=[(-half, half)] * 2)
    return gaussian_filter(counts / len(points), _SMOOTHING)


def draw_densities(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw densities of the data and of the first seed of each method, on ring8 and grid25 (Fig. 2)."""
    shown = firsts_by_dataset(selection, records, ("ring8", "grid25"))
    columns = 1 + max(map(len, shown.values()))
    picture = blank(max(8.0, 1.9 * columns), 2.2 * len(shown))
    axes = picture.subplots(len(shown), columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for line, (name, rows) in zip(axes, shown.items(), strict=True):
        mixture = registry.mixture(name)
        half = half_width(mixture)
        panels = [("data", real_points(mixture, 2_500))]
        panels += [(f"{row.title}, seed {run.seed}", store.samples(run, record)) for row, (run, record) in rows]
        for ax, (title, points) in zip(line, panels, strict=False):
            ax.imshow(
                point_density(flat(points), half), origin="lower", extent=(-half, half, -half, half), cmap="Blues"
            )
            ax.set_title(f"{title}\n{name}")
    return picture


def draw_reconstruction(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw the codes that a reconstructor gives to samples and to data (Fig. 1).

    On each data set this is done for the model with the fewest captured modes and for the one with the most. The
    latents of the stored samples are drawn again from their random stream, and a new reconstructor is fitted to the
    pairs of sample and latent. Then it is applied to data. If the generator misses modes, the codes of the data do not
    follow the prior.

    Raises:
        UserError: If no selected model has two-dimensional noise.
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
        real = real_points(mixture, len(samples))
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
    """Compute the energy distance of Szekely and Rizzo, ``2 E|X - Y| - E|X - X'| - E|Y - Y'|``.

    It is 0 for equal distributions only. Between two finite samples of one distribution it is slightly above 0.

    Args:
        left: Points ``[n, d]``.
        right: Points ``[m, d]``.

    Returns:
        The distance, in the unit of the points.
    """
    between, within = cdist(left, right).mean(), (pdist(left), pdist(right))
    n, m = len(left), len(right)
    return float(2 * between - 2 * within[0].sum() / n**2 - 2 * within[1].sum() / m**2)


def _in_the_plane(pair: Pair) -> bool:
    """Return whether a run has two latents per sample that can be drawn again from their random stream."""
    run, _ = pair
    return run.protocol.latent_dim == 2 and registry.method(run.method).name != "veegan"


def _captured(pair: Pair) -> float:
    return pair[1].measures["captured_modes"] or 0


def reconstruct(samples: Array, latents: Array, points: Array) -> Array:
    """Fit a small network to ``samples -> latents`` by least squares and apply it to ``points``.

    Args:
        samples: Samples ``[n, d]``.
        latents: Latents ``[n, k]`` that the samples were made of.
        points: Points ``[m, d]``.

    Returns:
        Codes of the points, ``[m, k]``.
    """
    network = MLP("figure", samples.shape[1], latents.shape[1], seeds=(0,), hidden=2, width=_FIT_WIDTH)
    # torch.tensor copies to aligned memory. NumPy's arrays may be unaligned, which changes the last bits of products.
    x, z = torch.tensor(samples).unsqueeze(0), torch.tensor(latents).unsqueeze(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(_FIT_STEPS):
        optimizer.zero_grad()
        squared_distance(network(x), z).sum().backward()
        optimizer.step()
    with torch.no_grad():
        return network(torch.tensor(points).unsqueeze(0))[0].numpy()


VEEGAN_FIG_1 = Figure(
    id="veegan-fig1",
    title="A reconstructor F fitted to a generator's samples, on each data set of the model with the fewest modes "
    "(above) and of the one with the most (below), and the energy distance of what it makes to the prior (grey)",
    citation=f"{CITATION}, Fig. 1",
    table=TABLE_1.id,
    draw=draw_reconstruction,
)
VEEGAN_FIG_2 = Figure(
    id="veegan-fig2",
    title="Density of 2,500 samples at the end of training",
    citation=f"{CITATION}, Fig. 2",
    table=TABLE_1.id,
    draw=draw_densities,
)
