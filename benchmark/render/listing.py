"""Sections of the command ``list``: everything that has a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from benchmark.papers.discovery import all_figures, all_tables
from benchmark.plotting.figure import Figure
from benchmark.spec import registry
from benchmark.spec.claims import ClaimTable
from benchmark.spec.methods import Method, house_methods
from benchmark.spec.selection import Selection, offered, select
from benchmark.spec.table import Table
from benchmark.store.store import Store
from benchmark.training import LOGGERS
from benchmark.training.engines import ENGINES
from datamodules.images import MissingData
from modules.families import ConvFamily, MLPFamily, families

#: Of a table or figure that a results folder has no part of.
NOTHING = "nothing"


#: Headings, and below each what there is with a word on it.
Entries = Iterator[tuple[str, Mapping[str, str]]]


def entries(section: str, store: Store) -> Entries:
    """Return the headings of a section and the named things below each.

    Args:
        section: One of ``benchmark.cli.list.SECTIONS``.
        store: Results folder of the section ``stored``.
    """
    return _stored(store) if section == "stored" else _SECTIONS[section]()


def _tables() -> Entries:
    short = {name: f" (--table {table.number})" for name, table in all_tables().items() if table.number}
    yield "tables", {name: table.title + short.get(name, "") for name, table in sorted(all_tables().items())}


def _trained() -> list[Table]:
    return [table for table in all_tables().values() if isinstance(table, Table)]


def _figures() -> Entries:
    drawn = {n: f"{f.title} (from {f.table})" for n, f in sorted(all_figures().items()) if isinstance(f, Figure)}
    yield "figures", drawn | {"movie": "The training of any stored model that kept samples along it (--cell ID)"}


def _demonstrations() -> Entries:
    found = sorted(all_figures().items())
    yield "demonstrations (--figure)", {k: f.claim for k, f in found if not isinstance(f, Figure)}


def _methods() -> Entries:
    yield "methods", {name: _summary(method) for name, method in sorted(house_methods().items())}
    yield from _installed("methods")


def _networks() -> Entries:
    yield "networks", {name: f"{family.source}: {_layers(family)}" for name, family in families().items()}


def _datasets() -> Entries:
    yield "data sets", {name: dataset.source for name, dataset in sorted(registry.datasets().items())}
    yield from _installed("datasets")


def _measures() -> Entries:
    reported = {c.measure: c.reported_title for table in reversed(_trained()) for c in table.columns}
    yield "measures", {name: f"beside {title}" if title else "" for name, title in reported.items()}
    yield from _installed("measures")


def _engines() -> Entries:
    yield "engines (--engine)", ENGINES


def _loggers() -> Entries:
    yield "loggers (--logger)", {name: what for name, (what, _) in LOGGERS.items()}


def _every_protocol() -> Entries:
    for table in _trained():
        yield from _protocols(table)
    for other in all_tables().values():
        if isinstance(other, ClaimTable):
            yield f"rows of {other.id} (--methods)", {claim.id: claim.sentence for claim in other.claims}


def _stored(store: Store) -> Entries:
    tables = sorted(_trained(), key=lambda table: table.id)
    yield (
        f"models in {store.folder}, of those that a profile and a reading ask for",
        {table.id: ", ".join(_counts(table, store)) or NOTHING for table in tables},
    )
    figures = sorted(all_figures())
    yield (
        f"figures in {store.folder}",
        {name: ", ".join(_versions(name, store, figures)) or NOTHING for name in figures},
    )


_SECTIONS: dict[str, Callable[[], Entries]] = {
    "tables": _tables,
    "figures": _figures,
    "demonstrations": _demonstrations,
    "methods": _methods,
    "networks": _networks,
    "datasets": _datasets,
    "measures": _measures,
    "engines": _engines,
    "loggers": _loggers,
    "protocols": _every_protocol,
}


def _counts(table: Table, store: Store) -> Iterator[str]:
    """Yield how many models of a table have a record, for each profile and reading that has any."""
    for chosen in offered(table):
        named = [f"protocol.{name}={value}" for name, value in chosen.settings.protocol.items()]
        stamps = [store.stamp(run) for row in chosen.rows for run in chosen.runs(row)]
        if count := sum(stamp is not None for stamp in stamps):
            yield " ".join([chosen.profile, chosen.reading, *named, f"{count} of {len(stamps)}"])


def _versions(name: str, store: Store, figures: Iterable[str]) -> Iterator[str]:
    """Yield the endings of a figure's file names: profile, reading and, for a special selection, a hash."""
    longer = [other for other in figures if other.startswith(f"{name}-")]
    for path in sorted(p for people in (False, True) for p in store.pictures(people).glob(f"{name}-*.png")):
        if not any(path.stem.startswith(f"{other}-") for other in longer):
            yield path.stem.removeprefix(f"{name}-")


def _layers(family: MLPFamily | ConvFamily) -> str:
    """Describe the layers of a network family: every number that its networks are built from."""
    fields = {f.name: getattr(family, f.name) for f in dataclasses.fields(family) if f.name not in ("source", "roles")}
    parts = {"": fields, **(family.roles if isinstance(family, MLPFamily) else {})}
    return "; ".join(f"{role} " * bool(role) + ", ".join(_words(part)) for role, part in parts.items())


def _words(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        yield f"{name.replace('_', ' ')} {'-'.join(map(str, value)) if isinstance(value, tuple) else value}"


def _installed(kind: registry.Kind) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield what installed packages provide, without importing it: a broken package must not break the list."""
    if found := registry.installed(kind):
        yield f"{kind} of installed packages", found


def _protocols(table: Table) -> Iterator[tuple[str, Mapping[str, str]]]:
    yield f"rows of {table.id} (--methods)", {row.id: row.title for row in table.rows}
    profiles = {
        name: f"{_budgets(select(table, profile=name))} of the paper's training, {profile.seeds} seeds"
        for name, profile in table.profiles.items()
    }
    yield f"profiles of {table.id}", profiles
    yield f"readings of {table.id}", {name: reading.title for name, reading in table.readings.items()}


def _budgets(selection: Selection) -> str:
    try:
        shares = {name: f"{selection.budget(name) * 100:.3g} %" for name in selection.datasets}
    except MissingData:
        return "unknown share (the data are not here)"
    return ", ".join(dict.fromkeys(shares.values())) if len(shares) == 1 else str(shares).strip("{}").replace("'", "")


def _summary(method: Method) -> str:
    """Return the first sentence of a method's docstring."""
    return method.summary.partition(": ")[0].rstrip(".")
