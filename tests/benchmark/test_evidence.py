"""Claims: statistics of records, verdicts, what is said before anything has run, and the table itself."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.analysis.claims import (
    NOT_RUN,
    aggregate_claims,
    claim_margin,
    combine_verdicts,
    judge_claim,
    statistic_value,
    verdict_on,
)
from benchmark.analysis.statistics import paired
from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.papers.claims import CLAIMS
from benchmark.papers.discovery import find_figure, select_claims
from benchmark.papers.gaan.tables import TABLE_2
from benchmark.render.formats import FORMATS, render
from benchmark.spec.claims import Claim, ClaimTable, Comparison, Models, Statistic
from benchmark.spec.demonstration import Demonstration
from benchmark.spec.selection import select
from benchmark.store.record import Record
from benchmark.store.store import Store
from datamodules.images import DATA_VARIABLE
from tests.benchmark.made import make_record

POINTS = Statistic("points", "registered_points", lost=0.0)
GAN, GAAN = (Models(TABLE_2, row, "grid25-gaan", seeds=3) for row in ("gan", "gaan_2"))
CLAIM = Claim("more", "GAAN registers more.", "a text", "as it says", (Comparison(POINTS, GAAN, "higher", GAN),))
BOUND = Claim("bound", "The bound holds.", "a text", "exactly", ("veegan-bound",))
SMALL = ClaimTable("small", None, "Two claims", "two texts", (CLAIM, BOUND), ("a note",))


def record(**fields: object) -> Record:
    return Record("id", **{"run": {}, "status": "done", "versions": {}, **fields})  # type: ignore[arg-type]


def write(store: Store, models: Models, points: list[float | None]) -> None:
    """Records with these numbers of points; None for a training that diverged."""
    for run, value in zip(select_claims(SMALL, "smoke").models(models), points, strict=True):
        made, samples = make_record(run, "diverged" if value is None else "done")
        measures = {} if value is None else made.measures | {"registered_points": value}
        store.write(run, dataclasses.replace(made, measures=measures), None if value is None else samples)


def test_statistics_of_a_record() -> None:
    made = record(measures={"m": 3.0, "none": None}, curves={"c": [1.0, None, 4.0, 2.0, 8.0]})
    assert statistic_value(Statistic("", "m"), made) == 3
    assert statistic_value(Statistic("", "none"), made) is None
    assert statistic_value(Statistic("", "c", "mean"), made) == pytest.approx(15 / 4)
    assert statistic_value(Statistic("", "c", "wait", goal=4), made) == 3
    assert statistic_value(Statistic("", "c", "wait", goal=9), made) == 6, "never: one more than there are"
    assert statistic_value(Statistic("", "c", "swing"), made) == pytest.approx(np.std(np.log([4, 2, 8])))
    assert statistic_value(Statistic("", "absent", "mean"), made) is None
    never = record(status="diverged", run={"protocol": {"epochs": 20}})
    assert [statistic_value(Statistic("", "c", take), never) for take in ("wait", "covered")] == [21, 21]
    for status, lost, expected in (("diverged", 0.0, 0.0), ("diverged", None, None), ("failed", 0.0, None)):
        assert statistic_value(Statistic("", "m", lost=lost), record(status=status)) == expected


@pytest.mark.parametrize(
    ("differences", "direction", "margin", "expected"),
    [
        ([2.0, 2.1, 1.9], "higher", 0.0, "holds"),
        ([2.0, 2.1, 1.9], "lower", 0.0, "does not hold"),
        ([2.0, 2.1, 1.9], "higher", 2.0, "undecided"),
        ([2.0, 2.1, 1.9], "higher", 3.0, "does not hold"),
        ([-1.0, -1.1, -0.9], "higher", -2.0, "holds"),
        ([-1.0, 3.0, 0.5], "higher", 0.0, "undecided"),
        ([0.0, 0.0, 0.0], "higher", 0.0, "undecided"),
        ([0.0, 0.0, 0.0], "higher", -2.0, "holds"),
        ([5.0, 5.0], "higher", 0.0, "undecided"),
        # Pairs that all differ by the same.
        ([13.0, 13.0, 13.0], "higher", 0.0, "holds"),
        ([1e-7, 1e-7, 1e-7], "higher", 0.0, "undecided"),
        # Inside the measure's margin, here 1.
        ([0.20, 0.21, 0.19], "higher", 0.0, "undecided"),
        ([0.20, 0.21, 0.19], "lower", 0.0, "undecided"),
        ([0.20, 0.21, 0.19], "higher", 0.1, "holds"),
    ],
)
def test_verdicts(differences: list[float], direction: str, margin: float, expected: str) -> None:
    base = [25.0] * len(differences)
    difference = paired([b + d for b, d in zip(base, differences, strict=True)], base, 1.0)
    assert verdict_on(difference, direction, margin) == expected


@pytest.mark.parametrize("differences", [[1e-7] * 3, [13.0] * 3, [0.0] * 8])
def test_equal_pairs_of_a_statistic_without_a_margin_say_nothing(differences: list[float]) -> None:
    assert verdict_on(paired(differences, [0.0] * len(differences)), "higher", 0.0) == "undecided"


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        (POINTS, 100.0),
        (Statistic("", "cv", "mean"), 0.05),
        (Statistic("", "captured_modes", "covered", goal=25), 1.0),
        (Statistic("", "loss.generator", "mean"), math.nan),
        (Statistic("", "cv", "swing"), math.nan),
    ],
)
def test_margins_of_statistics(statistic: Statistic, expected: float) -> None:
    found = claim_margin(statistic, GAN, select_claims(SMALL, "short"), 5.0)
    assert found == pytest.approx(expected, nan_ok=True)


def test_a_claim_holds_if_all_of_its_evidence_does() -> None:
    assert combine_verdicts(["holds", "holds"]) == "holds"
    assert combine_verdicts(["holds", "undecided"]) == "undecided"
    assert combine_verdicts(["undecided", "does not hold"]) == "does not hold"
    assert combine_verdicts(["does not hold", NOT_RUN]) == NOT_RUN


def test_nothing_is_said_before_every_model_has_run(tmp_path: Path) -> None:
    store, selected = Store(tmp_path), select_claims(SMALL, "smoke")
    assert [judge_claim(selected, claim, store)[0] for claim in SMALL.claims] == [NOT_RUN, NOT_RUN]
    write(store, GAAN, [1900.0, 1950.0, 1930.0])
    assert judge_claim(selected, CLAIM, store)[0] == NOT_RUN
    write(store, GAN, [10.0, 20.0, None])
    word, (finding,) = judge_claim(selected, CLAIM, store)
    assert (word, finding.n, finding.n_diverged) == ("holds", 3, 1)
    assert (finding.left, finding.right) == (pytest.approx(5780 / 3), pytest.approx(10))
    assert "1 diverged" in finding.said
    write(store, GAN, [2000.0, 1999.0, 1998.0])
    assert judge_claim(selected, CLAIM, store)[0] == "does not hold"


def test_every_format_shows_claims_numbers_and_verdicts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store, GAAN, [1900.0, 1950.0, 1930.0])
    write(store, GAN, [900.0, 1000.0, 950.0])
    sheet = aggregate_claims(select_claims(SMALL, "smoke"), store)
    for style in FORMATS:
        text = render(sheet, style)
        assert "holds" in text and NOT_RUN in text
        assert "1927 against 950" in text
        assert style == "csv" or "a note" in text
    frame = pd.read_csv(io.StringIO(render(sheet, "csv")))
    assert frame["claim_verdict"].tolist() == ["holds", NOT_RUN]
    assert json.loads(render(sheet, "json"))["entries"][1]["left"] is None


# The table ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS.claims, ids=lambda claim: claim.id)
def test_evidence_exists(claim: Claim) -> None:
    """Rows, data sets and measures are there, and both sides have as many seeds."""
    for part in claim.evidence:
        if isinstance(part, str):
            assert isinstance(find_figure(part), Demonstration)
            continue
        counts = set()
        for side in part.sides:
            assert side.dataset in side.table.datasets
            chosen = select_claims(CLAIMS, "short").selection(side)
            counts.add(chosen.seeds)
            if part.statistic.take in ("last", "wait", "covered"):
                measures = {column.measure for column in side.table.columns}
                assert part.statistic.name in measures
        assert len(counts) == 1 and len(counts.pop()) >= 3


def test_records_of_other_tables_are_used() -> None:
    selected = select_claims(CLAIMS, "short", ["gaan-faster"])
    own = select(TABLE_2, profile="short", methods=["gaan_1", "gaan_2"])
    assert {c.id for c in selected.runs(selected.claims[0])} == {c.id for r in own.rows for c in own.runs(r)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--reading", "printed"], "--reading means nothing to claims"),
        (["--set", "protocol.lr=1"], "--set means nothing to claims"),
        (["--methods", "gaan-fastr"], "gaan-faster"),
        (["--profile", "shrt"], "short"),
        (["--methods", "gaan-real,gaan-real"], "twice"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--table", "claims", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_what_compares_with_print_or_times_says_that_claims_have_none(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("verify", "throughput", "tune"):
        assert main([verb, "--table", "claims"]) == 2
        assert "claims" in capsys.readouterr().err


def test_a_claim_runs_and_is_shown_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--table", "claims", "--profile", "smoke", "--methods", "veegan-bound", "--results", str(tmp_path)]
    assert main(["show", *words]) == 0
    assert NOT_RUN in capsys.readouterr().out
    assert main(["plan", *words]) == 0
    assert "veegan-bound: to do" in capsys.readouterr().out
    assert main(["run", *words, "--format", "csv"]) == 0
    (line,) = pd.read_csv(io.StringIO(capsys.readouterr().out)).to_dict("records")
    assert (line["claim"], line["claim_verdict"]) == ("veegan-bound", "holds")
    written = pd.read_csv(tmp_path / "tables" / "claims-smoke.csv")
    assert set(written["claim"]) == {claim.id for claim in CLAIMS.claims}
    assert set(written[written["claim"] != "veegan-bound"]["claim_verdict"]) == {NOT_RUN}


def test_claims_on_images_are_shown_where_the_images_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "none"))
    words = ["--table", "claims", "--profile", "smoke", "--methods", "gaan-penalty", "--results", str(tmp_path)]
    assert main(["show", *words]) == 0
    assert main(["run", *words]) == 2


def test_an_unknown_claim_is_refused() -> None:
    with pytest.raises(UserError, match="more"):
        select_claims(SMALL, "smoke", ["mroe"])
