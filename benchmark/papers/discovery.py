"""Find every table, figure and demonstration in the folders of the papers."""

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

#: Name prefixes of the files that hold tables and claims. They import no plotting library, so that a command which
#: shows a table starts quickly.
_DATA = ("tables", "claims")


def _files(data: bool) -> Iterator[list[Any]]:
    """Import the files below ``papers`` and yield the top-level values of each.

    Args:
        data: Whether to import the files with tables and claims, or all other files.
    """
    for info in pkgutil.walk_packages(papers.__path__, f"{papers.__name__}."):
        if not info.ispkg and info.name != __name__ and info.name.rpartition(".")[2].startswith(_DATA) == data:
            yield list(vars(importlib.import_module(info.name)).values())


def all_tables() -> dict[str, AnyTable]:
    """Return every table by its id.

    Tables of one file stay together. Files are sorted by the id of their first table.
    """
    files = ([value for value in values if isinstance(value, AnyTable)] for values in _files(data=True))
    found: dict[str, AnyTable] = {}
    for tables in sorted(filter(None, files), key=lambda tables: tables[0].id):
        for table in tables:
            # A file may import a table of another file.
            found.setdefault(table.id, table)
    return found


def find_table(name: str) -> AnyTable:
    """Find a table by its id or, for GAAN's tables, by its number.

    Args:
        name: Id or number of a table, or a user's own ``package.module:NAME`` or ``path/to/file.py:NAME``.

    Raises:
        UserError: If there is no such table, or if a user's table has the id of another one, whose files it would
            overwrite.
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
    """Return every figure and demonstration by its id."""
    found = itertools.chain.from_iterable(_files(data=False))
    return {value.id: value for value in found if isinstance(value, (Figure, Demonstration))}


def find_figure(name: str) -> Figure | Demonstration:
    """Find a figure or a demonstration by its id.

    Raises:
        UserError: If there is none.
    """
    known = all_figures()
    if name not in known:
        raise unknown("figure", name, known)
    return known[name]


def find_demonstration(name: str) -> Demonstration:
    """Find a demonstration by its id.

    Raises:
        UserError: If there is none.
    """
    found = find_figure(name)
    if not isinstance(found, Demonstration):
        raise unknown("demonstration", name, [k for k, v in all_figures().items() if isinstance(v, Demonstration)])
    return found


def experiment_of(identity: Mapping[str, Any]) -> Experiment:
    """Find the experiment that has this identity.

    Args:
        identity: What ``Experiment.identity()`` returned for it.

    Raises:
        ValueError: If no current profile of the demonstration has these settings.
        KeyError: If there is no such demonstration.
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
    """Choose claims as the options of the command line say.

    Args:
        table: Table of claims.
        profile: Profile that every table behind a claim must have.
        names: Ids of claims; empty for all.
        seeds: Seeds; None for those of the profile.

    Raises:
        UserError: If the profile is unknown or a claim is named twice.
    """
    claims = tuple(table.claim(name) for name in names) if names else table.claims
    if profile not in (known := profiles(table)):
        raise unknown("profile", profile, known)
    if len({claim.id for claim in claims}) < len(claims):
        raise UserError("a claim is named twice in --methods; name it once")
    return ClaimSelection(table, profile, claims, find_demonstration, seeds)
