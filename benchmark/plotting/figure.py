"""What a figure is: a drawing of the runs of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.errors import UserError
from benchmark.plotting.colours import COLOURS
from benchmark.spec.commands import usual_of
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.store.record import Record
from benchmark.store.store import Store

if TYPE_CHECKING:
    import matplotlib.figure

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


def records_by_row(selection: Selection, store: Store) -> Records:
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


def line_style(selection: Selection, row_id: str) -> tuple[str, str]:
    """Colour and line style of a row: its own in every figure of the table, whatever other rows are chosen."""
    ids = [row.id for row in selection.table.rows]
    ids += [row.id for row in selection.rows if row.id not in ids]
    turn, colour = divmod(ids.index(row_id), len(COLOURS))
    return COLOURS[colour], _LINE_STYLES[turn % len(_LINE_STYLES)]
