"""Records made up without training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmark.spec import registry
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.spec.versions import versions_of
from benchmark.store.record import Record, Status
from benchmark.store.store import Store
from benchmark.training.callback import Watch
from benchmark.training.engines.runner import to_do
from benchmark.training.evaluation import measure
from benchmark.training.trainer import train


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
