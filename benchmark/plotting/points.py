"""What figures of mixtures share: points in the plane, and the models that are shown."""

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
#: How far the third coordinate shifts a point in the other two.
_SLANT = (0.35, 0.25)


def firsts_by_dataset(
    selection: Selection, records: Records, names: Sequence[str]
) -> dict[str, list[tuple[Row, Pair]]]:
    """Each row's first finished seed, by data set; data sets without any are left out."""
    found = {name: rows for name in names if (rows := list(firsts(selection, records, name)))}
    if not found:
        raise UserError(f"nothing is stored on {' or '.join(names)}, which this figure shows; leave out --datasets")
    return found


def real_points(mixture: GaussianMixture, n: int) -> Array:
    """Real samples ``[n, d]`` for a drawing, the same ones every time."""
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


def latents_of(run: Run) -> Array:
    """The latents ``[n, latent_dim]`` of a run's stored samples."""
    protocol = run.protocol
    (generator,) = evaluation_generators(run.dataset, (run.seed,), protocol.epochs)
    return draw(generator, protocol.prior, (protocol.samples, protocol.latent_dim))
