"""Train blocks as Ray tasks, on this machine or on an existing cluster. Ray places, retries and recovers them."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from benchmark.errors import Stopped, UserError
from benchmark.spec.block import Block
from benchmark.spec.run import Run, dataset_of_run
from benchmark.spec.user_code import FILES_VARIABLE
from benchmark.spec.versions import versions_of
from benchmark.store.environment import environment, take_commit
from benchmark.store.files import write_atomically
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training.callback import Progress, Watch
from benchmark.training.devices.sharing import SIGNALS
from benchmark.training.engines.runner import POLL_SECONDS, Result, run_block, still_left, waiting_for
from benchmark.training.recording import write_failures
from datamodules.images import DATA_VARIABLE, ImageSet, MissingData
from evaluators.names import WEIGHTS_VARIABLE, MissingWeights

try:
    import ray
    from ray.exceptions import RayError, RayTaskError, TaskCancelledError
except ImportError as error:
    way_out = "pip install -c constraints.txt -e '.[ray]'"
    raise UserError(f"--engine ray and --devices need Ray, which is not installed: {way_out}") from error

#: Seconds between checks of the workers' progress, and between a worker's progress reports.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class RecordPayload:
    """A record with its samples and weights, to be sent from a worker.

    Attributes:
        run: The run.
        record: Its record.
        samples: Stored samples ``[n, ...]``; None without any.
        frames: Samples during training ``[frames, n, ...]``; None without any.
        weights: Weights by name; None without any.
    """

    run: Run
    record: Record
    samples: np.ndarray | None
    frames: np.ndarray | None
    weights: dict[str, torch.Tensor] | None


@dataclass(frozen=True)
class JobResult:
    """What a worker returns for a block.

    Attributes:
        result: The result of the block; None if there is an error.
        error: An error that the user must fix; empty if there is a result.
        payloads: Records that the worker could not write because it has no access to the results folder.
    """

    result: Result | None
    error: str = ""
    payloads: tuple[RecordPayload, ...] = ()


@dataclass(frozen=True)
class JobSpec:
    """Settings that all blocks of a run share.

    Attributes:
        folder: The results folder.
        token: Content of a file in the results folder. A worker that reads it there has access to the same folder.
        accelerator: Lightning's name of the kind of device.
        threads: Threads of a block.
        commit: Commit of the code here, as workers may run an installed copy without git.
        variables: Environment variables with the places of data and weights.
        directory: Working directory of the command.
    """

    folder: Path
    token: str
    accelerator: str
    threads: int
    commit: dict[str, Any]
    variables: dict[str, str]
    directory: Path = field(default_factory=Path.cwd)


class ProgressActor:
    """A Ray actor that holds the latest progress of each block."""

    def __init__(self) -> None:
        self.latest: dict[str, Progress] = {}

    def put(self, step: Progress) -> None:
        self.latest[step.block.place] = step

    def take(self) -> list[Progress]:
        found, self.latest = list(self.latest.values()), {}
        return found


@dataclass
class RayEngine:
    """Train each block as a Ray task with ``threads`` cores and ``gpus`` GPUs.

    Attributes:
        threads: Threads and cores of a block.
        gpus: GPUs of a block, possibly a fraction; 0 for none.
        workers: Blocks at a time.
        where: Description for the user.
        say: Receives messages for the user.
    """

    threads: int
    gpus: float
    workers: int
    where: str
    say: Callable[[str], None]

    def run(self, blocks: Sequence[Block], store: Store, watch: Watch, accelerator: str) -> Iterator[Result]:
        token = secrets.token_hex(8)
        sign = _sign(store, token)
        write_atomically(sign, token.encode())
        job = JobSpec(
            folder=store.folder.resolve(),
            token=token,
            accelerator="gpu" if self.gpus else "cpu",
            threads=self.threads,
            commit={name: environment()[name] for name in ("commit", "dirty")},
            variables=_variables(),
        )
        actor = ray.remote(ProgressActor).options(num_cpus=0).remote()
        task = ray.remote(work).options(num_cpus=self.threads, num_gpus=self.gpus)

        def submit(block: Block) -> Any:
            return task.remote(block, job, versions_of(block.first), actor)

        running = {submit(block): block for block in blocks}
        held: list[Result] = []
        said = False
        try:
            with _signals() as interrupted:
                while running or held:
                    if interrupted:
                        raise Stopped
                    ready, _ = ray.wait(list(running), timeout=_LOOK_SECONDS) if running else ([], [])
                    for step in _steps(actor):
                        watch(step)
                    for reference in ready:
                        result = self._result(reference, running.pop(reference), store)
                        if result.status == "held":
                            held.append(result)
                        else:
                            yield result
                    if held and not running:
                        if not said:
                            self.say(waiting_for(held))
                            said = True
                        time.sleep(POLL_SECONDS)
                        running, held = {submit(result.block): result.block for result in held}, []
        finally:
            self._stop(running, store)
            sign.unlink(missing_ok=True)

    def _result(self, reference: Any, block: Block, store: Store) -> Result:
        """Return the result of a block, and write the records that it sent.

        Raises:
            UserError: The user must fix something.
        """
        try:
            job_result: JobResult = ray.get(reference)
        except RayTaskError as error:
            said = " ".join(str(error.cause or error).split())
            raise UserError(f"a Ray worker cannot run a block: {said}; install the same code on every node") from error
        except RayError as error:
            # Ray has exhausted its retries.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            write_failures(still_left(block, store), store, reason)
            return Result(block, "failed", reason=reason)
        if job_result.error:
            raise UserError(job_result.error)
        still = still_left(block, store).pending
        for payload in job_result.payloads:
            if payload.run in still:
                store.write(payload.run, payload.record, payload.samples, payload.frames, payload.weights)
        assert job_result.result is not None
        return job_result.result

    def _stop(self, running: dict[Any, Block], store: Store) -> None:
        """Let workers finish their epoch and write a checkpoint, and keep what they finish meanwhile."""
        for reference in running:
            ray.cancel(reference, force=False)
        with _signals() as interrupted:
            while running and not interrupted:
                ready, _ = ray.wait(list(running), timeout=_LOOK_SECONDS)
                for reference in ready:
                    block = running.pop(reference)
                    with contextlib.suppress(TaskCancelledError, UserError):
                        self._result(reference, block, store)


def work(block: Block, job: JobSpec, versions: dict[str, int], actor: Any) -> JobResult:
    """Train a block on a worker.

    If the worker has access to the results folder, it writes records there. Otherwise it uses a temporary folder and
    sends the records back.
    """
    torch.set_num_threads(job.threads)
    os.environ.update(job.variables)
    if job.directory.is_dir():
        os.chdir(job.directory)
    take_commit(job.commit)
    last = -_LOOK_SECONDS

    def watch(step: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LOOK_SECONDS or step.iteration == step.iterations:
            last = time.monotonic()
            actor.put.remote(step)

    try:
        if versions_of(block.first) != versions:
            raise UserError(f"{socket.gethostname()} has other code than this; install the same on every node")
        if isinstance(dataset := dataset_of_run(block.first), ImageSet):
            dataset.check()
        with _seen_from_here(job, block) as (store, shared):
            here = block if shared else dataclasses.replace(block, before=())
            result = run_block(here, store, watch, job.accelerator)
            return JobResult(result, payloads=() if shared else tuple(_payloads(store, block)))
    except (UserError, MissingData, MissingWeights) as error:
        return JobResult(None, error=str(error))
    except Stopped:
        return JobResult(Result(block, "held", reason="stopped"))


@contextlib.contextmanager
def _seen_from_here(job: JobSpec, block: Block) -> Iterator[tuple[Store, bool]]:
    """Yield the results folder and True if this machine has access to it, else a temporary folder and False."""
    shared = Store(job.folder)
    with contextlib.suppress(OSError):
        if _sign(shared, job.token).read_text() == job.token:
            shared.prepare()
            yield shared, True
            return
    folder = Path(tempfile.gettempdir()) / f"modecov-{job.token}-{block.place}"
    yield Store(folder), False
    shutil.rmtree(folder, ignore_errors=True)


def _sign(store: Store, token: str) -> Path:
    return store.writable(store.unfinished / f"{token}.ray")


def _payloads(store: Store, block: Block) -> Iterator[RecordPayload]:
    for run in block.pending:
        record = store.read(run)
        if record:
            samples = store.samples(run, record) if record.samples else None
            weights = store.weights(run, record) if record.weights else None
            yield RecordPayload(run, record, samples, store.frames(run, record), weights)


def _steps(actor: Any) -> list[Progress]:
    """Return the progress that workers reported.

    If the actor's machine is lost, return nothing: this affects only the display.
    """
    with contextlib.suppress(RayError):
        found: list[Progress] = ray.get(actor.take.remote(), timeout=_LOOK_SECONDS)
        return found
    return []


def _variables() -> dict[str, str]:
    found = {name: os.environ.get(name) for name in (DATA_VARIABLE, WEIGHTS_VARIABLE)}
    files = {FILES_VARIABLE: text} if (text := os.environ.get(FILES_VARIABLE)) else {}
    return files | {name: str(Path(value).resolve()) for name, value in found.items() if value}


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in a list during the ``with`` block. A second signal raises ``Stopped``."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if seen:
            raise Stopped
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
def ray_engine(
    address: str | None,
    devices: int | None,
    threads: int,
    gpus_per_block: float | None,
    accelerator: str,
    say: Callable[[str], None],
) -> Iterator[RayEngine]:
    """Start Ray on this machine, or connect to a cluster, for the duration of the ``with`` block.

    Args:
        address: Address of the cluster as ``HOST:PORT``, or ``auto``; None starts Ray on this machine.
        devices: GPUs of this machine to use, or without GPUs the blocks at a time; None uses the whole machine.
        threads: Cores and threads of a block.
        gpus_per_block: GPUs of a block, possibly a fraction; None uses 1 if the cluster has GPUs.
        accelerator: Lightning's name of the kind of device.
        say: Receives messages for the user.

    Yields:
        The engine.

    Raises:
        UserError: Ray is not reachable, or no machine has enough cores or GPUs for a block.
    """
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    _connect(address, devices, threads, accelerator)
    # Restore the handlers that Ray has replaced.
    for number, handler in handlers.items():
        signal.signal(number, handler)
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = _gpus(nodes, gpus_per_block, accelerator)
        workers = sum(_fits(node, threads, gpus) for node in nodes)
        if not workers:
            wanted = f"{threads} cores" + (f" and {gpus:g} GPUs" if gpus else "")
            raise UserError(f"no machine that Ray sees has {wanted} for a block; ask for less")
        where = f"with {workers} blocks at a time on {f'the cluster at {address}' if address else 'this machine'}"
        yield RayEngine(threads, gpus, workers, where, say)
    finally:
        ray.shutdown()


def _connect(address: str | None, devices: int | None, threads: int, accelerator: str) -> None:
    cpus = gpus = None
    if devices:
        if accelerator != "cpu" and torch.cuda.is_available():
            if devices > torch.cuda.device_count():
                raise UserError(f"--devices {devices}: this machine has {torch.cuda.device_count()} GPUs")
            gpus = devices
        elif devices * threads > (cores := os.cpu_count() or 1):
            raise UserError(f"--devices {devices} with --threads {threads}: this machine has {cores} cores")
        else:
            cpus = devices * threads
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is not None:
        check_port(address)
    local = {"address": "local", "num_cpus": cpus, "num_gpus": gpus, "include_dashboard": False}
    try:
        ray.init(**({"address": address} if address else local), log_to_driver=False, logging_level=logging.ERROR)
    except (RayError, ValueError, RuntimeError, OSError) as error:
        said = " ".join(str(error).split())
        if address:
            way_out = "a cluster with token authentication wants RAY_AUTH_MODE=token and its token here too"
        else:
            way_out = "leave --engine ray out, or see Ray's logs under its temporary folder"
        raise UserError(f"cannot reach Ray{f' at {address}' if address else ''}: {said}; {way_out}") from error


def check_port(address: str) -> None:
    """Check that the cluster's port accepts connections, as Ray itself would retry for minutes.

    Raises:
        UserError: The address is malformed or does not answer.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local"):
        return
    if not host or not re.fullmatch(r"[0-9]{1,5}", port):
        raise UserError(f"--address {address}: write HOST:PORT as ray start --head prints it, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise UserError(f"no Ray cluster answers at {address} ({error}); start one with ray start --head") from error


def _gpus(nodes: Sequence[dict[str, float]], wanted: float | None, accelerator: str) -> float:
    """Return the GPUs per block: the requested share, else 1 if the cluster has GPUs, else 0."""
    there = any(node.get("GPU", 0) for node in nodes)
    if accelerator == "gpu" and not there:
        raise UserError("--accelerator gpu: Ray sees no GPU; leave it out or say cpu")
    if wanted is not None:
        return wanted
    return 1.0 if there and accelerator != "cpu" else 0.0


def _fits(node: dict[str, float], threads: int, gpus: float) -> int:
    """Return how many blocks a machine trains at a time."""
    by_cores = int(node.get("CPU", 0) // threads)
    return min(by_cores, int(node.get("GPU", 0) / gpus + 1e-9)) if gpus else by_cores
