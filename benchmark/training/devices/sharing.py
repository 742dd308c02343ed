"""Train one block on several devices of this machine with Lightning's DDP strategy, one process per device.

Rank 0 is the process of the command. It alone claims blocks, evaluates, and writes checkpoints and records; the other
ranks only train. It kills them at the end, and they end by themselves if it dies.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port
from pytorch_lightning.strategies import DDPStrategy
from torch import distributed

from benchmark.errors import UserError
from benchmark.spec import registry
from benchmark.spec.run import Run
from benchmark.training.devices import ddp_worker

SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Timeout of the other ranks while rank 0 evaluates.
_PATIENCE = timedelta(days=1)


class Rank(LightningEnvironment):
    """A rank on this machine; all ranks connect through rank 0's ``port``."""

    creates_processes_externally = True

    def __init__(self, rank: int, port: int) -> None:
        super().__init__()
        self._rank, self._main_port = rank, port

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0


class SharedBatches(DDPStrategy):
    """Lightning's DDP strategy without ``DistributedDataParallel`` around the module.

    The wrapper averages the gradients of all parameters at the end of a step, but an adversarial module averages those
    of one update at a time (``modules.ranks``).
    """

    def __init__(self, rank: int, port: int) -> None:
        super().__init__(cluster_environment=Rank(rank, port), timeout=_PATIENCE)

    def configure_ddp(self) -> None:
        """Do not wrap the module."""

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """Do not wait: every iteration synchronizes the ranks, and rank 0 writes checkpoints alone."""


def check_devices(run: Run, accelerator: str) -> None:
    """Check that a run can be trained on as many devices as its protocol requires.

    Raises:
        UserError: The method, the batch size or this machine does not allow it.
    """
    count, batch, method = run.protocol.world_size, run.protocol.batch_size, registry.method(run.method)
    if count == 1:
        return
    if vars(method).get("batch_coupled_losses") is None:
        said = (
            "does not list the losses that couple the samples of a batch (batch_coupled_losses, see docs/your-own.md)"
        )
        raise UserError(f"{run.method} trains on one device, as its class {said}; leave --strategy out")
    if batch % count:
        raise UserError(
            f"batches of {batch} have no {count} equal parts: --set protocol.batch_size, or other --devices"
        )
    if accelerator != "cpu" and torch.cuda.is_available():
        if torch.cuda.device_count() < count:
            raise UserError(f"this machine has {torch.cuda.device_count()} GPUs, not {count}; or --accelerator cpu")
    elif count > max(2, os.cpu_count() or 1):
        # Each process loads PyTorch and waits for all others in every update, so a few dozen overload the machine.
        raise UserError(
            f"this machine has {os.cpu_count()} cores, not {count}: that many processes stand in one another's way"
        )


@contextmanager
def ddp_workers(count: int, work: Callable[..., None], *arguments: Any) -> Iterator[SharedBatches | None]:
    """Start ``count - 1`` processes that run ``work(strategy, *arguments)``, and end them after the ``with`` block.

    Yields:
        The strategy of this process; None if ``count`` is 1.
    """
    if count == 1:
        yield None
        return
    port, context = find_free_network_port(), multiprocessing.get_context("spawn")
    processes, listeners = [], []
    # Start the resource tracker now: if it starts with the first process, it resets the signal mask set below.
    resource_tracker.ensure_running()
    try:
        for _ in range(1, count):
            listener, speaker = context.Pipe()
            processes.append(context.Process(target=ddp_worker.run_worker, args=(speaker,), daemon=True))
            listeners.append(listener)
            # A terminal sends Ctrl-C to every process. The others inherit this mask, so only rank 0 handles it.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            try:
                processes[-1].start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                speaker.close()
        for rank, listener in enumerate(listeners, 1):
            with suppress(ConnectionError):
                listener.send((_work_on_rank, (torch.get_num_threads(), rank, port, work, *arguments)))
        for listener in listeners:
            _hear(listener)
        yield SharedBatches(0, port)
    finally:
        for process in processes:
            if process.pid:
                process.kill()
                process.join()
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _work_on_rank(
    speaker: Connection, threads: int, rank: int, port: int, work: Callable[..., None], *words: Any
) -> None:
    """Run ``work`` on another rank."""
    torch.set_num_threads(threads)
    speaker.send(rank)
    work(SharedBatches(rank, port), *words)


def _hear(listener: Connection) -> None:
    """Wait until a rank has started.

    Raises:
        RuntimeError: The process has ended.
    """
    try:
        listener.recv()
    except (EOFError, ConnectionResetError) as error:
        raise RuntimeError("a process for another device ended before it began") from error
