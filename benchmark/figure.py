"""What a figure is: a drawing of the cells of a table, with the small print that stands under every one."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import matplotlib.figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.layout_engine import ConstrainedLayoutEngine

from benchmark import figures, registry
from benchmark.cells import Cell
from benchmark.errors import UserError, unknown
from benchmark.records import Record, Store, write_atomically
from benchmark.sheet import file_name, header, is_stale, run_command, usual_of
from benchmark.table import Row, Selection

#: Cells with their records by row id, seeds in the order of the selection.
Records = Mapping[str, Sequence[tuple[Cell, Record]]]

#: Okabe and Ito's palette, which the colour-blind can tell apart; its yellow comes last, being faint on white.
_COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#CC79A7", "#D55E00", "#F0E442")
_LINE_STYLES = ("-", "--", ":", "-.")

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


@dataclass(frozen=True)
class Figure:
    """One figure of a paper, drawn from the cells of a table.

    id: on the command line, and in file names. table: id of the table whose cells it shows.
    title: stands above the drawing, and says what bands, whiskers and lines mean.
    draw: makes the drawing on a ``blank`` from the finished records of the rows that have any.
    rows, datasets: those of the table's that it needs where the user names none; all if empty.
    """

    id: str
    title: str
    citation: str
    table: str
    draw: Callable[[Selection, Records, Store], matplotlib.figure.Figure]
    rows: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    def usual(self, selection: Selection) -> Selection:
        """What it shows of the same profile and reading where nothing else is said."""
        return usual_of(selection, self.rows, self.datasets)


def all_figures() -> dict[str, Figure]:
    """Every figure, by id."""
    return {value.id: value for value in registry.values_in(figures) if isinstance(value, Figure)}


def find_figure(name: str) -> Figure:
    known = all_figures()
    if name not in known:
        raise unknown("figure", name, known)
    return known[name]


def draw(figure: Figure, selection: Selection, store: Store) -> list[Path]:
    """Draw a figure from what is stored, as PNG and SVG; the same records give the same bytes.

    Raises ``UserError`` where no record of the selection is finished.
    """
    with own_style(figure):
        picture = compose(figure, selection, store)
        name = file_name(selection, figure.id, figure.usual(selection))
        contents = {f"{name}.png": _as_png(picture), f"{name}.svg": _as_svg(picture)}
    paths = []
    for file, content in contents.items():
        paths.append(store.folder / "figures" / file)
        write_atomically(paths[-1], content)
    return paths


def compose(figure: Figure, selection: Selection, store: Store) -> matplotlib.figure.Figure:
    """The figure with its title and small print, not yet written to a file; to be called within ``own_style``."""
    records = read(selection, store)
    done = with_status(records, "done")
    if not done:
        raise _nothing(figure, selection, store, records)
    picture = figure.draw(selection, done, store)
    _add_title(picture, figure.title)
    _add_small_print(picture, small_print(figure, selection, records))
    return picture


def read(selection: Selection, store: Store) -> Records:
    """Every stored record of a selection, whatever its status; rows without any are left out."""
    found = {}
    for row in selection.rows:
        stored = [(cell, record) for cell in selection.cells(row) if (record := store.read(cell))]
        if stored:
            found[row.id] = stored
    return found


def with_status(records: Records, status: str) -> Records:
    """The records with a status; rows without any are left out."""
    chosen = {row: [pair for pair in pairs if pair[1].status == status] for row, pairs in records.items()}
    return {row: pairs for row, pairs in chosen.items() if pairs}


def small_print(figure: Figure, selection: Selection, records: Records) -> list[str]:
    """What a reader must know to judge a figure: its source, what was run, and what is missing from it."""
    lines = []
    if absent := [row.title for row in selection.rows if row.id not in records]:
        lines.append(f"No record, left out: {', '.join(absent)}.")
    missing = {row.id: len(selection.cells(row)) - len(records[row.id]) for row in selection.rows if row.id in records}
    lines += _counted("Not run yet", selection.rows, missing)
    for status in ("diverged", "failed"):
        lost = {row: len(pairs) for row, pairs in with_status(records, status).items()}
        lines += _counted(f"{status.capitalize()}, not drawn", selection.rows, lost)
    if stale := [row.title for row in selection.rows if _stale(records.get(row.id, []))]:
        lines.append(f"Stale, older than the code they depend on: {', '.join(stale)}.")
    return [f"After {figure.citation}.", f"Ours: {header(selection)}.", " ".join(lines)]


@contextmanager
def own_style(figure: Figure) -> Iterator[None]:
    """Matplotlib's defaults, whatever the user's own are, and ids in SVG files that do not change from run to run."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.hashsalt": figure.id, "font.size": 8.0, "axes.titlesize": 8.0})
        yield


def blank(width: float, height: float) -> matplotlib.figure.Figure:
    """An empty drawing of that many inches, without the small print, which is added below."""
    picture = matplotlib.figure.Figure(figsize=(width, height), layout="compressed")
    FigureCanvasAgg(picture)
    return picture


def line_style(selection: Selection, row_id: str) -> tuple[str, str]:
    """Colour and line style of a row: its own in every figure of the table, whatever other rows are chosen."""
    ids = [row.id for row in selection.table.rows]
    ids += [row.id for row in selection.rows if row.id not in ids]
    turn, colour = divmod(ids.index(row_id), len(_COLOURS))
    return _COLOURS[colour], _LINE_STYLES[turn % len(_LINE_STYLES)]


def _counted(label: str, rows: Sequence[Row], counts: Mapping[str, int]) -> list[str]:
    """One line such as ``Diverged: GAN 2, ALI 1 (models).``, or none."""
    named = [f"{row.title} {counts[row.id]}" for row in rows if counts.get(row.id)]
    return [f"{label}: {', '.join(named)} (models)."] if named else []


def _stale(pairs: Sequence[tuple[Cell, Record]]) -> bool:
    return any(is_stale(cell, record) for cell, record in pairs)


def _nothing(figure: Figure, selection: Selection, store: Store, records: Records) -> UserError:
    found = [f"{n} {s}" for s in ("diverged", "failed") if (n := sum(map(len, with_status(records, s).values())))]
    seen = f" ({', '.join(found)})" if found else ""
    way_out = run_command(f"--figure {figure.id}", selection, store, figure.usual(selection))
    return UserError(f"figure {figure.id} has no finished record in {store.folder}{seen}; first: {way_out}")


def _wrap(text: str, points: float, inches: float) -> list[str]:
    """Lines that are no wider than that, in a font of that size."""
    return textwrap.wrap(text, int(inches * 72 / (points * _CHARACTER_WIDTH)))


def _add_title(picture: matplotlib.figure.Figure, title: str) -> None:
    lines = _wrap(title, _TITLE_POINTS, picture.get_figwidth())
    picture.suptitle("\n".join(lines), fontsize=_TITLE_POINTS)


def _add_small_print(picture: matplotlib.figure.Figure, lines: Sequence[str]) -> None:
    """Make the drawing higher by what the small print needs, and put it there."""
    width, height = picture.get_size_inches()
    wrapped = [part for line in lines for part in _wrap(line, _SMALL_PRINT_POINTS, width - 2 * _GAP)]
    needed = len(wrapped) * _SMALL_PRINT_POINTS * _LINE_SPACING / 72 + 2 * _GAP
    below = needed / (height + needed)
    picture.set_size_inches(width, height + needed)
    engine = picture.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine), "a figure must be drawn on benchmark.figure.blank"
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


def _as_png(picture: matplotlib.figure.Figure) -> bytes:
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _as_svg(picture: matplotlib.figure.Figure) -> bytes:
    buffer = io.BytesIO()
    picture.savefig(buffer, format="svg", dpi=_SVG_DPI, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
