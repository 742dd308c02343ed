"""The training of one stored model as a moving picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.figure
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg

from benchmark import registry
from benchmark.cells import Block
from benchmark.errors import UserError
from benchmark.figures.synthetic import scatter, updates
from benchmark.records import Store, writing
from benchmark.training import frame_epochs

_INCHES, _DPI, _FRAMES_PER_SECOND = 3.6, 110, 4


def make_movie(store: Store, name: str) -> Path:
    """Write ``figures/movie-ID.gif`` of the cell whose id begins with ``name``.

    Raises ``UserError`` where there is no such cell, or where it kept no samples along its training.
    """
    cell = store.find(name)
    record = store.read(cell)
    frames = store.frames(cell, record) if record else None
    if frames is None:
        raise UserError(f"cell {cell.id} kept no samples along its training, as only mixtures in 2 and 3 dimensions do")
    mixture, epochs = registry.mixture(cell.dataset), frame_epochs(cell.protocol)
    path = store.folder / "figures" / f"movie-{cell.id}.gif"
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        picture = matplotlib.figure.Figure(figsize=(_INCHES, _INCHES), layout="constrained")
        FigureCanvasAgg(picture)
        ax = picture.subplots()

        def show(index: int) -> list[object]:
            ax.clear()
            scatter(ax, frames[index], mixture, "#0072B2")
            label = Block((cell,)).label
            ax.set_title(
                f"{label} on {cell.dataset}, seed {cell.seed}\n{updates(cell, epochs[index]):,} updates", size=7
            )
            return []

        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            FuncAnimation(picture, show, frames=len(frames)).save(  # type: ignore[arg-type]
                path, writer=PillowWriter(fps=_FRAMES_PER_SECOND), dpi=_DPI
            )
    return path
