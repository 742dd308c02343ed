"""Kind: writers that are killed. Everything that is written goes through ``datamodules.files.replacing``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.store.files import write_atomically
from benchmark.store.store import Store
from datamodules.files import replacing

ROOT = Path(__file__).resolve().parents[2]
#: Calls that write to what their first argument names, or to what they are called on.
WRITERS = {
    "save",
    "savez",
    "savez_compressed",
    "savefig",
    "savetxt",
    "save_file",
    "imsave",
    "imwrite",
    "mimsave",
    "dump",
}
ON_PATHS = {"write_text", "write_bytes", "touch", "save_checkpoint", "tofile", "to_parquet", "to_pickle", "copyfile"}


def unsafe(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines that write to a path of which nobody says that it is a buffer or a part that ``replacing`` gave."""
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for function in functions:
        safe = set(_safe_names(function))
        for node in ast.walk(function):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            on = node.func.value if isinstance(node.func, ast.Attribute) else None
            first = node.args[0] if node.args else None
            if name == "open" and _mode(node) and not _is(on, safe) and not _is(first, safe):
                yield node.lineno, f"{function.name}: open"
            elif (name in WRITERS and first is not None and not _is(first, safe)) or (
                name in ON_PATHS and not _is(on, safe) and not _is(first, safe)
            ):
                yield node.lineno, f"{function.name}: {name}"


def _safe_names(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and "BytesIO" in ast.unparse(node.value):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        for item in getattr(node, "items", []):
            made = ast.unparse(item.context_expr)
            if isinstance(item.optional_vars, ast.Name) and (
                made.startswith("replacing(") or made == "part.open('wb')"
            ):
                yield item.optional_vars.id


def _is(node: ast.AST | None, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _mode(call: ast.Call) -> bool:
    words = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    texts = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    return any(set(text) <= set("rwaxbt+") and set(text) & set("wax+") for text in texts)


@pytest.mark.parametrize("package", ["benchmark", "datamodules", "evaluators", "modules"])
def test_nothing_is_written_in_place(package: str) -> None:
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for line, what in unsafe(ast.parse(path.read_text(encoding="utf-8"))):
            # The seal is added to a part that replacing gave its caller; safetensors' save makes bytes.
            if (name, what) not in ALLOWED:
                found.append(f"{name}:{line} {what}")
    assert not found


#: Each is no file, or one that its caller got from ``replacing``.
ALLOWED = {
    ("benchmark/training/checkpoints.py", "seal: open"),
    ("benchmark/store/store.py", "_as_safetensors: save"),
    ("benchmark/training/classifier.py", "train_classifier: save"),
    ("benchmark/render/figures.py", "draw_figure: save"),
    ("benchmark/render/experiments.py", "draw_experiment: save"),
}


@pytest.mark.parametrize(
    "line",
    [
        "path.write_text('x')",
        "open(path, 'w')",
        "path.open('ab')",
        "picture.savefig(path)",
        "np.save(path, array)",
        "trainer.save_checkpoint(path)",
        "image.save(path, 'GIF')",
    ],
)
def test_the_scan_finds_writers(line: str) -> None:
    assert list(unsafe(ast.parse(f"def f(path):\n    {line}\n")))


def test_a_writer_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("four years")
    (tmp_path / "a.csv").symlink_to(tmp_path / "thesis.tex")
    write_atomically(tmp_path / "a.csv", b"new")
    assert (tmp_path / "thesis.tex").read_text() == "four years"
    assert (tmp_path / "a.csv").read_text() == "new" and not (tmp_path / "a.csv").is_symlink()


@pytest.mark.parametrize("folder", ["unfinished", "figures", "tables"])
def test_nothing_is_written_through_a_linked_folder(folder: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    results = tmp_path / "results"
    results.mkdir()
    (results / folder).symlink_to(tmp_path / "home")
    store = Store(results)
    with pytest.raises(UserError, match=f"{folder} is a symbolic link"):
        store.prepare() if folder == "unfinished" else store.writable(results / folder / "a.csv")
    assert not list((tmp_path / "home").iterdir())


def test_a_results_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "scratch")
    Store(tmp_path / "results").prepare()
    assert (tmp_path / "scratch" / "unfinished" / ".gitignore").exists()
