"""Collect the learning curves of stored models in a tidy frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from benchmark.errors import UserError
from benchmark.spec.commands import run_command
from benchmark.spec.selection import Selection
from benchmark.spec.table import NetworkTable
from benchmark.store.store import Store


class Point(NamedTuple):
    """One value of a curve: a loss averaged over an epoch, or a measure at its end.

    Attributes:
        table: Id of the table.
        row: Id of the row.
        dataset: Name of the data set.
        seed: Seed of the run.
        curve: Name of the curve.
        epoch: Number of the epoch, from 1.
        value: The value.
    """

    table: str
    row: str
    dataset: str
    seed: int
    curve: str
    epoch: int
    value: float


def read_curves(selection: Selection | NetworkTable, store: Store) -> pd.DataFrame:
    """Read every curve of the stored models of a selection.

    Returns:
        A frame with one line per value and the columns of ``Point``. Epochs without a value are left out.

    Raises:
        UserError: Nothing is stored, or the table trains nothing.
    """
    if isinstance(selection, NetworkTable):
        raise UserError(f"table {selection.id} trains nothing and has no curves")
    frame = pd.DataFrame(_points(selection, store), columns=Point._fields)
    if frame.empty:
        command = run_command(f"--table {selection.table.id}", selection, store.folder)
        raise UserError(f"no curves are stored for this in {store.folder}; first: {command}")
    return frame


def _points(selection: Selection, store: Store) -> Iterator[Point]:
    for row in selection.rows:
        for run in selection.runs(row):
            record = store.read(run)
            for name, values in record.curves.items() if record else ():
                for epoch, value in enumerate(values, 1):
                    if value is not None:
                        yield Point(selection.table.id, row.id, run.dataset, run.seed, name, epoch, value)
