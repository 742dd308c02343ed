"""Every table, figure and demonstration: ours, found by looking into the folders of the papers, and those of installed
papers, which packages offer as entry points ``modecov.papers``, a package or a module each."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from benchmark import papers
from benchmark.errors import UserError, first_line, one_line, unknown
from benchmark.plotting.figure import Figure
from benchmark.spec import registry
from benchmark.spec.claims import AnyTable, ClaimSelection, ClaimTable, profiles
from benchmark.spec.demonstration import Demonstration, Experiment
from benchmark.spec.selection import offered
from benchmark.spec.table import NetworkTable, Table
from benchmark.spec.user_code import load, load_modules, short_name, trust

#: Files of a paper whose names begin so are data and draw nothing: a command that shows a table loads only these.
_DATA = ("tables", "claims")

#: What is drawn.
_Drawing = Figure | Demonstration


def _is_data(module: str) -> bool:
    return module.startswith(_DATA)


def _files(data: bool) -> Iterator[list[Any]]:
    """What each file below ``papers`` has at its top level: of those that hold tables and claims, or of the others."""
    for info in pkgutil.walk_packages(papers.__path__, f"{papers.__name__}."):
        if not info.ispkg and info.name != __name__ and _is_data(info.name.rpartition(".")[2]) == data:
            yield list(vars(importlib.import_module(info.name)).values())


@cache
def _files_from_outside(data: bool, name: str, package: str, path: tuple[str, ...]) -> list[list[Any]] | str:
    """The same of an installed paper on ``path``, or why it cannot be used."""
    try:
        modules = load_modules(f"the paper {name},", package, lambda module: _is_data(module) == data)
    except UserError as error:
        return str(error)
    files = [list(vars(module).values()) for module in modules]
    for table in _tables_of(files).values() if data else ():
        _trust(table)
        try:
            _try(table)
        except Exception as error:
            return f"the paper {name}, {package}: table {table.id}: {type(error).__name__}: {first_line(error)}"
    return files


def _try(table: AnyTable) -> None:
    """Describe a model of every row at every profile and reading, which raises for any name that is not there: what
    lists all tables must not meet it."""
    if isinstance(table, ClaimTable):
        for profile in profiles(table):
            selected = select_claims(table, profile)
            for claim in table.claims:
                selected.runs(claim)
    elif isinstance(table, NetworkTable):
        _try(table.of)
    else:
        for chosen in offered(table):
            for row in chosen.rows:
                for dataset in chosen.datasets_of(row):
                    chosen.run(row, 0, dataset)
            for column in chosen.columns:
                registry.margin_of_measure(column.measure)


def _tables_of(files: Iterable[Sequence[Any]]) -> dict[str, AnyTable]:
    """Tables by id: a file's side by side, files by the id of their first."""
    kept = [[value for value in values if isinstance(value, AnyTable)] for values in files]
    ordered = sorted(filter(None, kept), key=lambda tables: tables[0].id)
    return _by_id(itertools.chain.from_iterable(ordered))


def _drawings_of(files: Iterable[Sequence[Any]]) -> dict[str, _Drawing]:
    return _by_id(value for values in files for value in values if isinstance(value, _Drawing))


def _by_id(values: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in values:
        # A file may import another one's.
        found.setdefault(value.id, value)
    return found


def _add_outside(ours: Mapping[str, Any], data: bool, kind: Any) -> dict[str, Any]:
    """``ours``, and what installed papers have (entry points ``modecov.papers``).

    A paper that cannot be loaded, or that has a name that is taken, is left out whole, and one line on stderr says so.
    """
    found = dict(ours)
    for name, package in registry.installed("papers").items():
        files = _files_from_outside(data, name, package, tuple(sys.path))
        if isinstance(files, str):
            _leave_out(files)
            continue
        values = [value for value in itertools.chain.from_iterable(files) if isinstance(value, kind)]
        taken = {word: value for value in found.values() for word in _names(value)}
        mine = {word: value for value in reversed(values) for word in _names(value)} | taken
        clash = next((value for value in values for word in _names(value) if mine[word] is not value), None)
        if clash is not None:
            _leave_out(f"the paper {name}, {package}: {clash.id} has a name that another has; it wants one of its own")
            continue
        for value in values:
            _trust(value)
        found |= _by_id(values)
    return found


def _names(value: AnyTable | _Drawing) -> list[str]:
    """What the command line finds it by."""
    return [word for word in (value.id, getattr(value, "number", None)) if word]


@cache
def _leave_out(why: str) -> None:
    """Print why a paper is left out, once. A command asks for the tables many times."""
    print(f"benchmark: left out: {one_line(why)}", file=sys.stderr)


def _trust(value: AnyTable | _Drawing) -> None:
    """Permit loading the methods, data sets and measures that a table names. A user named or installed the table."""
    if isinstance(value, ClaimTable):
        for table in value.tables:
            _trust(table)
    elif isinstance(value, NetworkTable):
        _trust(value.of)
    elif isinstance(value, Table):
        measures = (column.measure for column in value.columns if registry.is_user_measure(column.measure))
        for word in (*(row.method for row in value.rows), *value.datasets, *value.data.values(), *measures):
            trust(word)


def _our_tables() -> dict[str, AnyTable]:
    return _tables_of(_files(data=True))


def _our_figures() -> dict[str, _Drawing]:
    return _drawings_of(_files(data=False))


def all_tables() -> dict[str, AnyTable]:
    """Every table, by id: ours, then those of installed papers."""
    return _add_outside(_our_tables(), True, AnyTable)


def find_table(name: str) -> AnyTable:
    """The table of that id or, for GAAN's, number; or a user's ``package.module:NAME`` or ``path/to/file.py:NAME``.

    Papers from outside are loaded only where the name is none of ours.

    Raises:
        UserError: If there is none, or a user's has the id of another one, whose files it would overwrite.
    """
    if ":" in name:
        value = load("--table", short_name(name))
        if not isinstance(value, AnyTable):
            raise UserError(f"--table {name} is no table: it must be a benchmark.spec.table.Table")
        if value is not all_tables().get(value.id, value):
            raise UserError(f"--table {name} has the id {value.id}, as another table has; give yours one of its own")
        _trust(value)
        return value
    for known in (_our_tables, all_tables):
        tables = known()
        by_number = {table.number: table for table in tables.values() if table.number}
        if found := tables.get(name) or by_number.get(name):
            return found
    raise unknown("table", name, [*tables, *by_number])


def all_figures() -> dict[str, Figure | Demonstration]:
    """Every figure, of runs or of an experiment of its own, by id: ours, then those of installed papers."""
    return _add_outside(_our_figures(), False, _Drawing)


def find_figure(name: str) -> Figure | Demonstration:
    """The figure or demonstration of that name. Raises ``UserError`` where there is none."""
    for known in (_our_figures, all_figures):
        if found := (figures := known()).get(name):
            return found
    raise unknown("figure", name, figures)


def find_demonstration(name: str) -> Demonstration:
    """The demonstration of that name. Raises ``UserError`` where there is none."""
    found = find_figure(name)
    if not isinstance(found, Demonstration):
        raise unknown("demonstration", name, [k for k, v in all_figures().items() if isinstance(v, Demonstration)])
    return found


def experiment_of(identity: Mapping[str, Any]) -> Experiment:
    """The experiment of that ``identity()``.

    Raises:
        ValueError: No profile of today has these settings.
        KeyError: There is no such demonstration.
    """
    known = {name: found for name, found in all_figures().items() if isinstance(found, Demonstration)}
    demonstration, seeds = known[identity["demonstration"]], tuple(identity["seeds"])
    for profile in demonstration.profiles:
        if (found := Experiment(demonstration, profile, seeds)).identity() == identity:
            return found
    raise ValueError(f"no profile of {demonstration.id} has these settings")


def select_claims(
    table: ClaimTable, profile: str = "paper", names: Sequence[str] = (), seeds: tuple[int, ...] | None = None
) -> ClaimSelection:
    """What the options of the command line choose; every table that a claim looks at must have the profile."""
    claims = tuple(table.claim(name) for name in names) if names else table.claims
    if profile not in (known := profiles(table)):
        raise unknown("profile", profile, known)
    if len({claim.id for claim in claims}) < len(claims):
        raise UserError("a claim is named twice in --methods; name it once")
    return ClaimSelection(table, profile, claims, find_demonstration, seeds)
