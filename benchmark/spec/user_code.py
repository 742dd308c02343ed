"""Loading of users' code, ``package.module:NAME`` and ``path/to/file.py:NAME``, and the rules when it is allowed.

Records and tables name a class of a file ``file.py:NAME``, without its folder. The id of a run then contains no path,
and the folder can move. One command cannot use two files of the same name.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmark.errors import UserError, own_place, unknown

#: Environment variable that tells processes which this one starts where the named files are.
FILES_VARIABLE = "MODECOV_FILES"
_SUFFIX = ".py"


@dataclass
class Guard:
    """The code from outside that a command may load.

    Attributes:
        results: Results folders. Nothing in them is ever imported.
        named: Objects that the user named on the command line, as records name them.
    """

    results: list[Path] = field(default_factory=list)
    named: set[str] = field(default_factory=set)


_guard: Guard | None = None
_loaded: dict[Path, ModuleType] = {}


@contextlib.contextmanager
def only_what_is_named() -> Iterator[Guard]:
    """Inside the ``with`` block, load only code from outside that was passed to ``trust``.

    A record names the class that it was made with. Records may come from other people, so reading one must not import
    the class.
    """
    global _guard
    forget_files()
    before, _guard = _guard, Guard()
    try:
        yield _guard
    finally:
        _guard = before


def trust(known: str) -> str:
    """Allow an object that the user named to be loaded.

    Args:
        known: Its name as in records.

    Returns:
        The same name.
    """
    if _guard is not None:
        _guard.named.add(known)
    return known


def forget_files() -> None:
    """Forget the files named so far, at the start of a command or a call.

    A bare ``file.py:NAME`` is then looked up in the working directory again. Within a command nothing is forgotten.
    """
    if _guard is None:
        os.environ.pop(FILES_VARIABLE, None)


def protect(results: Path) -> None:
    """Refuse to import anything from a results folder."""
    if _guard is not None:
        _guard.results.append(results.resolve())


def is_file(word: str) -> bool:
    """Whether a text has the form ``path/to/file.py:NAME``."""
    return word.rpartition(":")[0].endswith(_SUFFIX)


def short_name(word: str) -> str:
    """Turn ``path/to/file.py:NAME`` into ``file.py:NAME`` and remember the path. Other texts are returned unchanged.

    A bare ``file.py:NAME`` refers to a file named before in the same command or call, else to one in the working
    directory.

    Raises:
        UserError: There is no such file, or another file of this name was named before.
    """
    if not is_file(word):
        return word
    text, _, attribute = word.rpartition(":")
    path, files = Path(text).expanduser(), _files()
    if text == path.name and text in files:
        return word
    if not path.is_file():
        raise UserError(f"there is no file {text}, for {word}")
    path = path.resolve()
    if files.get(path.name, path) != path:
        raise UserError(f"{path} and {files[path.name]} have one name, which stands in records: rename one of them")
    os.environ[FILES_VARIABLE] = os.pathsep.join(map(str, {**files, path.name: path}.values()))
    return f"{path.name}:{attribute}"


def path_name(known: str) -> str:
    """Turn a name from a record into what a user would type, with the path relative to the working directory."""
    text, _, attribute = known.rpartition(":")
    path = _files().get(text) if is_file(known) else None
    if path is None:
        return known
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{near}:{attribute}"


def _files() -> dict[str, Path]:
    """Paths of the files named so far, by name. Deleted files are left out."""
    paths = [Path(text) for text in os.environ.get(FILES_VARIABLE, "").split(os.pathsep) if text]
    return {path.name: path for path in paths if path.is_file()}


def load(what: str, known: str, trusted: bool = False) -> Any:
    """Import the object ``package.module:NAME`` or ``file.py:NAME``, also from the working directory.

    Args:
        what: The option that asks for it, for error messages.
        known: The name as ``short_name`` returns it.
        trusted: Whether an installed package offers the object, so that it may be loaded without being named.

    Raises:
        UserError: The object does not exist, cannot be imported, or may not be loaded.
    """
    if _guard is not None and not trusted and known not in _guard.named:
        raise UserError(
            f"{known} is named by what is stored, which runs no code here; if you trust it, add {what} {known}"
        )
    path, _, attribute = known.rpartition(":") if is_file(known) else known.partition(":")
    with _said_in_a_line(f"{what} {known}"):
        module = _import_file(path, what, known) if is_file(known) else _import_module(path, known)
    if not hasattr(module, attribute):
        raise unknown(f"name in {path}", attribute, (known for known in vars(module) if not known.startswith("_")))
    return getattr(module, attribute)


def load_modules(what: str, name: str, wanted: Callable[[str], bool]) -> list[ModuleType]:
    """Import modules of a package that an installed package offers, and whose code may therefore run.

    Args:
        what: How errors call the package.
        name: The package, with all packages in it; or a single module, which is always wanted.
        wanted: Whether a module of that last name is to be imported.

    Raises:
        UserError: One of them is not there, cannot be imported, or lies in a folder of results.
    """
    with _said_in_a_line(f"{what} {name}"):
        package = _import_module(name, name)
        if not hasattr(package, "__path__"):
            return [package]
        found = pkgutil.walk_packages(package.__path__, f"{name}.", onerror=_raise)
        names = [info.name for info in found if not info.ispkg and wanted(info.name.rpartition(".")[2])]
        return [importlib.import_module(name) for name in names]


def _raise(name: str) -> None:
    """Raise what a package raised when it was imported, which ``pkgutil`` keeps to itself otherwise."""
    error = sys.exception()
    assert error is not None
    raise error


@contextlib.contextmanager
def _said_in_a_line(what: str) -> Iterator[None]:
    """Turn every error of an import into a ``UserError`` of one line."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        said = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
        place = f" ({where})" if (where := own_place(error)) else ""
        raise UserError(f"cannot load {what}: {type(error).__name__}: {said}{place}") from error


def _import_module(path: str, known: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    importlib.invalidate_caches()
    search: list[str] | None = None
    for part in path.split("."):
        # Found without importing: the folder above would run otherwise.
        spec = PathFinder.find_spec(part, search) if part else None
        if spec is None:
            break
        search = list(spec.submodule_search_locations or [])
        for place in filter(None, [spec.origin, *search]):
            _refuse_results(Path(place), known)
        if not search:
            break
    return importlib.import_module(path)


def _import_file(text: str, what: str, known: str) -> ModuleType:
    path = _files().get(text) or Path(text)
    if not path.is_file():
        raise UserError(f"there is no file {text} here, for {known}; name it with its path: {what} PATH/{known}")
    path = path.resolve()
    _refuse_results(path, known)
    if path not in _loaded:
        spec = importlib.util.spec_from_file_location(f"modecov_file_{path.stem}", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        if str(path.parent) not in sys.path:
            # For what lies beside it.
            sys.path.append(str(path.parent))
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[spec.name]
            raise
        _loaded[path] = module
    return _loaded[path]


def _refuse_results(path: Path, known: str) -> None:
    for folder in _guard.results if _guard else ():
        if path.resolve().is_relative_to(folder):
            raise UserError(
                f"{known} lies in the results folder {folder}, whose content is never run; copy it elsewhere"
            )
