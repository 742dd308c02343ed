"""How many seeds a table wants for its margins, from the spread of what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from benchmark.analysis.frame import margin_of, records_of, reported_of, values_of, worst_of
from benchmark.analysis.statistics import ENOUGH, MOST_SEEDS, POWER, seeds_for_margin, summarise
from benchmark.spec.commands import column_title
from benchmark.spec.selection import Selection
from benchmark.store.store import Store


class Wanted(NamedTuple):
    """Seeds with which a row that does as well as it is reported to would be called equivalent on a column, with 80 %
    power; None where 1,000 would not do. ``n`` is the number of models that the spread was taken from."""

    row: str
    column: str
    n: int
    seeds: int | None


def seeds_wanted(selection: Selection, store: Store) -> Iterator[Wanted]:
    """One line per entry that will have a verdict and of which three models or more are stored, all seeds counted."""
    for row in selection.rows:
        records = records_of(selection, row, store)
        for column in selection.columns:
            reported, trained = reported_of(row, column), selection.datasets_of(row)
            if reported is None or not column.comparable or selection.dataset_of(column) not in trained:
                continue
            counted = values_of(selection, row, column, records, store).counted(worst_of(selection, row, column))
            if counted is None or len(counted) < ENOUGH:
                continue
            margin = margin_of(selection, row, column, reported.mean)
            seeds = seeds_for_margin(summarise(counted).std, margin, reported, selection.table.reported_runs)
            yield Wanted(row.id, column.id, len(counted), seeds)


def seeds_lines(selection: Selection, store: Store) -> list[str]:
    """The same for people, a line per column; empty where too little is stored."""
    found = list(seeds_wanted(selection, store))
    titles = {row.id: row.title for row in selection.rows}
    lines = []
    for column in selection.columns:
        here = [wanted for wanted in found if wanted.column == column.id]
        if not here:
            continue
        words = [f"{titles[w.row]} {w.seeds or f'more than {MOST_SEEDS:,}'}" for w in here]
        lines.append(f"{column_title(column)}: {', '.join(words)}")
    if lines:
        what = "seeds that a method equal to the report wants to be called equivalent"
        lines.insert(0, f"{what} ({100 * POWER:.0f} % power, stored spread):")
    return lines
