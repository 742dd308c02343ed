"""Methods, data sets and measures from elsewhere: by ``package.module:NAME``, and by the entry points of packages."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.checks.conformance import CHECKS, Case, Check
from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.papers.discovery import find_table
from benchmark.spec import registry
from benchmark.spec.commands import complete_selection, file_name, run_command, usual_of
from benchmark.spec.protocol import Protocol
from benchmark.spec.selection import select
from benchmark.spec.table import Table
from benchmark.store.store import Store
from modules.losses import bce_fake, bce_real

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = {
    "methods": ("pacgan", "pacgan.pacgan:PacGAN"),
    "datasets": ("spiral", "spiral.spiral:SPIRAL"),
    "measures": ("longest-gap", "spiral.gaps:longest_gap"),
}
TABLE = find_table("2")
assert isinstance(TABLE, Table)


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example packages, not installed."""
    for folder in ("pacgan", "plain_gan", "spiral"):
        monkeypatch.syspath_prepend(str(EXAMPLES / folder))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip writes beside an installed package."""
    folder = tmp_path / "site" / "outside-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    points = [f"[modecov.{kind}]\n{name} = {value}\n" for kind, (name, value) in NAMES.items()]
    (folder / "entry_points.txt").write_text(points[0] + "gan = nowhere:GAN\n" + "".join(points[1:]))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_pacgan_keeps_its_promises(check: Check) -> None:
    check(Case.of("pacgan.pacgan:PacGAN", ["method.packing=3"]))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("dataset", ["conformance", "digits"])
def test_ordinary_modules_keep_their_promises(dataset: str, check: Check) -> None:
    name = "plain_gan:PlainGAN"
    check(Case.of(name, ["method.width=8"], dataset=dataset) if dataset == "digits" else Case.of(name))


def test_packs_hold_neighbours_of_a_batch_and_fill_up_from_its_start() -> None:
    method = registry.method("pacgan.pacgan:PacGAN")
    module = method(Protocol(batch_size=5), (2,), (0, 1), packing=2)
    x = np.arange(20.0, dtype=np.float32).reshape(2, 5, 2)
    packs = module.packs(torch.from_numpy(x)).numpy()
    assert packs.shape == (2, 3, 4)
    np.testing.assert_array_equal(packs[1], [[10, 11, 12, 13], [14, 15, 16, 17], [18, 19, 10, 11]])
    z = torch.zeros(2, 5, 2)
    d = module.discriminator.logits
    expected = bce_real(d(torch.from_numpy(packs))) + bce_fake(d(module.packs(module.generator(z))))
    assert torch.allclose(module.discriminator_loss(torch.from_numpy(x), z), expected)


def test_a_pack_of_one_is_the_gan() -> None:
    pac, gan = (
        registry.method(name)(Protocol(), (2,), (0, 1), **fields)
        for name, fields in (("pacgan.pacgan:PacGAN", {"packing": 1}), ("gan", {}))
    )
    x = torch.rand(2, 8, 2)
    for loss in ("discriminator_loss", "generator_loss"):
        assert torch.equal(getattr(pac, loss)(x, x), getattr(gan, loss)(x, x))


@pytest.mark.usefixtures("installed")
def test_an_installed_name_is_the_same_model_as_its_class() -> None:
    short = select(TABLE, own=["pacgan"], datasets=["spiral"], measures=["longest-gap"])
    long = select(TABLE, own=[NAMES["methods"][1]], datasets=[NAMES["datasets"][1]])
    assert [row.id for row in short.rows] == [row.id for row in long.rows]
    assert [c.id for r in short.rows for c in short.runs(r)] == [c.id for r in long.rows for c in long.runs(r)]
    assert short.measures == (NAMES["measures"][1],)
    assert registry.full_name("methods", "gan") == "gan", "the house's names come first"


@pytest.mark.usefixtures("installed")
def test_list_names_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    for kind, (name, value) in NAMES.items():
        assert main(["list", kind]) == 0
        assert f"{name:<31}{value}" in capsys.readouterr().out


def test_without_the_package_the_name_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--table", "2", "--method", "pacgann"]) == 2
    assert "unknown method 'pacgann'" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"package\.module:function"):
        registry.user_measure("longest-gap")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("evaluate --dataset spiral.spiral:NO --samples x.npy", "unknown name in spiral.spiral 'NO'"),
        ("evaluate --dataset spiral.gaps:longest_gap --samples x.npy", "is no data set"),
        ("run --table 2 --measure spiral.spiral:SPIRAL", "is no measure"),
        ("run --table 2 --datasets mnist", "points and images differ"),
        ("run --table 2 --datasets ring9", "did you mean 'ring8'?"),
        ("figure gaan-fig5 --datasets spiral.spiral:SPIRAL", "unknown data set of gaan-2"),
        ("throughput --table 2 --datasets ring8", "unknown data set of gaan-2"),
        ("check pacgan.pacgan:PacGAN --set method.packing=two", "'two' is no int"),
    ],
)
def test_what_does_not_fit_is_one_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert line in capsys.readouterr().err


def test_a_table_takes_a_method_data_and_a_measure_from_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--table", "2", "--profile", "smoke", "--methods", "gan", "--method", "pacgan.pacgan:PacGAN"]
    words += ["--datasets", "spiral.spiral:SPIRAL", "--measure", "spiral.gaps:longest_gap", "--results", str(tmp_path)]
    small = ["--set", "protocol.fresh_iterations=5", "--seeds", "3-3"]
    assert main(["run", *words, *small, "--format", "csv", "--accelerator", "cpu"]) == 0
    lines = csv.DictReader(io.StringIO(capsys.readouterr().out))
    mean = {(line["row"], line["column"].partition("/")[2]): line["mean"] for line in lines}
    assert {name for name, _ in mean} >= {"gan", "pacgan.pacgan:PacGAN", "real", "collapsed", "spread"}
    assert float(mean["real", "captured_modes"]) == 20
    assert float(mean["collapsed", "spiral.gaps:longest_gap"]) == 0.5
    # What stands in the table is the measure of the stored samples.
    chosen = select(
        TABLE,
        profile="smoke",
        methods=["gan"],
        seeds=[3],
        datasets=["spiral.spiral:SPIRAL"],
        assignments=["protocol.fresh_iterations=5"],
        measures=["spiral.gaps:longest_gap"],
    )
    store, run = Store(tmp_path), chosen.runs(chosen.rows[0])[0]
    record = store.read(run)
    assert record is not None
    from spiral.gaps import longest_gap
    from spiral.spiral import SPIRAL

    expected = longest_gap(store.samples(run, record), SPIRAL)
    assert float(mean["gan", "spiral.gaps:longest_gap"]) == expected
    command = run_command("--table 2", chosen, store.folder)
    assert "--measure spiral.gaps:longest_gap --datasets spiral.spiral:SPIRAL" in command
    assert complete_selection(chosen) == chosen, "the table's own files are left alone"
    assert file_name(chosen, "gaan-2") != file_name(usual_of(chosen), "gaan-2")


def test_evaluate_takes_data_and_a_measure_from_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from spiral.spiral import SPIRAL

    points = SPIRAL.sample(2_000, np.random.default_rng(0))
    centres = np.array(SPIRAL.centres)
    nearest = np.linalg.norm(points[:, None] - centres, axis=2).argmin(1)
    np.save(tmp_path / "s.npy", points[~np.isin(nearest, [3, 4, 5, 9])])
    words = ["evaluate", "--dataset", "spiral.spiral:SPIRAL", "--samples", str(tmp_path / "s.npy")]
    assert main([*words, "--measure", "spiral.gaps:longest_gap"]) == 0
    said = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert said["spiral.gaps:longest_gap"][0] == "0.15"
    assert said["captured_modes"] == ["16", "20", "20", "10"]


def test_a_measure_that_raises_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "s.npy", np.zeros((5, 2)))
    words = ["evaluate", "--dataset", "ring8", "--samples", str(tmp_path / "s.npy"), "--measure"]
    assert main([*words, "modules.losses:bce_real"]) == 2
    assert "--measure modules.losses:bce_real on ring8: TypeError" in capsys.readouterr().err


def test_the_method_of_contributing_is_one_file_that_keeps_its_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (EXAMPLES.parent / "CONTRIBUTING.md").read_text()
    code = text.partition("<!-- modules/hinge.py -->\n```python\n")[2].partition("```")[0]
    (tmp_path / "contributed.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    case = Case.of("contributed:HingeGAN", ["method.margin=2"])
    for check in CHECKS[:-2]:
        check(case)


def test_a_subclass_of_a_mixture_is_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wide_rings.py").write_text(
        "from dataclasses import asdict, dataclass\n\n"
        "from datamodules.mixture import GaussianMixture\nfrom datamodules.synthetic import RING8\n\n\n"
        "@dataclass(frozen=True)\nclass Rings(GaussianMixture):\n    turns: int = 1\n\n\n"
        "WIDE = Rings(**{**asdict(RING8), 'name': 'wide', 'version': 0})\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["--profile", "smoke", "--methods", "gan", "--datasets", "wide_rings:WIDE", "--seeds", "0-0"]
    small = ["--set", "protocol.fresh_iterations=2", "--engine", "inline", "--accelerator", "cpu"]
    assert main(["run", "--table", "veegan-1", *words, *small, "--results", str(tmp_path / "results")]) == 0
