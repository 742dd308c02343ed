"""Blocks as Ray's tasks, beside what all engines keep: workers without the results folder, addresses, placement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.store import Store
from tests.benchmark.made import numbers, run, train_all

pytest.importorskip("ray", reason="Ray is an extra: pip install -c constraints.txt -e '.[ray]'")

from ray.exceptions import AuthenticationError

from benchmark.training.engines import ray_engine
from benchmark.training.engines.ray_engine import RayEngine

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

PROTOCOL = Protocol(profile="test", epochs=3, width=2, batch_size=32, fresh_iterations=5, samples=200)
RUNS = [Run("ring8", method, PROTOCOL, seed) for method in ("gan", "wgan-gp") for seed in range(4)]


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    with ray_engine.ray_engine(None, 2, 1, None, "cpu", print) as engine:
        yield engine


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[Run, tuple[object, ...]]:
    records = run(tmp_path_factory.mktemp("straight"), RUNS)
    return {one_run: numbers(record) for one_run, record in zip(RUNS, records, strict=True)}


def test_workers_that_do_not_see_the_folder_send_records_back(
    tmp_path: Path, engine: RayEngine, straight: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    monkeypatch.setattr(ray_engine, "write_atomically", lambda *_: None)
    assert not train_all(store, RUNS[:4], engine).failed
    assert {run: numbers(store.read(run)) for run in RUNS[:4]} == {run: straight[run] for run in RUNS[:4]}
    record = store.read(RUNS[0])
    assert record
    assert store.samples(RUNS[0], record).shape == (200, 2)
    assert store.frames(RUNS[0], record) is not None


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
    monkeypatch.setattr(ray_engine, "versions_of", lambda run: {"method": 99})
    with pytest.raises(UserError, match="other code"):
        train_all(Store(tmp_path), RUNS[:2], engine)


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
        ray_engine.check_port(address)
