"""Blocks as Ray's tasks: the same records, lost workers and nodes, workers without the results folder."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark import checkpoints
from benchmark.cells import Cell, Protocol, lay_out
from benchmark.errors import Stopped, UserError
from benchmark.records import Store
from benchmark.runner import Outcome, run_blocks, to_do
from benchmark.training import Progress, Watch

from .made import numbers, run

pytest.importorskip("ray", reason="Ray is an extra: pip install -c constraints.txt -e '.[ray]'")

from ray.exceptions import AuthenticationError

from benchmark import ray_engine
from benchmark.ray_engine import RayEngine

pytestmark = pytest.mark.filterwarnings("ignore")

PROTOCOL = Protocol(profile="test", epochs=3, width=2, batch_size=32, fresh_iterations=5, samples=200)
CELLS = [Cell("ring8", method, PROTOCOL, seed) for method in ("gan", "wgan-gp") for seed in range(4)]
#: Long enough to be killed in.
LONG = Protocol(profile="test", epochs=8, width=2, batch_size=64, fresh_iterations=60, samples=200)


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    with ray_engine.ray_engine(None, 2, 1, None, "cpu", print) as engine:
        yield engine


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[Cell, tuple[object, ...]]:
    records = run(tmp_path_factory.mktemp("straight"), CELLS)
    return {cell: numbers(record) for cell, record in zip(CELLS, records, strict=True)}


def train(store: Store, cells: list[Cell], engine: RayEngine, watch: Watch = lambda progress: None) -> Outcome:
    store.prepare()
    return run_blocks(to_do(store, cells), store, watch, "cpu", engine)


def test_the_same_records_as_inline(tmp_path: Path, engine: RayEngine, straight: dict) -> None:
    store, seen = Store(tmp_path), []
    assert not train(store, CELLS, engine, lambda step: seen.append(step.block.place)).failed
    assert {cell: numbers(store.read(cell)) for cell in CELLS} == straight
    assert set(seen) <= {block.place for block in lay_out(CELLS)}
    assert [path.name for path in store.unfinished.iterdir()] == [".gitignore"]


def test_workers_that_do_not_see_the_folder_send_records_back(
    tmp_path: Path, engine: RayEngine, straight: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    monkeypatch.setattr(ray_engine, "write_atomically", lambda *_: None)
    assert not train(store, CELLS[:4], engine).failed
    assert {cell: numbers(store.read(cell)) for cell in CELLS[:4]} == {cell: straight[cell] for cell in CELLS[:4]}
    record = store.read(CELLS[0])
    assert record
    assert store.samples(CELLS[0], record).shape == (200, 2)
    assert store.frames(CELLS[0], record) is not None


def _kill_a_worker(store: Store, killed: list[int]) -> None:
    """Kill whoever trains first."""
    until = time.monotonic() + 60
    while not killed and time.monotonic() < until:
        for claim in store.unfinished.glob("*.claim"):
            if not killed and (words := claim.read_text().split()):
                killed.append(int(words[1]))
                os.kill(killed[0], signal.SIGKILL)
        time.sleep(0.02)


def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path, engine: RayEngine) -> None:
    cells = [Cell("ring8", "gan", LONG, seed) for seed in range(2)]
    expected = [numbers(record) for record in run(tmp_path / "straight", cells)]
    store, killed = Store(tmp_path / "ray"), []
    store.prepare()
    killer = threading.Thread(target=_kill_a_worker, args=(store, killed))
    killer.start()
    assert not train(store, cells, engine).failed
    killer.join()
    assert killed
    assert [numbers(store.read(cell)) for cell in cells] == expected


def test_a_method_that_raises_fails_alone(tmp_path: Path, engine: RayEngine) -> None:
    broken = [Cell("ring8", "aeis", PROTOCOL, seed, (("reference", 0),)) for seed in (0, 1)]
    store = Store(tmp_path)
    outcome = train(store, broken + CELLS[:2], engine)
    assert [block.first.method for block, _ in outcome.failed] == ["aeis"]
    assert [getattr(store.read(cell), "status", None) for cell in broken + CELLS[:2]] == ["failed"] * 2 + ["done"] * 2


def test_an_interrupt_lets_workers_write_checkpoints(tmp_path: Path, engine: RayEngine) -> None:
    cells = [Cell("ring8", "gan", dataclasses.replace(LONG, epochs=2_000), seed) for seed in range(2)]
    store, sent = Store(tmp_path), []

    def interrupt(step: Progress) -> None:
        if not sent:
            sent.append(step)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped):
        train(store, cells, engine, interrupt)
    (checkpoint,) = store.unfinished.glob("*.ckpt")
    assert len(checkpoints.read(checkpoint)["curves"]["loss.deception"]) >= sent[0].epoch
    assert sorted(path.suffix for path in store.unfinished.iterdir()) == ["", ".ckpt"]


@pytest.mark.parametrize("address", ["", "nowhere", ":6379", "127.0.0.1:", "127.0.0.1:1", "127.0.0.1:99999", "..:80"])
def test_an_address_where_nobody_is(address: str) -> None:
    with pytest.raises(UserError, match=r"address|answers"):
        ray_engine._connect(address, None, 1, "cpu")


def test_more_devices_than_cores() -> None:
    with pytest.raises(UserError, match="cores"):
        ray_engine._connect(None, 100_000, 1, "cpu")


def test_a_cluster_that_wants_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise AuthenticationError("no token")

    monkeypatch.setattr(ray_engine.ray, "init", refuse)
    with pytest.raises(UserError, match=r"no token.*RAY_AUTH_MODE=token"):
        ray_engine._connect("auto", None, 1, "cpu")


def test_other_code_on_a_worker_is_refused(tmp_path: Path, engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "versions_of", lambda cell: {"method": 99})
    with pytest.raises(UserError, match="other code"):
        train(Store(tmp_path), CELLS[:2], engine)


@pytest.mark.parametrize(
    ("node", "threads", "gpus", "blocks"),
    [
        ({"CPU": 8.0}, 2, 0, 4),
        ({"CPU": 16.0, "GPU": 2.0}, 1, 0.25, 8),
        ({"CPU": 2.0, "GPU": 4.0}, 1, 1, 2),
        ({}, 1, 0, 0),
    ],
)
def test_how_many_blocks_fit(node: dict[str, float], threads: int, gpus: float, blocks: int) -> None:
    assert ray_engine._fits(node, threads, gpus) == blocks


def test_gpus_are_shared_as_asked() -> None:
    assert ray_engine._gpus([{"CPU": 8.0, "GPU": 2.0}], None, "auto") == 1.0
    assert ray_engine._gpus([{"CPU": 8.0, "GPU": 2.0}], 0.25, "auto") == 0.25
    assert ray_engine._gpus([{"CPU": 8.0, "GPU": 2.0}], None, "cpu") == 0.0
    assert ray_engine._gpus([{"CPU": 8.0}], None, "auto") == 0.0
    with pytest.raises(UserError, match="no GPU"):
        ray_engine._gpus([{"CPU": 8.0}], None, "gpu")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:", "127.0.0.1:99999999", ":6379"])
def test_an_address_where_nobody_listens(address: str) -> None:
    with pytest.raises(UserError, match="ray start --head"):
        ray_engine._knock(address)
