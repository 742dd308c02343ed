"""What README and docs say: commands, code, links and numbers. `make docs` builds the site with warnings as errors."""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import importlib.util
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import benchmark
from benchmark.cli import main
from benchmark.cli.main import COMMANDS
from benchmark.cli.options import FigureOptions, SelectionOptions, TableOptions
from benchmark.cli.parse import parse
from benchmark.cli.select import choose
from benchmark.errors import UserError
from benchmark.papers.discovery import all_tables
from benchmark.spec import registry
from benchmark.spec.table import Table
from benchmark.spec.user_code import only_what_is_named
from datamodules.images import DATA_VARIABLE, MissingData
from evaluators.features import MissingWeights

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]
#: What stands for something of the reader's.
STANDS_FOR = {"$SLURM_ARRAY_TASK_ID": "1", "$SLURM_ARRAY_TASK_COUNT": "7", "${RESULTS:-results}": "results"}


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def shell_lines(path: Path) -> Iterator[list[str]]:
    """The words of every command in a page's blocks, without what a shell does with its output."""
    for block in blocks(path, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for name, value in STANDS_FOR.items():
                line = line.replace(name, value)
            for part in re.split(r"&&|\s&\s", line):
                words = shlex.split(part.partition(" > ")[0], comments=True)
                if words:
                    yield words


def spans(path: Path) -> list[str]:
    """Code within the text of a page, outside of its blocks."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def commands(path: Path) -> Iterator[str]:
    """Every command of modecov on a page, without `python -m benchmark`."""
    for words in shell_lines(path):
        if words[0].endswith("python") and words[1:3] == ["-m", "benchmark"]:
            yield shlex.join(words[3:])
        elif words[0].endswith("modecov"):
            yield shlex.join(words[1:])
    for span in spans(path):
        said = re.sub(r"^(python -m benchmark|modecov) (?=\w)", "", span)
        if said.partition(" ")[0] in COMMANDS and (said != span or " --" in said):
            yield said


SPANS = {span for path in PAGES for span in spans(path)}
#: About what CONTRIBUTING adds.
ADDITIONS = [said for said in commands(ROOT / "CONTRIBUTING.md") if re.search("hinge|clock|offset|^list data", said)]
COMMANDS_OF_PAGES = [(path.relative_to(ROOT).as_posix(), said) for path in PAGES for said in commands(path)]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the reader's, with the files that pages talk of, the examples' packages installed, and no images."""
    tutorial = (DOCS / "your-own.md").read_text()
    points, images = (
        tutorial.partition(f"<!-- {name} -->\n```python\n")[2].partition("```")[0] for name in ("points", "images")
    )
    (tmp_path / "mine.py").write_text(f"{points}\n\n{images}")
    for block in blocks(DOCS / "running.md", "yaml"):
        (tmp_path / "run.yaml").write_text(block)
    (tmp_path / "hinge.py").write_text(points.replace("class Mine", "class Hinge"))
    installed: dict[str, dict[str, str]] = {}
    for path in (ROOT / "examples").glob("*/pyproject.toml"):
        monkeypatch.syspath_prepend(str(path.parent))
        for group, names in tomllib.loads(path.read_text())["project"].get("entry-points", {}).items():
            installed.setdefault(group.removeprefix("modecov."), {}).update(names)
    monkeypatch.setattr(registry, "installed", lambda kind: installed.get(kind, {}))
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)


def test_the_pages_have_commands() -> None:
    assert len(COMMANDS_OF_PAGES) > 60
    assert {said.split()[0] for _, said in COMMANDS_OF_PAGES} >= COMMANDS.keys() - {"list"}


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("said", dict.fromkeys(said for _, said in COMMANDS_OF_PAGES if said not in ADDITIONS))
def test_options_and_names_of_every_command_exist(said: str) -> None:
    """An option, a table, a row, a figure, a field or a method that is renamed fails here. Nothing is trained."""
    verb, *words = shlex.split(said)
    if verb in ("--help", "--version", "--print_completion"):
        return
    made, _, _ = COMMANDS[verb].load(verb)
    if {"--help", "--print_config"} & {*words}:
        with pytest.raises(SystemExit):
            parse(made, words)
        return
    # A span may name an option without its value.
    bare = said in SPANS and words and words[-1] in ("--method", "--cell", "--table", "--figure")
    options = parse(made, [*words, "1"] if bare else words)
    chosen = isinstance(options, TableOptions) and options.table
    chosen = chosen or (isinstance(options, FigureOptions) and options.figure not in (None, "movie"))
    if isinstance(options, SelectionOptions) and chosen:
        # Names are looked up before data and weights.
        with only_what_is_named(), contextlib.suppress(MissingData, MissingWeights):
            choose(options)


@pytest.mark.parametrize("said", ["run --table 2 --nonsense", "run --table 2 --profil short", "evaluate --dataset"])
def test_a_command_that_is_wrong_is_noticed(said: str) -> None:
    verb, *words = said.split()
    with pytest.raises(UserError):
        parse(COMMANDS[verb].load(verb)[0], words)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_other_commands_name_what_is_there(page: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    said = [*shell_lines(page), *(span.split() for span in spans(page))]
    for words in said:
        text = " ".join(words)
        if words[0] == "make" and len(words) == 2:
            assert words[1] in targets, text
        if "pip" in words[0] and "install" in words:
            for option, word in pairwise(words):
                folder, _, names = word.strip("'").rstrip("]").partition("[")
                assert option not in ("-e", "-c") or (ROOT / folder).exists(), text
                assert option != "-e" or set(filter(None, names.split(","))) <= extras.keys(), text
        if words[0].endswith("python") and words[1:2] == ["-m"] and words[2].startswith("tests."):
            found = importlib.util.find_spec(words[2])
            assert found, text
            folder = Path(str(found.origin))
            sources = folder.parent.glob("*.py") if folder.stem == "__init__" else [folder]
            source = "\n".join(path.read_text() for path in sources)
            assert all(f'"{word}"' in source for word in words[3:] if word.startswith("--")), text


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_on_a_page_compiles_and_calls_what_is_there(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(
                ("modules", "benchmark", "datamodules")
            ):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("benchmark."):
                function = getattr(benchmark, ast.unparse(node.func).removeprefix("benchmark."))
                given = {word.arg: ... for word in node.keywords}
                inspect.signature(function).bind(*node.args, **given)
                assert given.keys() <= keywords(function), ast.unparse(node)


def keywords(function: object) -> set[str]:
    """The keyword arguments of a function, those of an unpacked dictionary of options included."""
    import benchmark.api

    names = set(inspect.signature(function).parameters)  # type: ignore[arg-type]
    return names | set(benchmark.api.Choice.__annotations__) if "choice" in names else names


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_link_on_a_page_is_dead(page: Path) -> None:
    for link, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)", page.read_text()):
        target = (page.parent / link).resolve() if link else page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles], anchor


def test_the_readme_is_short_and_links_every_method_and_table() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 900
    assert all(f"[{name}](" in text for name in registry.methods())
    published = {path.stem for path in (ROOT / "results" / "tables").glob("*.md")}
    tables = {name for name in all_tables() if any(re.match(rf"{name}(-paper|-short|$)", stem) for stem in published)}
    assert len(tables) > 10 and all(f"[{name}](" in text for name in tables)
    linked = dict(re.findall(r"\[([\w-]+)\]\(\./results/tables/([\w-]+)\.md\)", text))
    assert all(stem.startswith(name) for name, stem in linked.items())


def test_the_table_of_the_readme_is_what_show_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["show", "--table", "2", "--format", "markdown"]) == 0
    lines = []
    for line in capsys.readouterr().out.splitlines():
        row, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if "<br>" in line:
            entries = [cell.split("<br>") for cell in cells[:2]]
            found = [
                (ours.partition(" [")[0], theirs.partition(" ")[2], verdict.partition(",")[0])
                for ours, theirs, verdict in entries
            ]
            lines.append("| " + " | ".join([row, *found[0], *found[1]]) + " |")
    text = (ROOT / "README.md").read_text()
    table = next(value for value in all_tables().values() if value.number == "2")
    assert isinstance(table, Table) and len(lines) == 7 <= len(table.rows)
    assert [line for line in text.splitlines() if "±" in line and line.startswith("|")] == lines


def test_ci_finds_the_two_commands_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for name, end in (("table", "run --table 2 --profile short"), ("tests", "pytest -q -n auto --dist loadfile")):
        block = re.search(rf"^<!-- {name} -->\n```sh\n(.*)\n```$", text, re.MULTILINE)
        assert block and block[1].startswith("python3 -m venv .venv && ") and block[1].endswith(end)


def test_files_that_the_map_of_the_code_names_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Map of the code")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 10
    for folders, *told in rows:
        places = [ROOT / name for name in re.findall(r"`([^`]+)`", folders)]
        places += [place.parent for place in places]
        for name in re.findall(r"`([\w/]+\.py)`", " ".join(told)):
            assert any((place / name).exists() for place in [ROOT, *places]), name
    tree = {path.name for path in (ROOT / "benchmark").iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert all(f"benchmark/{name}/" in text for name in tree), "a folder that the map leaves out"


def test_what_contributing_adds_is_found_by_being_there(tmp_path: Path) -> None:
    """A method, a data set and a measure, each one file in a copy of the packages, and the commands below them."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    files = dict(re.findall(r"<!-- (\w+/\w+\.py) -->\n```python\n(.*?)```", text, re.DOTALL))
    assert files.keys() == {"modules/hinge.py", "datamodules/clock.py", "evaluators/offset.py"}
    for package in ("benchmark", "modules", "datamodules", "evaluators"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in files.items():
        assert not (tmp_path / name).exists(), "an example should not be one of ours"
        (tmp_path / name).write_text(code)
    centres = np.random.default_rng(0).choice((-4.0, -2.0, 0.0, 2.0, 4.0), (100, 2))
    np.save(tmp_path / "mine.npy", centres + np.array([0.0, 0.1]))
    assert len(ADDITIONS) == 6
    (tmp_path / "results").symlink_to(ROOT / "results")
    # In one process, as each would load PyTorch, and so would each worker.
    script = """
from benchmark.cli import main
from benchmark.training.engines import resources

resources.usable_cores = lambda: 1
for words in {}:
    print(words, main(words), flush=True)
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", script.format([shlex.split(said) for said in ADDITIONS])],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout
    assert all(f"{shlex.split(command)} 0\n" in said for command in ADDITIONS), said + done.stderr
    assert "hinge" in said and "clock:" in said and "  clock  " in said
    # Two standard deviations beside every centre.
    assert re.search(r"evaluators.offset:mean_offset +2 ", said)


def test_every_table_has_a_page_with_what_its_paper_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    importlib.import_module("reference").write_pages(tmp_path)
    pages = {path.stem: path.read_text() for path in (tmp_path / "tables").glob("*.md")}
    assert pages.keys() == all_tables().keys()
    reported = 0
    for name, table in all_tables().items():
        values = [v.mean for row in table.rows for v in row.reported.values()] if isinstance(table, Table) else []
        for mean in values:
            assert re.search(rf"\| +{re.escape(f'{mean:g}')} ", pages[name]), (name, mean)
        reported += len(values)
    assert reported > 100
    for path in (ROOT / "results" / "tables").glob("*.md"):
        assert (tmp_path / "results" / "tables" / path.name).read_text().startswith(f"# {path.stem}\n\n**")


def test_the_example_of_a_verdict_gives_what_it_says() -> None:
    found = doctest.testfile(str(DOCS / "verdict.md"), module_relative=False, encoding="utf-8")
    assert found.attempted > 10 and found.failed == 0
