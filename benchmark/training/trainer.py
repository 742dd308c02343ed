"""Training one block: a module, its data and a Lightning trainer."""

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


def train(block: Block, store: Store, watch: Watch, accelerator: str = "auto", loggers: Sequence[str] = ()) -> None:
    """Train a block to the end, from its checkpoint if there is one, and write the records of its pending runs.

    Raises ``Stopped`` after Ctrl-C, ``UserError`` for a checkpoint that does not fit, and whatever the method raises.
    """
    checkpoint = store.checkpoint(block.id)
    check_checkpoint(block, store)
    evaluation = fit(block, checkpoint, watch, accelerator, log=_logs(block, loggers, store))
    write_records(store, evaluation)
    checkpoint.unlink(missing_ok=True)
    if evaluation.stop:
        raise Stopped


def _logs(block: Block, names: Sequence[str], store: Store) -> Callable[[Evaluation], list[Callback]]:
    """What writes a training's curves to the loggers of these names."""

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


def check_checkpoint(block: Block, store: Store) -> None:
    """Refuse a checkpoint that is damaged, of another format, of another block or of other versions."""
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
