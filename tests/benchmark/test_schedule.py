"""Make-spans against schedules made by hand."""

from __future__ import annotations

import itertools
import random

import pytest

from benchmark.cli import main
from benchmark.schedule import make_span


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


def test_plan_says_how_long_several_workers_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    # Two blocks of 100 iterations, 1 s and 3 s each.
    monkeypatch.setattr(
        "benchmark.estimate._measure", lambda block, accelerator: ({"gan": 1.0, "gaan": 3.0}[block.first.method], 100)
    )
    words = ["plan", "--table", "2", "--methods", "gan,gaan_2", "--seeds", "8", "--results", str(tmp_path)]
    assert main([*words, "--workers", "1,2,64", "--overhead", "20"]) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines() if " worker" in line]
    assert [" ".join(line) for line in said] == [
        "1 worker like this machine: 7 min 20 s, 100 % busy",
        "2 workers like this machine: 5 min 20 s, 69 % busy",
        "64 workers like this machine: 5 min 20 s, 2 % busy",
    ]
    assert main([*words, "--workers", "1,0"]) == 2
    assert "--workers 1,0" in capsys.readouterr().err
