"""Estimate how long a block will take on this machine by training it for a moment."""

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

#: Iterations before the timing starts. The first ones allocate memory, create the optimizers' state and shuffle data.
WARM_UP = 10
#: Iterations of pre-training before a measurement. They fill the statistics that a method collects from the data.
PRETRAINING = 40
#: Iterations to time for an estimate, and the limit in seconds that cuts slow ones short.
_ITERATIONS, _SECONDS = 17, 2.0
#: Images for timing an evaluation.
_SAMPLES = 64
#: Images for timing the inversion of the generator. They are inverted in one batch, as in a real evaluation.
_INVERTED = 16
#: Fields of the protocol that set the length of training and evaluation but not the cost of an iteration.
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
    """Time at least ``iterations`` iterations within one fit, then stop it.

    Blocks run many iterations per batch of Lightning's loop, so the callback counts whole batches.

    Args:
        iterations: Iterations to time.
        seconds: Limit of the warm-up and of the timing, each; at least one batch is run in each.
    """

    def __init__(self, iterations: int, seconds: float = float("inf")) -> None:
        self.iterations, self.seconds = iterations, seconds
        self._began = time.perf_counter()
        self.milliseconds = float("nan")
        self._start: tuple[float, int] | None = None

    def on_train_batch_end(self, trainer: Trainer, module: Any, *_: Any) -> None:
        # GPU kernels run asynchronously: wait for them before reading the clock.
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
    """A device on which blocks can be trained.

    Attributes:
        accelerator: Lightning's name of the kind of device: ``gpu`` or ``cpu``.
        name: Model of the GPU or the processor.
    """

    accelerator: str
    name: str


def devices(accelerator: str = "auto") -> list[Device]:
    """List the devices of this machine: the GPU that PyTorch finds, if any, then the processor.

    Args:
        accelerator: ``gpu`` or ``cpu`` keeps that one; ``auto`` keeps both.
    """
    found = [Device("gpu", name)] if accelerator != "cpu" and (name := gpu()) else []
    cores = Device("cpu", processor())
    return found if accelerator == "gpu" else [*found, cores]


def crowd() -> str:
    """Describe the load of this machine if it slows down training.

    The machine counts as overloaded if running threads plus ours exceed the number of cores by more than a quarter. The
    load is an average over the last minute, so call this before timing anything.

    Returns:
        The load as text; empty if there are enough cores.
    """
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"load {load:.1f} on {cores} cores" if load + torch.get_num_threads() > 1.25 * cores else ""


@dataclass(frozen=True)
class Estimate:
    """Cost of a block.

    Attributes:
        seconds_per_iteration: Seconds per iteration; for images, the evaluation is spread over the iterations.
        iterations: Iterations in all.
        finished: Iterations that the checkpoint holds.
        problem: The error if the method raised, else empty. Such a block costs nothing.
    """

    seconds_per_iteration: float
    iterations: int
    finished: int
    problem: str = ""

    @property
    def seconds_left(self) -> float:
        return self.seconds_per_iteration * max(0, self.iterations - self.finished)


@dataclass(frozen=True)
class Speed:
    """Measured speed of a block.

    Attributes:
        iteration: Seconds per iteration.
        sample: Seconds to draw and evaluate one sample of every seed; 0 for points, where this is negligible.
        inversion: Seconds to invert the generator of every seed for one image.
        pretraining_epochs: Epochs of pre-training.
        problem: The error if the method raised, else empty.
    """

    iteration: float = 0.0
    sample: float = 0.0
    inversion: float = 0.0
    pretraining_epochs: int = 0
    problem: str = ""

    def of(self, run: Run, finished: int) -> Estimate:
        """Return the cost of a run's block of which ``finished`` iterations are done."""
        protocol = run.protocol
        epochs = self.pretraining_epochs + protocol.epochs
        iterations = epochs * iterations_per_epoch(protocol, dataset_of_run(run))
        judged = protocol.samples * math.ceil(protocol.epochs / protocol.evaluate_every)
        each = self.iteration + (self.sample * judged + self.inversion * protocol.inverted) / iterations
        return Estimate(each, iterations, finished, self.problem)


def estimate(blocks: Sequence[Block], store: Store, accelerator: str = "auto") -> dict[str, Estimate]:
    """Estimate the cost of each block on one device of this machine, by training it for a moment.

    Blocks that differ only in seeds, length and number of evaluated samples are measured once.

    Args:
        blocks: The blocks.
        store: The results folder, whose checkpoints count as done.
        accelerator: Lightning's name of the kind of device.

    Returns:
        The estimate of each block, by block id.
    """
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
        # Lightning moves the module to the CPU after fitting.
        module.to(trainer.strategy.root_device)
        sample = inversion = 0.0
        if isinstance(data, ImageDataModule):
            sample = _judging(module, block.first.protocol, data)
            inversion = _inverting(module, block.first.protocol, data)
    except Exception as error:
        return Speed(problem=" ".join(f"{type(error).__name__}: {error}".split()))
    return Speed(watch.milliseconds / 1000, sample, inversion, module.pretraining_epochs)


def _judging(module: AdversarialModule, protocol: Protocol, data: ImageDataModule) -> float:
    """Measure the seconds to draw and evaluate one sample of every seed, on a few samples."""

    def judge(count: int) -> float:
        few = replace(protocol, samples=count)
        began = time.perf_counter()
        samples = draw_samples(module, data.dataset, few, 0)
        if data.dataset.measures != "images":
            measure(data.dataset, few, samples)
        elif protocol.features != "none":
            # The features of the test images are cached, so they are not part of the cost.
            for part in samples:
                features(torch.from_numpy(part), protocol.features)
        return time.perf_counter() - began

    # The first call loads the feature network.
    judge(1)
    count = min(_SAMPLES, protocol.samples)
    return judge(count) / count


def _inverting(module: AdversarialModule, protocol: Protocol, data: ImageDataModule) -> float:
    """Measure the seconds of IvOM per image for all seeds together, on a few images and optimiser steps of one seed."""
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
    """Skip all but the last ``PRETRAINING`` iterations of pre-training, as the cost lies in adversarial training."""
    module.iteration = max(module.iteration, -PRETRAINING)
