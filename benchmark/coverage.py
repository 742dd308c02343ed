"""When a training had all modes, from the curves that its record keeps."""

from __future__ import annotations

from benchmark import registry
from benchmark.cells import Cell
from benchmark.records import Record
from benchmark.schema import iterations_per_epoch

#: Samples of a model that covers nothing are of high quality by chance, up to one in forty on the data here.
LEAST_QUALITY = 0.1
#: A column of tables that is no measure of samples, but of a record's curves.
UPDATES = "updates_to_coverage"


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


def value_of(cell: Cell, record: Record, measure: str) -> float | None:
    """A column's value of one model: a measure of its samples, or generator updates (pre-training not counted) after
    which it covered all modes to the end; None where it has no such number."""
    if measure != UPDATES:
        return record.measures.get(measure)
    mixture = registry.mixture(cell.dataset)
    epoch = covered_from(record, mixture.modes)
    return None if epoch is None else float(epoch * iterations_per_epoch(cell.protocol, mixture))
