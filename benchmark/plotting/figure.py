"""The class of figures: drawings of the runs of a table."""

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

    Attributes:
        id: Name on the command line and in file names.
        title: Text above the drawing. It explains bands, whiskers and lines.
        citation: The figure's source.
        table: Id of the table whose runs are shown.
        draw: Draws on a ``canvas.blank`` from the finished records; rows without any are left out.
        rows: Rows that are shown if the user names none; all if empty.
        datasets: Data sets that are shown if the user names none; all if empty.
    """

    id: str
    title: str
    citation: str
    table: str
    draw: Callable[[Selection, Records, Store], matplotlib.figure.Figure]
    rows: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    def usual(self, selection: Selection) -> Selection:
        """Return the default selection of this figure at the same profile and reading."""
        return usual_of(selection, self.rows, self.datasets)

    def check(self, datasets: Sequence[str]) -> None:
        """Check that the figure shows these data sets.

        Raises:
            UserError: It does not show one of them.
        """
        if self.datasets and (others := set(datasets) - set(self.datasets)):
            raise UserError(f"figure {self.id} is of {', '.join(self.datasets)}, not of {', '.join(sorted(others))}")


def records_by_row(selection: Selection, store: Store) -> Records:
    """Return every stored record of a selection, with any status. Rows without records are left out."""
    found = {}
    for row in selection.rows:
        stored = [(run, record) for run in selection.runs(row) if (record := store.read(run))]
        if stored:
            found[row.id] = stored
    return found


def with_status(records: Records, status: str) -> Records:
    """Return the records with a status. Rows without any are left out."""
    chosen = {row: [pair for pair in pairs if pair[1].status == status] for row, pairs in records.items()}
    return {row: pairs for row, pairs in chosen.items() if pairs}


def line_style(selection: Selection, row_id: str) -> tuple[str, str]:
    """Return colour and line style of a row.

    They are the same in all figures of the table, for any choice of rows.
    """
    ids = [row.id for row in selection.table.rows]
    ids += [row.id for row in selection.rows if row.id not in ids]
    turn, colour = divmod(ids.index(row_id), len(COLOURS))
    return COLOURS[colour], _LINE_STYLES[turn % len(_LINE_STYLES)]
