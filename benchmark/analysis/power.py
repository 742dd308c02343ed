"""Compute the number of seeds that a table needs for its margins, from the spread of stored results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from benchmark.analysis.frame import margin_of, records_of, reported_of, values_of, worst_of
from benchmark.analysis.statistics import ENOUGH, MOST_SEEDS, POWER, seeds_for_margin, summarise
from benchmark.spec.commands import column_title
from benchmark.spec.selection import Selection
from benchmark.store.store import Store


class Wanted(NamedTuple):
    """Seeds that an entry needs.

    Attributes:
        row: Id of the row.
        column: Id of the column.
        n: Number of models from which the spread is estimated.
        seeds: Seeds with which a row that equals the reported value is called equivalent with 80 % power; None if 1,000
            are not enough.
    """

    row: str
    column: str
    n: int
    seeds: int | None


def seeds_wanted(selection: Selection, store: Store) -> Iterator[Wanted]:
    """Compute the seeds for every entry that has a verdict and at least three stored models; lost models count."""
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
    """Return the same as text, one line per column; empty if too little is stored."""
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
