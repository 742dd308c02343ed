"""What there is, by name: what ``list`` prints."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from benchmark import registry
from benchmark.figure import Figure, all_figures
from benchmark.loggers import LOGGERS
from benchmark.records import Store
from benchmark.runner import ENGINES
from benchmark.schema import ClaimTable, Selection, Table, all_tables, offered, select
from datamodules.images import MissingData
from modules.base import AdversarialModule
from modules.convolutions import ConvFamily, families
from modules.networks import MLPFamily

#: Of a table or figure that a results folder has no part of.
NOTHING = "nothing"


def entries(section: str, store: Store) -> Iterator[tuple[str, Mapping[str, str]]]:
    """A section's headings, and below each what there is with a word on it; the last section is what is stored."""
    trained = [table for table in all_tables().values() if isinstance(table, Table)]
    figures = dict(sorted(all_figures().items()))
    if section == "tables":
        short = {name: f" (--table {table.number})" for name, table in all_tables().items() if table.number}
        yield section, {name: table.title + short.get(name, "") for name, table in sorted(all_tables().items())}
    elif section == "figures":
        drawn = {name: f"{f.title} (from {f.table})" for name, f in figures.items() if isinstance(f, Figure)}
        yield section, drawn | {"movie": "The training of any stored model that kept samples along it (--cell ID)"}
    elif section == "demonstrations":
        yield "demonstrations (--figure)", {k: f.claim for k, f in figures.items() if not isinstance(f, Figure)}
    elif section == "methods":
        yield section, {name: _summary(method) for name, method in sorted(registry.methods().items())}
        yield from _installed("methods")
    elif section == "networks":
        yield section, {name: f"{family.source}: {_layers(family)}" for name, family in families().items()}
    elif section == "datasets":
        yield "data sets", {name: target.source for name, target in sorted(registry.datasets().items())}
        yield from _installed("datasets")
    elif section == "measures":
        printed = {c.measure: c.printed_title for table in reversed(trained) for c in table.columns}
        yield section, {name: f"beside {title}" if title else "" for name, title in printed.items()}
        yield from _installed("measures")
    elif section == "engines":
        yield "engines (--engine)", ENGINES
    elif section == "loggers":
        yield "loggers (--logger)", {name: what for name, (what, _) in LOGGERS.items()}
    elif section == "stored":
        yield (
            f"models in {store.folder}, of those that a profile and a reading ask for",
            {
                table.id: ", ".join(_counts(table, store)) or NOTHING
                for table in sorted(trained, key=lambda table: table.id)
            },
        )
        yield (
            f"figures in {store.folder}",
            {name: ", ".join(_versions(name, store, figures)) or NOTHING for name in figures},
        )
    else:
        for table in trained:
            yield from _protocols(table)
        for other in all_tables().values():
            if isinstance(other, ClaimTable):
                yield f"rows of {other.id} (--methods)", {claim.id: claim.sentence for claim in other.claims}


def _counts(table: Table, store: Store) -> Iterator[str]:
    """How many models of a table have a record, by profile and reading, where there are any."""
    for chosen in offered(table):
        named = [f"protocol.{name}={value}" for name, value in chosen.settings.protocol.items()]
        stamps = [store.stamp(cell) for row in chosen.rows for cell in chosen.cells(row)]
        if count := sum(stamp is not None for stamp in stamps):
            yield " ".join([chosen.profile, chosen.reading, *named, f"{count} of {len(stamps)}"])


def _versions(name: str, store: Store, figures: Iterable[str]) -> Iterator[str]:
    """What follows a figure's name in the names of its files: profile, reading and, of a choice, a hash."""
    longer = [other for other in figures if other.startswith(f"{name}-")]
    for path in sorted(p for people in (False, True) for p in store.pictures(people).glob(f"{name}-*.png")):
        if not any(path.stem.startswith(f"{other}-") for other in longer):
            yield path.stem.removeprefix(f"{name}-")


def _layers(family: MLPFamily | ConvFamily) -> str:
    """Every number that its networks are built from."""
    fields = {f.name: getattr(family, f.name) for f in dataclasses.fields(family) if f.name not in ("source", "roles")}
    parts = {"": fields, **(family.roles if isinstance(family, MLPFamily) else {})}
    return "; ".join(f"{role} " * bool(role) + ", ".join(_words(part)) for role, part in parts.items())


def _words(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        yield f"{name.replace('_', ' ')} {'-'.join(map(str, value)) if isinstance(value, tuple) else value}"


def _installed(kind: registry.Kind) -> Iterator[tuple[str, Mapping[str, str]]]:
    """What installed packages bring, not loaded: one that is broken must not take the list with it."""
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


def _summary(method: type[AdversarialModule]) -> str:
    """What a method is, by its docstring."""
    text = " ".join((inspect.getdoc(method) or "").split("\n\n")[0].split())
    return text.partition(": ")[0].rstrip(".")
