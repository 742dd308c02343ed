"""Code of the user's: how it is named, whose folder wins, and that looking at results runs none of it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import benchmark
from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.papers.discovery import find_table
from benchmark.spec import registry, user_code
from benchmark.spec.commands import run_command
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.spec.selection import select
from benchmark.spec.table import Table
from benchmark.store.record import Record
from benchmark.store.store import Store
from modules.gan import GAN
from tests.benchmark.command import call, refused
from tests.benchmark.made import make_record, run

pytestmark = pytest.mark.slow

ROOT = Path(benchmark.__file__).parents[1]
HINGE = "from modules.gan import GAN\n\n\nclass Hinge(GAN):\n    pass\n"
TABLE = find_table("2")
assert isinstance(TABLE, Table)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a process knows of the user's code goes with the test."""
    monkeypatch.delenv(user_code.FILES_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("modecov_file_", "evil", "results", "mine")):
            del sys.modules[name]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Names --------------------------------------------------------------------------------------------------------------


def test_a_class_in_a_file_alone_and_beside_rows(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "hinge.py").write_text(HINGE)
    options = ["--table", "2", "--profile", "smoke", "--seeds", "1-1", "--set", "protocol.batch_size=6000"]
    options += ["--results", "r", "--format", "csv", "--accelerator", "cpu"]
    status, out, _ = call(capsys, "run", *options, "--methods", "./hinge.py:Hinge")
    assert status == 0
    lines = [line.split(",") for line in out.splitlines()]
    assert {line[1] for line in lines[1:]} == {"hinge.py:Hinge", "real", "collapsed", "spread"}
    status, out, _ = call(capsys, "run", *options, "--methods", f"gan,{here / 'hinge.py'}:Hinge")
    assert status == 0
    points = {line.split(",")[1]: line.split(",")[9] for line in out.splitlines() if ",registered_points," in line}
    assert points["gan"] == points["hinge.py:Hinge"], "the same losses from the same streams give the same numbers"
    status, out, err = call(capsys, "run", *options, "--method", "hinge.py:Hinge", "--methods", "gan")
    assert status == 0 and "everything was done already" in err, "one model, however its file is named"


def test_a_record_holds_no_path_and_the_folder_can_move(here: Path) -> None:
    ids = set()
    for folder in (here / "a", here / "b" / "c"):
        folder.mkdir(parents=True)
        (folder / "hinge.py").write_text(HINGE)
        user_code.forget_files()
        chosen = select(TABLE, own=[f"{folder}/hinge.py:Hinge"], all_rows=False)
        (row,) = chosen.rows
        assert (row.id, row.title) == ("hinge.py:Hinge", "Hinge")
        ids.add(chosen.run(row, 0).id)
        where = folder.relative_to(here)
        assert f"--methods {where}/hinge.py:Hinge" in run_command("--table 2", chosen, Store(here / "r").folder)
    assert len(ids) == 1


def test_two_files_of_one_name_do_not_mix(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("a", "b"):
        (here / folder).mkdir()
        (here / folder / "hinge.py").write_text(HINGE)
    line = refused(capsys, "plan", "--table", "2", "--methods", "a/hinge.py:Hinge,b/hinge.py:Hinge")
    assert "have one name, which stands in records: rename one of them" in line
    (here / "hinge.py").write_text("raise RuntimeError('another file')\n")
    words = ("plan", "--table", "2", "--profile", "smoke", "--methods", "a/hinge.py:Hinge", "--results", "r")
    assert call(capsys, *words)[0] == 0, "the file that was named, not the one that lies here"


def test_what_lies_beside_a_file_can_be_imported(here: Path) -> None:
    (here / "lib").mkdir()
    (here / "lib" / "mine_helpers.py").write_text("from modules.gan import GAN\n")
    (here / "lib" / "hinge.py").write_text("from mine_helpers import GAN\n\n\nclass Hinge(GAN):\n    pass\n")
    assert issubclass(registry.method(registry.full_name("methods", "lib/hinge.py:Hinge")), GAN)


def test_data_measures_and_samplers_in_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.py").write_text(
        "import dataclasses\nimport numpy as np\nfrom datamodules.synthetic import RING8\n\n"
        "RING = dataclasses.replace(RING8, name='mine')\n\n\n"
        "def sample(n):\n    return RING.sample(n, np.random.default_rng(1))\n\n\n"
        "def spoil(samples, target):\n    samples[:] = 9\n    return float('inf')\n\n\n"
        "def mean(samples, target):\n    return samples.mean()\n\n\n"
        "def leave(samples, target):\n    raise SystemExit(3)\n"
    )
    words = ["evaluate", "--dataset", "mine.py:RING", "--sampler", "./mine.py:sample", "--n", "500"]
    status, out, _ = call(capsys, *words, "--measure", "mine.py:spoil", "--measure", "mine.py:mean", "--format", "json")
    assert status == 0
    found = __import__("json").loads(out)
    assert found["captured_modes"] == 8 and found["n"] == 500
    assert found["mine.py:spoil"] is None, "JSON has no infinity"
    assert abs(found["mine.py:mean"]) < 0.2, "what one measure changes is no other measure's"
    assert "--measure mine.py:leave on mine: SystemExit: 3" in refused(capsys, *words, "--measure", "mine.py:leave")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nclass Broken(\n", "hinge.py, line 2)"),
        ("import os\n\nraise RuntimeError('mine')\n", "RuntimeError: mine (hinge.py, line 3)"),
        ("import numpy\n\n\ndef f():\n    numpy.zeros(-1)\n\n\nf()\n", "hinge.py, line 5)"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 (hinge.py, line 2)"),
        ("import nowhere_at_all\n", "hinge.py, line 1)"),
    ],
)
@pytest.mark.parametrize("word", ["./hinge.py:Hinge", "hinge:Hinge"])
def test_an_import_that_fails_names_the_users_own_line(
    text: str, said: str, word: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "hinge.py").write_text(text)
    line = refused(capsys, "check", word)
    assert said in line


def test_a_file_that_is_not_there_and_a_name_that_is_not_in_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no file hinge.py, for ./hinge.py:Hinge" in refused(capsys, "check", "./hinge.py:Hinge").replace(
        "./hinge.py,", "hinge.py,"
    )
    (here / "hinge.py").write_text(HINGE)
    assert "did you mean 'Hinge'?" in refused(capsys, "check", "hinge.py:Hing")


# Whose folder wins --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regular", [True, False], ids=["package", "folder"])
def test_a_working_directory_with_modules_of_its_own(regular: bool, tmp_path: Path) -> None:
    for name in ("modules", "datamodules", "evaluators", *(() if regular else ("benchmark",))):
        (tmp_path / name).mkdir()
        if regular:
            (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "modules" / "hinge.py").write_text(HINGE)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for words, said in ((["list", "methods"], "gaan"), (["check", "modules/hinge.py:Hinge"], "keeps")):
        ended = subprocess.run(
            [sys.executable, "-m", "benchmark", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == 0, ended
        assert said in ended.stdout


def test_a_folder_that_python_took_for_the_package(tmp_path: Path) -> None:
    """As an editable install does beside a folder called benchmark: the package is the folder, the file is ours."""
    for name in ("benchmark", "modules"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hinge.py").write_text(HINGE)
    code = (
        "import sys, types, runpy\n"
        "folder = types.ModuleType('benchmark')\n"
        f"folder.__path__ = [{str(tmp_path / 'benchmark')!r}]\n"
        "sys.modules['benchmark'] = folder\n"
        "sys.argv = ['benchmark', 'list', 'methods']\n"
        f"runpy.run_path({str(ROOT / 'benchmark' / '__main__.py')!r}, run_name='__main__')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended
    assert "  gaan " in ended.stdout and "  gan " in ended.stdout


def test_a_package_of_that_name_that_came_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "__init__.py").write_text("")
    ended = subprocess.run(
        [sys.executable, "-c", "import modules, benchmark"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "was imported as 'modules' before benchmark" in ended.stderr


# Looking runs nothing -----------------------------------------------------------------------------------------------

PROTOCOL = Protocol(profile="short", epochs=2, width=1, batch_size=64, fresh_iterations=5, samples=200)


@pytest.fixture
def hostile(here: Path) -> tuple[Store, Run, Path]:
    """Results that somebody sent, below the working directory: a record names a class that lies among them."""
    store, ran = Store(here / "results"), here / "it ran"
    store.prepare()
    (store.folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n{HINGE}")
    (here / "evil_beside.py").write_text(f"open({str(ran)!r}, 'w')\n{HINGE}")
    shutil.copy(store.folder / "evil.py", store.folder / "__init__.py")
    made: list[Run] = []
    for name in ("results.evil:Hinge", "evil_beside:Hinge", "evil_beside.py:Hinge"):
        plain = Run("grid25-gaan", "gan", PROTOCOL, 0)
        record, samples = make_record(plain)
        run = dataclasses.replace(plain, method=name)
        store.write(run, dataclasses.replace(record, id=run.id, run=run.identity()), samples)
        made.append(run)
    assert not ran.exists()
    return store, made[1], ran


def test_looking_at_results_runs_nothing_that_they_name(
    hostile: tuple[Store, Run, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    store, run, ran = hostile
    for words in (
        ["report"],
        ["doctor"],
        ["list", "stored"],
        ["show", "--table", "2", "--profile", "short"],
        ["verify", "--cell", run.id],
        ["verify", "--table", "2", "--profile", "short"],
        ["figure", "movie", "--cell", run.id],
    ):
        main([*words, "--results", str(store.folder)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert not ran.exists(), words
    line = refused(capsys, "verify", "--cell", run.id, "--results", str(store.folder))
    assert f"if you trust it, add --method {run.method}" in line


def test_what_lies_in_a_results_folder_is_never_imported(
    hostile: tuple[Store, Run, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    store, _, ran = hostile
    for word in ("results.evil:Hinge", "results/evil.py:Hinge", "results:Hinge"):
        words = ["plan", "--table", "2", "--profile", "smoke", "--method", word, "--results", str(store.folder)]
        assert "whose content is never run" in refused(capsys, *words)
        assert not ran.exists()


def test_what_is_named_on_the_command_line_is_loaded(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "mine_hinge.py").write_text(HINGE)
    user_code.short_name("mine_hinge.py:Hinge")
    one_run = Run("ring8", "mine_hinge.py:Hinge", PROTOCOL, 0)
    records: list[Record] = run(here / "r", [one_run])
    assert records[0].status == "done"
    words = ["verify", "--cell", one_run.id[:8], "--results", "r", "--accelerator", "cpu"]
    assert "add --method mine_hinge.py:Hinge" in refused(capsys, *words)
    status, out, _ = call(capsys, *words, "--method", "./mine_hinge.py:Hinge")
    assert status == 0 and "reproduced to the last bit" in out


def test_outside_of_a_command_a_call_is_its_own_name(here: Path) -> None:
    (here / "mine_hinge.py").write_text(HINGE)
    assert registry.method("mine_hinge.py:Hinge").__name__ == "Hinge"
    with user_code.only_what_is_named():
        with pytest.raises(UserError, match="runs no code here"):
            registry.method("mine_hinge.py:Hinge")
        user_code.trust("mine_hinge.py:Hinge")
        assert registry.method("mine_hinge.py:Hinge").__name__ == "Hinge"
