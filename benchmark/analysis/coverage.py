"""When a training had all modes, from the curves that its record keeps."""

from __future__ import annotations

import math

from benchmark.spec import registry
from benchmark.spec.columns import UPDATES
from benchmark.spec.protocol import iterations_per_epoch
from benchmark.spec.run import Run
from benchmark.store.record import Record
from benchmark.store.store import Store
from evaluators.names import MEASURE_VERSIONS

#: Samples of a model that covers nothing are of high quality by chance, up to one in forty on the data here.
LEAST_QUALITY = 0.1


def covered_from(record: Record, modes: int) -> int | None:
    """The epoch (from 1) from which on every evaluation finds all ``modes`` captured and at least a tenth of the
    samples of high quality, None where the last does not.

    A mode is captured by a single sample (VEEGAN, section 4.1), so that samples strewn about capture most of them now
    and then: neither a first time nor modes alone say that a training has come anywhere.
    """
    captured, quality = (record.curves.get(name, []) for name in ("captured_modes", "high_quality_fraction"))
    since = None
    for epoch, (count, share) in enumerate(zip(captured, quality, strict=True), 1):
        # Epochs without an evaluation have no entry.
        if count is None or share is None:
            continue
        covers = count == modes and share >= LEAST_QUALITY
        since = (since or epoch) if covers else None
    return since


def updates_to_coverage(run: Run, record: Record) -> float | None:
    """Generator updates (pre-training not counted) after which a model covered all modes to the end; None where it did
    not."""
    mixture = registry.mixture(run.dataset)
    epoch = covered_from(record, mixture.modes)
    return None if epoch is None else float(epoch * iterations_per_epoch(run.protocol, mixture))


def column_value(run: Run, record: Record, name: str, store: Store) -> float | None:
    """The value of a column for one model; None where it has no such number.

    A measure that is newer than the record is computed from the stored samples, where all of them are stored.
    """
    if name == UPDATES:
        return updates_to_coverage(run, record)
    if name in record.measures:
        return record.measures[name]
    return _measured_later(run, record, name, store)


def _measured_later(run: Run, record: Record, name: str, store: Store) -> float | None:
    """A measure that the record does not have, of its stored samples; kept in the results folder."""
    if record.status != "done" or record.samples is None or not store.has_samples(run):
        return None
    samples = store.samples(run, record)
    if len(samples) != run.protocol.samples:
        return None
    dataset = registry.dataset(run.dataset)

    def compute() -> float | None:
        from benchmark.training.evaluation import measure

        values = measure(dataset, run.protocol, samples[None])
        found = float(values[name][0]) if name in values else math.nan
        return found if math.isfinite(found) else None

    key = [run.id, record.samples, name, MEASURE_VERSIONS[dataset.measures]]
    value: float | None = store.cached("measured", key, compute)
    return value
