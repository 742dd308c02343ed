"""Papers from elsewhere: a package of tables, claims, a method and a measure, by its entry point and by name."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import numpy as np
import pytest

from benchmark.analysis.statistics import against_reported, summarise
from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.papers.discovery import all_figures, all_tables, find_table
from benchmark.spec import registry
from benchmark.spec.claims import ClaimTable
from benchmark.spec.protocol import Protocol
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import Reported, Table
from benchmark.store.store import Store
from evaluators.margins import MARGINS, Margin, stated_margin, with_margin

from .command import call, refused
from .made import fill_store, make_record

ROOT = Path(__file__).parents[2]
POINTS = {
    "methods": {"pacgan": "pacgan.pacgan:PacGAN"},
    "measures": {"reverse-kl": "pacgan.measures:reverse_kl"},
    "papers": {"pacgan": "pacgan"},
}
REVERSE_KL = POINTS["measures"]["reverse-kl"]
Install = Callable[..., None]


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where packages are installed: what the test puts there, whatever is really installed. The example package can be
    imported, but nothing offers it."""
    folder = tmp_path / "site"
    folder.mkdir()
    for place in (ROOT / "examples" / "pacgan", folder):
        monkeypatch.syspath_prepend(str(place))

    def offered(group: str) -> Iterator[EntryPoint]:
        points = (point for package in distributions(path=[str(folder)]) for point in package.entry_points)
        return (point for point in points if point.group == group)

    monkeypatch.setattr(registry, "entry_points", offered)
    return folder


@pytest.fixture
def install(site: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """What pip leaves of a package: its modules, by name and text, and the file of its entry points."""

    def write(points: Mapping[str, Mapping[str, str]], **modules: str) -> None:
        about = site / "outside-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
        groups = (
            f"[modecov.{kind}]\n" + "".join(f"{name} = {value}\n" for name, value in named.items())
            for kind, named in points.items()
        )
        (about / "entry_points.txt").write_text("\n".join(groups))
        for name, text in modules.items():
            (site / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, name, raising=False)

    return write


@pytest.fixture
def installed(install: Install) -> None:
    install(POINTS)


def chosen(name: str, profile: str = "smoke", **options: object) -> Selection:
    table = find_table(name)
    assert isinstance(table, Table)
    return select(table, profile=profile, **options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("installed")
def test_list_names_its_tables_rows_and_claims_beside_ours(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capsys, "list", "tables")
    assert (status, err) == (0, "")
    names = [line.split()[0] for line in out.splitlines()[1:]]
    assert {"pacgan-1", "pacgan-2", "pacgan-3", "pacgan-claims", "gaan-2", "claims"} <= set(names)
    _, out, _ = call(capsys, "list", "protocols")
    assert "rows of pacgan-1 (--methods)\n  gan " in out and "  pacgan-modes " in out
    _, out, _ = call(capsys, "list", "measures")
    assert f"  {REVERSE_KL}" in out and "beside Reverse KL" in out


def test_without_the_package_there_is_no_such_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown table 'pacgan-1'" in refused(capsys, "show", "--table", "pacgan-1")


@pytest.mark.parametrize("name", ["pacgan-1", "pacgan-2", "pacgan-3"])
@pytest.mark.usefixtures("installed")
def test_every_row_has_every_printed_value(name: str) -> None:
    table = find_table(name)
    assert isinstance(table, Table)
    printed = {column.id for column in table.columns if column.reported_title}
    assert all(set(row.reported) == printed for row in table.rows)
    for row in table.rows:
        errors = {(value.error, value.runs) for value in row.reported.values() if value.std is not None}
        quoted = "quoted" in row.assumptions
        assert errors <= ({("std", 10)} if quoted else {("se", 0)})
    for column in table.columns:
        margin = registry.margin_of_measure(column.measure)
        assert margin is not None and margin.better == column.better


@pytest.mark.usefixtures("installed")
def test_the_printed_values_are_the_papers() -> None:
    rows = {name: {row.id: row.reported for row in find_table(name).rows} for name in ("pacgan-1", "pacgan-2")}  # type: ignore[union-attr]
    assert rows["pacgan-1"]["pacgan3"][f"grid25/{REVERSE_KL}"] == Reported(0.06, 0.02, 0.005, 0.005, "se")
    share = rows["pacgan-1"]["gan"]["ring8/high_quality_fraction"]
    assert (share.mean, share.std, share.error) == (pytest.approx(0.982), pytest.approx(0.002), "se")
    assert rows["pacgan-2"]["veegan"]["modes"] == Reported(150.0, rounding=0.05)
    table = find_table("pacgan-3")
    assert isinstance(table, Table) and table.reported_runs == 50
    assert table.row("unrolled5").reported["k2/kl"] == Reported(1.66, 0.09, 0.005, 0.005, "std", 10)


@pytest.mark.parametrize("name", ["pacgan-1", "pacgan-2", "pacgan-3"])
@pytest.mark.usefixtures("installed")
def test_all_rows_have_as_many_updates_and_packs(name: str) -> None:
    found = chosen(name, "paper")
    protocols = {row.id: found.protocol(row) for row in found.rows}
    assert len({(protocol.epochs, protocol.fresh_iterations) for protocol in protocols.values()}) == 1
    for row in found.rows:
        packing = int(found.overrides(row).get("packing", 2)) if row.id.startswith("pacgan") else 1
        assert protocols[row.id].batch_size == packing * protocols["gan"].batch_size


@pytest.mark.usefixtures("installed")
def test_plan_says_what_is_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--table", "pacgan-1", "--profile", "smoke", "--methods", "gan,pacgan3", "--results", str(tmp_path / "r")]
    status, out, _ = call(capsys, "plan", *words)
    assert status == 0
    assert re.search(r"^  pacgan3 +4 to do", out, re.MULTILINE) and "8 runs to do" in out


@pytest.mark.usefixtures("installed")
def test_two_rows_are_trained_measured_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--profile", "smoke", "--methods", "gan,pacgan2", "--datasets", "grid25", "--results", str(tmp_path)]
    words += ["--seeds", "2"]
    assert main(["run", "--table", "pacgan-1", *words, "--accelerator", "cpu"]) == 0
    capsys.readouterr()
    status, out, err = call(capsys, "show", "--table", "pacgan-1", *words, "--format", "csv")
    assert (status, err) == (0, "")
    lines = {(line["row"], line["column"]): line for line in csv.DictReader(io.StringIO(out))}
    printed = lines["pacgan2", f"grid25/{REVERSE_KL}"]
    assert (printed["paper_mean"], printed["paper_std"], printed["paper_se"]) == ("0.13", "", "0.04")
    assert float(lines["real", f"grid25/{REVERSE_KL}"]["mean"]) < 0.02
    # What stands in the table is the measure of the stored samples.
    from pacgan.measures import reverse_kl

    found, store = chosen("pacgan-1", methods=["pacgan2"], seeds=range(2), datasets=["grid25"]), Store(tmp_path)
    values = []
    for run in found.runs(found.rows[0]):
        record = store.read(run)
        assert record is not None and run.method == POINTS["methods"]["pacgan"] and record.versions["method"] == 1
        values.append(reverse_kl(store.samples(run, record), registry.mixture("grid25")))
    values = [value for value in values if not math.isnan(value)]
    assert int(printed["n"]) == len(values) and int(printed["n_no_value"]) == 2 - len(values)
    _, out, _ = call(capsys, "show", "--table", "pacgan-1", *words)
    assert "paper 0.13 ± 0.04 s.e." in out and "(10 runs; s.e.: standard error)" in out
    # By its full name, without the entry point, it is the same table.
    status, _, err = call(capsys, "run", "--table", "pacgan.tables:TABLE_1", *words, "--accelerator", "cpu")
    assert status == 0 and "everything was done already" in err


def test_a_table_named_in_full_needs_no_entry_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--profile", "smoke", "--results", str(tmp_path / "r")]
    for name in ("pacgan.tables:TABLE_1", "pacgan.claims:CLAIMS"):
        status, out, err = call(capsys, "plan", "--table", name, *words)
        assert status == 0 and "to do" in out, err


def fill(store: Store, seeds: range) -> None:
    """GAN with half of the modes, PacGAN with all."""
    store.prepare()
    found = chosen("pacgan-1", methods=["gan", "pacgan2"], seeds=seeds)
    for row in found.rows:
        for run in found.runs(row):
            mixture = registry.mixture(run.dataset)
            rng, n = np.random.default_rng(run.seed), run.protocol.samples
            modes = mixture.modes // 2 + run.seed % 2 if row.id == "gan" else mixture.modes
            samples = mixture.sample_modes(n, rng, modes).astype(np.float32)
            record, _ = make_record(run)
            record.measures["captured_modes"] = float(modes)
            store.write(run, record, samples)


@pytest.mark.usefixtures("installed")
def test_its_claims_are_judged_by_its_measure_and_the_report_shows_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(Store(tmp_path), range(4))
    words = ["--profile", "smoke", "--seeds", "4", "--results", str(tmp_path)]
    status, out, _ = call(capsys, "show", "--table", "pacgan-claims", *words, "--format", "csv")
    assert status == 0
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [line["claim"] for line in lines] == ["pacgan-modes"] * 2 + ["pacgan-balance"] * 2
    assert {line["claim_verdict"] for line in lines} == {"holds"}
    half = (math.log(8 / 4) + math.log(8 / 5)) / 2
    assert float(lines[2]["right"]) == pytest.approx(half, abs=0.01) and float(lines[2]["left"]) < 0.01
    _, out, _ = call(capsys, "show", "--table", "pacgan-1", *words, "--compare", "pacgan2,gan")
    assert "reverse KL 0.05 (as if the modes that are really in use" in re.sub(r"\s+", " ", out)
    assert main(["report", "--results", str(tmp_path)]) == 0
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "pacgan-1-smoke-corrected" in page and "reverse KL" in page and "0.45 ± 0.09 s.e." in page


TITLE = "A table of theirs"
THEIRS = f"""
import dataclasses
from benchmark.papers.gaan.tables import TABLE_2
MINE = dataclasses.replace(TABLE_2, title={TITLE!r}, **FIELDS)
"""


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"number": None}, "gaan-2 has a name that another has"),
        ({"id": "theirs"}, "theirs has a name that another has"),
        ({"id": "2", "number": None}, "2 has a name that another has"),
    ],
)
def test_an_id_or_a_number_of_ours_is_refused(
    fields: dict[str, str], reason: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"clash{abs(hash(reason)) % 10_000}"
    install({"papers": {name: name}}, **{name: THEIRS.replace("FIELDS", repr(fields))})
    status, out, err = call(capsys, "list", "tables")
    assert status == 0 and TITLE not in out and "  gaan-2 " in out
    assert err == f"benchmark: left out: the paper {name}, {name}: {reason}; it wants one of its own\n"
    ours = find_table("2")
    assert ours.title != TITLE and ours is find_table("gaan-2")


BROKEN = {
    "raises": ("1 / 0\n", "ZeroDivisionError: division by zero"),
    "ends": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "lacks": (THEIRS.replace("FIELDS", "{'id': 'lacks', 'number': None, 'datasets': ('ring9',)}"), "'ring9'"),
    "asks": (
        "import dataclasses\nfrom benchmark.papers.gaan.tables import TABLE_2\n"
        "ROW = dataclasses.replace(TABLE_2.rows[0], method='nowhere.at:ALL')\n"
        "MINE = dataclasses.replace(TABLE_2, id='asks', number=None, rows=(ROW,))\n",
        "nowhere",
    ),
    "slips": (THEIRS.replace("FIELDS", "{'id': 'slips', 'number': None, 'protocol': {'lrr': 1.0}}"), "'lrr'"),
}


@pytest.mark.parametrize("kind", [*BROKEN, "absent"])
def test_a_broken_paper_is_one_line_and_ours_are_there(
    kind: str, install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"broken_{kind}"
    text, reason = BROKEN.get(kind, (None, "No module named"))
    install({"papers": {name: name}}, **({name: text} if text else {}))
    for section in ("tables", "protocols", "stored"):
        status, out, err = call(capsys, "list", section, "--results", str(tmp_path / "r"))
        assert status == 0 and "gaan-2" in out and TITLE not in out
        if section == "tables":
            assert name in err and reason in err and len(err.splitlines()) == 1
        else:
            assert err == "", "said once"


def test_tables_of_ours_load_nothing_from_outside(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install({"papers": {"untouched": "untouched"}}, untouched="1 / 0\n")
    words = ("--table", "gaan-2", "--profile", "smoke", "--results", str(tmp_path / "r"))
    assert call(capsys, "plan", *words)[::2] == (0, "")


DRAWS = """
from benchmark.plotting import canvas
from benchmark.plotting.figure import Figure
from benchmark.spec.demonstration import Demonstration, Findings

def draw(*found):
    return canvas.blank(4, 3)

FIGURE = Figure("theirs-fig", "A figure of theirs", "a text", "gaan-2", draw, rows=("gan",))
SHOWN = Demonstration("theirs-one", "One", "One is one.", "a text", "nothing", {"short": {}}, 0,
    lambda seeds: Findings({"one": 1.0}, {}), {"one": "one"}, "it is one",
    lambda numbers: "holds" if numbers["one"] == 1 else "does not hold", draw)
"""


def test_figures_and_demonstrations_from_outside(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install({"papers": {"draws": "draws_outside"}}, draws_outside=DRAWS)
    assert "theirs-fig" in call(capsys, "list", "figures")[1]
    assert "One is one." in call(capsys, "list", "demonstrations")[1]
    assert list(all_figures())[-2:] == ["theirs-fig", "theirs-one"], "ours first"
    status, out, err = call(capsys, "run", "--figure", "theirs-one", "--results", str(tmp_path / "r"))
    assert status == 0 and "verdict: holds" in out, err
    fill_store(Store(tmp_path / "r"), chosen("gaan-2", methods=["gan"]))
    status, out, err = call(capsys, "figure", "theirs-fig", "--profile", "smoke", "--results", str(tmp_path / "r"))
    assert status == 0 and Path(out.splitlines()[0]).name.startswith("theirs-fig-smoke"), err


def test_the_measure_is_a_divergence_in_closed_form(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from pacgan.measures import reverse_kl

    ring = registry.mixture("ring8")
    centres = np.array(ring.centres, dtype=np.float32)
    shares = np.array([0.5, 0.25, 0.125, 0.125])
    samples = np.repeat(centres[:4], (shares * 80).astype(int), axis=0)
    far = np.full((20, 2), 7.0, np.float32)
    expected = float((shares * np.log(shares * 8)).sum())
    assert reverse_kl(np.concatenate([samples, far]), ring) == pytest.approx(expected)
    assert reverse_kl(centres, ring) == pytest.approx(0.0, abs=1e-12)
    margin = stated_margin(reverse_kl)
    assert margin is not None and margin.worst is not None
    assert reverse_kl(centres[:1], ring) == pytest.approx(margin.worst(8, 1))
    assert math.isnan(reverse_kl(far, ring))
    with pytest.raises(TypeError, match="a measure of mixtures"):
        reverse_kl(np.zeros((2, 1, 28, 28), np.uint8), registry.dataset("digits"))  # type: ignore[arg-type]


@pytest.mark.usefixtures("installed")
def test_a_measure_beside_a_table_has_its_better_side_and_stands_once() -> None:
    found = chosen("veegan-1", measures=["reverse-kl"], datasets=["ring8"])
    assert (found.columns[-1].measure, found.columns[-1].better) == (REVERSE_KL, "lower")
    own = chosen("pacgan-1", measures=["reverse-kl"], datasets=["ring8"])
    assert [column.measure for column in own.columns].count(REVERSE_KL) == 1


def test_a_margin_is_stated_by_a_margin() -> None:
    margin = Margin(0.1, "absolute", "for a test", "lower")
    assert stated_margin(with_margin(margin)(lambda samples, dataset: 0.0)) is margin
    assert stated_margin(lambda samples, dataset: 0.0) is None
    assert registry.margin_of_measure("jsd") is MARGINS["jsd"] and registry.margin_of_measure("nothing") is None
    with pytest.raises(TypeError, match=r"evaluators\.margins\.Margin"):
        with_margin(0.1)  # type: ignore[arg-type]


def test_a_reported_value_may_have_runs_of_its_own() -> None:
    ours = summarise([1.0, 1.2, 1.4])
    quoted = Reported.read("1.5", "0.30", runs=10)
    assert against_reported(ours, quoted, 50, 0.1) == against_reported(ours, Reported.read("1.5", "0.30"), 10, 0.1)


def test_steps_and_rate_of_the_generator() -> None:
    method = registry.method(POINTS["methods"]["pacgan"])
    made = method(Protocol(), (2,), (0,), packing=3, generator_steps=2, generator_rate=0.5)
    critic, generator = made.updates()
    assert (critic.n_steps, critic.lr_scale, generator.n_steps, generator.lr_scale) == (1, 1.0, 2, 0.5)
    for field in ("packing", "generator_steps"):
        with pytest.raises(ValueError, match=f"method.{field} must be at least 1"):
            method(Protocol(), (2,), (0,), **{field: 0})


def test_no_file_of_the_tree_names_the_package() -> None:
    """Only the paper itself is cited, as the source of data and networks of others."""
    folders = [ROOT / name for name in ("benchmark", "modules", "datamodules", "evaluators")]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(files) > 100
    lines = [(path.name, line) for path in files for line in path.read_text("utf-8").splitlines()]
    assert [found for found in lines if "pacgan" in found[1]] == []


@pytest.mark.usefixtures("installed")
def test_ours_come_first_and_a_second_of_an_id_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(all_tables())
    assert [name for name in names if name.startswith("pacgan")] == names[-4:]
    assert isinstance(find_table("pacgan-claims"), ClaimTable)
    import pacgan.tables

    copy = dataclasses.replace(pacgan.tables.TABLE_1)
    monkeypatch.setattr(pacgan.tables, "OTHER", copy, raising=False)
    with pytest.raises(UserError, match="has the id pacgan-1, as another table has"):
        find_table("pacgan.tables:OTHER")


def test_the_paper_of_contributing_is_one_folder_that_works(
    install: Install, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add a paper")[2].partition("\n## ")[0]
    blocks = dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", text, re.DOTALL))
    assert set(blocks) == {"tables.py", "claims.py"}
    (site / "ring").mkdir()
    for name, block in {"__init__.py": "", **blocks}.items():
        (site / "ring" / name).write_text(block)
        monkeypatch.delitem(sys.modules, f"ring.{name.removesuffix('.py')}", raising=False)
    monkeypatch.delitem(sys.modules, "ring", raising=False)
    install({"papers": {"ring": "ring"}})
    words = ("--profile", "smoke", "--seeds", "1-1", "--results", str(tmp_path / "r"))
    status, out, err = call(capsys, "run", "--table", "ring-claims", *words, "--accelerator", "cpu")
    assert status == 0 and "ALI captures more modes than GAN." in out, err
    status, out, err = call(capsys, "show", "--table", "ring-1", *words)
    assert (status, err) == (0, "") and "paper 6.6 ± 0.3 s.e." in out


def test_the_measure_of_the_documents_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "your-own.md").read_text().partition("<!-- measure -->\n```python\n")[2].partition("```")[0]
    (tmp_path / "documented.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    margin, ring = registry.margin_of_measure("documented:far"), registry.mixture("ring8")
    assert margin is not None and (margin.better, margin.amount) == ("lower", 0.05)
    samples = np.concatenate([np.array(ring.centres), np.full((2, 2), 5.0)])
    assert registry.user_measure("documented:far")(samples, ring) == 0.2
