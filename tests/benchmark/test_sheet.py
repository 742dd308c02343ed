"""Sheets: from stored records to a tidy frame and its renderings."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.analysis.frame import aggregate
from benchmark.analysis.known_samples import known_samples
from benchmark.analysis.networks import read_networks
from benchmark.analysis.statistics import against_reported, holm, summarise
from benchmark.errors import UserError
from benchmark.papers.discovery import find_table
from benchmark.render.formats import FORMATS, render
from benchmark.spec.commands import complete_selection, file_name, seeds_text
from benchmark.spec.registry import dataset
from benchmark.spec.table import NetworkTable
from benchmark.store.record import Record
from benchmark.store.store import Store
from tests.benchmark.made import change, choose, fill_store

COLUMNS = (
    "table,row,column,profile,reading,budget,n,n_diverged,n_failed,n_no_value,mean,std,ci_low,ci_high,fluctuation,"
    "paper_mean,paper_std,margin,p,p_holm,p_bh,seeds_to_decide,verdict,lean"
)


selection = partial(choose, "2", profile="short")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("results"))
    fill_store(store, selection(), {("gan", 0): "diverged", ("ali", 1): "failed"})
    return store


def entry(frame: pd.DataFrame, row: str, column: str) -> pd.Series:
    (found,) = frame[(frame["row"] == row) & (frame["column"] == column)].to_dict("records")
    return pd.Series(found)


def test_a_row_is_the_mean_over_the_seeds_that_are_done(filled: Store) -> None:
    chosen = selection()
    frame = aggregate(chosen, filled).frame
    for row in chosen.rows:
        records = [filled.read(run) for run in chosen.runs(row)]
        values = [r.measures["registered_points"] for r in records if r and r.status == "done"]
        found = entry(frame, row.id, "registered_points")
        assert found["n"] == len(values)
        assert found["mean"] == pytest.approx(np.mean(values))
        assert found["std"] == pytest.approx(np.std(values, ddof=1))
    assert tuple(entry(frame, "gan", "cv")[["n", "n_diverged", "n_failed"]]) == (2, 1, 0)
    assert tuple(entry(frame, "ali", "cv")[["n", "n_diverged", "n_failed"]]) == (2, 0, 1)


def test_lost_seeds_are_named_below_the_table(filled: Store) -> None:
    footer = "\n".join(aggregate(selection(), filled).footer)
    assert "Diverged models, not in the means: GAN 1. In verdicts they count with the measure's worst value" in footer
    assert "Failed models, not in the means: ALI 1." in footer
    text = render(aggregate(selection(), filled), "markdown")
    assert text.count("(1 of 3 diverged)") == text.count("(1 of 3 failed)") == 7


def lose(store: Store, row: str, count: int, **fields: object) -> None:
    """Alter the first records of a row."""
    chosen = selection()
    for run in chosen.runs(chosen.table.row(row))[:count]:
        change(store, run, **fields)


def test_losing_models_does_not_make_a_verdict_better(tmp_path: Path) -> None:
    """The data themselves register about 1,966 points: with 3 of 3 models that is higher than GAAN_2's 1,827."""
    store = Store(tmp_path)
    fill_store(store, selection(methods=["gaan_2"]))
    before = entry(aggregate(selection(methods=["gaan_2"]), store).frame, "gaan_2", "registered_points")
    assert before["verdict"] == "~higher"
    lose(store, "gaan_2", 1, status="diverged", measures={}, samples=None)
    after = entry(aggregate(selection(methods=["gaan_2"]), store).frame, "gaan_2", "registered_points")
    assert after["mean"] == pytest.approx(before["mean"], rel=0.01), "the mean is of those that finished"
    assert after["verdict"] == "~undecided"
    values = [0.0, *[r.measures["registered_points"] for r in records_of(store, "gaan_2") if r.status == "done"]]
    reported = selection().table.row("gaan_2").reported["registered_points"]
    expected = against_reported(summarise(values), reported, 8, 100.0)
    assert expected is not None and after["p"] == pytest.approx(expected.p)


def records_of(store: Store, row: str) -> list[Record]:
    chosen = selection()
    return [record for run in chosen.runs(chosen.table.row(row)) if (record := store.read(run))]


def test_a_measure_without_a_value_says_how_many(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill_store(store, selection(methods=["gaan_2"]))
    measures = records_of(store, "gaan_2")[0].measures | {"cv": None}
    lose(store, "gaan_2", 1, measures=measures)
    sheet = aggregate(selection(methods=["gaan_2"]), store)
    found = entry(sheet.frame, "gaan_2", "cv")
    assert (found["n"], found["n_no_value"], found["n_diverged"]) == (2, 1, 0)
    assert found["verdict"] == "~undecided"
    assert "(1 of 3 without a value)" in render(sheet, "markdown")


def test_differences_are_corrected_over_the_whole_table(filled: Store) -> None:
    sheet = aggregate(selection(), filled)
    judged = sheet.frame[sheet.frame["verdict"] != "-"]
    assert len(judged) == 28 and "corrected over 28 entries (Holm)" in sheet.header
    assert judged["p_holm"].to_numpy() == pytest.approx(holm(judged["p"].to_list()))
    assert (judged["p"] <= judged["p_bh"] + 1e-15).all() and (judged["p_bh"] <= judged["p_holm"] + 1e-15).all()
    found = entry(sheet.frame, "gaan_2", "registered_points")
    assert found["margin"] == 100 and math.isnan(entry(sheet.frame, "real", "cv")["margin"])
    assert any("points 5 % of the samples" in line for line in sheet.footer)


def test_the_last_tenth_of_the_evaluations(tmp_path: Path) -> None:
    store, chosen = Store(tmp_path), selection(methods=["gaan_2"])
    fill_store(store, chosen)
    curve = [0.0] * 90 + [20.0, 24.0] * 5
    for record, run in zip(records_of(store, "gaan_2"), chosen.runs(chosen.rows[0]), strict=True):
        change(store, run, curves=record.curves | {"registered_modes": curve})
    usual, last = aggregate(chosen, store), aggregate(chosen, store, last=True)
    assert entry(usual.frame, "gaan_2", "registered_modes")["mean"] == 25
    assert entry(last.frame, "gaan_2", "registered_modes")["mean"] == 22
    assert entry(usual.frame, "gaan_2", "registered_modes")["fluctuation"] == pytest.approx(np.std(curve[90:], ddof=1))
    assert "last tenth of the evaluations" in last.header and last.name == usual.name + "-last"


def test_two_methods_have_no_order_to_agree_on(filled: Store) -> None:
    said = [
        line for line in aggregate(selection(methods=["gan", "ali"]), filled).footer if line.startswith("Kendall's tau")
    ]
    assert said == ["Kendall's tau between our order of methods and the paper's wants three methods or more."]


def test_printed_values_are_the_papers(filled: Store) -> None:
    frame = aggregate(selection(), filled).frame
    for row, column, mean, std in [
        ("gan", "registered_modes", 21.50, 2.00),
        ("dan-2s", "registered_points", 986.33, 160.80),
        ("wgan-gp", "max_deficit", 0.54, 0.35),
        ("gaan_2", "cv", 0.12, 0.02),
    ]:
        found = entry(frame, row, column)
        assert (found["paper_mean"], found["paper_std"]) == (mean, std)
    assert math.isnan(entry(frame, "gan", "tv_true")["paper_mean"])


def test_known_rows_rank_as_they_must(filled: Store) -> None:
    frame = aggregate(selection(), filled).frame

    def mean(row: str, column: str) -> float:
        return float(entry(frame, row, column)["mean"])

    assert mean("real", "registered_modes") == 25
    assert mean("collapsed", "registered_modes") == 12
    assert mean("collapsed", "max_deficit") == 1
    for diversity in ("max_deficit", "cv", "tv_true", "tv_differential", "max_relative_deviation"):
        assert mean("real", diversity) < mean("collapsed", diversity)
    assert mean("real", "registered_points") > 20 * mean("spread", "registered_points")


def test_known_samples_do_not_depend_on_the_other_seeds(filled: Store) -> None:
    chosen = selection()
    protocol = chosen.protocol(chosen.rows[0])
    both = known_samples(dataset("grid25-gaan"), protocol, (3, 4), filled)
    alone = known_samples(dataset("grid25-gaan"), protocol, (4,), filled)
    assert both["real"]["cv"][1] == pytest.approx(alone["real"]["cv"][0], rel=1e-12)


@pytest.mark.parametrize("style", FORMATS)
def test_every_rendering_names_profile_reading_budget_and_seeds(style: str, filled: Store) -> None:
    text = re.sub(r"\\(?=%)", "", render(aggregate(selection(), filled), style))
    if style == "csv":
        assert "gaan-2,gan,registered_modes,short,corrected,0.2,2,1,0,0," in text
    else:
        for word in ("profile short", "reading corrected", "20 % of the paper's training", "seeds 0-2 (3)"):
            assert word in text.replace("&#x27;", "'"), word


def test_csv_is_tidy_and_exact(filled: Store) -> None:
    sheet = aggregate(selection(), filled)
    text = render(sheet, "csv")
    assert text.splitlines()[0] == COLUMNS
    back = pd.read_csv(io.StringIO(text), dtype=str)
    np.testing.assert_array_equal(back["mean"].astype(float), sheet.frame["mean"])
    assert len(back) == (7 + 3) * 7


def test_json_is_json_without_nan(filled: Store) -> None:
    content = json.loads(render(aggregate(selection(), filled), "json"))
    assert content["entries"][0]["row"] == "gan"
    assert content["entries"][4]["paper_mean"] is None


def test_latex_and_html_are_balanced(filled: Store) -> None:
    sheet = aggregate(selection(), filled)
    latex = render(sheet, "latex")
    body = latex[latex.index("\\begin") :]
    assert body.count("{") == body.count("}")
    assert "\\begin{tabular}" in body
    assert not re.search(r"(?<!\\)[%#]", body)
    html = render(sheet, "html")
    assert html.count("<td>") == html.count("</td>") == 10 * 7


@pytest.mark.parametrize("value", [[], {"real": 3}, {"real": {"cv": ["x"]}, "collapsed": {}, "spread": {}}, None])
def test_a_bent_cache_of_known_samples_is_measured_again(value: object, filled: Store) -> None:
    expected = aggregate(selection(), filled).frame
    for path in filled.folder.glob("known/*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"value": value}))
    pd.testing.assert_frame_equal(aggregate(selection(), filled).frame, expected)


def test_a_folder_that_cannot_be_written_is_shown(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = aggregate(selection(), filled).frame
    for path in filled.folder.glob("known/*.json"):
        path.unlink()

    def refuse(path: Path, content: bytes) -> None:
        raise UserError(f"cannot write {path}")

    monkeypatch.setattr("benchmark.store.store.write_atomically", refuse)
    pd.testing.assert_frame_equal(aggregate(selection(), filled).frame, expected)


def test_markdown_keeps_digits_and_bars(filled: Store) -> None:
    sheet = aggregate(selection(), filled)
    words = pd.DataFrame({"a|b": ["3.0", "1|2"]}, index=pd.Index(["007", "x|y"]))
    lines = render(dataclasses.replace(sheet, worded=words), "markdown").splitlines()
    rows = [line.replace(" ", "") for line in lines if line.startswith("|")]
    assert rows[0] == r"||a\|b|"
    assert rows[2:] == ["|007|3.0|", r"|x\|y|1\|2|"]


def test_latex_takes_any_text(filled: Store) -> None:
    sheet = aggregate(selection(), filled)
    words = pd.DataFrame({"∫ θ ≤ −1": ["a_b^2 & 5 % ~ \\ {x} #", "\N{PARTY POPPER}"]}, index=pd.Index(["$", "ν"]))
    body = render(dataclasses.replace(sheet, worded=words), "latex")
    body = body[body.index("\\begin") :]
    assert body.isascii()
    assert r"a\_b{\textasciicircum}2 \& 5 \% {\textasciitilde}" in body
    assert r"\ensuremath{\int}" in body


def test_nothing_stored_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="python -m benchmark run --table gaan-2 --profile short --results"):
        aggregate(selection(), Store(tmp_path))


def test_missing_seeds_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill_store(store, selection(methods=["gan"], seeds=[0, 2]))
    sheet = aggregate(selection(), store)
    assert any("Not run: GAN 1, DAN-2S 3" in line for line in sheet.footer)
    assert entry(sheet.frame, "ali", "cv")["n"] == 0
    assert "no value" in render(sheet, "markdown")


def test_records_of_earlier_versions_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    chosen = selection(methods=["gan", "ali"])
    fill_store(store, chosen)
    assert not any("Stale" in line for line in aggregate(chosen, store).footer)
    change(store, chosen.run(chosen.rows[1], 2), versions={"method": 0})
    assert any(line.startswith("Stale") and line.endswith(": ALI.") for line in aggregate(chosen, store).footer)


def test_a_part_belongs_to_the_whole_and_what_is_changed_does_not() -> None:
    part = selection(methods=["gan"], seeds=[1])
    assert complete_selection(part) == selection()
    assert file_name(selection(), "gaan-2") == "gaan-2-short-corrected"
    changed = selection(assignments=["method.lambda_p=0.2"])
    assert complete_selection(changed) == changed
    assert complete_selection(selection(seeds=[7])) == selection(seeds=[7])
    names = [file_name(s, "gaan-2") for s in (selection(), part, changed, selection(seeds=[7]))]
    assert len(set(names)) == 4


def test_the_budget_is_counted_in_generator_updates() -> None:
    grid = "grid25-gaan"
    assert selection(profile="paper").budget(grid) == 1
    assert selection().budget(grid) == 0.2
    assert selection(profile="paper", assignments=["protocol.batch_size=1024"]).budget(grid) == pytest.approx(49 / 391)


def test_a_field_set_to_its_default_is_the_same_model() -> None:
    changed = selection(methods=["gaan_2"], assignments=["method.lambda_p=0.1"])
    assert changed.run(changed.rows[0], 0) == selection(methods=["gaan_2"]).run(changed.rows[0], 0)


def test_what_makes_a_row_cannot_be_set_away() -> None:
    chosen = selection(methods=["gaan_1", "gaan_2"], assignments=["method.lambda_r=0.3"])
    assert [chosen.overrides(row)["lambda_r"] for row in chosen.rows] == [0.0, 0.3]


def test_table_1_is_read_off_the_networks() -> None:
    table = find_table("1")
    assert isinstance(table, NetworkTable)
    frame = read_networks(table).frame
    assert set(frame["verdict"]) == {"equivalent"}
    sizes = frame.pivot(index="row", columns="column", values="mean")
    assert sizes.loc["discriminator"].to_dict() == {"d_in": 2, "d_out": 1, "hidden_layers": 3, "hidden_width": 128}


def test_seeds_are_written_as_they_are_read() -> None:
    assert seeds_text([0, 1, 2, 3, 7]) == "0-3,7"
    assert seeds_text([5]) == "5"
