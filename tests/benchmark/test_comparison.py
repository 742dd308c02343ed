"""Rows against one another, from stored records."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.analysis.comparison import compare_rows
from benchmark.analysis.statistics import holm
from benchmark.errors import UserError
from benchmark.render.formats import FORMATS, render
from benchmark.store.store import Store
from tests.benchmark.made import change, choose, fill_store

selection = partial(choose, "2", profile="short", methods=["gan", "ali", "gaan_2"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """GAN registers 12, 13 and 11 modes and has no cv, the others register all."""
    found, chosen = Store(tmp_path), selection()
    fill_store(found, chosen)
    for run, modes in zip(chosen.runs(chosen.rows[0]), (12.0, 13.0, 11.0), strict=True):
        record = found.read(run)
        assert record is not None
        change(found, run, measures=record.measures | {"registered_modes": modes, "cv": None})
    return found


def line(frame: pd.DataFrame, left: str, right: str, column: str) -> dict[str, object]:
    here = frame[(frame["left"] == left) & (frame["right"] == right) & (frame["column"] == column)]
    (found,) = here.to_dict("records")
    return found


def test_rows_are_paired_by_seed(store: Store) -> None:
    frame = compare_rows(selection(), store, ["gaan_2", "gan"]).frame
    found = line(frame, "gaan_2", "gan", "registered_modes")
    expected = stats.ttest_rel([25.0] * 3, [12.0, 13.0, 11.0])
    assert (found["left_mean"], found["right_mean"], found["n"]) == (25, 12, 3)
    assert found["p"] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((interval.low, interval.high))
    assert found["verdict"] == "higher"
    turned = compare_rows(selection(), store, ["gan", "gaan_2"]).frame
    assert line(turned, "gan", "gaan_2", "registered_modes")["verdict"] == "lower"


def test_all_pairs_and_columns_are_corrected_together(store: Store) -> None:
    sheet = compare_rows(selection(), store, ["gan", "ali", "gaan_2"])
    assert len(sheet.frame) == 3 * 7 and "corrected over 21 comparisons (Holm)" in sheet.header
    assert sheet.frame["p_holm"].to_numpy() == pytest.approx(holm(sheet.frame["p"].to_list()))
    same = line(sheet.frame, "ali", "gaan_2", "registered_modes")
    assert same["verdict"] == "equivalent" and np.isnan(same["ci_low"])


def test_lost_models_count_with_the_worst_value(store: Store) -> None:
    chosen = selection()
    found = line(compare_rows(chosen, store, ["gan", "gaan_2"]).frame, "gan", "gaan_2", "cv")
    assert (found["n"], found["n_lost"], found["left_mean"]) == (3, 3, pytest.approx(24**0.5))
    change(store, chosen.runs(chosen.rows[2])[0], status="diverged", measures={}, samples=None)
    found = line(compare_rows(chosen, store, ["gan", "gaan_2"]).frame, "gan", "gaan_2", "registered_modes")
    assert (found["n_lost"], found["right_mean"]) == (1, pytest.approx(50 / 3))


def test_only_seeds_that_both_have_are_paired(store: Store) -> None:
    chosen = selection()
    (store.folder / f"records/grid25-gaan/ali/{chosen.runs(chosen.rows[1])[2].id}.json").unlink()
    sheet = compare_rows(chosen, store, ["gan", "ali"])
    found = line(sheet.frame, "gan", "ali", "registered_modes")
    assert (found["n"], found["right_mean"], found["left_mean"], found["verdict"]) == (2, 25, 12.5, "-")
    assert "A verdict wants 3 seeds that both rows have." in sheet.footer


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_shows_the_comparison(style: str, store: Store) -> None:
    text = render(compare_rows(selection(), store, ["gaan_2", "gan"]), style)
    assert "higher" in text
    if style in ("markdown", "html"):
        assert "25.00 against 12.00" in text and "GAAN_2 against GAN" in text and "[+10.52, +15.48]" in text


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["gaan_2"], "two rows or more"),
        (["gan", "gan"], "two rows or more"),
        (["gan", "gaan2"], "gaan_2"),
    ],
)
def test_bad_rows_are_named(names: list[str], message: str, store: Store) -> None:
    with pytest.raises(UserError, match=message):
        compare_rows(selection(), store, names)


def test_a_row_without_records_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="first: python -m benchmark run --table gaan-2 --profile short --methods gan"):
        compare_rows(selection(), Store(tmp_path), ["gan", "ali"])
