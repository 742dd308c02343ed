"""The Python API: what the command line does, as frames."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import benchmark
from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.papers.discovery import find_table
from benchmark.spec.selection import select
from benchmark.spec.table import Table
from benchmark.store.store import Store
from datamodules.synthetic import RING8
from modules.gan import GAN
from tests.benchmark.made import fill_store


def first_three(n: int) -> torch.Tensor:
    """A sampler of three of ring8's modes, for ``--sampler``."""
    return torch.from_numpy(RING8.sample_modes(n, np.random.default_rng(0), 3))


def broken(n: int) -> torch.Tensor:
    raise ValueError("no such luck")


class Failing(GAN):
    """Only while it trains: what fails at once is refused before."""

    name = ""

    def generator_loss(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        if self.iteration:
            raise RuntimeError("out of luck")
        return super().generator_loss(x, z)


def same_as(frame: pd.DataFrame, line: dict[str, float | None]) -> bool:
    values = frame.to_dict("records")[0]
    return {k: None if math.isnan(v) else v for k, v in values.items()} == line


def test_the_package_is_light_until_something_is_asked_for() -> None:
    heavy = "torch numpy pandas pytorch_lightning"
    code = f"import sys, benchmark; print(*[m for m in '{heavy}'.split() if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
    with pytest.raises(AttributeError, match="no attribute 'tabel'"):
        _ = benchmark.tabel


def test_samples_from_memory_a_function_and_a_file_are_measured_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = first_three(2_000)
    np.save(tmp_path / "s.npy", points.numpy())
    frames = [
        benchmark.evaluate(samples, dataset="ring8")
        for samples in (points, points.numpy(), first_three, tmp_path / "s.npy", str(tmp_path / "s.npy"))
    ]
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0])
    assert frames[0].shape[0] == 1
    assert frames[0].loc[0, "captured_modes"] == 3
    assert frames[0].loc[0, "n"] == 2_000
    for source in ("--samples", str(tmp_path / "s.npy")), ("--sampler", f"{__name__}:first_three"):
        assert main(["evaluate", "--dataset", "ring8", *source, "--format", "json"]) == 0
        assert same_as(frames[0], json.loads(capsys.readouterr().out))
    assert benchmark.evaluate(first_three, dataset="ring8", n=50).loc[0, "n"] == 50


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros((5, 3)), r"samples has shape \[5, 3\]; samples must be \[n, 2\]"),
        (np.full((5, 2), np.nan), "NaN or infinity in 5 of 5"),
        (broken, r"broken\(2000\) raised ValueError: no such luck"),
        (lambda n: "nothing", "samples must be real numbers"),
    ],
)
def test_samples_that_cannot_be_meant(samples: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        benchmark.evaluate(samples, dataset="ring8")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "give --samples FILE, or --sampler"),
        ("--samples x.npy --sampler a:b", "give --samples FILE, or --sampler"),
        ("--samples x.npy --n 5", "--n says how many samples --sampler makes"),
        ("--sampler nowhere:f", "cannot load --sampler nowhere:f"),
        ("--sampler datamodules.synthetic:RING8", "is no function of the number of samples"),
        (f"--sampler {__name__}:broken --n 7", "broken(7) raised ValueError: no such luck"),
    ],
)
def test_bad_samplers_are_one_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--dataset", "ring8", *words.split()]) == 2
    assert line in capsys.readouterr().err


def test_rows_are_compared_with_one_another(tmp_path: Path) -> None:
    table = find_table("2")
    assert isinstance(table, Table)
    fill_store(Store(tmp_path), select(table, profile="short", methods=["gan", "gaan_2"]))
    frame = benchmark.compare("2", ["gaan_2", "gan"], profile="short", results=tmp_path)
    assert set(zip(frame["left"], frame["right"], strict=True)) == {("gaan_2", "gan")} and len(frame) == 7
    assert "paired by seed" in frame.attrs["header"]
    last = benchmark.table("2", profile="short", methods=["gan"], results=tmp_path, last=True)
    assert "last tenth" in last.attrs["header"]
    with pytest.raises(UserError, match="trains nothing"):
        benchmark.compare("1", ["encoder", "generator"])


def test_a_stored_table_is_a_frame_with_its_words_in_attrs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = find_table("2")
    assert isinstance(table, Table)
    fill_store(Store(tmp_path), select(table, profile="smoke", methods=["gan", "gaan_2"]))
    frame = benchmark.table("2", profile="smoke", methods=["gan", "gaan_2"], results=tmp_path)
    words = ["show", "--table", "2", "--profile", "smoke", "--methods", "gan,gaan_2", "--results", str(tmp_path)]
    assert main([*words, "--format", "csv"]) == 0
    assert frame.to_csv(index=False, lineterminator="\n") == capsys.readouterr().out
    assert frame.attrs["title"] == table.title
    assert "profile smoke" in frame.attrs["header"]
    sizes = benchmark.table("1")
    assert (sizes["mean"] == sizes["paper_mean"]).all()
    with pytest.raises(UserError, match="nothing is stored"):
        benchmark.table("2", profile="smoke", results=tmp_path / "empty")


def test_curves_are_those_of_the_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = find_table("2")
    assert isinstance(table, Table)
    store, chosen = Store(tmp_path), select(table, profile="smoke", methods=["gan", "gaan_2"])
    fill_store(store, chosen)
    frame = benchmark.curves("2", profile="smoke", methods=["gan", "gaan_2"], results=tmp_path)
    run = chosen.runs(chosen.rows[1])[1]
    record = store.read(run)
    assert record is not None
    found = frame[(frame["row"] == "gaan_2") & (frame["seed"] == run.seed)]
    for name, values in record.curves.items():
        curve = found[found["curve"] == name].set_index("epoch")["value"]
        assert curve.to_dict() == dict(enumerate(values, 1))
    assert set(found["curve"]) == set(record.curves)
    assert set(frame.loc[frame["row"] == "gan", "seed"]) == set(chosen.seeds)
    words = ["show", "--table", "2", "--profile", "smoke", "--methods", "gan,gaan_2", "--results", str(tmp_path)]
    assert main([*words, "--curves"]) == 0
    assert frame.to_csv(index=False, lineterminator="\n") == capsys.readouterr().out
    for bad, said in [
        ([*words, "--curves", "--format", "json"], "--curves gives CSV"),
        (["show", "--table", "1", "--curves"], "has no curves"),
        (["show", "--table", "claims", "--curves"], "means nothing to claims"),
        (["show", "--table", "2", "--curves", "--results", str(tmp_path / "empty")], "no curves are stored"),
    ]:
        assert main(bad) == 2
        assert said in capsys.readouterr().err


def test_run_trains_what_is_missing_and_warns_of_what_fails(tmp_path: Path) -> None:
    few = {"protocol.fresh_iterations": 4, "protocol.samples": 100}
    frame = benchmark.run("2", profile="smoke", methods=["gan"], seeds=1, settings=few, results=tmp_path)
    again = benchmark.table("2", profile="smoke", methods=["gan"], seeds=[0], settings=few, results=tmp_path)
    pd.testing.assert_frame_equal(frame, again)
    assert set(frame["row"]) == {"gan", "real", "collapsed", "spread"}
    points = frame[frame["column"] == "registered_points"].set_index("row")["n"]
    assert points["gan"] == 1
    own = f"{__name__}:Failing"
    with pytest.warns(UserWarning, match=r"Failing failed: RuntimeError: out of luck"):
        frame = benchmark.run("2", profile="smoke", methods=[own], seeds=1, settings=few, results=tmp_path)
    assert (frame.loc[frame["row"] == own, "n_failed"] == 1).all()
