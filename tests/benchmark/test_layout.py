"""What import-linter cannot keep: the size of folders, and one name for one thing."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmark"
FOLDERS = sorted({path.parent for path in BENCHMARK.rglob("*.py")})
MOST_MODULES = 14
#: Each demonstration has these three functions, which its description names.
OF_DEMONSTRATIONS = {"measure", "judge", "draw"}
#: The module that is run calls the command line's.
ENTRY_POINTS = {"main"}


def defined(folder: Path) -> Iterator[tuple[str, Path]]:
    """Public classes and functions of a folder's modules, with the file of each."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                yield node.name, path.relative_to(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=[path.relative_to(BENCHMARK).as_posix() for path in FOLDERS])
def test_no_folder_is_crowded(folder: Path) -> None:
    names = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(names) <= MOST_MODULES, f"{folder} has {len(names)} modules: put some into a folder of their own"


def test_one_name_names_one_thing() -> None:
    found = defaultdict(list)
    for name, path in defined(BENCHMARK):
        in_paper, in_command_line = path.parts[0] == "papers", path.parts[0] == "cli"
        if name in ENTRY_POINTS or (in_paper and name in OF_DEMONSTRATIONS):
            continue
        # Every command has its own.
        if path.parts[:2] == ("cli", "commands") and name == "run":
            continue
        # A command is called as what it does, as the function of the Python API is.
        found["cli " * in_command_line + name].append(path.as_posix())
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_no_module_is_called_as_a_folder_beside_it() -> None:
    files = [path.with_suffix("") for path in BENCHMARK.rglob("*.py")]
    assert [path for path in files if path.is_dir()] == []
