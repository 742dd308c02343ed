"""The engine of processes on this machine: how many, on which GPUs, and how they end."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark import api
from benchmark.cli import main
from benchmark.errors import Stopped, UserError
from benchmark.spec.block import Block, make_blocks
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.locks import claimed
from benchmark.store.store import Store
from benchmark.training.callback import Progress
from benchmark.training.engines import local_engine, resources, runner
from benchmark.training.engines.local_engine import Jobs, LocalEngine, _Pool, _Worker, choose_jobs
from benchmark.training.engines.runner import run_blocks, to_do
from tests.benchmark.made import numbers, run
from tests.processes import is_alive, start

pytestmark = pytest.mark.slow

GIB = 2**30
PROTOCOL = Protocol(profile="test", epochs=2, width=2, batch_size=32, fresh_iterations=5, samples=200)
RUNS = [Run("ring8", "gan", PROTOCOL, seed) for seed in range(4)]
#: Never ends by itself.
ENDLESS = [dataclasses.replace(c, protocol=dataclasses.replace(PROTOCOL, epochs=10**6)) for c in RUNS]
POINTS = make_blocks([dataclasses.replace(RUNS[0], seed=seed) for seed in range(100)])
IMAGES = make_blocks([Run("digits", "gan", PROTOCOL, seed) for seed in range(100)])
RUN = ["run", "--table", "2", "--profile", "smoke", "--methods", "gan,gaan_2", "--seeds", "2", "--accelerator", "cpu"]


# How many -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes this a machine of so many cores, GiB and GPUs."""

    def become(cores: int = 8, gib: float = 100, gpus: int = 0, visible: str | None = None) -> None:
        monkeypatch.setattr(resources, "usable_cores", lambda: cores)
        monkeypatch.setattr(resources, "free_memory", lambda: int(gib * GIB))
        monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return become


@pytest.mark.parametrize(
    ("blocks", "here", "wanted", "jobs", "threads"),
    [
        (POINTS, {}, {}, 8, 1),
        (POINTS[:3], {}, {}, 3, 1),
        (POINTS[:1], {}, {}, 1, 1),
        (POINTS, {"cores": 1}, {}, 1, 1),
        (POINTS, {"gib": 3.5}, {}, 3, 1),
        (POINTS, {"gib": 0.1}, {}, 1, 1),
        (POINTS, {"gib": 3.5}, {"jobs": 6}, 6, 1),
        (POINTS, {}, {"threads": 4}, 2, 4),
        (POINTS, {}, {"threads": 12}, 1, 12),
        (POINTS, {}, {"jobs": 2}, 2, 1),
        (POINTS, {}, {"jobs": 20, "threads": 2}, 20, 2),
        (POINTS, {}, {"devices": 4}, 4, 1),
        (POINTS, {"gpus": 4}, {"accelerator": "cpu"}, 8, 1),
        (IMAGES, {}, {}, 1, 8),
        (IMAGES, {"cores": 64}, {}, 1, 16),
        (IMAGES, {}, {"jobs": 2}, 2, 4),
        (IMAGES, {}, {"threads": 3}, 1, 3),
    ],
)
def test_blocks_on_processors(
    blocks: list[Block], here: dict, wanted: dict, jobs: int, threads: int, machine: Any
) -> None:
    machine(**here)
    found = choose_jobs(blocks, **wanted)
    assert (found.jobs, found.threads, found.gpus) == (jobs, threads, ())


@pytest.mark.parametrize(
    ("here", "wanted", "gpus"),
    [
        ({"gpus": 4}, {}, []),
        ({"gpus": 4}, {"devices": 4}, ["0", "1", "2", "3"]),
        ({"gpus": 2}, {"devices": 2, "gpus_per_block": 0.5}, ["0", "1", "0", "1"]),
        ({"gpus": 1}, {"gpus_per_block": 0.25}, ["0"] * 4),
        ({"gpus": 4, "cores": 6}, {"devices": 4, "gpus_per_block": 0.25}, ["0", "1", "2", "3", "0", "1"]),
        ({"gpus": 2}, {"devices": 2, "jobs": 3}, ["0", "1", "0"]),
        ({"gpus": 2, "visible": "5,GPU-12ab"}, {"devices": 2}, ["5", "GPU-12ab"]),
    ],
)
def test_blocks_on_gpus(here: dict, wanted: dict, gpus: list[str], machine: Any) -> None:
    machine(**here)
    found = choose_jobs(POINTS, **wanted)
    assert (found.jobs, found.threads, list(found.gpus)) == (max(1, len(gpus)), 1, gpus)


@pytest.mark.parametrize(
    ("here", "wanted", "said"),
    [
        ({"gpus": 2}, {"devices": 3}, "has 2 GPUs"),
        ({"cores": 2}, {"devices": 3}, "may use 2 cores"),
        ({"cores": 4}, {"devices": 3, "threads": 2}, "may use 4 cores"),
        ({}, {"gpus_per_block": 0.5}, "no GPU"),
        ({"gpus": 2}, {"gpus_per_block": 2.0}, "from 1 down"),
        ({"gpus": 2}, {"gpus_per_block": 0.0}, "from 1 down"),
    ],
)
def test_what_this_machine_has_not(here: dict, wanted: dict, said: str, machine: Any) -> None:
    machine(**here)
    with pytest.raises(UserError, match=said):
        choose_jobs(POINTS, **wanted)


@pytest.mark.parametrize(
    ("here", "wanted", "said"),
    [
        ({}, {}, "on this machine, 8 blocks at a time"),
        ({"gib": 2}, {}, "2 blocks at a time, as memory is free for no more"),
        ({}, {"threads": 4}, "2 blocks at a time with 4 threads each"),
        ({"gpus": 4}, {}, "one block after another; --devices 4 trains on all 4 GPUs"),
        ({"gpus": 4}, {"devices": 4}, "4 blocks at a time on 4 GPUs"),
        ({"gpus": 1}, {"gpus_per_block": 0.5}, "2 blocks at a time on 1 GPU; those on one GPU take turns"),
    ],
)
def test_what_people_hear(here: dict, wanted: dict, said: str, machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(**here)
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/nowhere")
    assert said in choose_jobs(POINTS, **wanted).where


def test_mps_is_found_by_its_pipe(machine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(gpus=1)
    (tmp_path / "control").touch()
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert choose_jobs(POINTS, gpus_per_block=0.5).where.endswith("beside one another by NVIDIA's MPS")


def test_points_and_images_each_have_their_own_way(machine: Any) -> None:
    machine()
    engine = local_engine.local_engine([*POINTS, *IMAGES])
    assert {images: (jobs.jobs, jobs.threads) for images, jobs in engine.kinds.items()} == {False: (8, 1), True: (1, 8)}
    assert engine.workers == 1


def test_what_a_notebook_defines_is_trained_in_its_own_process(machine: Any) -> None:
    machine()
    blocks = make_blocks([dataclasses.replace(run, method="__main__:Mine") for run in RUNS])
    found = choose_jobs(blocks)
    assert found.jobs == 1
    assert "__main__:Mine is known to this process only" in found.where


def test_where_training_is_short_no_worker_is_started(
    tmp_path: Path, machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(cores=2)
    store, blocks = Store(tmp_path), make_blocks(RUNS)
    blocks = [dataclasses.replace(block, pending=block.runs) for block in blocks]
    engine = local_engine.local_engine(blocks)
    assert engine.workers == 2
    for each, workers in ((100.0, 2), (0.01, 1)):
        found = {block.id: local_engine.Estimate(each, 10, 0) for block in blocks}
        monkeypatch.setattr(local_engine, "estimate", lambda *_, found=found: found)
        engine.estimate(blocks, store, "cpu")
        assert engine.workers == workers


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--engine inline --jobs 2", "--engine local"),
        ("--engine inline --devices 2", "--engine local"),
        ("--address auto", "--engine ray"),
        ("--devices 9999", "may use 1 cores"),
        ("--gpus-per-block 0.5", "no GPU"),
    ],
)
def test_options_that_do_not_belong_together(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, *words.split(), "--results", str(tmp_path)]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint and complaint.count("\n") == 1


# Workers --------------------------------------------------------------------------------------------------------------


def _tell(line: Connection, stop: threading.Event) -> None:
    """What a worker sees of its surroundings, as a message."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    found = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    line.send({**found, "blocked": sorted(blocked), "path": sys.path})


def test_a_worker_has_its_threads_and_its_gpu_before_anything_is_loaded(tmp_path: Path) -> None:
    worker = _Worker(0, 3, "GPU-12ab")
    try:
        worker.send(pickle.dumps((_tell, ())))
        said: Any = worker.hear()
    finally:
        worker.end()
    assert (said["CUDA_VISIBLE_DEVICES"], said["OMP_NUM_THREADS"], said["MKL_NUM_THREADS"]) == ("GPU-12ab", "3", "3")
    assert {signal.SIGINT, signal.SIGTERM} <= set(said["blocked"])
    assert {entry or str(Path.cwd()) for entry in sys.path} <= set(said["path"])
    assert worker.process.returncode == 0


def test_every_worker_gets_its_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = []

    class Stands:
        def __init__(self, slot: int, threads: int, gpu: str | None) -> None:
            self.slot, self.block = slot, RUNS
            made.append((slot, threads, gpu))

    monkeypatch.setattr(local_engine, "_Worker", Stands)
    pool = _Pool(Jobs(3, 1, ("4", "5", "4")), Store(tmp_path), lambda step: None, "gpu", (), print)
    while pool._free():
        pass
    assert made == [(0, 1, "4"), (1, 1, "5"), (2, 1, "4")]
    pool.workers.pop(1)
    pool._free()
    assert made[-1] == (1, 1, "5"), "the one that was lost has left its GPU"


def test_a_block_whose_worker_is_killed_again_fails_alone(tmp_path: Path) -> None:
    store, said, killed = Store(tmp_path), [], []
    store.prepare()
    doomed = ENDLESS[:2]
    place = make_blocks(doomed)[0].place

    def kill(step: Progress) -> None:
        if step.block.place == place:
            pid = int(store.claim(step.block).read_text().split()[1])
            if pid not in killed:
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

    outcome = run_blocks(
        to_do(store, [*doomed, *RUNS]), store, kill, "cpu", LocalEngine({False: Jobs(2, 1)}, said.append)
    )
    ((block, reason),) = outcome.failed
    assert (block.place, len(killed)) == (place, 2)
    assert reason == "its worker was killed (SIGKILL), perhaps as memory ran out, 2 times"
    assert len(said) == 1 and "once more, from the block's checkpoint" in said[0]
    assert [getattr(store.read(run), "status", None) for run in [*doomed, *RUNS]] == ["failed"] * 2 + ["done"] * 4
    assert not list(store.unfinished.glob("*.claim"))


def test_a_second_interrupt_ends_workers_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    long = [dataclasses.replace(c, protocol=dataclasses.replace(c.protocol, fresh_iterations=10**7)) for c in ENDLESS]
    pids: list[int] = []

    def interrupt(step: Progress) -> None:
        pid = int(store.claim(step.block).read_text().split()[1])
        if pid not in pids:
            pids.append(pid)
            if len(pids) == 2:
                os.kill(os.getpid(), signal.SIGINT)
                threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(Stopped):
        run_blocks(to_do(store, long), store, interrupt, "cpu", LocalEngine({False: Jobs(2, 1)}))
    assert not any(map(is_alive, pids))
    assert [path.name for path in store.unfinished.iterdir()] == [".gitignore"]


def wait_for(condition: Any, seconds: float = 180) -> Any:
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "nothing came"
        time.sleep(0.05)
    return found


def holders(folder: Path, count: int) -> list[int]:
    """Processes that train blocks in a folder, once there are so many."""
    found = [path.read_text().split() for path in folder.glob("unfinished/*.claim")]
    return [int(words[1]) for words in found] if len(found) == count and all(found) else []


def _train_on(folder: Path) -> None:
    store = Store(folder)
    store.prepare()
    run_blocks(to_do(store, ENDLESS), store, lambda step: None, "cpu", LocalEngine({False: Jobs(2, 1)}))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = start(_train_on, tmp_path)
    pids = wait_for(lambda: holders(tmp_path, 2))
    assert all(map(is_alive, pids)) and parent.pid not in pids
    parent.kill()
    parent.join()
    wait_for(lambda: not any(map(is_alive, pids)), 20)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command with two workers, in a process group of its own as a terminal gives it."""
    words = [*RUN, "--jobs", "2", "--results", str(tmp_path), "--set", "protocol.epochs=1000000"]
    words += ["--set", "protocol.fresh_iterations=20", "--set", "protocol.samples=50"]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmark", *words], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        yield process
        process.kill()


def test_a_terminals_ctrl_c_stops_every_worker_once(tmp_path: Path, command: subprocess.Popen[str]) -> None:
    wait_for(lambda: holders(tmp_path, 2))
    os.killpg(command.pid, signal.SIGINT)
    _, said = command.communicate(timeout=180)
    assert command.returncode == 130
    assert said.count("stopping after this epoch; Ctrl-C again to stop at once") == 1
    assert said.splitlines()[-1] == "stopped; what is finished is kept. To go on, give the same command again."
    assert "Traceback" not in said
    assert sorted(path.suffix for path in (tmp_path / "unfinished").iterdir()) == ["", ".ckpt", ".ckpt"]


def test_a_block_that_others_train_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "POLL_SECONDS", 0.1)
    store, said = Store(tmp_path), []
    store.prepare()
    blocks = to_do(store, RUNS)
    with contextlib.ExitStack() as other:
        assert other.enter_context(claimed(store.claim(blocks[0])))

        def say(line: str) -> None:
            said.append(line)
            other.close()

        outcome = run_blocks(blocks, store, lambda step: None, "cpu", LocalEngine({False: Jobs(2, 1)}, say))
    assert f"process {os.getpid()}" in said[0] and len(said) == 1
    assert not outcome.failed and all(store.read(run) for run in RUNS)


def test_code_that_changed_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "versions_of", lambda run: {"method": 99})
    store = Store(tmp_path)
    store.prepare()
    with pytest.raises(UserError, match="the code was changed"):
        run_blocks(to_do(store, RUNS), store, lambda step: None, "cpu", LocalEngine({False: Jobs(2, 1)}))


def test_the_python_api_takes_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"protocol.epochs": 2, "protocol.fresh_iterations": 5, "protocol.samples": 50, "protocol.width": 1}
    choice: Any = {"profile": "smoke", "methods": ["gan"], "seeds": 2, "settings": settings, "accelerator": "cpu"}
    inline = api.run("2", results=tmp_path / "inline", **choice)
    monkeypatch.setattr(runner, "run_block", lambda *_: pytest.fail("trained in this process"))
    threads = torch.get_num_threads()
    assert api.run("2", results=tmp_path / "jobs", jobs=2, **choice).equals(inline)
    assert torch.get_num_threads() == threads


def test_one_block_is_trained_here_with_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "_Pool", lambda *_: pytest.fail("a worker for one block"))
    store, threads = Store(tmp_path), []
    store.prepare()
    blocks = to_do(store, RUNS[:2])
    engine = LocalEngine({False: Jobs(2, 1)})
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_blocks(blocks, store, lambda step: threads.append(torch.get_num_threads()), "cpu", engine)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(threads) == {1}
    assert numbers(store.read(RUNS[0])) == numbers(run(tmp_path / "straight", RUNS[:2])[0])
    record = store.read(RUNS[0])
    assert record and record.environment["threads"] == 1
