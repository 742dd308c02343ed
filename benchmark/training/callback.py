"""The callback that evaluates a block after every epoch, writes checkpoints and handles Ctrl-C."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from benchmark.errors import Stopped
from benchmark.spec.block import Block
from benchmark.spec.protocol import FRAME_IMAGES, FRAME_SAMPLES, frame_epochs
from benchmark.training import checkpoints
from benchmark.training.devices.graphs import Graphs
from benchmark.training.devices.sharing import SIGNALS
from benchmark.training.evaluation import draw_samples, measure, measure_generator
from datamodules.images import ImageSet
from datamodules.lightning.images import ImageDataModule
from datamodules.lightning.mixtures import MixtureDataModule
from modules.base import AdversarialModule

#: A checkpoint is written at the end of an epoch if the last one is older than this.
CHECKPOINT_SECONDS = 20.0
#: Message after the first Ctrl-C.
STOPPING = "stopping after this epoch; Ctrl-C again to stop at once"


@dataclass(frozen=True)
class Progress:
    """How far the training of a block is.

    Attributes:
        block: The block in training.
        iteration: Iterations done, pre-training included.
        iterations: Iterations in all, pre-training included.
        epoch: Number of the current epoch, from 1, pre-training included.
        epochs: Epochs in all, pre-training included.
        losses: Latest mean of each loss over the seeds, by name.
        measures: Latest value of each measure, one per seed, by name.
    """

    block: Block
    iteration: int
    iterations: int
    epoch: int
    epochs: int
    losses: dict[str, float]
    measures: dict[str, np.ndarray]


#: A function that receives progress. If it returns True, training stops as after Ctrl-C: after the epoch, with a
#: checkpoint.
Watch = Callable[[Progress], bool | None]
DataModule = MixtureDataModule | ImageDataModule


class Evaluation(Callback):
    """Record losses and measures after every epoch, and write a checkpoint when one is due.

    Args:
        block: The block to train.
        module: Its module, one copy per seed.
        data: Its training data.
        checkpoint: File of the checkpoint; None writes no checkpoint.
        versions: Versions of the code parts, for the record (see ``versions.versions_of``).
        watch: Receives progress after every batch and every epoch.
    """

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
        """Every device that the block was trained on, and whether by CUDA graphs; for the record."""
        return {**self.where, "device": ", ".join(self.where["device"]), **self.graphs.said}

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Set here because Lightning installs handlers of its own before training starts.
        for number in SIGNALS if threading.current_thread() is threading.main_thread() else ():
            signal.signal(number, self.interrupted)
        name = device_name(trainer.strategy.root_device)
        if name not in self.where["device"]:
            self.where["device"].append(name)
        (self.graphs,) = (each for each in trainer.callbacks if isinstance(each, Graphs))  # type: ignore[attr-defined]

    def interrupted(self, number: int, frame: FrameType | None) -> None:
        """Handle Ctrl-C and SIGTERM.

        The first signal stops training after the current epoch, with a checkpoint.

        Raises:
            Stopped: On the second signal, at once.
        """
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
            # The last step can make weights non-finite after the last loss was computed. Pixels do not show this
            # because they are clamped, so weights are tested for images.
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
        # Not "self.stop |= ...", which reads self.stop first and would undo what a Ctrl-C meanwhile sets.
        if self.watch(Progress(self.block, done, total, epoch, epochs, means, self.measures)):
            self.stop = True

    def _save(self, trainer: Trainer, checkpoint: Path) -> None:
        checkpoints.write_checkpoint(trainer, checkpoint)
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


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or ``cpu``; for the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _clear(module: AdversarialModule, slot: int) -> None:
    """Set the weights of a diverged copy's samplers to zero.

    The measures of generators run on all copies at once, and NaN weights can stop them.
    """
    for name, value in module.state_dict().items():
        if name.partition(".")[0] in module.samplers:
            value.unflatten(0, (len(module.seeds), -1))[slot].zero_()
