"""Every table, figure and demonstration, found by looking into the folders of the papers."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark import papers
from benchmark.errors import UserError, unknown
from benchmark.plotting.figure import Figure
from benchmark.spec.claims import AnyTable, ClaimSelection, ClaimTable, profiles
from benchmark.spec.demonstration import Demonstration, Experiment
from benchmark.spec.user_code import load, short_name

#: Files of a paper whose names begin so are data and draw nothing: a command that shows a table loads only these.
_DATA = ("tables", "claims")


def _files(data: bool) -> Iterator[list[Any]]:
    """What each file below ``papers`` has at its top level: of those that hold tables and claims, or of the others."""
    for info in pkgutil.walk_packages(papers.__path__, f"{papers.__name__}."):
        if not info.ispkg and info.name != __name__ and info.name.rpartition(".")[2].startswith(_DATA) == data:
            yield list(vars(importlib.import_module(info.name)).values())


def all_tables() -> dict[str, AnyTable]:
    """Every table, by id: a file's tables side by side, files by the id of their first."""
    files = ([value for value in values if isinstance(value, AnyTable)] for values in _files(data=True))
    found: dict[str, AnyTable] = {}
    for tables in sorted(filter(None, files), key=lambda tables: tables[0].id):
        for table in tables:
            # A file may import another one's.
            found.setdefault(table.id, table)
    return found


def find_table(name: str) -> AnyTable:
    """The table of that id or, for GAAN's, number; or a user's ``package.module:NAME`` or ``path/to/file.py:NAME``.

    Raises:
        UserError: If there is none, or a user's has the id of another one, whose files it would overwrite.
    """
    known = all_tables()
    if ":" in name:
        value = load("--table", short_name(name))
        if not isinstance(value, AnyTable):
            raise UserError(f"--table {name} is no table: it must be a benchmark.spec.table.Table")
        if value is not known.get(value.id, value):
            raise UserError(f"--table {name} has the id {value.id}, as another table has; give yours one of its own")
        return value
    by_number = {table.number: table for table in known.values() if table.number}
    table = known.get(name) or by_number.get(name)
    if table is None:
        raise unknown("table", name, [*known, *by_number])
    return table


def all_figures() -> dict[str, Figure | Demonstration]:
    """Every figure, of runs or of an experiment of its own, by id."""
    found = itertools.chain.from_iterable(_files(data=False))
    return {value.id: value for value in found if isinstance(value, (Figure, Demonstration))}


def find_figure(name: str) -> Figure | Demonstration:
    """The figure or demonstration of that name. Raises ``UserError`` where there is none."""
    known = all_figures()
    if name not in known:
        raise unknown("figure", name, known)
    return known[name]


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
