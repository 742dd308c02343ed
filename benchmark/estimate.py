"""How long a block will take here, measured by training it for a moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pytorch_lightning import Callback

from benchmark.cells import Block
from benchmark.records import Store
from benchmark.training import finished_iterations, make_data, make_module, make_trainer, quiet

#: Lightning batches of 17 iterations: one to warm up, one to time.
_BATCHES = 2


class _Clock(Callback):
    """Seconds per iteration of the last batch."""

    seconds = 0.0

    def on_train_batch_start(self, trainer: Any, module: Any, *_: Any) -> None:
        self.began, self.first = time.perf_counter(), module.iteration

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        self.seconds = (time.perf_counter() - self.began) / (module.iteration - self.first)


def block_seconds(blocks: Sequence[Block], store: Store, accelerator: str = "auto") -> dict[str, float]:
    """Seconds that each block still needs, by its id; what a checkpoint holds is taken off, evaluation is left out."""
    measured: dict[tuple[Any, ...], tuple[float, int]] = {}
    found = {}
    for block in blocks:
        cell = block.first
        key = (cell.method, cell.overrides, cell.protocol)
        if key not in measured:
            measured[key] = _measure(block, accelerator)
        seconds, iterations = measured[key]
        found[block.id] = seconds * max(0, iterations - finished_iterations(store.checkpoint(block.id)))
    return found


def _measure(block: Block, accelerator: str) -> tuple[float, int]:
    """Seconds per iteration of a block, and its iterations; nothing where the method raises, as the run will say."""
    clock = _Clock()
    try:
        module = make_module(block.first, block.seeds)
        data = make_data(block.first, block.seeds, module)
        with quiet():
            trainer = make_trainer(block.first, [clock], accelerator, max_epochs=1, limit_train_batches=_BATCHES)
            trainer.fit(module, data)
    except Exception:
        return 0.0, 0
    return clock.seconds, block.first.protocol.epochs * data.iterations_per_epoch
