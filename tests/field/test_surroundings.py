"""Kind: what a process is started in. The same block gives the same record, wherever it is trained."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.store import Store
from benchmark.training.engines.runner import to_do
from benchmark.training.loggers import make_loggers
from tests.benchmark.made import numbers, train_all

pytestmark = pytest.mark.slow

PROTOCOL = Protocol(profile="test", epochs=2, width=1, batch_size=32, fresh_iterations=3, samples=100)
RUN = Run("ring8", "gan", PROTOCOL, 5)
ROOT = Path(__file__).resolve().parents[2]

#: By the scheduler or launcher that sets them; of the second of four processes each.
VARIABLES = {
    # Lightning-AI/pytorch-lightning 6206: SLURM_NTASKS must be the number of devices.
    "slurm": {
        "SLURM_NTASKS": "4",
        "SLURM_JOB_ID": "77",
        "SLURM_JOB_NAME": "train",
        "SLURM_PROCID": "1",
        "SLURM_LOCALID": "1",
        "SLURM_NODEID": "0",
    },
    "torchrun": {
        "TORCHELASTIC_RUN_ID": "none",
        "RANK": "1",
        "LOCAL_RANK": "1",
        "GROUP_RANK": "1",
        "WORLD_SIZE": "4",
        "MASTER_ADDR": "10.255.255.1",
        "MASTER_PORT": "29500",
    },
    "lsf": {
        "LSB_JOBID": "77",
        "LSB_DJOB_RANKFILE": "/nowhere/rankfile",
        "JSM_NAMESPACE_LOCAL_RANK": "1",
        "JSM_NAMESPACE_RANK": "1",
        "JSM_NAMESPACE_SIZE": "4",
    },
    "mpi": {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4", "PMI_RANK": "1", "PMI_SIZE": "4"},
    "kubeflow": {
        "KUBERNETES_PORT": "tcp://127.0.0.1:443",
        "MASTER_ADDR": "worker-0",
        "MASTER_PORT": "23456",
        "WORLD_SIZE": "4",
        "RANK": "1",
    },
    "lightning": {
        "PL_TRAINER_FAST_DEV_RUN": "1",
        "PL_TRAINER_LIMIT_TRAIN_BATCHES": "1",
        "PL_TRAINER_DETERMINISTIC": "True",
        "PL_TRAINER_ACCUMULATE_GRAD_BATCHES": "2",
        "PL_TRAINER_BENCHMARK": "True",
        "PL_GLOBAL_SEED": "3",
    },
}


def trained(folder: Path) -> tuple[object, ...]:
    store = Store(folder)
    assert not train_all(store, [RUN]).failed
    return numbers(store.read(RUN))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    return trained(tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("launcher", VARIABLES)
def test_a_scheduler_changes_no_number(
    launcher: str, expected: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in VARIABLES[launcher].items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert trained(tmp_path) == expected
    assert dict(os.environ) == before


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(sorted({name for group in VARIABLES.values() for name in group})),
        st.sampled_from(["", "0", "1", "7", "-1", "True", "x", "host[1-4]"]),
        min_size=1,
        max_size=8,
    )
)
def test_no_mixture_of_their_variables_does(
    expected: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        assert trained(tmp_path_factory.mktemp("mixture")) == expected


@pytest.mark.parametrize("tasks", ["1", "4"])
def test_a_foreign_checkpoint_of_slurm_is_not_loaded(
    tasks: str, expected: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning-AI/pytorch-lightning 12369: a job goes on from the checkpoint of another one in the same folder."""
    for name, value in (VARIABLES["slurm"] | {"SLURM_NTASKS": tasks, "SLURM_PROCID": "0"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    places = [tmp_path, tmp_path / "results", tmp_path / "results" / "unfinished"]
    for place in places:
        place.mkdir(exist_ok=True)
        torch.save({"state_dict": {}, "epoch": 1, "global_step": 99}, place / "hpc_ckpt_1.ckpt")
    assert trained(tmp_path / "results") == expected
    assert all((place / "hpc_ckpt_1.ckpt").exists() for place in places)


def test_loggers_write_whatever_rank_the_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_utilities.core.rank_zero import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 3)
    store = Store(tmp_path)
    store.prepare()
    (block,) = to_do(store, [RUN])
    from benchmark.training.trainer import train

    train(block, store, lambda progress: None, "cpu", ["csv"])
    assert list((tmp_path / "logs").rglob("metrics.csv"))
    assert make_loggers(["csv"], block, tmp_path)


# Whole processes: what libraries look at when they are imported -------------------------------------------------------

WORDS = "run --table veegan-1 --profile smoke --methods gan --datasets ring8 --seeds 1 --threads 1"
SETTINGS = {"epochs": 2, "fresh_iterations": 5, "samples": 100, "batch_size": 32, "width": 1}


def command(results: Path, **more: int) -> list[str]:
    changed = [word for name, value in (SETTINGS | more).items() for word in ("--set", f"protocol.{name}={value}")]
    return [sys.executable, "-m", "benchmark", *WORDS.split(), *changed, "--results", str(results)]


def surroundings(**variables: str) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))}
    return found | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} | variables


def record_of(results: Path) -> dict[str, object]:
    (path,) = results.glob("records/*/*/*.json")
    content = json.loads(path.read_text())
    return {name: content[name] for name in ("id", "status", "measures", "curves", "samples", "versions")}


def test_a_hostile_folder_and_environment_change_no_record(tmp_path: Path) -> None:
    """Everything at once, in a process of its own: variables, a ``matplotlibrc``, ``.netrc``, packages of our names."""
    here, hostile = tmp_path / "here", tmp_path / "hostile"
    here.mkdir()
    hostile.mkdir()
    (hostile / "matplotlibrc").write_text("backend: nonsense\nfont.size: 77\nlines.linewidth: 30\n")
    (hostile / ".netrc").write_text("machine example.org login me password secret\n")
    (hostile / "hpc_ckpt_1.ckpt").write_bytes(b"of somebody else")
    for name in ("modules", "evaluators"):
        (hostile / name).mkdir()
        (hostile / name / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    every = {name: value for group in VARIABLES.values() for name, value in group.items()}
    every |= {"GIT_DIR": str(hostile), "HOME": str(hostile), "MPLBACKEND": "agg"}
    before = sorted(hostile.iterdir())
    for folder, variables in ((here, {}), (hostile, every)):
        done = subprocess.run(
            command(tmp_path / f"results-{folder.name}"),
            cwd=folder,
            env=surroundings(**variables),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
    assert record_of(tmp_path / "results-hostile") == record_of(tmp_path / "results-here")
    assert [path for path in sorted(hostile.iterdir()) if path.name != ".config" and path.name != ".cache"] == before


def test_sigusr1_requeues_nothing_and_writes_nothing_of_lightnings(tmp_path: Path) -> None:
    """Lightning-AI/pytorch-lightning 2397: SIGUSR1 leaves a checkpoint here and requeues."""
    folder = tmp_path / "here"
    folder.mkdir()
    variables = VARIABLES["slurm"] | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
    process = subprocess.Popen(
        command(tmp_path / "results", epochs=100_000),
        cwd=folder,
        env=surroundings(**variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 120
        while not list((tmp_path / "results").glob("unfinished/*.claim")) and time.monotonic() < until:
            time.sleep(0.1)
        assert process.poll() is None
        # The claim comes a little before Lightning puts in handlers of its own.
        time.sleep(2)
        process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        assert not list(folder.iterdir())
        assert not list((tmp_path / "results").rglob("hpc_ckpt*"))
    finally:
        process.kill()
        process.wait()
