"""A whole machine of a Ray cluster is lost in a run, by Ray's own stand-in for a cluster."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.store import Store
from benchmark.training.engines.runner import run_blocks, to_do
from tests.benchmark.made import numbers, run

pytest.importorskip("ray", reason="Ray is an extra: pip install -c constraints.txt -e '.[ray]'")

from ray.cluster_utils import Cluster

from benchmark.training.engines.ray_engine import ray_engine

pytestmark = pytest.mark.slow

PROTOCOL = Protocol(profile="test", epochs=8, width=2, batch_size=64, fresh_iterations=60, samples=200)
RUNS = [Run("ring8", "gan", PROTOCOL, seed) for seed in range(4)]


@pytest.mark.filterwarnings("ignore")
def test_a_lost_node_costs_nothing_but_time(tmp_path: Path) -> None:
    expected = [numbers(record) for record in run(tmp_path / "straight", RUNS)]
    store, lost = Store(tmp_path / "ray"), []
    store.prepare()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]

    def lose_one() -> None:
        until = time.monotonic() + 60
        while len(list(store.unfinished.glob("*.claim"))) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        cluster.remove_node(nodes[0], allow_graceful=False)
        lost.append(nodes[0])

    try:
        with ray_engine(cluster.address, None, 1, None, "cpu", print) as engine:
            assert engine.workers == 2
            loser = threading.Thread(target=lose_one)
            loser.start()
            outcome = run_blocks(to_do(store, RUNS), store, lambda progress: None, "cpu", engine)
            loser.join()
    finally:
        cluster.shutdown()
    assert lost
    assert not outcome.failed
    assert [numbers(store.read(one_run)) for one_run in RUNS] == expected
