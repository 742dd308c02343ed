"""When a training had all modes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.analysis.claims import statistic_value
from benchmark.analysis.coverage import column_value, covered_from
from benchmark.analysis.frame import aggregate, is_stale
from benchmark.papers.discovery import find_table
from benchmark.spec.claims import Statistic
from benchmark.spec.columns import UPDATES
from benchmark.spec.selection import select
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training.evaluation import MEASURES
from tests.benchmark.made import make_record


def record(captured: list[float | None], quality: list[float | None]) -> Record:
    return Record("id", {}, "done", {}, curves={"captured_modes": captured, "high_quality_fraction": quality})


@pytest.mark.parametrize(
    ("captured", "quality", "since"),
    [
        ([3, 8, 8, 8], [0.5] * 4, 2),
        ([8, 8, 7, 8], [0.5] * 4, 4),
        ([8, 8, 8, 7], [0.5] * 4, None),
        ([8, 8, 8, 8], [0.01, 0.01, 0.2, 0.2], 3),
        ([8, 8, 8, 8], [0.5, 0.5, 0.5, 0.01], None),
        ([3, None, 8, None], [0.5, None, 0.5, None], 3),
        ([], [], None),
    ],
    ids=["kept", "lost once", "lost at last", "junk at first", "junk at last", "evaluated now and then", "nothing"],
)
def test_modes_are_covered_from_where_they_stay(
    captured: list[float | None], quality: list[float | None], since: int | None
) -> None:
    made = record(captured, quality)
    assert covered_from(made, 8) == since
    wanted = since or len(captured) + 1
    if captured:
        assert statistic_value(Statistic("", "captured_modes", "covered", goal=8), made) == wanted


def test_a_table_has_the_mean_of_the_models_that_got_there(tmp_path: Path) -> None:
    what = {"profile": "smoke", "methods": ["gan"], "datasets": ["ring8"], "assignments": ["protocol.epochs=2"]}
    chosen = select(find_table("veegan-1"), seeds=(0, 1, 2), **what)  # type: ignore[arg-type]
    store, row = Store(tmp_path), chosen.rows[0]
    for run, captured in zip(chosen.runs(row), ([8.0, 8.0], [1.0, 8.0], [8.0, 1.0]), strict=True):
        made, samples = make_record(run)
        curves = {"captured_modes": captured, "high_quality_fraction": [0.9, 0.9]}
        store.write(run, dataclasses.replace(made, curves=curves), samples)
    entry = aggregate(chosen, store).frame.set_index("column").loc[f"ring8/{UPDATES}"]
    # 40 updates are an epoch of this profile.
    assert (entry["n"], entry["mean"]) == (2, 60.0)
    run = chosen.runs(row)[0]
    assert column_value(run, made, "captured_modes", store) == made.measures["captured_modes"]


def test_a_measure_that_is_newer_than_a_record_is_taken_of_its_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = select(find_table("veegan-1"), profile="smoke", methods=["gan"], datasets=["ring8"], seeds=(0,))
    store, run = Store(tmp_path), chosen.runs(chosen.rows[0])[0]
    made, samples = make_record(run)
    store.write(run, made, samples)
    record = store.read(run)
    assert record is not None
    measure_quality = MEASURES["quality"]

    def with_mean(*words: Any) -> dict[str, np.ndarray]:
        return measure_quality(*words) | {"mean": words[2].mean((1, 2))}

    monkeypatch.setitem(MEASURES, "quality", with_mean)
    assert column_value(run, record, "mean", store) == pytest.approx(float(samples.mean()))
    monkeypatch.setitem(MEASURES, "quality", measure_quality)
    assert column_value(run, record, "mean", store) == pytest.approx(float(samples.mean())), "kept"
    assert column_value(run, record, "median", store) is None
    assert not is_stale(run, record)
    store.write(run, made, samples[:-1])
    record = store.read(run)
    assert record is not None
    assert column_value(run, record, "mean", store) is None, "not of a part of the samples"
