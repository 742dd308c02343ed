"""Send the curves of a training to Lightning's loggers, in addition to the record."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from benchmark.errors import UserError, unknown
from benchmark.spec.block import Block
from benchmark.training import LOGGERS
from benchmark.training.callback import Evaluation


def check_loggers(names: Sequence[str]) -> None:
    """Check that loggers exist and that their packages are installed.

    Raises:
        UserError: A logger is unknown, or its package is missing.
    """
    for name in names:
        if name not in LOGGERS:
            raise unknown("logger", name, LOGGERS)
        package = LOGGERS[name][1]
        if package and importlib.util.find_spec(package) is None:
            raise UserError(
                f"--logger {name} needs the package {package}: pip install -c constraints.txt -e '.[{name}]'"
            )


def make_loggers(names: Sequence[str], block: Block, results: Path) -> list[Logger]:
    """Create the loggers of a block under ``RESULTS/logs``. Every start of a training begins a new log."""
    folder = results / "logs"
    name = f"{block.first.place}/{block.id}"
    made: list[Logger] = []
    for kind in names:
        if kind == "csv":
            made.append(CSVLogger(folder / kind, name))
        elif kind == "tensorboard":
            made.append(TensorBoardLogger(folder / kind, name, default_hp_metric=False))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            made.append(WandbLogger(name=f"{block.label} {block.id}", save_dir=folder, project="modecov"))
    return made


class Curves(Callback):
    """Log the new values of all curves after every epoch, as ``NAME/seed S`` over epochs.

    A resumed training first logs the values from its checkpoint.
    """

    def __init__(self, evaluation: Evaluation, loggers: Sequence[Logger]) -> None:
        self.evaluation, self.loggers = evaluation, loggers
        self.logged: dict[str, int] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        identity: dict[str, Any] = self.evaluation.block.first.identity()
        seeds = [run.seed for run in self.evaluation.block.pending]
        for logger in self.loggers:
            logger.log_hyperparams({**identity, "seed": seeds})
        self._log()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log()

    def _log(self) -> None:
        slots, lines = self.evaluation.block.slots, dict[int, dict[str, float]]()
        for name, curve in self.evaluation.curves.items():
            for epoch in range(self.logged.get(name, 0), len(curve)):
                values = {f"{name}/seed {run.seed}": curve[epoch][slot] for slot, run in slots.items()}
                lines.setdefault(epoch + 1, {}).update({k: v for k, v in values.items() if math.isfinite(v)})
            self.logged[name] = len(curve)
        for epoch, line in sorted(lines.items()):
            for logger in self.loggers:
                logger.log_metrics(line, step=epoch)
                logger.save()
