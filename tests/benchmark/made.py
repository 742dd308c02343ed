"""Selections, made-up records and short trainings that many tests need."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from benchmark.papers.discovery import find_figure, find_table
from benchmark.plotting.canvas import own_style
from benchmark.plotting.figure import Figure, records_by_row, with_status
from benchmark.spec import registry
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import Table
from benchmark.spec.versions import versions_of
from benchmark.store.record import Record, Status
from benchmark.store.store import Store
from benchmark.training.callback import Watch
from benchmark.training.engines.runner import Engine, Outcome, run_blocks, to_do
from benchmark.training.evaluation import measure
from benchmark.training.trainer import train


def choose(table: str | Table, **options: object) -> Selection:
    """A selection of a table, with profile ``smoke`` unless ``options`` name another."""
    found = find_table(table) if isinstance(table, str) else table
    assert isinstance(found, Table)
    return select(found, **{"profile": "smoke", **options})  # type: ignore[arg-type]


def choose_figure(figure: str, **options: object) -> Selection:
    """A selection of the table that a figure is drawn from."""
    found = find_figure(figure)
    assert isinstance(found, Figure)
    return choose(found.table, **options)


def panels(figure: str, selection: Selection, store: Store) -> list[Axes]:
    """Panels of a figure that is drawn from the finished runs of a store."""
    found = find_figure(figure)
    assert isinstance(found, Figure)
    with own_style(found.id):
        return found.draw(selection, with_status(records_by_row(selection, store), "done"), store).axes


def make_record(run: Run, status: Status = "done", seed: int | None = None) -> tuple[Record, np.ndarray]:
    """A record as ``train`` writes it, for samples of the data itself; ``seed`` stands for the quality of training."""
    mixture = registry.dataset(run.dataset)
    rng = np.random.default_rng(run.seed if seed is None else seed)
    samples = mixture.sample(run.protocol.samples, rng).astype(np.float32)
    values = {name: float(v[0]) for name, v in measure(mixture, run.protocol, samples[None]).items()}
    record = Record(
        id=run.id,
        run=run.identity(),
        status=status,
        versions=versions_of(run),
        measures=values if status == "done" else {},
        curves={name: [value] * run.protocol.epochs for name, value in values.items()},
        diverged_at=7 if status == "diverged" else None,
        reason="it broke" if status == "failed" else None,
    )
    return record, samples


def fill_store(store: Store, selection: Selection, status: Mapping[tuple[str, int], Status] | None = None) -> None:
    """Records for every run of a selection; ``status`` by row and seed, ``done`` where it says nothing."""
    for row in selection.rows:
        for run in selection.runs(row):
            record, samples = make_record(run, (status or {}).get((row.id, run.seed), "done"))
            store.write(run, record, samples if record.status == "done" else None)


def store_with(folder: Path, *runs: Run) -> Store:
    """A results folder with made-up records of these runs."""
    store = Store(folder)
    store.prepare()
    for run in runs:
        store.write(run, *make_record(run))
    return store


def numbers(record: Record | None) -> tuple[object, ...]:
    """What must be equal for records to be equal."""
    assert record is not None
    return record.measures, record.curves, record.samples, record.frames, record.status


def change(store: Store, run: Run, **fields: object) -> None:
    """Replace fields of a stored record."""
    record = store.read(run)
    assert record is not None
    store.write(run, dataclasses.replace(record, **fields), store.samples(run, record))


def run(folder: Path, runs: list[Run], watch: Watch = lambda progress: None) -> list[Record]:
    """Train what is left of ``runs`` with its results in ``folder``: their records."""
    store = Store(folder)
    store.prepare()
    for block in to_do(store, runs):
        train(block, store, watch, "cpu")
    return [record for run in runs if (record := store.read(run))]


def train_all(
    store: Store,
    runs: Sequence[Run],
    engine: Engine | None = None,
    watch: Watch = lambda progress: None,
    **which: Any,
) -> Outcome:
    """Train ``runs`` as the command line does; ``which`` goes to ``to_do``."""
    store.prepare()
    return run_blocks(to_do(store, runs, **which), store, watch, "cpu", engine)
