"""Train one block: build its module, its data and Lightning's trainer."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from benchmark.errors import Stopped, UserError
from benchmark.spec import registry
from benchmark.spec.block import Block
from benchmark.spec.run import Run, dataset_of_run
from benchmark.spec.versions import differing, versions_of
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training import checkpoints
from benchmark.training.callback import DataModule, Evaluation, Watch
from benchmark.training.devices.graphs import Graphs
from benchmark.training.devices.sharing import SIGNALS, SharedBatches, check_devices, ddp_workers
from benchmark.training.recording import write_records
from benchmark.training.surroundings import IsolatedTrainer
from datamodules.lightning.images import ImageDataModule
from datamodules.lightning.mixtures import MixtureDataModule
from datamodules.mixture import GaussianMixture
from modules.base import AdversarialModule
from modules.convolutions import set_memory_format_and_compile


def make_module(run: Run, seeds: tuple[int, ...]) -> AdversarialModule:
    """Create the untrained module of a run, with one copy per seed."""
    shape = registry.dataset(run.dataset).data_shape
    module = registry.method(run.method)(run.protocol, shape, seeds, **dict(run.overrides))
    set_memory_format_and_compile(module, channels_last=run.protocol.channels_last, compiled=run.protocol.compile)
    # Save the constructor's arguments, so that Lightning's load_from_checkpoint needs only the file.
    given = {"training": run.protocol, "data_shape": shape, "seeds": seeds, **dict(run.overrides)}
    module.save_hyperparameters(given, logger=False)
    return module


def load_module(run: Run, record: Record, store: Store) -> AdversarialModule:
    """Load a trained model of images in evaluation mode, as the only copy of its module.

    The weights suffice to draw samples and to encode images.
    """
    module = make_module(run, (run.seed,))
    module.load_weights(store.weights(run, record))
    return module.eval()


def make_data(run: Run, seeds: tuple[int, ...], module: AdversarialModule) -> DataModule:
    """Create the training data of a run, and set the module's iteration counter to the start of pre-training.

    Args:
        run: Gives the data set and the protocol.
        seeds: Seeds of the copies; each has its own order of the data.
        module: The module that the data are for.
    """
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


def make_trainer(
    run: Run, callbacks: list[Callback], accelerator: str, strategy: SharedBatches | None = None, **limits: Any
) -> Trainer:
    """Create Lightning's trainer without logging, checkpoints and progress bar, which a block provides itself.

    Args:
        run: Gives the precision and the world size.
        callbacks: Callbacks of the trainer.
        accelerator: Lightning's name of the kind of device.
        strategy: Distributes batches over several devices. None trains whole batches in this process, for any
            world size of the protocol and under any scheduler.
        **limits: Passed on to Lightning's ``Trainer``.
    """
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


def train(block: Block, store: Store, watch: Watch, accelerator: str = "auto", loggers: Sequence[str] = ()) -> None:
    """Train a block to the end, from its checkpoint if there is one, and write the records of its pending runs.

    Args:
        block: The block to train.
        store: The results folder.
        watch: Receives progress.
        accelerator: Lightning's name of the kind of device.
        loggers: Names of loggers for the training curves.

    Raises:
        Stopped: Ctrl-C was pressed.
        UserError: The checkpoint does not fit.
        Exception: Whatever the method raises.
    """
    checkpoint = store.checkpoint(block.id)
    check_checkpoint(block, store)
    evaluation = fit(block, checkpoint, watch, accelerator, log=_logs(block, loggers, store))
    write_records(store, evaluation)
    checkpoint.unlink(missing_ok=True)
    if evaluation.stop:
        raise Stopped


def _logs(block: Block, names: Sequence[str], store: Store) -> Callable[[Evaluation], list[Callback]]:
    """Return a function that creates the callbacks for these loggers."""

    def log(evaluation: Evaluation) -> list[Callback]:
        if not names:
            return []
        from benchmark.training.loggers import Curves, make_loggers

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
    """Train a block to the end, from the checkpoint if there is one.

    Args:
        block: The block to train.
        checkpoint: File of the checkpoint, to resume from and to write.
        watch: Receives progress.
        accelerator: Lightning's name of the kind of device.
        callbacks: Called before every evaluation.
        log: Creates callbacks that are called after every evaluation.

    Returns:
        The evaluation, with everything that is recorded.

    Raises:
        Stopped: Ctrl-C was pressed.
        Exception: Whatever the method raises.
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
    """Train a block until ``epochs`` epochs of its protocol are done, on the protocol's devices.

    Args:
        evaluation: Callback with the block, the module and the data.
        accelerator: Lightning's name of the kind of device.
        epochs: Epochs to reach, pre-training not included.
        checkpoint: File to resume from; None starts from the beginning.
        before: Callbacks that run before the evaluation.
        after: Callbacks that run after the evaluation.
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
    """Train the same block on another rank and discard its logs."""
    module = make_module(run, seeds)
    with quiet():
        trainer = make_trainer(run, [DiscardLogs()], accelerator, strategy, max_epochs=epochs)
        trainer.fit(module, make_data(run, seeds, module), ckpt_path=checkpoint, weights_only=True)


class DiscardLogs(Callback):
    """Discard the losses and traces of a module after every epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, AdversarialModule)
        pl_module.take_losses()
        pl_module.take_traces()


def check_checkpoint(block: Block, store: Store) -> None:
    """Check that the checkpoint of a block can be resumed.

    Raises:
        UserError: It is damaged, or of another format, another block or other versions.
    """
    path = store.checkpoint(block.id)
    try:
        state = checkpoints.read_checkpoint(path)
    except FileNotFoundError:
        return
    if state.get("block") != block.id:
        raise UserError(f"{path} belongs to another block of runs; {checkpoints.way_out(path)}")
    if moved := differing(state.get("versions", {}), versions_of(block.first)):
        said = f"was written with other versions ({moved}), its numbers would mix two codes"
        raise UserError(f"{path} {said}; {checkpoints.way_out(path)}")


@contextmanager
def stoppable(evaluation: Evaluation) -> Iterator[None]:
    """Let the evaluation handle signals during training, and restore the previous handlers afterwards."""
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
    """Silence Lightning's banners, tips and warnings."""
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
