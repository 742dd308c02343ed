"""Make-spans against schedules made by hand, and what `plan` says of a table's cost."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmark.cli import main
from benchmark.papers.discovery import find_table
from benchmark.render.progress import duration
from benchmark.spec.block import Block
from benchmark.spec.selection import select
from benchmark.store.environment import processor
from benchmark.training.estimate import WARM_UP, Speed, Stopwatch
from benchmark.training.schedule import make_span


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [
        ([], 3, 0),
        ([4], 64, 4),
        ([3, 1, 2], 1, 6),
        # 7 + 2, 5 + 4: even.
        ([2, 4, 5, 7], 2, 9),
        # Graham's worst case, 4 + 4 + 3 at last, where 5 + 4, 5 + 4 and 3 + 3 + 3 would take 9.
        ([5, 5, 4, 4, 3, 3, 3], 3, 11),
        # One long block is the floor, whatever the number of workers.
        ([10, 1, 1, 1], 4, 10),
    ],
)
def test_schedules_made_by_hand(seconds: list[float], workers: int, expected: float) -> None:
    assert make_span(seconds, workers) == expected


def test_within_a_third_of_the_shortest_possible() -> None:
    rng = random.Random(0)
    for _ in range(30):
        seconds, workers = [rng.randint(1, 20) for _ in range(6)], rng.randint(2, 3)
        loads = (
            max(sum(s for s, place in zip(seconds, places, strict=True) if place == w) for w in range(workers))
            for places in itertools.product(range(workers), repeat=len(seconds))
        )
        shortest = min(loads)
        assert shortest <= make_span(seconds, workers) <= (4 / 3 - 1 / (3 * workers)) * shortest + 1e-9


PLAN = ["plan", "--table", "2", "--methods", "gan,gaan_2", "--seeds", "8"]
#: Of 100 iterations.
SHORT = ["--set", "protocol.epochs=1", "--set", "protocol.fresh_iterations=100"]
CORES = f"{processor()} (1 thread)"
#: Of another data set's method; a row's own prior comes before.
UNIFORM = ["--set", "protocol.prior=uniform"]


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Block, str]]:
    """What is asked to be timed: GAN takes a second per iteration, others three, and on a GPU a tenth of that."""
    asked: list[tuple[Block, str]] = []

    def measure(block: Block, accelerator: str) -> Speed:
        asked.append((block, accelerator))
        return Speed({"gan": 1.0}.get(block.first.method, 3.0) / (10 if accelerator == "gpu" else 1))

    monkeypatch.setattr("benchmark.training.estimate._measure", measure)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    return asked


def plan(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> list[str]:
    assert main([*words, "--threads", "1", "--results", str(folder)]) == 0
    return capsys.readouterr().out.splitlines()


def test_plan_says_how_long_several_workers_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = plan(capsys, tmp_path, *PLAN, *SHORT, "--workers", "1,2,64", "--overhead", "20")
    assert [line for line in said if " worker" in line] == [
        "1 worker like this machine: 7 min 20 s, 100 % busy",
        "2 workers like this machine: 5 min 20 s, 69 % busy",
        "64 workers like this machine: 5 min 20 s, 2 % busy",
    ]
    for words, complaint in [(["--workers", "1,0"], "--workers: 1,0"), (["--overhead", "3"], "say how many --workers")]:
        assert main([*PLAN, *words]) == 2
        assert complaint in capsys.readouterr().err


def test_plan_names_what_it_timed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = plan(capsys, tmp_path, *PLAN, *SHORT)
    assert said[1].endswith("8 to do                  1 block, about 1 min 40 s")
    assert said[3] == f"16 runs to do in 2 blocks, about 6 min 40 s on {CORES}"
    assert said[4].startswith("no GPU is found here")
    assert len(plan(capsys, tmp_path, *PLAN, *SHORT, "--accelerator", "cpu")) == 4

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Fast 9000")
    said = plan(capsys, tmp_path, *PLAN, *SHORT, "--workers", "1")
    assert said[1].endswith("1 block, about 10 s on gpu, about 1 min 40 s on cpu")
    assert said[3] == f"16 runs to do in 2 blocks, about 40 s on Fast 9000, about 6 min 40 s on {CORES}"
    assert said[4:] == ["1 worker like this machine: 40 s, 100 % busy"], "as run would take the GPU"
    said = plan(capsys, tmp_path, *PLAN, *SHORT, "--accelerator", "gpu")
    assert said[3] == "16 runs to do in 2 blocks, about 40 s on Fast 9000"


def test_plan_says_what_the_papers_budget_of_images_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], measured: list[tuple[Block, str]]
) -> None:
    words = ["plan", "--table", "3", "--methods", "gan", "--datasets", "digits-1k", "--profile", "short"]
    short, paper = (select(find_table("3"), profile=name, methods=["gan"]) for name in ("short", "paper"))
    seconds = [s.protocol(s.rows[0]).epochs * s.protocol(s.rows[0]).fresh_iterations for s in (short, paper)]
    said = plan(capsys, tmp_path, *words)
    assert said[-3:-1] == [
        f"2 runs to do in 1 block, about {duration(seconds[0])} on {CORES}",
        f"at profile paper: 5 runs to do in 1 block, about {duration(seconds[1])} on {CORES}",
    ]
    assert [block.first.protocol.width for block, _ in measured] == [2, 5]
    measured.clear()
    said = plan(capsys, tmp_path, *words, "--set", "protocol.width=1", "--seeds", "2-4")
    assert said[-2].startswith(f"at profile paper: 3 runs to do in 3 blocks, about {duration(3 * seconds[1])} on")
    assert len(measured) == 1, "runs that differ in length alone are timed once"
    assert not any("paper:" in line for line in plan(capsys, tmp_path, *words[:-2]))


def test_plan_says_that_the_machine_is_busy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("os.getloadavg", lambda: (4.5, 0.0, 0.0))
    assert "(load 4.5 on 4 cores)" in plan(capsys, tmp_path, *PLAN, *SHORT)[-1]
    # One thread and three others have a core each.
    monkeypatch.setattr("os.getloadavg", lambda: (3.0, 9.0, 9.0))
    assert not any("load" in line for line in plan(capsys, tmp_path, *PLAN, *SHORT))


def test_a_gpu_is_waited_for_before_the_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.synchronize", lambda: time.sleep(0.05))
    strategy = SimpleNamespace(root_device=torch.device("cuda"))
    trainer: Any = SimpleNamespace(strategy=strategy, should_stop=False)
    watch = Stopwatch(iterations=1)
    for iteration in (WARM_UP, WARM_UP + 1):
        watch.on_train_batch_end(trainer, SimpleNamespace(iteration=iteration))
    assert trainer.should_stop
    assert watch.milliseconds >= 50


def test_plan_says_what_will_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    said = plan(capsys, tmp_path, "plan", "--table", "2", "--profile", "smoke", "--methods", "vae-gan", *UNIFORM)
    assert any(line.startswith("    will fail: ValueError: vae-gan needs a normal prior") for line in said), said
