"""Train several blocks at a time on this machine: one process per core, or several per GPU.

Small networks run fastest on one thread. Several threads wait for one another, which on a busy machine can make
training ten times slower. So processes fill the cores, not threads. Image networks have large matrix products and use
all cores for one block.

The standard library's process pools, loky and joblib do not fit: they give up the whole pool when one process is
killed, cannot assign a GPU to a process or ask it to stop, and report nothing before a task ends. Here a killed process
affects only its own block. The processes share the results folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from benchmark.errors import Stopped, UserError
from benchmark.spec import registry
from benchmark.spec.block import Block
from benchmark.spec.versions import versions_of
from benchmark.store.environment import environment, take_commit
from benchmark.store.store import Store
from benchmark.training.callback import STOPPING, Progress, Watch
from benchmark.training.devices.sharing import SIGNALS
from benchmark.training.engines import resources
from benchmark.training.engines.runner import POLL_SECONDS, Inline, Result, run_block, still_left, waiting_for
from benchmark.training.engines.worker import END, STOP
from benchmark.training.estimate import Estimate, estimate
from benchmark.training.recording import write_failures
from datamodules.images import ImageSet, MissingData
from evaluators.names import MissingWeights

#: Seconds between checks for signals, and between a worker's progress reports.
_LOOK_SECONDS = 0.25
#: Seconds that an idle worker has to end by itself.
_PATIENCE = 10.0
#: Memory of a worker, mostly libraries, and the extra memory for images: a feature network and a batch in it.
_WORKER_BYTES, _IMAGES_BYTES = 2**30, 2 * 2**30
#: Core seconds that a worker needs to load PyTorch. No workers are started for training that takes less than twice
#: this time.
_START_SECONDS = 5.0
#: Times that a block is tried before it counts as failed.
_TRIES = 2
#: Environment variables that limit the threads of numerical libraries; libraries read them when they load.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Jobs:
    """How blocks share this machine.

    Attributes:
        jobs: Blocks at a time. A single one is trained in this process.
        threads: Threads of each block.
        gpus: Values of ``CUDA_VISIBLE_DEVICES``, one per worker; empty on CPUs and for one block at a time.
        why: Further information for the user, appended to ``where`` with its own comma; may be empty.
        asked: Whether the user chose the number of jobs.
    """

    jobs: int
    threads: int
    gpus: tuple[str, ...] = ()
    why: str = ""
    asked: bool = False

    @property
    def where(self) -> str:
        """Description for the user, such as ``on this machine, 8 blocks at a time``."""
        several = f"{self.jobs} blocks at a time" if self.jobs > 1 else "one block after another"
        threads = f" with {self.threads} threads{' each' if self.jobs > 1 else ''}" if self.threads > 1 else ""
        used = len(set(self.gpus))
        on = f" on {used} GPU{'s' if used > 1 else ''}" if used else ""
        return f"on this machine, {several}{threads}{on}{self.why}"


def choose_jobs(
    blocks: Sequence[Block],
    *,
    threads: int | None = None,
    jobs: int | None = None,
    accelerator: str = "auto",
    devices: int | None = None,
    gpus_per_block: float | None = None,
) -> Jobs:
    """Choose how many blocks to train at a time, with how many threads and on which GPUs.

    Points on CPUs: as many blocks as this process has cores and memory for, with one thread each. Images on CPUs: one
    block with all cores. On GPUs: one block on the first GPU, or as many as ``devices`` and ``gpus_per_block`` allow.

    Args:
        blocks: Blocks that are all of points or all of images.
        threads: Threads of a block; None chooses.
        jobs: Blocks at a time; None chooses.
        accelerator: Lightning's name of the kind of device.
        devices: Number of GPUs to use; on a machine without GPUs, blocks at a time.
        gpus_per_block: Share of a GPU per block; 0.25 puts four blocks on each GPU.

    Raises:
        UserError: This machine has fewer devices or cores than requested.
    """
    cores, images, asked = resources.usable_cores(), any(map(_of_images, blocks)), jobs or devices
    gpus = [] if accelerator == "cpu" else _gpus()
    if gpus_per_block is not None and not 0 < gpus_per_block <= 1:
        raise UserError("--gpus-per-block: a block trains on one GPU or a part of one, from 1 down to above 0")
    if devices and gpus and devices > len(gpus):
        raise UserError(f"--devices {devices}: this machine has {len(gpus)} GPUs")
    if gpus_per_block is not None and not gpus:
        raise UserError("--gpus-per-block: PyTorch finds no GPU here; --jobs N trains N blocks at a time")
    if any(block.first.protocol.world_size > 1 for block in blocks):
        return Jobs(1, threads or torch.get_num_threads())
    own = sorted({name for block in blocks for name in (block.first.method, block.first.dataset) if _in_main(name)})
    if own:
        return Jobs(
            1, threads or 1, why=f", as {own[0]} is known to this process only; put it into a module of its own"
        )
    if gpus:
        share = gpus_per_block or 1.0
        used = gpus[: devices or 1]
        count = min(jobs or min(len(used) * int(1 / share + 1e-9), cores), len(blocks))
        why = _about_mps() if count > len(used) else ""
        if not devices and not jobs and gpus_per_block is None and len(gpus) > 1 and len(blocks) > 1:
            why = f"; --devices {len(gpus)} trains on all {len(gpus)} GPUs"
        placed = tuple(used[index % len(used)] for index in range(count)) if count > 1 else ()
        return Jobs(count, threads or (_all_threads(cores, count) if images else 1), placed, why, True)
    if _apple() and accelerator != "cpu":
        return Jobs(1, threads or (_all_threads(cores, 1) if images else 1))
    if devices and devices * (threads or 1) > cores:
        raise UserError(
            f"--devices {devices}{f' with --threads {threads}' if threads else ''}: "
            f"this process may use {cores} cores; --jobs N trains N blocks at a time all the same"
        )
    if images:
        count = min(asked or 1, len(blocks))
        return Jobs(count, threads or _all_threads(cores, count), asked=True)
    count, why = min(asked or max(1, cores // (threads or 1)), len(blocks)), ""
    fit = max(1, resources.free_memory() // _bytes_of(blocks))
    if asked is None and fit < count:
        count, why = fit, ", as memory is free for no more"
    return Jobs(count, threads or 1, (), why, asked is not None)


@dataclass
class LocalEngine:
    """Train blocks in worker processes, or in this process if it is one at a time.

    Attributes:
        kinds: The choice for points (False) and for images (True), for the kinds that occur.
        say: Receives messages for the user.
        loggers: Names of the loggers for the training curves.
    """

    kinds: Mapping[bool, Jobs]
    say: Callable[[str], None] = lambda line: None
    loggers: tuple[str, ...] = ()

    @property
    def workers(self) -> int:
        """Blocks at a time.

        With points and images it is the smaller number, that of images, which dominate the time.
        """
        return min((jobs.jobs for jobs in self.kinds.values()), default=1)

    @property
    def where(self) -> str:
        """Description for the user."""
        named = {True: "images ", False: "points "} if len(self.kinds) > 1 else {}
        return "; ".join(f"{named.get(images, '')}{jobs.where}" for images, jobs in self.kinds.items())

    @property
    def threads(self) -> int:
        """Threads of this process, for its own computations besides training."""
        return max((jobs.threads for jobs in self.kinds.values()), default=1)

    def estimate(self, blocks: Sequence[Block], store: Store, accelerator: str) -> dict[str, Estimate]:
        """Estimate the cost of each block with its number of threads.

        If all blocks together cost less than starting workers, this process will train them, unless the user chose
        otherwise.

        Returns:
            The estimate of each block, by block id.
        """
        found: dict[str, Estimate] = {}
        for images, jobs in list(self.kinds.items()):
            part = [block for block in blocks if _of_images(block) == images]
            with _with_threads(jobs.threads):
                costs = estimate(part, store, accelerator)
            if not jobs.asked and sum(cost.seconds_left for cost in costs.values()) < 2 * _START_SECONDS:
                self.kinds = {**self.kinds, images: dataclasses.replace(jobs, jobs=1, why="")}
            found |= costs
        return found

    def run(self, blocks: Sequence[Block], store: Store, watch: Watch, accelerator: str) -> Iterator[Result]:
        for images, jobs in self.kinds.items():
            part = [block for block in blocks if _of_images(block) == images]
            if jobs.jobs > 1 and len(part) > 1:
                yield from _Pool(jobs, store, watch, accelerator, self.loggers, self.say).run(part)
            elif part:
                with _with_threads(jobs.threads):
                    yield from Inline(self.say, self.loggers).run(part, store, watch, accelerator)


def local_engine(
    blocks: Sequence[Block],
    *,
    accelerator: str = "auto",
    say: Callable[[str], None] = lambda line: None,
    loggers: Sequence[str] = (),
    **wanted: Any,
) -> LocalEngine:
    """Create the engine for these blocks.

    Args:
        blocks: Blocks of points, of images or of both.
        accelerator: Lightning's name of the kind of device.
        say: Receives messages for the user.
        loggers: Names of the loggers for the training curves.
        **wanted: ``threads``, ``jobs``, ``devices`` and ``gpus_per_block`` of ``choose_jobs``.

    Raises:
        UserError: This machine has fewer devices or cores than requested.
    """
    kinds = {}
    for images in (False, True):
        part = [block for block in blocks if _of_images(block) == images]
        if part:
            kinds[images] = choose_jobs(part, accelerator=accelerator, **wanted)
    return LocalEngine(kinds, say, tuple(loggers))


@dataclass(frozen=True)
class _Task:
    """A block for a worker, with everything needed to train it as this process would."""

    block: Block
    store: Store
    accelerator: str
    loggers: tuple[str, ...]
    threads: int
    commit: dict[str, Any]
    versions: dict[str, int]


class _Worker:
    """A worker process and the connection to it."""

    def __init__(self, slot: int, threads: int, gpu: str | None) -> None:
        self.slot = slot
        self.block: Block | None = None
        path = os.pathsep.join(str(Path.cwd()) if entry == "" else entry for entry in sys.path)
        variables = {**os.environ, **dict.fromkeys(_THREADS, str(threads)), "PYTHONPATH": path}
        if gpu is not None:
            variables["CUDA_VISIBLE_DEVICES"] = gpu
        self.line, other = multiprocessing.Pipe()
        # A terminal sends Ctrl-C to all processes, and Slurm and systemd send SIGTERM to all. Workers inherit this mask
        # and ignore both; this process tells them to stop, once.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            # -P: import the module from this process's path, not one of the same name in the working directory.
            command = [sys.executable, "-P", "-m", "benchmark.training.engines.worker", str(other.fileno())]
            self.process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, pass_fds=[other.fileno()])
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            other.close()

    def give(self, task: _Task) -> None:
        self.block = task.block
        self.send(pickle.dumps((_train, (task,))))

    def send(self, message: bytes) -> None:
        """Send a message. Errors are ignored, as ``hear`` reports a worker that has ended."""
        with contextlib.suppress(ConnectionError):
            self.line.send_bytes(message)

    def hear(self) -> Progress | Result | str | None:
        """Return the worker's next message; None if it has ended."""
        try:
            found: Progress | Result | str = self.line.recv()
        except (EOFError, ConnectionError):
            self.process.wait()
            return None
        return found

    def end(self) -> None:
        """End the process: gracefully if it has no work, else at once."""
        if self.block is None:
            self.send(END)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_PATIENCE)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.line.close()


@dataclass
class _Pool:
    """The workers of one run."""

    jobs: Jobs
    store: Store
    watch: Watch
    accelerator: str
    loggers: tuple[str, ...]
    say: Callable[[str], None]
    workers: list[_Worker] = field(default_factory=list)
    tries: Counter[str] = field(default_factory=Counter)

    def run(self, blocks: Sequence[Block]) -> Iterator[Result]:
        waiting, held, said, again = deque(blocks), list[Result](), False, 0.0
        with _interrupts() as interrupts:
            try:
                while waiting or held or self._busy():
                    if interrupts:
                        raise Stopped
                    if held and not waiting and not self._busy() and time.monotonic() > again:
                        if not said:
                            self.say(waiting_for(held))
                            said = True
                        waiting, held = deque(result.block for result in held), []
                        again = time.monotonic() + POLL_SECONDS
                    while waiting and time.monotonic() > again and (worker := self._free()):
                        worker.give(self._task(waiting.popleft()))
                    for worker in self._ready():
                        block, message = worker.block, worker.hear()
                        if isinstance(message, Progress):
                            self.watch(message)
                        elif isinstance(message, str):
                            worker.block = None
                            raise UserError(message)
                        elif message is None:
                            self._forget(worker)
                            if block and (lost := self._lost(block, worker.process.returncode)):
                                yield lost
                            elif block:
                                waiting.appendleft(block)
                        else:
                            worker.block = None
                            if message.status == "held":
                                held.append(message)
                            else:
                                yield message
            finally:
                self._end(interrupts)

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.block]

    def _ready(self) -> list[_Worker]:
        """Wait briefly, and return the workers that have sent a message or ended."""
        lines: dict[Any, _Worker] = {worker.line: worker for worker in self.workers}
        return [lines[line] for line in wait(list(lines), _LOOK_SECONDS)]

    def _free(self) -> _Worker | None:
        """Return an idle worker, or start a new one; None if all are busy and no more may start."""
        for worker in self.workers:
            if worker.block is None:
                return worker
        free = sorted(set(range(self.jobs.jobs)) - {worker.slot for worker in self.workers})
        if not free:
            return None
        gpu = self.jobs.gpus[free[0]] if self.jobs.gpus else None
        self.workers.append(_Worker(free[0], self.jobs.threads, gpu))
        return self.workers[-1]

    def _task(self, block: Block) -> _Task:
        commit = {name: environment()[name] for name in ("commit", "dirty")}
        here = self.store, self.accelerator, self.loggers, self.jobs.threads
        return _Task(block, *here, commit, versions_of(block.first))

    def _lost(self, block: Block, status: int) -> Result | None:
        """Handle a block whose worker ended.

        Returns:
            The result; None if the block is to be tried again.
        """
        self.tries[block.place] += 1
        how = f"was killed ({signal.Signals(-status).name})" if status < 0 else f"ended with status {status}"
        if status == -signal.SIGKILL:
            how += ", perhaps as memory ran out"
        if self.tries[block.place] < _TRIES:
            self.say(f"a worker {how} while it trained {block.label}: once more, from the block's checkpoint")
            return None
        reason = f"its worker {how}, {_TRIES} times"
        _sweep(block, self.store)
        write_failures(still_left(block, self.store), self.store, reason)
        return Result(block, "failed", reason=reason)

    def _forget(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.line.close()

    def _end(self, interrupts: list[int]) -> None:
        """Let workers finish their epoch and write a checkpoint. A further interrupt ends them at once."""
        if self._busy() and interrupts:
            print(f"\n{STOPPING}", file=sys.stderr)
        elif self._busy():
            self.say("the other blocks stop after their epoch; Ctrl-C stops them at once")
        for worker in self._busy():
            worker.send(STOP)
        before = min(1, len(interrupts))
        while self._busy() and len(interrupts) <= before:
            for worker in self._ready():
                message = worker.hear()
                if message is None:
                    self._forget(worker)
                elif not isinstance(message, Progress):
                    worker.block = None
        for worker in self.workers:
            if worker.block is None:
                worker.send(END)
        for worker in self.workers:
            worker.end()
            if worker.block:
                _sweep(worker.block, self.store)
        self.workers.clear()


def _train(line: Connection, stop: threading.Event, task: _Task) -> None:
    """Train a block in a worker, and send its progress and its result to the parent."""
    torch.set_num_threads(task.threads)
    take_commit(task.commit)
    last = -_LOOK_SECONDS

    def send(message: Progress | Result | str) -> None:
        try:
            line.send(message)
        except OSError:
            # The parent has ended: exit here, as raising would count as an error of the method.
            os._exit(1)

    def watch(step: Progress) -> bool:
        nonlocal last
        if time.monotonic() - last >= _LOOK_SECONDS or step.iteration == step.iterations:
            last = time.monotonic()
            send(step)
        return stop.is_set()

    try:
        if versions_of(task.block.first) != task.versions:
            raise UserError("the code was changed while this command began: give it again")
        if stop.is_set():
            raise Stopped
        send(run_block(task.block, task.store, watch, task.accelerator, task.loggers))
    except (UserError, MissingData, MissingWeights) as error:
        send(str(error))
    except Stopped:
        send(Result(task.block, "held", reason="stopped"))


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in a list during the ``with`` block instead of handling them."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _with_threads(count: int) -> Iterator[None]:
    """Set PyTorch's number of threads in this process, and restore it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _sweep(block: Block, store: Store) -> None:
    """Remove the partial files of a block whose worker was killed, except its checkpoint."""
    with contextlib.suppress(UserError), store.claimed(block) as ours:
        if ours:
            store.remove_partials(block)


def _of_images(block: Block) -> bool:
    return isinstance(registry.dataset(block.first.dataset), ImageSet)


def _bytes_of(blocks: Sequence[Block]) -> int:
    return _WORKER_BYTES + (_IMAGES_BYTES if any(map(_of_images, blocks)) else 0)


def _in_main(name: str) -> bool:
    """Return whether a script or notebook defines this name itself, so that other processes cannot import it."""
    return name.startswith("__main__:")


def _all_threads(cores: int, jobs: int) -> int:
    """Return the threads per block if the blocks use all cores.

    PyTorch's own number is the maximum: it excludes hyper-threads and respects ``OMP_NUM_THREADS``.
    """
    return max(1, min(torch.get_num_threads(), cores // jobs))


def _gpus() -> list[str]:
    """Return the names that ``CUDA_VISIBLE_DEVICES`` uses for the GPUs that PyTorch finds."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return ([name.strip() for name in named.split(",")] if named else [str(index) for index in range(count)])[:count]


def _apple() -> bool:
    return torch.backends.mps.is_available()


def _about_mps() -> str:
    """Tell the user whether NVIDIA's Multi-Process Service lets several processes run on a GPU at the same time."""
    pipes = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))  # noqa: S108 - NVIDIA's default
    if (pipes / "control").exists():
        return ", beside one another by NVIDIA's MPS"
    return "; those on one GPU take turns, as NVIDIA's MPS does not run (nvidia-cuda-mps-control -d starts it)"
