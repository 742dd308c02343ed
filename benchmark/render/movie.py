"""Draw the training of one stored model as an animated GIF."""

from __future__ import annotations

import io
import math
from pathlib import Path

import matplotlib
import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from scipy.spatial.distance import cdist

from benchmark.errors import UserError
from benchmark.plotting.mosaic import show_mosaic
from benchmark.plotting.points import scatter, updates
from benchmark.spec import registry
from benchmark.spec.block import Block
from benchmark.spec.protocol import FRAME_DIM, frame_epochs
from benchmark.spec.registry import DataSet
from benchmark.store.files import write_atomically
from benchmark.store.store import Store
from datamodules.mixture import GaussianMixture

Array = np.ndarray

_INCHES, _DPI, _FRAMES_PER_SECOND = 3.6, 110, 4
_COLOUR = "#0072B2"


def make_movie(store: Store, name: str) -> Path:
    """Write ``figures/movie-ID.gif`` for a run.

    Args:
        store: The results folder.
        name: Beginning of the run's id.

    Returns:
        The path of the file.

    Raises:
        UserError: There is no such run, or it has stored no samples during training.
    """
    run = store.find(name)
    record = store.read(run)
    frames = store.frames(run, record) if record else None
    if frames is None:
        raise UserError(
            f"cell {run.id} kept no samples along its training; only points of 2 and 3 coordinates are kept unasked, "
            f"anything else by a run with --set protocol.frames=1,{run.protocol.epochs}"
        )
    dataset = registry.dataset(run.dataset)
    epochs = frame_epochs(run.protocol, math.prod(dataset.data_shape))
    path = store.pictures(registry.shows_people(dataset)) / f"movie-{run.id}.gif"
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        picture = matplotlib.figure.Figure(figsize=(_INCHES, _INCHES), dpi=_DPI, layout="constrained")
        canvas = FigureCanvasAgg(picture)
        ax = picture.subplots()

        moments = []
        for frame, epoch in zip(frames, epochs, strict=True):
            ax.clear()
            _draw(ax, frame, dataset)
            label = Block((run,)).label
            ax.set_title(
                f"{label} on {run.dataset}, seed {run.seed}\n{updates(run, epoch):,} updates",
                size=7,
                parse_math=False,
            )
            canvas.draw()
            moments.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    buffer = io.BytesIO()
    moments[0].save(
        buffer, "GIF", save_all=True, append_images=moments[1:], duration=1000 // _FRAMES_PER_SECOND, loop=0
    )
    write_atomically(store.writable(path), buffer.getvalue())
    return path


def _draw(ax: Axes, made: Array, dataset: DataSet) -> None:
    """Draw one frame.

    Images are shown as a mosaic, and points in 2 or 3 dimensions over the centres. For points in more dimensions, the
    distance from the nearest centre is plotted over the mean of the coordinates, which differs between the modes of
    those mixtures.
    """
    if not isinstance(dataset, GaussianMixture):
        show_mosaic(ax, made, math.isqrt(len(made)), gap=1)
    elif made.shape[1] <= FRAME_DIM:
        scatter(ax, made, dataset, _COLOUR)
    else:
        centres = np.array(dataset.centres)
        points = made.astype(float)
        for centre in centres.mean(1):
            ax.axvline(centre, color="0.85", linewidth=0.5, zorder=0)
        ax.axhline(dataset.radius, color="0.4", linewidth=0.8, linestyle="--")
        ax.scatter(points.mean(1), cdist(points, centres).min(1), s=3, color=_COLOUR, alpha=0.6, linewidths=0)
        ax.set(xlim=(-dataset.limit, dataset.limit), yscale="log", ylim=(dataset.radius / 10, dataset.radius * 100))
        ax.set_xlabel("mean of the coordinates", fontsize=7)
        ax.set_ylabel("distance to the nearest centre; below the line: of high quality", fontsize=7)
        ax.tick_params(labelsize=6)
