"""What every engine keeps that trains blocks in other processes: inline's records, whatever happens to them."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.errors import Stopped
from benchmark.spec.block import make_blocks
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.store import Store
from benchmark.training import checkpoints
from benchmark.training.callback import Progress
from benchmark.training.engines.local_engine import Jobs, LocalEngine
from benchmark.training.engines.runner import Engine
from tests.benchmark.made import numbers, run, train_all

pytestmark = pytest.mark.slow

PROTOCOL = Protocol(profile="test", epochs=3, width=2, batch_size=32, fresh_iterations=5, samples=200)
RUNS = [Run("ring8", method, PROTOCOL, seed) for method in ("gan", "wgan-gp") for seed in range(4)]
#: Long enough to be killed in.
LONG = Protocol(profile="test", epochs=8, width=2, batch_size=64, fresh_iterations=60, samples=200)


@pytest.fixture(
    scope="module", params=["local", pytest.param("ray", marks=pytest.mark.filterwarnings("ignore"))], autouse=True
)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Two workers with a thread each."""
    if request.param == "local":
        yield LocalEngine({False: Jobs(2, 1)})
        return
    pytest.importorskip("ray", reason="Ray is an extra: pip install -c constraints.txt -e '.[ray]'")
    from benchmark.training.engines.ray_engine import ray_engine

    with ray_engine(None, 2, 1, None, "cpu", print) as found:
        yield found


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[Run, tuple[object, ...]]:
    """What inline training with one thread gives."""
    records = run(tmp_path_factory.mktemp("straight"), RUNS)
    return {one_run: numbers(record) for one_run, record in zip(RUNS, records, strict=True)}


def test_the_same_records_as_inline(tmp_path: Path, engine: Engine, straight: dict) -> None:
    store, seen = Store(tmp_path), []
    assert not train_all(store, RUNS, engine, lambda step: seen.append(step.block.place)).failed
    assert {run: numbers(store.read(run)) for run in RUNS} == straight
    assert seen and set(seen) <= {block.place for block in make_blocks(RUNS)}
    assert [path.name for path in store.unfinished.iterdir()] == [".gitignore"]
    assert {store.read(run).environment["threads"] for run in RUNS} == {1}


def kill_who_trains(store: Store, killed: list[int]) -> None:
    """Kill whoever trains first."""
    until = time.monotonic() + 120
    while not killed and time.monotonic() < until:
        for claim in store.unfinished.glob("*.claim"):
            if not killed and (words := claim.read_text().split()):
                killed.append(int(words[1]))
                os.kill(killed[0], signal.SIGKILL)
        time.sleep(0.02)


def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path, engine: Engine) -> None:
    runs = [Run("ring8", "gan", LONG, seed) for seed in range(4)]
    expected = [numbers(record) for record in run(tmp_path / "straight", runs)]
    store, killed = Store(tmp_path / "shared"), []
    store.prepare()
    killer = threading.Thread(target=kill_who_trains, args=(store, killed))
    killer.start()
    assert not train_all(store, runs, engine).failed
    killer.join()
    assert killed
    assert [numbers(store.read(one_run)) for one_run in runs] == expected


def test_a_method_that_raises_fails_alone(tmp_path: Path, engine: Engine) -> None:
    broken = [Run("ring8", "aeis", PROTOCOL, seed, (("reference", 0),)) for seed in (0, 1)]
    store = Store(tmp_path)
    outcome = train_all(store, broken + RUNS[:2], engine)
    assert [block.first.method for block, _ in outcome.failed] == ["aeis"]
    assert [getattr(store.read(run), "status", None) for run in broken + RUNS[:2]] == ["failed"] * 2 + ["done"] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_lets_workers_write_checkpoints(number: signal.Signals, tmp_path: Path, engine: Engine) -> None:
    runs = [Run("ring8", "gan", dataclasses.replace(LONG, epochs=2_000), seed) for seed in range(4)]
    store, sent = Store(tmp_path), {}

    def interrupt(step: Progress) -> None:
        sent[step.block.place] = step
        if len(sent) == 2:
            os.kill(os.getpid(), number)
            sent["signal"] = step

    before = signal.getsignal(number)
    with pytest.raises(Stopped):
        train_all(store, runs, engine, interrupt)
    assert signal.getsignal(number) is before
    found = sorted(store.unfinished.glob("*.ckpt"))
    assert len(found) == 2
    assert all(len(checkpoints.read_checkpoint(path)["curves"]["loss.generator"]) >= 1 for path in found)
    assert sorted(path.suffix for path in store.unfinished.iterdir()) == ["", ".ckpt", ".ckpt"]
