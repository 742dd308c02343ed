"""Determine from the stored curves when a training covered all modes."""

from __future__ import annotations

import math

from benchmark.spec import registry
from benchmark.spec.columns import UPDATES
from benchmark.spec.protocol import iterations_per_epoch
from benchmark.spec.run import Run
from benchmark.store.record import Record
from benchmark.store.store import Store
from evaluators.names import MEASURE_VERSIONS

#: Share of high-quality samples below which no evaluation counts as covering. In the data sets here, up to one in forty
#: samples of a model that covers nothing is of high quality by chance.
LEAST_QUALITY = 0.1


def covered_from(record: Record, modes: int) -> int | None:
    """Return the first epoch from which on every evaluation finds all modes.

    An evaluation finds all modes if it captures ``modes`` modes and at least a tenth of the samples are of high
    quality. One sample captures a mode (VEEGAN, section 4.1), so scattered samples now and then capture most modes.
    Hence neither the first such epoch nor the captured modes alone show that the training has covered them.

    Args:
        record: Record with the curves ``captured_modes`` and ``high_quality_fraction``.
        modes: Number of modes of the data set.

    Returns:
        The epoch, from 1; None if the last evaluation does not find all modes.
    """
    captured, quality = (record.curves.get(name, []) for name in ("captured_modes", "high_quality_fraction"))
    since = None
    for epoch, (count, share) in enumerate(zip(captured, quality, strict=True), 1):
        # Epochs without an evaluation are None.
        if count is None or share is None:
            continue
        covers = count == modes and share >= LEAST_QUALITY
        since = (since or epoch) if covers else None
    return since


def updates_to_coverage(run: Run, record: Record) -> float | None:
    """Return the generator updates after which a model covered all modes to the end, pre-training not counted.

    Returns:
        The number of updates; None if the model did not cover all modes to the end.
    """
    mixture = registry.mixture(run.dataset)
    epoch = covered_from(record, mixture.modes)
    return None if epoch is None else float(epoch * iterations_per_epoch(run.protocol, mixture))


def column_value(run: Run, record: Record, name: str, store: Store) -> float | None:
    """Return the value of a column for one model; None if it has no such number.

    A measure that is newer than the record is computed from the stored samples, if all samples are stored.
    """
    if name == UPDATES:
        return updates_to_coverage(run, record)
    if name in record.measures:
        return record.measures[name]
    return _measured_later(run, record, name, store)


def _measured_later(run: Run, record: Record, name: str, store: Store) -> float | None:
    """Compute a measure that the record lacks from its stored samples. The value is cached in the results folder."""
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
    value: float | None = store.cached("measured", key, compute, of=float | None)
    return value
