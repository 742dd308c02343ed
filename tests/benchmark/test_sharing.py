"""Several processes in one results folder: shards, claims, and who trains what."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli import main
from benchmark.cli.select import parse_shard
from benchmark.errors import UserError
from benchmark.spec.block import Block, Shard, make_blocks
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.locks import claimed, holder, is_claimed
from benchmark.store.store import Store
from benchmark.training import trainer
from benchmark.training.engines import runner
from benchmark.training.engines.runner import Inline, Result, run_block, run_blocks, to_do
from tests.benchmark.made import make_record, numbers, train_all
from tests.processes import CONTEXT, start

pytestmark = pytest.mark.slow

PROTOCOL = Protocol(profile="test", epochs=3, width=2, batch_size=32, fresh_iterations=5, samples=200)
RUNS = [Run("ring8", method, PROTOCOL, seed) for method in ("gan", "wgan-gp") for seed in range(4)]


# Shards ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_shards_are_parts_of_all_blocks(count: int) -> None:
    blocks = make_blocks(RUNS)
    parts = [Shard(index, count).of(blocks) for index in range(1, count + 1)]
    assert sorted(block.place for part in parts for block in part) == sorted(block.place for block in blocks)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shard_does_not_depend_on_what_is_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = [block.place for block in to_do(store, RUNS, shard=Shard(2, 2))]
    for run in make_blocks(RUNS)[1].runs:
        record, samples = make_record(run)
        store.write(run, record, samples)
    assert [block.place for block in to_do(store, RUNS, shard=Shard(2, 2))] == before[1:]
    assert len(to_do(store, RUNS, shard=Shard(1, 2))) == 2


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1.5/2", "1/9999999"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UserError, match="write I/N"):
        parse_shard(text)


def test_plan_and_run_take_a_shard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--table", "2", "--profile", "smoke", "--methods", "gan", "--seeds", "2", "--results", str(tmp_path)]
    options += ["--set", "protocol.width=1", "--set", "protocol.batch_size=6000"]
    assert main(["plan", *options, "--shard", "1/2"]) == 0
    assert "1 run to do in 1 block" in capsys.readouterr().out
    for index, seeds in ((3, []), (2, [1])):
        assert main(["run", *options, "--shard", f"{index}/3"]) == 0
        assert [Store(tmp_path).run_at(path).seed for path in tmp_path.glob("records/*/*/*.json")] == seeds
    assert "has no blocks" in capsys.readouterr().err


# Claims ---------------------------------------------------------------------------------------------------------------


def _hold(path: Path, ready: Any) -> None:
    with claimed(path) as ours:
        assert ours
        ready.set()
        time.sleep(60)


def test_a_claim_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path, ready = tmp_path / "x.claim", CONTEXT.Event()
    other = start(_hold, path, ready)
    assert ready.wait(30)
    with claimed(path) as ours:
        assert not ours
    assert is_claimed(path)
    assert f"process {other.pid} on " in holder(path)
    other.kill()
    other.join()
    assert not is_claimed(path)
    with claimed(path) as ours:
        assert ours
        assert f"process {os.getpid()} on " in holder(path)
    assert not list(tmp_path.iterdir())


def test_a_claim_on_a_file_that_its_holder_removed_binds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flock = tmp_path / "x.claim", fcntl.flock

    def lock_late(handle: int, operation: int) -> None:
        path.unlink(missing_ok=True)
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with claimed(path) as ours:
        assert not ours


def test_a_claim_that_is_a_link_is_refused_and_what_it_points_to_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    store.prepare()
    (block,) = to_do(store, RUNS[:2])
    (tmp_path / "thesis.tex").write_text("four years")
    store.claim(block).symlink_to(tmp_path / "thesis.tex")
    with pytest.raises(UserError, match=r"\.claim: .*symbolic link"), store.claimed(block):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "four years"
    assert not is_claimed(store.claim(block))
    assert holder(store.claim(block)) == "another process"


def test_a_claim_that_is_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.claim")
    with pytest.raises(OSError, match="no ordinary file"), claimed(tmp_path / "x.claim"):
        pass
    assert not is_claimed(tmp_path / "x.claim")
    assert holder(tmp_path / "x.claim") == "another process"


def test_seeds_of_one_block_are_one_claim() -> None:
    whole = make_blocks(RUNS)[0]
    (part,) = make_blocks(RUNS[1:2])
    assert whole.place == part.place
    assert len({block.place for block in make_blocks(RUNS)}) == 4


def test_a_file_system_without_locks_is_named_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    assert train_all(Store(tmp_path), RUNS[:2]).seconds
    assert "--shard" in capsys.readouterr().err


# Who trains what ------------------------------------------------------------------------------------------------------


def _train_and_note(folder: Path, runs: list[Run], barrier: Any, trained: Any) -> None:
    store = Store(folder)
    store.prepare()
    blocks = to_do(store, runs)
    barrier.wait(60)

    def note(result: Result) -> None:
        if result.status == "trained":
            trained.put([run.id for run in result.block.pending])

    runner.POLL_SECONDS = 0.05
    outcome = run_blocks(blocks, store, lambda progress: None, "cpu", on_result=note)
    trained.put(outcome.failed)


def test_eight_processes_train_every_run_once(tmp_path: Path) -> None:
    straight = Store(tmp_path / "straight")
    train_all(straight, RUNS)
    parts = [RUNS, RUNS[::-1], RUNS[:6], RUNS[2:], RUNS[1:7], RUNS[:4], RUNS[4:], RUNS[::2]]
    barrier, trained = CONTEXT.Barrier(len(parts)), CONTEXT.Queue()
    others = [start(_train_and_note, tmp_path / "shared", part, barrier, trained) for part in parts]
    found: list[Any] = []
    while sum(isinstance(item, tuple) for item in found) < len(parts):
        found.append(trained.get(timeout=60))
    for other in others:
        other.join(60)
    shared = Store(tmp_path / "shared")
    assert [numbers(shared.read(run)) for run in RUNS] == [numbers(straight.read(run)) for run in RUNS]
    assert [item for item in found if isinstance(item, tuple)] == [()] * len(parts)
    assert sorted(key for item in found if isinstance(item, list) for key in item) == sorted(c.id for c in RUNS)
    assert [path.name for path in shared.unfinished.iterdir()] == [".gitignore"]
    assert len(list(shared.folder.glob("records/**/*.*"))) == 3 * len(RUNS)


def test_who_waits_goes_on_when_the_other_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.05)
    store, ready, said = Store(tmp_path), CONTEXT.Event(), []
    store.prepare()
    (block,) = to_do(store, RUNS[:2])
    other = start(_hold, store.claim(block), ready)
    assert ready.wait(30)

    def say(line: str) -> None:
        said.append(line)
        other.kill()

    run_blocks([block], store, lambda progress: None, "cpu", Inline(say))
    assert f"process {other.pid}" in said[0]
    assert store.read(RUNS[0]) and store.read(RUNS[1])


def _planned(store: Store, **more: Any) -> Block:
    (block,) = to_do(store, RUNS[:2], **more)
    return block


def test_a_block_that_another_finished_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    block = _planned(store)
    train_all(store, RUNS[:2])
    monkeypatch.setattr(runner, "train", lambda *_: pytest.fail("it was done"))
    assert run_block(block, store, lambda progress: None, "cpu").status == "elsewhere"


def test_stale_records_are_redone_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, ids = Store(tmp_path), [run.id for run in RUNS[:2]]
    train_all(store, RUNS[:2])
    blocks = [_planned(store, redo=ids) for _ in range(2)]
    statuses = [run_block(block, store, lambda progress: None, "cpu").status for block in blocks]
    assert statuses == ["trained", "elsewhere"]


def test_a_block_that_failed_elsewhere_meanwhile_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def broken(*_: object) -> None:
        tried.append(1)
        raise ValueError("no such luck")

    monkeypatch.setattr(trainer, "make_module", broken)
    store = Store(tmp_path)
    train_all(store, RUNS[:2])
    blocks = [_planned(store) for _ in range(2)]
    results = [run_block(block, store, lambda progress: None, "cpu") for block in blocks]
    assert [result.status for result in results] == ["failed", "failed"]
    assert all("no such luck" in result.reason for result in results)
    assert len(tried) == 2, "once before, once now"


def test_the_seeds_that_another_finished_are_left_out(tmp_path: Path) -> None:
    straight, store = Store(tmp_path / "straight"), Store(tmp_path / "shared")
    train_all(straight, RUNS[:2])
    block = _planned(store)
    train_all(store, RUNS[1:2])
    before = store.stamp(RUNS[1])
    assert run_block(block, store, lambda progress: None, "cpu").status == "trained"
    assert store.stamp(RUNS[1]) == before
    assert [numbers(store.read(run)) for run in RUNS[:2]] == [numbers(straight.read(run)) for run in RUNS[:2]]


def test_what_killed_writers_left_is_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    block = _planned(store)
    record = store.path(RUNS[0])
    record.parent.mkdir(parents=True)
    left = [
        record.with_name(f".{record.name}.abc"),
        (part := store.checkpoint(block.id)).with_name(f".{part.name}.abc"),
    ]
    other = record.with_name(f".{RUNS[2].id}.json.abc")
    for path in (*left, other):
        path.write_text("half")
    run_block(block, store, lambda progress: None, "cpu")
    assert other.exists()
    assert not any(path.exists() for path in left)


def test_a_redone_record_never_stands_beside_other_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    record, samples = make_record(RUNS[0])
    store.write(RUNS[0], record, samples)
    write = store._write_json

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write(RUNS[0], record, samples + 1)
    assert store.read(RUNS[0]) is None
    monkeypatch.setattr(store, "_write_json", write)
    store.write(RUNS[0], dataclasses.replace(record, status="diverged"))
    assert not store.path(RUNS[0]).with_suffix(".npy").exists()
