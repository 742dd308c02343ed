"""Training one block: a module, its data and a Lightning trainer; evaluation and a checkpoint after every epoch."""

from __future__ import annotations

import dataclasses
import logging
import math
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from benchmark import checkpoints, registry
from benchmark.cells import Block, Protocol, Run
from benchmark.devices import SIGNALS, SharedBatches, check_devices, ddp_workers
from benchmark.environment import environment
from benchmark.errors import Stopped, UserError
from benchmark.evaluation import draw_samples, measure, measure_generator
from benchmark.graphs import Graphs
from benchmark.records import Record, Store
from benchmark.registry import DataSet
from benchmark.surroundings import IsolatedTrainer
from benchmark.versions import differing, versions_of
from datamodules.images import ImageDataModule, ImageSet
from datamodules.mixture import GaussianMixture, MixtureDataModule
from evaluators.digits import weights_hash
from evaluators.features import extractor_hash
from modules.base import AdversarialModule
from modules.convolutions import set_memory_format_and_compile
from modules.replicate import Replicated

#: Samples of so many epochs, so many of each, are kept for pictures of the training, in up to three dimensions; of
#: images so many, at the epochs that the protocol names.
FRAMES, FRAME_SAMPLES, FRAME_DIM, FRAME_IMAGES = 20, 400, 3, 25
#: Of the final samples, as many are kept as hold so many numbers: all of the tables' in up to three dimensions, the
#: first 50 in 1,200. Of images more, as their numbers are bytes: 65 of CIFAR-10's, 16 faces.
KEPT_VALUES, KEPT_PIXELS = 60_000, 200_000
#: A checkpoint is written at the end of an epoch if the last one is older than this.
CHECKPOINT_SECONDS = 20.0
#: What the first Ctrl-C is answered.
STOPPING = "stopping after this epoch; Ctrl-C again to stop at once"


@dataclass(frozen=True)
class Progress:
    """Where a block is, pre-training included: for those who watch."""

    block: Block
    iteration: int
    iterations: int
    epoch: int
    epochs: int
    losses: dict[str, float]
    measures: dict[str, np.ndarray]


#: Hears of progress. One that answers True asks to stop as Ctrl-C does: after the epoch, with a checkpoint.
Watch = Callable[[Progress], bool | None]
DataModule = MixtureDataModule | ImageDataModule


def make_module(run: Run, seeds: tuple[int, ...]) -> AdversarialModule:
    """The untrained module of a run, one copy per seed."""
    shape = registry.dataset(run.dataset).data_shape
    module = registry.method(run.method)(run.protocol, shape, seeds, **dict(run.overrides))
    set_memory_format_and_compile(module, channels_last=run.protocol.channels_last, compiled=run.protocol.compile)
    # What a method's constructor takes: with it in a checkpoint, Lightning's load_from_checkpoint needs nothing else.
    given = {"training": run.protocol, "data_shape": shape, "seeds": seeds, **dict(run.overrides)}
    module.save_hyperparameters(given, logger=False)
    return module


def load_module(run: Run, record: Record, store: Store) -> AdversarialModule:
    """A trained model of images, alone in its block and in evaluation mode, as far as samples and codes need it."""
    module = make_module(run, (run.seed,))
    module.load_weights(store.weights(run, record))
    return module.eval()


def make_data(run: Run, seeds: tuple[int, ...], module: AdversarialModule) -> DataModule:
    """The training data of a run; the module's count of iterations starts where its pre-training does."""
    protocol, dataset = run.protocol, dataset_of_run(run)
    size, draws, fresh = protocol.batch_size, module.draws_per_iteration, protocol.fresh_iterations
    data: DataModule
    if isinstance(dataset, GaussianMixture):
        scaled = protocol.scaling == "unit"
        data = MixtureDataModule(dataset, seeds, size, draws, scaled=scaled, fresh_iterations=fresh)
    else:
        symmetric = protocol.scaling == "symmetric"
        data = ImageDataModule(dataset, seeds, size, draws, symmetric=symmetric, fresh_iterations=fresh)
    module.iteration = -module.pretraining_epochs * data.iterations_per_epoch
    module.planned_iterations = protocol.epochs * data.iterations_per_epoch
    return data


def dataset_of_run(run: Run) -> DataSet:
    """A run's data set, as its protocol has it."""
    return dataset_for_protocol(registry.dataset(run.dataset), run.protocol)


def dataset_for_protocol(dataset: DataSet, protocol: Protocol) -> DataSet:
    """A data set as a protocol has it."""
    if isinstance(dataset, GaussianMixture) and dataset.noisy and protocol.embedding == "projected":
        return dataclasses.replace(dataset, projected=True)
    return dataset


def make_trainer(
    run: Run, callbacks: list[Callback], accelerator: str, strategy: SharedBatches | None = None, **limits: Any
) -> Trainer:
    """Lightning's trainer without what a block does for itself: logging, checkpoints, a progress bar. Without a
    strategy it trains whole batches in this process, whatever the protocol's world size is, and whatever scheduler
    started the process."""
    return IsolatedTrainer(
        accelerator=accelerator,
        devices=run.protocol.world_size if strategy else 1,
        strategy=strategy,
        precision=run.protocol.precision,
        callbacks=[Graphs(), *callbacks],
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        **limits,
    )


class Evaluation(Callback):
    """After every epoch: losses, samples and their measures, and now and then a checkpoint, where one is wanted."""

    def __init__(
        self,
        block: Block,
        module: AdversarialModule,
        data: DataModule,
        checkpoint: Path | None,
        versions: dict[str, int],
        watch: Watch,
    ) -> None:
        self.block, self.module, self.data = block, module, data
        self.checkpoint, self.versions, self.watch = checkpoint, versions, watch
        self.protocol = block.first.protocol
        self.curves: dict[str, list[list[float]]] = {}
        self.diverged_at: list[int | None] = [None] * len(block.seeds)
        self.samples: np.ndarray | None = None
        self.frames: list[np.ndarray] = []
        self.measures: dict[str, np.ndarray] = {}
        self.seconds_before = 0.0
        self.started = self.saved = time.monotonic()
        self.stop = False
        self.where: dict[str, Any] = {"device": []}
        self.graphs = Graphs()

    @property
    def state_key(self) -> str:
        return checkpoints.STATE

    @property
    def environment(self) -> dict[str, str]:
        """For the record: every device that the block was trained on, and whether by CUDA graphs."""
        return {**self.where, "device": ", ".join(self.where["device"]), **self.graphs.said}

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Only now, as Lightning has put in handlers of its own.
        for number in SIGNALS if threading.current_thread() is threading.main_thread() else ():
            signal.signal(number, self.interrupted)
        name = device_name(trainer.strategy.root_device)
        if name not in self.where["device"]:
            self.where["device"].append(name)
        (self.graphs,) = (each for each in trainer.callbacks if isinstance(each, Graphs))  # type: ignore[attr-defined]

    def interrupted(self, number: int, frame: FrameType | None) -> None:
        """First Ctrl-C (or SIGTERM): finish the epoch, write a checkpoint, stop. Second: stop at once."""
        if self.stop:
            raise Stopped
        self.stop = True
        print(f"\n{STOPPING}", file=sys.stderr)

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        self._report(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module, epoch = self.module, trainer.current_epoch + 1 - self.module.pretraining_epochs
        losses = module.take_losses()
        finite = torch.stack(list(losses.values())).isfinite().all(0)
        for slot in range(finite.shape[1]):
            bad = (~finite[:, slot]).nonzero()
            if self.diverged_at[slot] is None and len(bad):
                self.diverged_at[slot] = module.iteration - len(finite) + int(bad[0]) + 1
        named = {f"loss.{name}": loss for name, loss in losses.items()}
        named |= {f"trace.{name}": trace for name, trace in module.take_traces().items()}
        for name, values in named.items():
            self.curves.setdefault(name, []).append(values.double().mean(0).tolist())
        last, shown = epoch == self.protocol.epochs, epoch in self.protocol.named_frames
        if epoch > 0 and (last or shown or epoch % self.protocol.evaluate_every == 0):
            self._judge(epoch)
        self._report(trainer)
        if self.checkpoint and not last and (self.stop or time.monotonic() - self.saved > CHECKPOINT_SECONDS):
            self._save(trainer, self.checkpoint)
        if self.stop and not last:
            raise Stopped

    def _judge(self, epoch: int) -> None:
        """Draw samples and measure them."""
        self.samples = draw_samples(self.module, self.data.dataset, self.protocol, epoch)
        images = isinstance(self.data.dataset, ImageSet)
        for slot, points in enumerate(self.samples):
            # A last step can ruin a network after its last loss was taken; in pixels that does not show.
            made = self.module.weights_of(slot).values() if images else [torch.from_numpy(points)]
            if self.diverged_at[slot] is None and not all(part.isfinite().all() for part in made):
                self.diverged_at[slot] = self.module.iteration
        self.measures = measure(self.data.dataset, self.protocol, self.samples)
        for name, values in self.measures.items():
            curve = self.curves.setdefault(name, [])
            curve += [[math.nan] * len(values)] * (epoch - 1 - len(curve))
            curve.append(values.tolist())
        if epoch == self.protocol.epochs and isinstance(self.data.dataset, ImageSet):
            for slot, iteration in enumerate(self.diverged_at):
                if iteration is not None:
                    _clear(self.module, slot)
            self.measures |= measure_generator(self.module, self.data.dataset, self.protocol)
        if epoch in frame_epochs(self.protocol, self.samples[0, 0].size):
            frame = self.samples[:, : FRAME_IMAGES if images else FRAME_SAMPLES]
            self.frames.append(frame.copy() if images else frame.astype(np.float16))

    def _report(self, trainer: Trainer) -> None:
        before = self.module.pretraining_epochs
        total = (before + self.protocol.epochs) * self.data.iterations_per_epoch
        losses = {name: values[-1] for name, values in self.curves.items() if name.startswith("loss.")}
        means = {name.removeprefix("loss."): float(np.mean(values)) for name, values in losses.items()}
        done = before * self.data.iterations_per_epoch + self.module.iteration
        epoch, epochs = trainer.current_epoch + 1, before + self.protocol.epochs
        self.stop |= bool(self.watch(Progress(self.block, done, total, epoch, epochs, means, self.measures)))

    def _save(self, trainer: Trainer, checkpoint: Path) -> None:
        checkpoints.write(trainer, checkpoint)
        self.saved = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {
            "format": checkpoints.FORMAT,
            "block": self.block.id,
            "cells": [run.identity() for run in self.block.pending],
            "versions": self.versions,
            "curves": self.curves,
            "frames": [torch.from_numpy(frame) for frame in self.frames],
            "diverged_at": self.diverged_at,
            "seconds": self.seconds,
            "where": self.where | self.graphs.said,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curves = state_dict["curves"]
        self.frames = [frame.numpy() for frame in state_dict["frames"]]
        self.diverged_at = state_dict["diverged_at"]
        self.seconds_before = state_dict["seconds"]
        self.where |= state_dict.get("where", {})


def train(block: Block, store: Store, watch: Watch, accelerator: str = "auto", loggers: Sequence[str] = ()) -> None:
    """Train a block to the end, from its checkpoint if there is one, and write the records of its pending runs.

    Raises ``Stopped`` after Ctrl-C, ``UserError`` for a checkpoint that does not fit, and whatever the method raises.
    """
    checkpoint = store.checkpoint(block.id)
    check_checkpoint(block, store)
    evaluation = fit(block, checkpoint, watch, accelerator, log=_logs(block, loggers, store))
    _write_records(store, evaluation)
    checkpoint.unlink(missing_ok=True)
    if evaluation.stop:
        raise Stopped


def _logs(block: Block, names: Sequence[str], store: Store) -> Callable[[Evaluation], list[Callback]]:
    """What writes a training's curves to the loggers of these names."""

    def log(evaluation: Evaluation) -> list[Callback]:
        if not names:
            return []
        from benchmark.loggers import Curves, make_loggers

        return [Curves(evaluation, make_loggers(names, block, store.folder))]

    return log


def fit(
    block: Block,
    checkpoint: Path,
    watch: Watch,
    accelerator: str = "auto",
    callbacks: Sequence[Callback] = (),
    log: Callable[[Evaluation], list[Callback]] = lambda evaluation: [],
) -> Evaluation:
    """Train a block to the end, from the checkpoint if there is one: what there is to record. Raises as ``train``
    does.

    callbacks: called before every evaluation, those that ``log`` makes after it.
    """
    run, seeds = block.first, block.seeds
    module = make_module(run, seeds)
    data = make_data(run, seeds, module)
    evaluation = Evaluation(block, module, data, checkpoint, versions_of(run), watch)
    resume = checkpoint if checkpoint.exists() else None
    advance(evaluation, accelerator, run.protocol.epochs, resume, callbacks, log(evaluation))
    return evaluation


def advance(
    evaluation: Evaluation,
    accelerator: str,
    epochs: int,
    checkpoint: Path | None = None,
    before: Sequence[Callback] = (),
    after: Sequence[Callback] = (),
) -> None:
    """Train a block, from that checkpoint, until ``epochs`` of its protocol are done, on the protocol's devices.

    before, after: called before and after every evaluation.
    """
    block, module = evaluation.block, evaluation.module
    run, epochs = block.first, module.pretraining_epochs + epochs
    check_devices(run, accelerator)
    words = (run, block.seeds, accelerator, epochs, checkpoint)
    with quiet(), stoppable(evaluation), ddp_workers(run.protocol.world_size, fit_worker, *words) as strategy:
        trainer = make_trainer(run, [*before, evaluation, *after], accelerator, strategy, max_epochs=epochs)
        trainer.fit(module, evaluation.data, ckpt_path=checkpoint, weights_only=True)


def fit_worker(
    strategy: SharedBatches, run: Run, seeds: tuple[int, ...], accelerator: str, epochs: int, checkpoint: Path | None
) -> None:
    """What a process for another device does while this one's fits: the same, but for all that is kept of it."""
    module = make_module(run, seeds)
    with quiet():
        trainer = make_trainer(run, [DiscardLogs()], accelerator, strategy, max_epochs=epochs)
        trainer.fit(module, make_data(run, seeds, module), ckpt_path=checkpoint, weights_only=True)


class DiscardLogs(Callback):
    """Drops what a module keeps for a record."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, AdversarialModule)
        pl_module.take_losses()
        pl_module.take_traces()


def device_name(device: torch.device) -> str:
    """For a record: which GPU it is, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _write_records(store: Store, evaluation: Evaluation) -> None:
    block, iterations = evaluation.block, evaluation.module.iteration
    assert evaluation.samples is not None
    trained = iterations + evaluation.module.pretraining_epochs * evaluation.data.iterations_per_epoch
    milliseconds = 1000 * evaluation.seconds / (trained * len(block.seeds))
    for slot, run in block.slots.items():
        diverged = evaluation.diverged_at[slot] is not None
        samples = evaluation.samples[slot]
        curves = {name: [_number(v[slot]) for v in rows] for name, rows in evaluation.curves.items()}
        record = Record(
            id=run.id,
            run=run.identity(),
            status="diverged" if diverged else "done",
            versions=evaluation.versions,
            measures={} if diverged else {name: _number(v[slot]) for name, v in evaluation.measures.items()},
            curves=curves,
            diverged_at=evaluation.diverged_at[slot],
            cost={
                "block_seconds": round(evaluation.seconds, 3),
                "seconds": round(evaluation.seconds / len(block.pending), 3),
                "milliseconds_per_iteration_and_seed": round(milliseconds, 4),
                "iterations": iterations,
                "peak_memory_mib": round(peak_memory_mib(), 1),
            },
            environment=environment()
            | evaluation.environment
            | _images_of(evaluation)
            | _given_weights(evaluation.module),
        )
        if diverged:
            store.write(run, record)
        else:
            frames = np.stack([frame[slot] for frame in evaluation.frames]) if evaluation.frames else None
            weights = evaluation.module.weights_of(slot) if isinstance(evaluation.data.dataset, ImageSet) else None
            kept = KEPT_VALUES if weights is None else KEPT_PIXELS
            store.write(run, record, samples[: max(1, kept // samples[0].size)], frames, weights)


def _clear(module: AdversarialModule, slot: int) -> None:
    """Let a copy that diverged make the same of everything: what is measured on generators is measured on all copies,
    and NaN can stop it."""
    for name, value in module.state_dict().items():
        if name.partition(".")[0] in module.samplers:
            value.unflatten(0, (len(module.seeds), -1))[slot].zero_()


def _images_of(evaluation: Evaluation) -> dict[str, str]:
    """Which edition of the images it was, and the weights of the network whose features compared them, or that told
    their digits."""
    name, dataset = evaluation.protocol.features, evaluation.data.dataset
    if not isinstance(dataset, ImageSet):
        return {}
    found = {"images": dataset.fingerprint}
    if dataset.measures == "digits":
        found["classifier"] = weights_hash()
    elif name != "none":
        found["features"] = extractor_hash(name)
    return found


def _given_weights(module: AdversarialModule) -> dict[str, str]:
    """Hashes of the files that networks of the method's own started from, by role."""
    networks = [network for network in module.modules() if isinstance(network, Replicated) and network.weights_hash]
    return {f"weights of {network.role}": network.weights_hash for network in networks}


def frame_epochs(protocol: Protocol, dim: int = FRAME_DIM) -> list[int]:
    """Epochs whose samples, of ``dim`` numbers each, are kept: those that the protocol names, or of points in up to
    three dimensions the first, the last, and evenly between."""
    epochs = protocol.epochs
    if protocol.frames or dim > FRAME_DIM:
        return protocol.named_frames
    count = min(FRAMES, epochs)
    return sorted({round(1 + (epochs - 1) * i / max(1, count - 1)) for i in range(count)})


def write_failures(block: Block, store: Store, reason: str) -> None:
    """Records for a block whose method raised; what an earlier run finished stays."""
    for run in block.pending:
        before = store.read(run)
        if before is None or before.status == "failed":
            record = Record(run.id, run.identity(), "failed", versions_of(run), reason=reason)
            store.write(run, dataclasses.replace(record, environment=environment()))


def check_checkpoint(block: Block, store: Store) -> None:
    """Refuse a checkpoint that is damaged, of another format, of another block or of other versions."""
    path = store.checkpoint(block.id)
    try:
        state = checkpoints.read(path)
    except FileNotFoundError:
        return
    if state.get("block") != block.id:
        raise UserError(f"{path} belongs to another block of runs; {checkpoints.way_out(path)}")
    if moved := differing(state.get("versions", {}), versions_of(block.first)):
        said = f"was written with other versions ({moved}), its numbers would mix two codes"
        raise UserError(f"{path} {said}; {checkpoints.way_out(path)}")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, earlier blocks included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@contextmanager
def stoppable(evaluation: Evaluation) -> Iterator[None]:
    """Signals are the evaluation's while it trains, and afterwards whose they were."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, evaluation.interrupted) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's banners and tips say nothing about a table."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
