"""The report: what it shows is what ``show`` prints, what it keeps of a model is the record's, and nothing escapes."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
import re
import shlex
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark import cli
from benchmark.analysis.claims import aggregate_claims
from benchmark.analysis.frame import aggregate
from benchmark.cli import select as cli_select
from benchmark.cli.commands.show import ShowOptions
from benchmark.cli.parse import parse
from benchmark.errors import UserError
from benchmark.papers.claims import CLAIMS
from benchmark.papers.discovery import all_figures, find_figure, find_table, select_claims
from benchmark.plotting.figure import Figure
from benchmark.render.formats import Shown, render, shown
from benchmark.render.report.content import Box, Line, Part, Report, _drawn, _selections, gather, prose, tone
from benchmark.render.report.model import CURVE_POINTS, model, moment_points, pack
from benchmark.render.report.write import report_page, write_report
from benchmark.spec import registry
from benchmark.spec.commands import file_name
from benchmark.spec.demonstration import choose
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import Column, Table
from benchmark.store.record import Record, Status
from benchmark.store.store import Store
from benchmark.training.experiments import perform
from tests.benchmark.made import change, fill_store, make_record

pytestmark = pytest.mark.slow

EVIL = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"


def selected(table: str = "gaan-2", **options: Any) -> Selection:
    found = find_table(table)
    assert isinstance(found, Table)
    return select(found, profile="short", **options)


def stored(folder: Path) -> Store:
    """GAN and GAAN_2 of Table 2, one model of them failed, with costs, and a demonstration."""
    store, selection = Store(folder), selected(methods=("gan", "gaan_2"))
    status: dict[tuple[str, int], Status] = {("gan", selection.seeds[-1]): "failed"}
    fill_store(store, selection, status)
    for row, seconds in zip(selection.rows, (10.0, 30.0), strict=True):
        for run in selection.runs(row):
            record = store.read(run)
            assert record is not None
            if record.status == "done":
                change(store, run, cost={"seconds": seconds + run.seed})
            else:
                store.write(run, Record(run.id, run.identity(), "failed", {}, reason=EVIL, cost={"seconds": 99.0}))
    demonstration = find_figure("theory-transport-plan")
    assert not isinstance(demonstration, Figure)
    perform(choose(demonstration, "smoke"), store)
    bound = find_figure("veegan-bound")
    assert not isinstance(bound, Figure)
    perform(choose(bound, "smoke"), store)
    (folder / "README.md").write_text(f"# Heading\n\n**Why** (`gaan-2`): {EVIL}\n\nOf all.\n")
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return stored(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def report(store: Store) -> Report:
    return gather(store)


@pytest.fixture(scope="module")
def html(report: Report, store: Store) -> str:
    return report_page(report, store)


def unpacked(html: str, name: str) -> Any:
    found = re.search(f'<script type="text/plain" id="{name}">(.*?)</script>', html, re.S)
    assert found
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


def boxes(report: Report) -> list[Box]:
    return [box for t in report.tables for part in t.parts for line in part.lines for box in line.boxes if box]


def test_values_are_those_of_show(report: Report, store: Store, html: str) -> None:
    (table,) = (table for table in report.tables if table.table == "gaan-2")
    sheet = aggregate(selected(), store)
    printed = pd.read_csv(io.StringIO(render(sheet, "csv"))).set_index(["row", "column"])
    seen = 0
    for line in table.parts[0].lines:
        for box in filter(None, line.boxes):
            entry = printed.loc[line.id, box.column.id]
            expected = entry[["mean", "ci_low", "ci_high", "paper_mean"]].astype(float)
            assert np.array_equal([box.mean, box.low, box.high, box.paper], expected, equal_nan=True)
            text = shown(entry, box.column)
            assert box.shown == text
            assert np.array_equal(box.fluctuation, entry["fluctuation"], equal_nan=True)
            assert f'<span class="ours">{text.ours}</span>' in html
            assert text.verdict in ("", "-") or f"</span>{text.verdict}</span>" in html
            seen += 1
    # Two rows of methods and the known samples; the rows without any record are named below.
    assert seen == 5 * len(sheet.columns)
    assert {box.tone for box in boxes(report)} > {"none", "equivalent"}
    assert table.absent == ("DAN-2S", "VAE-GAN", "ALI", "WGAN-GP", "GAAN_1")
    assert table.show == f"python -m benchmark show --table gaan-2 --profile short --results {store.folder}"
    assert table.sheet.header in unescape(html)
    assert all(note in unescape(html) for note in table.sheet.footer)


def test_an_entry_has_its_seeds(report: Report, store: Store, html: str) -> None:
    index = unpacked(html, "index")
    name = "gaan-2-short-corrected/gan/registered_modes"
    assert f'class="entry" data-entry="{name}"' in html
    runs = selected().runs(selected().table.row("gan"))
    assert index["entries"][name]["models"] == [run.id for run in runs]
    for run in runs:
        kept, record = unpacked(html, f"model-{run.id}"), store.read(run)
        assert record is not None
        assert kept["measures"] == pytest.approx(record.measures)
        assert kept["reproduce"] == f"python -m benchmark verify --cell {run.id} --results {store.folder}"
        assert kept["cost"] == record.cost
        assert kept["cell"] == run.identity()
    assert {box.id for box in boxes(report) if box.models} == set(index["entries"])


def test_what_records_say_stays_text(html: str) -> None:
    assert "<script>window.evil" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;window.evil" in html
    # The reason of the failed model is packed, and the page's script puts it in as text.
    assert "innerHTML" not in html.partition('id="library"')[2].partition("</script>")[2]


def test_paragraphs_stand_beside_their_table(store: Store, html: str) -> None:
    assert [text.partition(" ")[0] for text in prose(store.folder)] == ["**Why**", "Of"]
    why = html.partition('id="why"')[2]
    assert why.index("gaan-2") < why.index("<strong>Why</strong>")
    assert html.count("<strong>Why</strong>") == 1
    # What names no table is about the folder.
    assert "Of all." not in html


def test_methods_of_others_stand_below_a_tables_own(tmp_path: Path) -> None:
    store, own = Store(tmp_path), "modules.lsgan:LSGAN"
    fill_store(store, select(find_table("gaan-2"), profile="short", methods=["gan"], own=[own]))  # type: ignore[arg-type]
    (table,) = (table for table in gather(store).tables if table.table == "gaan-2")
    assert [line.id for line in table.parts[0].lines][:2] == ["gan", own]
    assert f"--method {own}" in table.run


def test_other_features_make_a_table_of_their_own() -> None:
    """Where Inception's weights cannot be had, a table of images is of another distance."""
    chosen = partial(select, find_table("gaan-4"), profile="smoke", methods=["gan"])  # type: ignore[arg-type]
    other = ["protocol.features=efficientnet-lite0"]
    usual, offline = ([s.run(s.rows[0], 0)] for s in (chosen(), chosen(assignments=other)))
    found = list(_selections(usual + offline))
    assert [s.settings.protocol for s in found] == [{"features": "efficientnet-lite0"}, {}]
    assert len(list(_selections(offline))) == 1


def add_gaan_1(store: Store) -> None:
    """GAAN_1 of Table 2, never with all modes, so that a claim has all of its models."""
    selection = selected(methods=("gaan_1",))
    fill_store(store, selection)
    for run in selection.runs(selection.rows[0]):
        record = store.read(run)
        assert record is not None
        change(store, run, curves={**record.curves, "registered_modes": [20.0] * run.protocol.epochs})


def test_claims_are_those_of_show_and_lead_to_their_models(tmp_path: Path) -> None:
    store = stored(tmp_path)
    add_gaan_1(store)
    report = gather(store)
    claims = {found.profile: found for found in report.claims}
    # A demonstration was measured at smoke, models were trained at short; nothing is said of other profiles.
    assert set(claims) == {"short", "smoke"}
    html = report_page(report, store)
    for profile, found in claims.items():
        sheet = aggregate_claims(select_claims(CLAIMS, profile), store)
        frame = sheet.frame
        assert [judged.claim.id for judged in found.judged] == list(frame["claim"].unique())
        for judged in found.judged:
            lines = frame[frame["claim"] == judged.claim.id]
            assert {judged.verdict} == set(lines["claim_verdict"])
            assert [(ground.numbers, ground.verdict) for ground in judged.grounds] == list(
                zip(lines["said"], lines["verdict"], strict=True)
            )
            for text in (judged.claim.sentence, judged.claim.source, judged.claim.reading, *lines["said"]):
                assert text in unescape(html)
            # In its table, and by its verdict on the page of what is equivalent and why.
            assert html.count(f'id="{judged.id}"') == html.count(f'href="#{judged.id}"') == 1
        assert all(note in unescape(html) for note in sheet.footer)
    by_id = {judged.claim.id: judged for judged in claims["short"].judged}
    assert by_id["gaan-faster"].verdict == "holds"
    assert by_id["gaan-faster"].methods == ("gaan",)
    assert by_id["gaan-faster"].datasets == ("grid25-gaan",)
    assert [(link.entry, link.curve) for link in by_id["gaan-faster"].grounds[0].sides] == [
        (f"gaan-2-short-corrected/{row}/registered_modes", "registered_modes") for row in ("gaan_2", "gaan_1")
    ]
    # Models that are not stored are named without a link; a curve opens with the entry of its models.
    ours, other = by_id["gaan-real"].grounds[0].sides
    assert by_id["gaan-real"].verdict == "not run"
    assert (ours.entry.partition("/gaan_2/")[1], ours.curve) == ("/gaan_2/", "loss.generator")
    assert (other.place, other.entry) == ("", "")
    (demonstration,) = {judged.claim.id: judged for judged in claims["smoke"].judged}["veegan-bound"].grounds
    assert demonstration.sides[0].place == "veegan-bound-smoke"
    assert 'id="veegan-bound-smoke"' in html
    assert all(
        link.entry in unpacked(html, "index")["entries"]
        for j in by_id.values()
        for g in j.grounds
        for link in g.sides
        if link.entry
    )


def test_a_larger_report_has_shorter_films() -> None:
    assert [moment_points(models) for models in (0, 100, 200, 10_000)] == [200, 200, 120, 40]


def test_optional_rows_are_shown_where_they_are_stored(tmp_path: Path) -> None:
    store, table = Store(tmp_path), find_table("gan-ae-2")
    assert isinstance(table, Table)
    optional = next(row for row in table.rows if row.optional)
    run = selected("gan-ae-2", methods=(optional.id,), datasets=("ring8",)).runs(optional)[0]
    store.write(run, *make_record(run))
    found = next(found for found in gather(store).tables if found.table == "gan-ae-2")
    assert found.parts[0].lines[0].id == optional.id
    usual = [row.id for row in table.rows if not row.optional]
    words = shlex.split(found.run)
    assert set(words[words.index("--methods") + 1].split(",")) == {*usual, optional.id}
    assert "--method" not in words


def test_models_of_other_seeds_and_settings_stand_in_tables_of_their_own(tmp_path: Path) -> None:
    store, own = Store(tmp_path), "modules.lsgan:LSGAN"
    asked = [
        selected(methods=("gan",), seeds=(0, 1, 2, 3, 4)),
        selected(methods=("gan", "gaan_2"), assignments=["method.lambda_p=0.5"]),
        selected(methods=("gan",), datasets=("ring8",), assignments=["protocol.lr=0.01"]),
        selected("veegan-1", own=(own,), all_rows=False, datasets=("ring8",), assignments=["protocol.epochs=3"]),
    ]
    for selection in asked:
        fill_store(store, selection)
    # What another version has made, whose fields ours lacks, is counted.
    lost = Run("ring8", "gan", Protocol(profile="short", reading="an-old-one"), 0)
    store.write(lost, *make_record(lost))
    found = gather(store)
    usual, *others = [table for table in found.tables if table.table in ("gaan-2", "veegan-1")]
    assert usual.sheet.name == "gaan-2-short-corrected"
    commands = {table.run.partition(" run ")[2].partition(" --results")[0] for table in others}
    assert commands == {
        "--table gaan-2 --profile short --methods gan --seeds 0-4",
        "--table gaan-2 --profile short --methods gaan_2 --set method.lambda_p=0.5",
        "--table gaan-2 --profile short --methods gan --datasets ring8 --set protocol.lr=0.01",
        f"--table veegan-1 --profile short --method {own} --datasets ring8 --set protocol.epochs=3",
    }
    given = set()
    for command in commands:
        again = cli_select.choose(parse(ShowOptions, [*command.split(), "--results", str(tmp_path)]))
        assert isinstance(again, cli_select.TableChoice)
        given |= {run.id for row in again.selection.rows for run in again.selection.runs(row)}
    assert set(found.models) == {run.id for s in asked for row in s.rows for run in s.runs(row)} <= given
    assert [line.split()[0] for line in found.left_out] == ["1"]


def test_trials_are_left_out_and_counted(tmp_path: Path) -> None:
    store, table = Store(tmp_path), find_table("veegan-1")
    assert isinstance(table, Table)
    fill_store(store, selected(methods=("gan",)))
    fill_store(store, trials := select(table, profile="tune", methods=["gan"], datasets=["ring8"]))
    assert gather(store).left_out == (f"{len(trials.seeds)} models that tune trained, to choose readings",)


def test_demonstrations_have_claim_numbers_and_verdict(report: Report, html: str) -> None:
    (tested,) = (one for one in report.demonstrations if one.experiment.demonstration.id == "theory-transport-plan")
    assert tested.experiment.demonstration.claim in unescape(html)
    assert tested.verdict == "holds"
    assert [what for _, what in tested.numbers] == list(tested.experiment.demonstration.numbers.values())


def test_cost_against_quality(report: Report, html: str) -> None:
    trade = unpacked(html, "index")["trades"]["table-gaan-2-short-corrected-0"]
    assert [row["title"] for row in trade["rows"]] == ["GAN", "GAAN_2"]
    seeds = selected().seeds
    # The failed model, which is the last, does not count.
    assert trade["rows"][0]["seconds"] == pytest.approx(10 + np.mean(seeds[:-1]))
    assert {column["title"] for column in trade["columns"]} >= {"modes", "points"}


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_the_front_is_what_none_beats(better: Any) -> None:
    rng = np.random.default_rng(0)
    column = Column("m", "m", None, better)
    costs, values = rng.integers(6, size=(2, 30)).astype(float)
    lines = [_line(str(i), column, cost, value) for i, (cost, value) in enumerate(zip(costs, values, strict=True))]
    front = Part("d", "", (column,), (*lines, _line("none", column, math.nan, 0.0))).front(0)
    quality = values if better == "higher" else -values
    beaten = [
        bool(np.any((costs <= c) & (quality >= q) & ((costs < c) | (quality > q))))
        for c, q in zip(costs, quality, strict=True)
    ]
    assert front == [str(i) for i, lost in enumerate(beaten) if not lost]


def _line(name: str, column: Column, seconds: float, value: float) -> Line:
    nothing = Shown("", "", (), "", "")
    box = Box(name, "d", column, nothing, "none", value, value, value, math.nan, ())
    return Line(name, name, "gan", (box,), seconds)


@pytest.mark.parametrize(
    ("verdict", "better", "expected"),
    [
        ("equivalent", "higher", "equivalent"),
        ("~equivalent", "lower", "equivalent"),
        ("~undecided", "lower", "undecided"),
        ("~higher", "higher", "better"),
        ("lower", "higher", "worse"),
        ("lower", "lower", "better"),
        ("higher", None, "differs"),
        ("-", "higher", "none"),
        ("", "higher", "none"),
    ],
)
def test_tones(verdict: str, better: Any, expected: str) -> None:
    assert tone(verdict, Column("m", "m", None, better)) == expected


def test_points_are_packed_finely() -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    points[:3] = [[1.2, 0], [0, np.nan], [-1, 1]]
    levels = np.frombuffer(base64.b64decode(pack(points, 1.0)), "<u2").reshape(2, 50).T
    assert levels[:3].tolist() == [[0, 0], [0, 0], [1, 4095]]
    assert levels[3:].min() > 0
    assert ((levels[3:].astype(float) - 1) / 4094 * 2 - 1) == pytest.approx(points[3:], abs=1 / 4094)


def test_curves_are_thinned_and_say_which_epochs(tmp_path: Path) -> None:
    store, run = Store(tmp_path), Run("ring8", "gan", Protocol(epochs=500), 0)
    record, samples = make_record(run)
    values = [None, *np.random.default_rng(0).random(499).tolist()]
    frames = np.random.default_rng(1).normal(size=(20, 400, 2))
    record.curves["jsd"] = values
    store.write(run, record, samples, frames)
    found = store.read(run)
    assert found is not None
    kept = model(run, found, store)
    curve = kept["curves"]["jsd"]
    assert len(curve["epochs"]) == CURVE_POINTS
    assert (curve["epochs"][0], curve["epochs"][-1]) == (1, 500)
    assert curve["values"][0] is None
    there = [values[epoch - 1] for epoch in curve["epochs"][1:]]
    assert curve["values"][1:] == pytest.approx(there, rel=1e-3)
    # The last of twenty moments is the end, which has more samples of its own.
    assert len(kept["points"]["frames"]) == 19
    assert kept["points"]["last"]["epoch"] == 500


def test_images_stand_side_by_side(tmp_path: Path) -> None:
    store, run = Store(tmp_path), Run("digits", "gan", Protocol(epochs=3, frames="1"), 0)
    images = np.random.default_rng(0).integers(256, size=(40, 1, 28, 28), dtype=np.uint8)
    store.write(run, Record(run.id, run.identity(), "done", {}), images, images[None, :7])
    record = store.read(run)
    assert record is not None
    first, last = model(run, record, store)["images"]
    assert (first["epoch"], last["epoch"]) == (1, 3)
    found = Image.open(io.BytesIO(base64.b64decode(last["image"].partition(",")[2]))).convert("L")
    # Six in a row, without loss.
    assert np.array_equal(np.asarray(found)[:28, 28:56], images[1, 0])
    assert np.array_equal(np.asarray(found)[28:56, :28], images[6, 0])
    store.path(run).with_suffix(".npy").unlink()
    assert "missing" in model(run, record, store)["no_pictures"]


def test_no_face_is_shown(tmp_path: Path) -> None:
    assert registry.shows_people(registry.dataset("celeba"))
    assert not registry.shows_people(registry.dataset("cifar10"))
    store, run = Store(tmp_path), Run("celeba", "gan", Protocol(networks="dcgan-64", epochs=1, frames="1"), 0)
    faces = np.full((4, 3, 64, 64), 128, np.uint8)
    record = Record(run.id, run.identity(), "done", {}, {"fid": 1.0})
    store.write(run, record, faces, faces[None])
    found = store.read(run)
    assert found is not None and found.samples and found.frames
    kept = model(run, found, store)
    assert kept["no_pictures"] == "Photographs of people are not shown."
    assert not {"images", "points"} & set(kept)
    # Nor in a figure, which may have been drawn of them.
    with_faces = 0
    for figure in all_figures().values():
        if not isinstance(figure, Figure):
            continue
        table = find_table(figure.table)
        assert isinstance(table, Table)
        selection = figure.usual(select(table))
        people = "celeba" in selection.datasets
        store.pictures(people).mkdir(parents=True, exist_ok=True)
        (store.pictures(people) / f"{figure.id}-paper-{table.reading}.png").write_bytes(b"")
        left_out: list[str] = []
        drawn = {one.figure.id for one in _drawn(selection, store, left_out)}
        assert (figure.id in drawn) == (not people)
        if people:
            assert left_out == [f"figure {figure.id}-paper-{table.reading}: photographs of people are not shown"]
            with_faces += 1
    assert with_faces >= 2


def test_a_figure_is_shown_of_the_data_sets_without_people(tmp_path: Path) -> None:
    figure = find_figure("gan-ae-natural")
    assert isinstance(figure, Figure)
    usual, part = (selected("gan-ae-natural", datasets=names) for names in ((), ("cifar10",)))
    assert usual.datasets == ("cifar10", "celeba")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / f"{file_name(part, figure.id, figure.usual(usual))}.png").write_bytes(b"")
    (drawn,) = _drawn(usual, Store(tmp_path), left_out := [])
    assert drawn.command == "python -m benchmark figure gan-ae-natural --profile short --datasets cifar10" + (
        f" --results {tmp_path}"
    )
    assert not left_out


def test_a_page_is_the_same_for_the_same_records(store: Store, html: str, tmp_path: Path) -> None:
    found = write_report(store, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == html
    assert 'src="http' not in html and 'href="http' not in html
    assert found.left_out == ()


def test_command(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "--results", str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("benchmark: nothing is stored in ")
    assert len(said.splitlines()) == 1
    with pytest.raises(UserError, match="nothing is stored"):
        gather(Store(tmp_path))
    assert cli.main(["report", "--results", str(store.folder), "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"benchmark: {tmp_path} is a folder; --output names a file\n"
