"""One block on two devices, which are processes on the CPU here."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

from benchmark.cli import main
from benchmark.papers.discovery import find_table
from benchmark.spec.run import Run
from benchmark.spec.selection import select
from benchmark.store.store import Store
from benchmark.training.devices.ddp_worker import run_worker
from modules.gan import GAN
from tests.processes import CONTEXT, is_alive

#: Three iterations in each of two epochs, so that sums in another order cannot make much of their last bits.
FEW = ["--set", "protocol.fresh_iterations=3", "--set", "protocol.epochs=2", "--set", "protocol.width=1"]
RUN = ["run", "--table", "2", "--profile", "smoke", "--methods", "gaan_2", "--seeds", "1", "--accelerator", "cpu", *FEW]
SHARED = ["--devices", "2", "--strategy", "ddp"]


class Silent(GAN):
    """A method that does not say which of its losses couple the batch."""


def run_of(devices: int) -> Run:
    settings = [word for word in FEW if word != "--set"] + [f"protocol.world_size={devices}"]
    chosen = select(find_table("2"), profile="smoke", methods=["gaan_2"], seeds=[0], assignments=settings)
    return chosen.run(chosen.rows[0], 0)


def test_two_devices_give_what_one_gives(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    folder = ["--results", str(tmp_path)]
    assert main([*RUN, *folder]) == 0
    capfd.readouterr()
    assert main([*RUN, *folder, *SHARED]) == 0
    torch.set_num_threads(threads)
    out = capfd.readouterr().out
    assert out.startswith("profile smoke;")
    alone, shared = (Store(tmp_path).read(run_of(count)) for count in (1, 2))
    assert alone and shared and alone.id != shared.id
    for name, curve in alone.curves.items():
        if name.startswith("loss."):
            np.testing.assert_allclose(shared.curves[name], curve, rtol=2e-5, err_msg=name)
    assert not multiprocessing.active_children() and not distributed.is_initialized()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--strategy", "ddp"], "add --devices N"),
        ([*SHARED, "--engine", "ray"], "one device"),
        ([*SHARED, "--set", "protocol.batch_size=129"], "no 2 equal parts"),
        ([*SHARED, "--method", f"{__name__}:Silent"], "trains on one device"),
    ],
)
def test_what_cannot_be_shared_says_so_before_anything_is_trained(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    assert main([*RUN, *words, "--results", str(tmp_path)]) == 2
    torch.set_num_threads(threads)
    complaint = capsys.readouterr().err
    assert said in complaint and complaint.count("\n") == 1
    assert not list(tmp_path.glob("records/**/*.json"))


def test_more_processes_than_cores_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = "run --table 2 --profile smoke --methods gan --accelerator cpu --set protocol.world_size=64"
    assert main([*words.split(), "--results", str(tmp_path)]) == 2
    assert "cores, not 64" in capsys.readouterr().err


class Loading:
    """What takes a minute to arrive, as a function does whose module imports PyTorch."""

    def __reduce__(self) -> tuple[Callable[[float], None], tuple[float]]:
        return time.sleep, (60.0,)


def first_process(speaker: Connection) -> None:
    """Starts another one, sends it what takes long to load, and waits to be killed."""
    line, other = multiprocessing.Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=run_worker, args=(other,), daemon=True)
    worker.start()
    line.send((Loading(), ()))
    speaker.send(worker.pid)
    time.sleep(600)


def test_a_process_that_still_loads_ends_with_the_first_one() -> None:
    listener, speaker = multiprocessing.Pipe()
    # Not a daemon, as those have no processes of their own.
    first = CONTEXT.Process(target=first_process, args=(speaker,))
    first.start()
    assert listener.poll(60)
    pid = listener.recv()
    # By now it waits for what takes long.
    time.sleep(1)
    first.kill()
    until = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(pid)
