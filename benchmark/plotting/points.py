"""Helpers for figures of mixtures: points in the plane, and the choice of models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from benchmark.errors import UserError
from benchmark.plotting.figure import Records
from benchmark.plotting.mosaic import Pair, firsts
from benchmark.spec import registry
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.spec.table import Row
from benchmark.training.evaluation import evaluation_generators
from datamodules.mixture import GaussianMixture
from modules.noise import draw

Array = np.ndarray
#: Shift of a point in the plane per unit of its third coordinate.
_SLANT = (0.35, 0.25)


def firsts_by_dataset(
    selection: Selection, records: Records, names: Sequence[str]
) -> dict[str, list[tuple[Row, Pair]]]:
    """Return each row's first finished run, by data set. Data sets without any are left out.

    Raises:
        UserError: No data set has a finished run.
    """
    found = {name: rows for name in names if (rows := list(firsts(selection, records, name)))}
    if not found:
        raise UserError(f"nothing is stored on {' or '.join(names)}, which this figure shows; leave out --datasets")
    return found


def real_points(mixture: GaussianMixture, n: int) -> Array:
    """Draw real samples ``[n, d]`` for a figure. They are the same every time."""
    rng = np.random.default_rng((*b"figure real ", *mixture.name.encode()))
    return mixture.sample(n, rng).astype(np.float32)


def flat(points: Array) -> Array:
    """Project points to ``[n, 2]``. A third coordinate is drawn as an oblique axis."""
    if points.shape[1] == 2:
        return points
    return points[:, :2] + points[:, 2:3] * np.array(_SLANT, dtype=points.dtype)


def half_width(mixture: GaussianMixture) -> float:
    """Return half the width of a panel, in units of the data."""
    slant = 1 + max(_SLANT) if len(mixture.centres[0]) == 3 else 1
    return 1.35 * slant * mixture.limit


def updates(run: Run, epoch: int) -> int:
    """Return the number of generator updates after an epoch, pre-training not counted."""
    fresh = run.protocol.fresh_iterations
    return epoch * (fresh or -(-registry.dataset(run.dataset).training_size // run.protocol.batch_size))


def scatter(ax: Axes, points: Array, mixture: GaussianMixture, colour: str) -> None:
    """Draw samples over the centres of the data, without ticks."""
    half, centres = half_width(mixture), flat(np.array(mixture.centres))
    ax.scatter(centres[:, 0], centres[:, 1], s=14, facecolors="none", edgecolors="0.7", linewidths=0.5)
    there = flat(points)
    ax.scatter(there[:, 0], there[:, 1], s=1.6, color=colour, alpha=0.6, linewidths=0, rasterized=True)
    ax.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", xticks=[], yticks=[])


def latents_of(run: Run) -> Array:
    """Return the latents ``[n, latent_dim]`` of a run's stored samples."""
    protocol = run.protocol
    (generator,) = evaluation_generators(run.dataset, (run.seed,), protocol.epochs)
    return draw(generator, protocol.prior, (protocol.samples, protocol.latent_dim))
