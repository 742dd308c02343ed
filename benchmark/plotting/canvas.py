"""Compose a page from a drawing: a fixed style, a title above, small print below, and PNG and SVG files."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import matplotlib
import matplotlib.figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.layout_engine import ConstrainedLayoutEngine

from benchmark.store.files import write_atomically

_PNG_DPI = 150
#: Resolution of what is stored as pixels inside an SVG.
_SVG_DPI = 300

_TITLE_POINTS = 10.0
_SMALL_PRINT_POINTS = 7.0
#: Mean width of a character, as a share of the font's size; on the safe side.
_CHARACTER_WIDTH = 0.58
_LINE_SPACING = 1.3
#: Inches between the drawing and its small print, and below and beside the small print.
_GAP = 0.12
#: Inches around every panel.
_PANEL_GAP = 0.06

#: Formats of pictures.
Kind = Literal["png", "svg"]


@contextmanager
def own_style(name: str) -> Iterator[None]:
    """Use Matplotlib's defaults, not the user's settings, and let ids in the SVG file depend only on ``name``."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.hashsalt": name, "font.size": 8.0, "axes.titlesize": 8.0})
        yield


def blank(width: float, height: float) -> matplotlib.figure.Figure:
    """Create an empty drawing of ``width`` by ``height`` inches.

    ``add_title_and_small_print`` later adds space below it.
    """
    picture = matplotlib.figure.Figure(figsize=(width, height), layout="compressed")
    FigureCanvasAgg(picture)
    return picture


def add_title_and_small_print(picture: matplotlib.figure.Figure, title: str, small_print: Sequence[str]) -> None:
    """Add a title above the drawing and the small print below it, one paragraph per line of ``small_print``."""
    _add_title(picture, title)
    _add_small_print(picture, small_print)


def save(picture: matplotlib.figure.Figure, folder: Path, name: str, kind: Kind = "png") -> Path:
    """Write ``NAME.png`` or ``NAME.svg``. The same picture gives the same bytes.

    Returns:
        The path of the file.
    """
    _settle(picture)
    path = folder / f"{name}.{kind}"
    write_atomically(path, _as_png(picture) if kind == "png" else _as_svg(picture))
    return path


def _wrap(text: str, points: float, inches: float) -> list[str]:
    """Wrap a text to lines of at most ``inches`` in a font of ``points``."""
    return textwrap.wrap(text, int(inches * 72 / (points * _CHARACTER_WIDTH)))


def _add_title(picture: matplotlib.figure.Figure, title: str) -> None:
    lines = _wrap(title, _TITLE_POINTS, picture.get_figwidth())
    picture.suptitle("\n".join(lines), fontsize=_TITLE_POINTS)


def _add_small_print(picture: matplotlib.figure.Figure, lines: Sequence[str]) -> None:
    """Make the page taller and put the small print into the new space."""
    width, height = picture.get_size_inches()
    wrapped = [part for line in lines for part in _wrap(line, _SMALL_PRINT_POINTS, width - 2 * _GAP)]
    needed = len(wrapped) * _SMALL_PRINT_POINTS * _LINE_SPACING / 72 + 2 * _GAP
    below = needed / (height + needed)
    picture.set_size_inches(width, height + needed)
    engine = picture.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine), "a figure must be drawn on benchmark.plotting.canvas.blank"
    engine.set(rect=(0, below, 1, 1 - below), h_pad=_PANEL_GAP, w_pad=_PANEL_GAP)
    picture.text(
        _GAP / width,
        _GAP / (height + needed),
        "\n".join(wrapped),
        fontsize=_SMALL_PRINT_POINTS,
        linespacing=_LINE_SPACING,
        color="0.3",
        va="bottom",
        parse_math=False,
    )


def _settle(picture: matplotlib.figure.Figure) -> None:
    """Compute the layout once and round all positions.

    The last bits of the layout solver's result vary from run to run, and the ids in an SVG file depend on them.
    """
    picture.draw_without_rendering()
    picture.set_layout_engine("none")
    for ax in picture.axes:
        left, bottom, width, height = (round(value, 6) for value in ax.get_position(original=True).bounds)
        ax.set_position((left, bottom, width, height))
    for text in picture.texts:
        x, y = text.get_position()
        text.set_position((round(x, 6), round(y, 6)))


def _as_png(picture: matplotlib.figure.Figure) -> bytes:
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _as_svg(picture: matplotlib.figure.Figure) -> bytes:
    buffer = io.BytesIO()
    picture.savefig(buffer, format="svg", dpi=_SVG_DPI, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
