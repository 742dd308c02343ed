"""Full disks, folders that cannot be written or are gone, clocks that go back: one line, and the rest intact."""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.store import FORMAT, Store
from benchmark.training import callback, trainer
from benchmark.training.callback import Progress
from benchmark.training.engines import runner
from benchmark.training.engines.runner import to_do
from tests.benchmark.made import numbers, run, train_all
from tests.processes import CONTEXT, start

pytestmark = pytest.mark.slow

PROTOCOL = Protocol(profile="test", epochs=3, width=2, batch_size=32, fresh_iterations=5, samples=200)
RUNS = [Run("ring8", "gan", PROTOCOL, seed) for seed in range(4)]
WORDS = ["run", "--table", "veegan-1", "--profile", "smoke", "--methods", "gan", "--datasets", "ring8", "--seeds", "2"]
for setting in ("epochs=3", "fresh_iterations=5", "samples=300"):
    WORDS += ["--set", f"protocol.{setting}"]


@pytest.fixture(autouse=True)
def a_checkpoint_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback, "CHECKPOINT_SECONDS", 0.0)


def _run_with_little_room(folder: Path, log: Any, size: int, more: list[str]) -> None:
    """The command where no file may be longer than ``size`` bytes, which the system treats like a full disk."""
    callback.CHECKPOINT_SECONDS = 0.0
    sys.stderr = os.fdopen(log.fileno(), "w", closefd=False)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    raise SystemExit(main([*WORDS, *more, "--results", str(folder)]))


@pytest.mark.parametrize(
    ("size", "more"),
    [
        (2, ["--engine", "inline"]),
        (1_000, ["--engine", "inline"]),
        (20_000, ["--engine", "inline"]),
        # Two workers, whose files are as long.
        (1_000, ["--jobs", "2", "--set", "protocol.width=1"]),
    ],
)
def test_a_disk_that_is_full_while_files_are_written(size: int, more: list[str], tmp_path: Path) -> None:
    here, there = CONTEXT.Pipe(duplex=False)
    process = start(_run_with_little_room, tmp_path / "results", there, size, more)
    there.close()
    process.join(180)
    said = os.read(here.fileno(), 100_000).decode()
    assert process.exitcode == 2, said
    assert "File too large; free or choose another folder with --results DIR" in said.splitlines()[-1]
    assert "Traceback" not in said
    left = [path.name for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "tables"]
    assert not [name for name in left if name.endswith((".json", ".ckpt")) or ".part" in name]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_write_that_the_system_refuses_leaves_what_is_finished(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    flush = os.fsync

    def refuse_late(handle: int) -> None:
        if store.read(RUNS[1]):
            raise OSError(number, os.strerror(number))
        flush(handle)

    monkeypatch.setattr(os, "fsync", refuse_late)
    with pytest.raises(UserError, match=f"{os.strerror(number)}; free or choose another folder"):
        assert not train_all(store, RUNS).failed
    monkeypatch.setattr(os, "fsync", flush)
    before = [store.stamp(one_run) for one_run in RUNS]
    assert all(before[:2]) and not any(before[2:])
    assert not train_all(store, RUNS).failed
    assert [store.stamp(one_run) for one_run in RUNS[:2]] == before[:2]
    straight = run(tmp_path / "straight", RUNS)
    assert [numbers(store.read(one_run)) for one_run in RUNS] == [numbers(record) for record in straight]


@pytest.mark.parametrize("iteration", [5, 15])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_is_removed_in_a_run_ends_it(
    iteration: int, replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    train = trainer.train

    def remove(progress: Progress) -> None:
        if progress.iteration == iteration and folder.exists():
            folder.rename(tmp_path / "elsewhere")
            if replaced:
                Store(folder).prepare()

    monkeypatch.setattr(runner, "train", lambda block, store, *_: train(block, store, remove, "cpu"))
    assert main([*WORDS, "--results", str(folder)]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert str(folder) in said and ("was removed during the run" in said or "its folder is gone" in said)
    assert not list(folder.rglob("*.json")), "it was made anew"


def test_a_clock_that_was_set_back_changes_nothing(tmp_path: Path) -> None:
    store, straight = Store(tmp_path / "results"), run(tmp_path / "straight", RUNS)

    def kill(progress: Progress) -> None:
        if progress.block.first.seed == 2 and progress.iteration > 7:
            raise KeyError("killed")

    assert train_all(store, RUNS, watch=kill).failed
    for path in [path for path in store.folder.rglob("*") if path.is_file()]:
        os.utime(path, (time.time() + 1e8, time.time() + 1e8))
    assert not train_all(store, RUNS).failed
    assert [numbers(store.read(one_run)) for one_run in RUNS] == [numbers(record) for record in straight]


@pytest.mark.parametrize("verb", ["plan", "run", "show", "verify"])
def test_results_of_a_newer_version(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [verb, *WORDS[1:], "--results", str(tmp_path)]
    assert main(["run", *options[1:]]) == 0
    path = next(tmp_path.glob("records/*/*/*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    before = path.read_bytes()
    capsys.readouterr()
    assert main(options) == 2
    out, err = capsys.readouterr()
    assert f"has record format 99, this version reads {FORMAT}" in err
    assert (out, len(err.strip().splitlines()), path.read_bytes()) == ("", 1, before)


def test_a_claim_that_was_left_by_a_killed_process_binds_nobody(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    for block in to_do(store, RUNS):
        store.claim(block).write_text("process 1 on a machine that is gone")
    assert not train_all(store, RUNS).failed
    assert all(store.stamp(run) for run in RUNS)
