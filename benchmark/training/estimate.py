"""How long a block will take here, measured by training it for a moment."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from benchmark.spec.block import Block
from benchmark.spec.protocol import Protocol, iterations_per_epoch
from benchmark.spec.run import Run, dataset_of_run
from benchmark.store.environment import gpu, processor
from benchmark.store.store import Store
from benchmark.training import checkpoints
from benchmark.training.evaluation import draw_samples, measure, unit_images
from benchmark.training.trainer import make_data, make_module, make_trainer, quiet
from datamodules.lightning.images import ImageDataModule
from evaluators.features import features
from evaluators.inversion import RESTARTS, STEPS, invert
from modules.base import AdversarialModule

#: Iterations before the clock starts: first calls allocate, build the optimizers' state and draw an epoch's order.
WARM_UP = 10
#: Iterations of pre-training before a measurement: enough for what a method keeps of the data it sees.
PRETRAINING = 40
#: Iterations timed for an estimate, or as many as go into these seconds where they are slow.
_ITERATIONS, _SECONDS = 17, 2.0
#: Images that an evaluation is timed on.
_SAMPLES = 64
#: Images that the generator is inverted for when that is timed, together, as they will be.
_INVERTED = 16
#: Fields of the protocol that say how long a block trains and how much of it is judged, not what an iteration takes.
_LENGTH: dict[str, Any] = {
    "profile": "",
    "epochs": 1,
    "fresh_iterations": 0,
    "samples": 1,
    "evaluate_every": 1,
    "inverted": 0,
    "frames": "",
}


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
        # A GPU is told what to do long before it has done it.
        torch.get_device_module(trainer.strategy.root_device).synchronize()
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
class Device:
    """What blocks can be trained on here; accelerator: as Lightning names it."""

    accelerator: str
    name: str


def devices(accelerator: str = "auto") -> list[Device]:
    """A GPU that PyTorch finds, as training takes it where it may choose, and the processor; of the two only what
    ``accelerator`` names, if it names one."""
    found = [Device("gpu", name)] if accelerator != "cpu" and (name := gpu()) else []
    cores = Device("cpu", processor())
    return found if accelerator == "gpu" else [*found, cores]


def crowd() -> str:
    """What keeps this machine busy, where its threads and ours want a quarter more cores than there are: they will wait
    for one another. Empty where they need not. The load is the last minute's, so to be asked before anything is timed.
    """
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"load {load:.1f} on {cores} cores" if load + torch.get_num_threads() > 1.25 * cores else ""


@dataclass(frozen=True)
class Estimate:
    """Cost of a block: seconds per iteration, its share of evaluation included where images are judged; iterations in
    all, and those a checkpoint holds. What was wrong where the method raised, as the run will say: it costs nothing."""

    seconds_per_iteration: float
    iterations: int
    finished: int
    problem: str = ""

    @property
    def seconds_left(self) -> float:
        return self.seconds_per_iteration * max(0, self.iterations - self.finished)


@dataclass(frozen=True)
class Speed:
    """What was measured of a block: seconds of an iteration; of drawing and judging a sample of every seed, which of
    points takes none to speak of; of inverting every seed's generator for one image; epochs of pre-training. A problem
    instead where the method raises."""

    iteration: float = 0.0
    sample: float = 0.0
    inversion: float = 0.0
    pretraining_epochs: int = 0
    problem: str = ""

    def of(self, run: Run, finished: int) -> Estimate:
        """The cost of a run's block of which so many iterations are done."""
        protocol = run.protocol
        epochs = self.pretraining_epochs + protocol.epochs
        iterations = epochs * iterations_per_epoch(protocol, dataset_of_run(run))
        judged = protocol.samples * math.ceil(protocol.epochs / protocol.evaluate_every)
        each = self.iteration + (self.sample * judged + self.inversion * protocol.inverted) / iterations
        return Estimate(each, iterations, finished, self.problem)


def estimate(blocks: Sequence[Block], store: Store, accelerator: str = "auto") -> dict[str, Estimate]:
    """What each block costs here on one device, by its id. Blocks that differ in seeds, in length and in how many
    samples are judged, but in nothing else, are measured once."""
    speeds: dict[Run, Speed] = {}
    found = {}
    for block in blocks:
        run = block.first
        kind = replace(run, seed=0, protocol=replace(run.protocol, **_LENGTH))
        if kind not in speeds:
            speeds[kind] = _measure(block, accelerator)
        found[block.id] = speeds[kind].of(run, checkpoints.finished_iterations(store.checkpoint(block.id)))
    return found


def _measure(block: Block, accelerator: str) -> Speed:
    watch = Stopwatch(_ITERATIONS, _SECONDS)
    try:
        module = make_module(block.first, block.seeds)
        data = make_data(block.first, block.seeds, module)
        if isinstance(data, ImageDataModule):
            data.group = 1
        skip_pretraining(module)
        with quiet():
            trainer = make_trainer(block.first, [watch], accelerator, max_epochs=-1)
            trainer.fit(module, data)
        # Lightning takes it off its device when it is done.
        module.to(trainer.strategy.root_device)
        sample = inversion = 0.0
        if isinstance(data, ImageDataModule):
            sample = _judging(module, block.first.protocol, data)
            inversion = _inverting(module, block.first.protocol, data)
    except Exception as error:
        return Speed(problem=" ".join(f"{type(error).__name__}: {error}".split()))
    return Speed(watch.milliseconds / 1000, sample, inversion, module.pretraining_epochs)


def _judging(module: AdversarialModule, protocol: Protocol, data: ImageDataModule) -> float:
    """Seconds for a sample of every seed, from few."""

    def judge(count: int) -> float:
        few = replace(protocol, samples=count)
        began = time.perf_counter()
        samples = draw_samples(module, data.dataset, few, 0)
        if data.dataset.measures != "images":
            measure(data.dataset, few, samples)
        elif protocol.features != "none":
            # The test images' features are made once and for all.
            for part in samples:
                features(torch.from_numpy(part), protocol.features)
        return time.perf_counter() - began

    # The first call loads the network that judges.
    judge(1)
    count = min(_SAMPLES, protocol.samples)
    return judge(count) / count


def _inverting(module: AdversarialModule, protocol: Protocol, data: ImageDataModule) -> float:
    """Seconds of IvOM for an image by every seed, from few images and few of the optimiser's steps for one seed."""
    if not protocol.inverted:
        return 0.0
    count, steps = min(_INVERTED, protocol.inverted), 4
    targets = torch.from_numpy(data.dataset.reference(count)).to(module.device).float() / 255
    start = torch.zeros(count, module.noise_dim, device=module.device)
    generate = partial(unit_images, module, protocol, 0)
    with module.evaluating("running"):
        invert(generate, targets, [start], (1,))
        began = time.perf_counter()
        invert(generate, targets, [start], (steps,))
        seconds = time.perf_counter() - began
    return seconds * STEPS[-1] / steps * RESTARTS * len(module.seeds) / count


def skip_pretraining(module: AdversarialModule) -> None:
    """Leave just enough of it to time the game, which is what costs."""
    module.iteration = max(module.iteration, -PRETRAINING)
