"""Find the reading that fits the reported rows best, by a bounded search on seeds that no table uses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from benchmark.analysis.frame import aggregate
from benchmark.spec.commands import seeds_text
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import Search, Table
from benchmark.store.store import Store

SEARCH_COLUMNS = ("table", "reading", "misfit", "entries", "seeds", "profile")


def candidates(table: Table, search: Search, datasets: Sequence[str] = ()) -> list[Selection]:
    """Return one selection per reading.

    Args:
        table: The table.
        search: Gives the profile and the rows; without rows, all rows with reported values are used.
        datasets: Data sets to train on; the table's if empty.
    """
    rows = search.rows or [row.id for row in table.rows if row.reported]
    return [
        select(table, profile=search.profile, reading=name, methods=rows, datasets=datasets) for name in table.readings
    ]


def misfits(table: Table, search: Search, chosen: Sequence[Selection], store: Store) -> pd.DataFrame:
    """Return the misfit of each reading, the best first.

    The misfit is the mean of |ours - reported| over the reported entries of ``search.measures``. Counts of modes are
    divided by the number of modes, so that all differences lie in [0, 1]. An entry without a finished model counts as
    1.

    Returns:
        A frame with the columns ``SEARCH_COLUMNS``.
    """
    lines = []
    for selection in chosen:
        distances = list(_distances(selection, search, store))
        mean = float(np.mean(distances)) if distances else math.nan
        seeds = seeds_text(selection.seeds)
        lines.append((table.id, selection.reading, mean, len(distances), seeds, selection.profile))
    return pd.DataFrame(lines, columns=list(SEARCH_COLUMNS)).sort_values("misfit", ignore_index=True)


def _distances(selection: Selection, search: Search, store: Store) -> Iterator[float]:
    columns = {column.id: column for column in selection.columns if column.measure in search.measures}
    for entry in aggregate(selection, store).frame.to_dict("records"):
        column = columns.get(entry["column"])
        distance = abs(entry["mean"] - entry["paper_mean"])
        if column and not math.isnan(entry["paper_mean"]):
            modes = selection.table.dataset(selection.dataset_of(column)).modes
            share = distance / (modes if column.measure.startswith("captured_modes") else 1)
            yield 1.0 if math.isnan(share) else share
