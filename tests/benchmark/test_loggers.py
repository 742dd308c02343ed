"""Lightning's loggers beside the records, and checkpoints that plain Lightning loads."""

from __future__ import annotations

import contextlib
import csv
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.checks.conformance import Case, StopEarly
from benchmark.cli import main
from benchmark.errors import Stopped
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training import loggers
from benchmark.training.callback import Evaluation
from benchmark.training.engines.runner import Inline
from benchmark.training.trainer import fit
from modules.gaan import GAAN
from tests.benchmark.made import train_all

pytestmark = pytest.mark.slow

SMALL = Protocol(profile="test", epochs=3, width=2, batch_size=16, samples=50, evaluate_every=2)
RUNS = [Run("benchmark.checks.conformance:POINTS", "gan", SMALL, seed) for seed in (4, 5)]


def run(folder: Path, *names: str) -> list[Record]:
    store = Store(folder)
    assert not train_all(store, RUNS, Inline(loggers=names)).failed
    return [record for run in RUNS if (record := store.read(run))]


def expected(records: list[Record]) -> dict[tuple[str, int], float]:
    """Values by name and epoch."""
    return {
        (f"{name}/seed {run.seed}", epoch): value
        for run, record in zip(RUNS, records, strict=True)
        for name, curve in record.curves.items()
        for epoch, value in enumerate(curve, 1)
        if value is not None
    }


def test_csv_has_the_curves_of_the_records_and_changes_none(tmp_path: Path) -> None:
    records, plain = run(tmp_path / "logged", "csv"), run(tmp_path / "plain")
    assert [r.curves for r in records] == [r.curves for r in plain]
    assert not (tmp_path / "plain" / "logs").exists()
    (path,) = (tmp_path / "logged" / "logs" / "csv").rglob("metrics.csv")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    found = {(k, int(line["step"])): float(v) for line in lines for k, v in line.items() if v and k != "step"}
    assert found == expected(records)
    assert {epoch for name, epoch in found if name.startswith("captured")} == {2, 3}


def test_tensorboard_has_the_curves_of_the_records(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    records = run(tmp_path, "tensorboard")
    (path,) = (tmp_path / "logs" / "tensorboard").rglob("events.out.*")
    events = EventAccumulator(str(path.parent)).Reload()
    found = {(tag, e.step): e.value for tag in events.Tags()["scalars"] for e in events.Scalars(tag) if "/seed" in tag}
    wanted = {(name.replace(" ", "_"), epoch): value for (name, epoch), value in expected(records).items()}
    found = {(name.replace(" ", "_"), epoch): value for (name, epoch), value in found.items()}
    assert found.keys() == wanted.keys()
    assert all(math.isclose(found[key], wanted[key], rel_tol=1e-6) for key in wanted)


def test_wandb_writes_a_run_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    words = ["run", "--table", "2", "--profile", "smoke", "--methods", "gan", "--seeds", "1", "--logger", "wandb"]
    words += ["--set", "protocol.fresh_iterations=4", "--set", "protocol.samples=50", "--results", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "benchmark", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (log,) = (tmp_path / "logs" / "wandb").glob("offline-run-*/*.wandb")
    assert b"registered_modes/seed 0" in log.read_bytes()


def test_a_resumed_training_logs_its_curves_from_the_start(tmp_path: Path) -> None:
    block, path = Case.of("gan").block(0, 1), tmp_path / "stopped.ckpt"
    with contextlib.suppress(Stopped):
        fit(block, path, lambda step: None, "cpu", [StopEarly()])

    def log(evaluation: Evaluation) -> list[loggers.Curves]:
        return [loggers.Curves(evaluation, loggers.make_loggers(["csv"], block, tmp_path))]

    fit(block, path, lambda step: None, "cpu", log=log)
    (metrics,) = (tmp_path / "logs").rglob("metrics.csv")
    with metrics.open(newline="") as file:
        assert [int(line["step"]) for line in csv.DictReader(file)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--logger tensorbord", "did you mean 'tensorboard'?"),
        ("--logger csv --engine ray", "--logger writes on this machine"),
        ("--logger ,", "--logger is empty"),
    ],
)
def test_a_logger_that_cannot_be_is_one_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "ray" in words:
        pytest.importorskip("ray")
    assert main(["run", "--table", "2", *words.split()]) == 2
    assert line in capsys.readouterr().err


def test_a_logger_whose_package_is_missing_says_how_to_install_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(loggers.LOGGERS, "wandb", ("", "no_such_package"))
    assert main(["run", "--table", "2", "--logger", "wandb"]) == 2
    assert "pip install -c constraints.txt -e '.[wandb]'" in capsys.readouterr().err


def test_a_checkpoint_loads_with_plain_lightning(tmp_path: Path) -> None:
    block, path = Case.of("gaan", ["method.lambda_p=0.3"]).block(0, 1), tmp_path / "stopped.ckpt"
    with contextlib.suppress(Stopped):
        fit(block, path, lambda step: None, "cpu", [StopEarly()])
    model = GAAN.load_from_checkpoint(path)
    kept = torch.load(path, map_location="cpu", weights_only=True)
    assert (model.lambda_p, model.seeds, model.data_shape) == (0.3, (0, 1), (2,))
    assert model.training_setup == block.first.protocol
    assert model.iteration == kept["iteration"] == 5
    assert all(torch.equal(value, kept["state_dict"][name]) for name, value in model.state_dict().items())
    samples = model.sample(7, [np.random.default_rng(0), np.random.default_rng(1)])
    assert samples.shape == (2, 7, 2)
