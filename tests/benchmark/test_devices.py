"""One block on two devices, which are processes on the CPU here."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

from benchmark.cells import Cell
from benchmark.cli import main
from benchmark.records import Store
from benchmark.schema import find_table, select
from modules.gan import GAN

#: Three iterations in each of two epochs, so that sums in another order cannot make much of their last bits.
FEW = ["--set", "protocol.fresh_iterations=3", "--set", "protocol.epochs=2", "--set", "protocol.width=1"]
RUN = ["run", "--table", "2", "--profile", "smoke", "--methods", "gaan_2", "--seeds", "1", "--accelerator", "cpu", *FEW]
SHARED = ["--devices", "2", "--strategy", "ddp"]


class Silent(GAN):
    """A method that does not say which of its losses couple the batch."""


def cell_of(devices: int) -> Cell:
    settings = [word for word in FEW if word != "--set"] + [f"protocol.world_size={devices}"]
    chosen = select(find_table("2"), profile="smoke", methods=["gaan_2"], seeds=[0], assignments=settings)
    return chosen.cell(chosen.rows[0], 0)


def test_two_devices_give_what_one_gives(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    folder = ["--results", str(tmp_path)]
    assert main([*RUN, *folder]) == 0
    capfd.readouterr()
    assert main([*RUN, *folder, *SHARED]) == 0
    torch.set_num_threads(threads)
    out = capfd.readouterr().out
    assert out.startswith("profile smoke;")
    alone, shared = (Store(tmp_path).read(cell_of(count)) for count in (1, 2))
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
