"""What a figure is: a drawing of the runs of a table, with the small print that stands under every one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.figure

from benchmark import demonstrations, figures, registry
from benchmark.cells import Run
from benchmark.demonstration import Demonstration
from benchmark.errors import UserError, unknown
from benchmark.page import COLOURS, finish, own_style, save
from benchmark.records import Record, Store
from benchmark.schema import Row, Selection
from benchmark.sheet import file_name, header, is_stale, run_command, usual_of

#: Runs with their records by row id, seeds in the order of the selection.
Records = Mapping[str, Sequence[tuple[Run, Record]]]

_LINE_STYLES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Figure:
    """One figure of a paper, drawn from the runs of a table.

    id: on the command line, and in file names. table: id of the table whose runs it shows.
    title: stands above the drawing, and says what bands, whiskers and lines mean.
    draw: makes the drawing on a ``page.blank`` from the finished records of the rows that have any.
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

    def check(self, datasets: Sequence[str]) -> None:
        """Raise ``UserError`` for data that it is not of."""
        if self.datasets and (others := set(datasets) - set(self.datasets)):
            raise UserError(f"figure {self.id} is of {', '.join(self.datasets)}, not of {', '.join(sorted(others))}")


def all_figures() -> dict[str, Figure | Demonstration]:
    """Every figure, of runs or of an experiment of its own, by id."""
    found = (value for package in (figures, demonstrations) for value in registry.values_in(package))
    return {value.id: value for value in found if isinstance(value, (Figure, Demonstration))}


def find_figure(name: str) -> Figure | Demonstration:
    """The figure or demonstration of that name. Raises ``UserError`` where there is none."""
    known = all_figures()
    if name not in known:
        raise unknown("figure", name, known)
    return known[name]


def draw(figure: Figure, selection: Selection, store: Store) -> list[Path]:
    """Draw a figure from what is stored, as PNG and SVG; the same records give the same bytes.

    Raises ``UserError`` where no record of the selection is finished, or the figure is of other data.
    """
    figure.check(selection.datasets)
    with own_style(figure.id):
        picture = compose(figure, selection, store)
        people = any(registry.shows_people(selection.table.dataset(name)) for name in selection.datasets)
        name = file_name(selection, figure.id, figure.usual(selection))
        return save(picture, store.writable(store.pictures(people) / name).parent, name)


def compose(figure: Figure, selection: Selection, store: Store) -> matplotlib.figure.Figure:
    """The figure with its title and small print, not yet written to a file; to be called within ``own_style``."""
    records = read(selection, store)
    done = with_status(records, "done")
    if not done:
        raise _nothing(figure, selection, store, records)
    try:
        picture = figure.draw(selection, done, store)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        said = f"a record in {store.folder} has not what it shows ({type(error).__name__}: {error})"
        raise UserError(f"figure {figure.id} cannot be drawn: {said}; run again with --redo-stale") from error
    finish(picture, figure.title, small_print(figure, selection, records))
    return picture


def read(selection: Selection, store: Store) -> Records:
    """Every stored record of a selection, whatever its status; rows without any are left out."""
    found = {}
    for row in selection.rows:
        stored = [(run, record) for run in selection.runs(row) if (record := store.read(run))]
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
    missing = {row.id: len(selection.runs(row)) - len(records[row.id]) for row in selection.rows if row.id in records}
    lines += _counted("Not run yet", selection.rows, missing)
    for status in ("diverged", "failed"):
        lost = {row: len(pairs) for row, pairs in with_status(records, status).items()}
        lines += _counted(f"{status.capitalize()}, not drawn", selection.rows, lost)
    if stale := [row.title for row in selection.rows if _stale(records.get(row.id, []))]:
        lines.append(f"Stale, older than the code they depend on: {', '.join(stale)}.")
    return [f"After {figure.citation}.", f"Ours: {header(selection)}.", " ".join(lines)]


def line_style(selection: Selection, row_id: str) -> tuple[str, str]:
    """Colour and line style of a row: its own in every figure of the table, whatever other rows are chosen."""
    ids = [row.id for row in selection.table.rows]
    ids += [row.id for row in selection.rows if row.id not in ids]
    turn, colour = divmod(ids.index(row_id), len(COLOURS))
    return COLOURS[colour], _LINE_STYLES[turn % len(_LINE_STYLES)]


def _counted(label: str, rows: Sequence[Row], counts: Mapping[str, int]) -> list[str]:
    """One line such as ``Diverged: GAN 2, ALI 1 (models).``, or none."""
    named = [f"{row.title} {counts[row.id]}" for row in rows if counts.get(row.id)]
    return [f"{label}: {', '.join(named)} (models)."] if named else []


def _stale(pairs: Sequence[tuple[Run, Record]]) -> bool:
    return any(is_stale(run, record) for run, record in pairs)


def _nothing(figure: Figure, selection: Selection, store: Store, records: Records) -> UserError:
    found = [f"{n} {s}" for s in ("diverged", "failed") if (n := sum(map(len, with_status(records, s).values())))]
    seen = f" ({', '.join(found)})" if found else ""
    way_out = run_command(f"--figure {figure.id}", selection, store, figure.usual(selection))
    return UserError(f"figure {figure.id} has no finished record in {store.folder}{seen}; first: {way_out}")
