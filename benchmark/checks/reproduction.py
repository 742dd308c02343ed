"""Retrain stored models and compare every number: the first epochs of many models, or all epochs of one."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.errors import UserError
from benchmark.spec.block import Block, drop_finished, make_blocks
from benchmark.spec.run import Run, dataset_of_run
from benchmark.spec.versions import differing, versions_of
from benchmark.store.environment import environment, processor
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training.callback import Evaluation, Watch
from benchmark.training.engines.runner import run_block
from benchmark.training.evaluation import measure
from benchmark.training.trainer import advance, make_data, make_module
from evaluators.names import INVERSION_MEASURES


@dataclass(frozen=True)
class RunComparison:
    """Result of comparing one stored model.

    Attributes:
        run: The run.
        difference: The first number that differs, as a sentence; empty if all are equal.
        stale: Whether the record was made with other versions than today's.
        elsewhere: Whether the record was made on another kind of processor.
    """

    run: Run
    difference: str
    stale: bool
    elsewhere: bool


def verify_runs(
    runs: Sequence[Run],
    store: Store,
    epochs: int,
    accelerator: str = "auto",
    report: Callable[[str], None] = lambda line: None,
) -> list[RunComparison]:
    """Retrain the first epochs of every finished model, pre-training included, and measure its stored samples again.

    Each model trains with its original number of threads. Losses and measures of the training must equal the stored
    ones bit for bit, which requires the same kind of processor. The measures of the stored samples must agree in 12
    digits.

    Args:
        runs: Runs to verify; those without a finished record are skipped.
        store: The results folder.
        epochs: Epochs to retrain.
        accelerator: Lightning's name of the kind of device.
        report: Receives one line per block.

    Returns:
        One comparison per model.
    """
    records = {run: record for run in runs if (record := store.read(run)) and record.status == "done"}
    missing = [run.id for run in runs if run not in records]
    threads = torch.get_num_threads()
    findings = []
    try:
        for block in drop_finished(make_blocks(runs), missing):
            report(f"{block.label} on {block.first.dataset}")
            used = records[block.pending[0]].environment.get("threads", threads)
            torch.set_num_threads(used)
            findings += list(_verify_block(block, records, store, epochs, accelerator))
    finally:
        torch.set_num_threads(threads)
    return findings


def _verify_block(
    block: Block, records: dict[Run, Record], store: Store, epochs: int, accelerator: str
) -> Iterator[RunComparison]:
    run = block.first
    epochs = min(epochs, run.protocol.epochs)
    module = make_module(run, block.seeds)
    data = make_data(run, block.seeds, module)
    today = versions_of(run)
    evaluation = Evaluation(block, module, data, None, today, lambda progress: None)
    advance(evaluation, accelerator, epochs)
    for slot, pending in block.slots.items():
        record = records[pending]
        again = {name: [values[slot] for values in rows] for name, rows in evaluation.curves.items()}
        difference = (
            _first_difference(record, again)
            or _samples_difference(pending, record, store)
            or _generator_difference(record, evaluation, slot)
        )
        stale = record.versions != today
        yield RunComparison(pending, difference, stale, record.environment.get("processor") != processor())


@dataclass(frozen=True)
class Reproduction:
    """Result of retraining one stored model to its end.

    Attributes:
        differences: Every number that differs, as sentences; empty if the records are equal.
        elsewhere: Differences between this machine and the one that made the record, which may be the cause.
    """

    differences: tuple[str, ...]
    elsewhere: tuple[str, ...]


def scratch(run: Run, store: Store) -> Store:
    """Return the temporary store for retraining a model. It keeps a checkpoint, as training may take hours."""
    return Store(store.unfinished / f"reproduce-{run.id}")


def reproduce_run(run: Run, store: Store, watch: Watch, accelerator: str = "auto") -> Reproduction:
    """Retrain a stored model and compare status, curves, measures, samples and frames bit for bit.

    Raises:
        UserError: The run is not stored, has failed, or is being reproduced by another process.
        Stopped: Ctrl-C was pressed.
    """
    record = store.read(run)
    if record is None or record.status == "failed":
        why = "failed" if record else "is not stored"
        raise UserError(f"{run.id} {why}; there is nothing to reproduce")
    beside = scratch(run, store)
    beside.prepare()
    block = Block((run,), (run,))
    result = run_block(block, beside, watch, accelerator)
    if result.status == "held":
        raise UserError(f"{run.id} is being reproduced by {result.reason}")
    again = beside.read(run)
    if again is None or again.status == "failed":
        differences = [f"it fails now: {result.reason}"]
    else:
        differences = list(_differences(record, again))
    shutil.rmtree(beside.folder, ignore_errors=True)
    here = environment() | {"threads": torch.get_num_threads()} | (again.environment if again else {})
    return Reproduction(tuple(differences), tuple(_elsewhere(record, here | {"versions": versions_of(run)})))


def _differences(record: Record, again: Record) -> Iterator[str]:
    if (record.status, record.diverged_at) != (again.status, again.diverged_at):
        yield f"it {again.status} at {again.diverged_at}, and {record.status} at {record.diverged_at} then"
    if difference := _first_difference(record, again.curves):
        yield difference
    for name in sorted(record.measures.keys() | again.measures.keys()):
        now, then = again.measures.get(name), record.measures.get(name)
        if now != then:
            yield f"{name}: {now!r} instead of {then!r}"
    for what in ("samples", "frames"):
        if getattr(record, what) != getattr(again, what):
            yield f"the {what} are other ones"


def _elsewhere(record: Record, here: dict[str, Any]) -> Iterator[str]:
    if moved := differing(record.versions, here["versions"]):
        yield f"made with other versions: {moved}"
    for name in ("processor", "threads", "device", "torch", "pytorch-lightning", "numpy", "system"):
        then = record.environment.get(name)
        if then != here.get(name):
            yield f"made with {name} {then}, here {here.get(name)}"


def _first_difference(record: Record, again: Mapping[str, Sequence[float | None]]) -> str:
    for name, values in again.items():
        stored = record.curves.get(name)
        if stored is None:
            return f"the record has no curve {name}"
        for epoch, (now, then) in enumerate(zip(values, stored, strict=False), 1):
            if now != then and not (then is None and not math.isfinite(now or math.nan)):
                return f"{name} after epoch {epoch}: {now!r} instead of {then!r}"
    return ""


def _generator_difference(record: Record, evaluation: Evaluation, slot: int) -> str:
    """Return the first measure of the generator that differs, as a sentence; empty before the end of training."""
    for name in INVERSION_MEASURES:
        now, then = evaluation.measures.get(name), record.measures.get(name)
        if now is not None and float(now[slot]) != then:
            return f"{name}: {float(now[slot])!r} instead of {then!r}"
    return ""


def _samples_difference(run: Run, record: Record, store: Store) -> str:
    """Return the first measure of the stored samples that differs, as a sentence; empty if samples are incomplete."""
    samples = store.samples(run, record)
    if len(samples) < run.protocol.samples:
        return ""
    for name, value in measure(dataset_of_run(run), run.protocol, samples[None]).items():
        now, then = float(value[0]), record.measures.get(name)
        # The order of a sum differs between a block and a single model, so the last digits may differ.
        if not (math.isclose(now, then, rel_tol=1e-12) if then is not None else math.isnan(now)):
            return f"{name} of the stored samples: {now!r} instead of {then!r}"
    return ""
