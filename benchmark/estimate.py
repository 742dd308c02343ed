"""How long a block will take here, measured by training it for a moment."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from benchmark.cells import Block, Protocol
from benchmark.evaluation import draw_samples, measure
from benchmark.records import Store
from benchmark.training import DataModule, finished_iterations, make_data, make_module, make_trainer, quiet
from datamodules.images import ImageDataModule
from evaluators.features import features
from modules.base import AdversarialModule

#: Iterations before the clock starts: first calls allocate, build the optimizers' state and draw an epoch's order.
WARM_UP = 10
#: Iterations of pre-training before a measurement: enough for what a method keeps of the data it sees.
PRETRAINING = 40
#: Iterations timed for an estimate, or as many as go into these seconds where they are slow.
_ITERATIONS, _SECONDS = 17, 2.0
#: Images that an evaluation is timed on.
_SAMPLES = 64


class Stopwatch(Callback):
    """Times ``iterations`` or a few more inside one fit, then stops it.

    Blocks take many iterations per batch of Lightning's loop, so that it counts whole batches.

    seconds: after which warming up ends, and timing, with at least one batch of each.
    """

    def __init__(self, iterations: int, seconds: float = float("inf")) -> None:
        self.iterations, self.seconds = iterations, seconds
        self._began = time.perf_counter()
        self.milliseconds = float("nan")
        self._start: tuple[float, int] | None = None

    def on_train_batch_end(self, trainer: Trainer, module: Any, *_: Any) -> None:
        now = time.perf_counter()
        if self._start is None:
            if module.iteration >= WARM_UP or (module.iteration > 0 and now - self._began > self.seconds):
                self._start = now, module.iteration
            return
        started, first = self._start
        if module.iteration - first >= self.iterations or now - started > self.seconds:
            self.milliseconds = 1000 * (now - started) / (module.iteration - first)
            trainer.should_stop = True


@dataclass(frozen=True)
class Estimate:
    """Cost of a block: seconds per iteration, its share of evaluation included where images are judged; iterations in
    all, and those a checkpoint holds."""

    seconds_per_iteration: float
    iterations: int
    finished: int

    @property
    def seconds_left(self) -> float:
        return self.seconds_per_iteration * max(0, self.iterations - self.finished)


def estimate(blocks: Sequence[Block], store: Store, accelerator: str = "auto") -> dict[str, Estimate]:
    """What each block costs here on one device, by its id. Blocks that differ only in seeds are measured once."""
    measured: dict[tuple[Any, ...], tuple[float, int]] = {}
    found = {}
    for block in blocks:
        cell = block.first
        key = (cell.method, cell.overrides, cell.protocol)
        if key not in measured:
            measured[key] = _measure(block, accelerator)
        found[block.id] = Estimate(*measured[key], finished_iterations(store.checkpoint(block.id)))
    return found


def _measure(block: Block, accelerator: str) -> tuple[float, int]:
    """Seconds per iteration of a block, and its iterations; nothing where the method raises, as the run will say."""
    watch = Stopwatch(_ITERATIONS, _SECONDS)
    try:
        module = make_module(block.first, block.seeds)
        data = make_data(block.first, block.seeds, module)
        if isinstance(data, ImageDataModule):
            data.group = 1
        epochs = module.pretraining_epochs + block.first.protocol.epochs
        skip_pretraining(module)
        with quiet():
            make_trainer(block.first, [watch], accelerator, max_epochs=-1).fit(module, data)
    except Exception:
        return 0.0, 0
    iterations = epochs * data.iterations_per_epoch
    return watch.milliseconds / 1000 + _evaluation(module, block.first.protocol, data) / iterations, iterations


def _evaluation(module: AdversarialModule, protocol: Protocol, data: DataModule) -> float:
    """Seconds that all evaluations of a block of images take, from one of few samples; those of points take none to
    speak of."""
    if not isinstance(data, ImageDataModule):
        return 0.0
    few = replace(protocol, samples=min(_SAMPLES, protocol.samples))
    began = time.perf_counter()
    samples = draw_samples(module, data.target, few, 0)
    if data.target.measures != "images":
        measure(data.target, few, samples)
    elif protocol.features != "none":
        # The test images' features are made once and for all.
        for part in samples:
            features(torch.from_numpy(part), protocol.features)
    seconds = (time.perf_counter() - began) * protocol.samples / few.samples
    return seconds * math.ceil(protocol.epochs / protocol.evaluate_every)


def skip_pretraining(module: AdversarialModule) -> None:
    """Leave just enough of it to time the game, which is what costs."""
    module.iteration = max(module.iteration, -PRETRAINING)
