"""Does today's code still give what is stored? The first epochs are trained again and compared number by number."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from benchmark.cells import Block, Cell, lay_out, leave_out
from benchmark.environment import environment, processor
from benchmark.evaluation import measure
from benchmark.records import Record, Store
from benchmark.training import (
    Evaluation,
    make_data,
    make_module,
    make_trainer,
    quiet,
    sources_of_cell,
    stoppable,
    target_of,
)


@dataclass(frozen=True)
class Finding:
    """What became of one stored model.

    difference: the first number that is another one, as a sentence; empty where all are equal.
    stale: whether the record was made by other code than today's.
    """

    cell: Cell
    difference: str
    stale: bool
    elsewhere: bool


def verify(
    cells: Sequence[Cell],
    store: Store,
    epochs: int,
    renew: bool,
    accelerator: str = "auto",
    report: Callable[[str], None] = lambda line: None,
) -> list[Finding]:
    """Train the first ``epochs`` epochs of every finished model of ``cells`` again, pre-training included, with as many
    threads as it was trained with, and measure its stored samples again.

    All losses and measures of the training must be the stored ones to the last bit, which they can only be on the same
    kind of processor, and the measures of the stored samples to 12 digits. With ``renew``, a stale record that passes
    gets the hash of today's code, and remembers this.
    """
    records = {cell: record for cell in cells if (record := store.read(cell)) and record.status == "done"}
    missing = [cell.id for cell in cells if cell not in records]
    threads = torch.get_num_threads()
    findings = []
    try:
        for block in leave_out(lay_out(cells), missing):
            report(f"{block.label} on {block.first.dataset}")
            used = records[block.pending[0]].environment.get("threads", threads)
            torch.set_num_threads(used)
            findings += list(_verify_block(block, records, store, epochs, renew, accelerator))
    finally:
        torch.set_num_threads(threads)
    return findings


def _verify_block(
    block: Block, records: dict[Cell, Record], store: Store, epochs: int, renew: bool, accelerator: str
) -> Iterator[Finding]:
    cell = block.first
    epochs = min(epochs, cell.protocol.epochs)
    module = make_module(cell, block.seeds)
    data = make_data(cell, block.seeds, module)
    today = sources_of_cell(cell)
    evaluation = Evaluation(block, module, data, None, today, lambda progress: None)
    with quiet(), stoppable(evaluation):
        trainer = make_trainer(cell, [evaluation], accelerator, max_epochs=module.pretraining_epochs + epochs)
        trainer.fit(module, data)
    for slot, pending in block.slots.items():
        record = records[pending]
        again = {name: [values[slot] for values in rows] for name, rows in evaluation.curves.items()}
        difference = _first_difference(record, again) or _samples_difference(pending, record, store)
        stale = record.sources != today
        if renew and stale and not difference:
            made = {"sources": record.sources, "epochs": epochs, "commit": environment()["commit"]}
            renewed = dataclasses.replace(record, sources=today, renewed=[*record.renewed, made])
            store.replace(pending, renewed)
        yield Finding(pending, difference, stale, record.environment.get("processor") != processor())


def _first_difference(record: Record, again: dict[str, list[float]]) -> str:
    for name, values in again.items():
        stored = record.curves.get(name)
        if stored is None:
            return f"the record has no curve {name}"
        for epoch, (now, then) in enumerate(zip(values, stored, strict=False), 1):
            if now != then and not (then is None and not math.isfinite(now)):
                return f"{name} after epoch {epoch}: {now!r} instead of {then!r}"
    return ""


def _samples_difference(cell: Cell, record: Record, store: Store) -> str:
    """The first measure of the stored samples that is another one; nothing is said where not all samples are kept."""
    samples = store.samples(cell, record)
    if len(samples) < cell.protocol.samples:
        return ""
    for name, value in measure(target_of(cell), cell.protocol, samples[None]).items():
        now, then = float(value[0]), record.measures.get(name)
        # Means over a block and over one model of it are taken in another order.
        if not (math.isclose(now, then, rel_tol=1e-12) if then is not None else math.isnan(now)):
            return f"{name} of the stored samples: {now!r} instead of {then!r}"
    return ""
