"""What a table is: rows, columns, printed values, and the cells that fill it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmark import registry, tables
from benchmark.cells import Cell, Protocol, Setting
from benchmark.errors import UserError, unknown
from benchmark.settings import Settings, method_fields


@dataclass(frozen=True)
class Printed:
    """A printed value, in the unit of the column; ``std`` None where none is printed."""

    mean: float
    std: float | None = None


@dataclass(frozen=True)
class Column:
    """One measure.

    title: ours. printed_title: the paper's, None where the paper has no such column.
    better: which direction is better, None where none is.
    digits: decimals in renderings for people.
    """

    measure: str
    title: str
    printed_title: str | None
    better: Literal["higher", "lower"] | None
    digits: int = 2


@dataclass(frozen=True)
class Row:
    """One method as the table trains it.

    overrides: fields of the method, protocol: fields of the protocol, that differ from the table's for this row alone.
    picked: what was chosen where the paper does not say.
    """

    id: str
    title: str
    method: str
    overrides: Mapping[str, Setting] = field(default_factory=dict)
    protocol: Mapping[str, Setting] = field(default_factory=dict)
    printed: Mapping[str, Printed] = field(default_factory=dict)
    picked: str = ""


@dataclass(frozen=True)
class Profile:
    """How much is trained: fields of the protocol, and the seeds of a run that does not name any."""

    protocol: Mapping[str, Setting]
    seeds: int


@dataclass(frozen=True)
class Reading:
    """Which reading of the paper: fields of the protocol, and of the methods by row."""

    title: str
    protocol: Mapping[str, Setting] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """One printed table. Pure data.

    number: what ``--table`` takes besides the id, where the paper is GAAN's.
    printed_runs: runs behind a printed mean and std.
    notes: errata, and what the reader of a rendering must know.
    """

    id: str
    number: str | None
    title: str
    citation: str
    dataset: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    protocol: Mapping[str, Setting]
    profiles: Mapping[str, Profile]
    readings: Mapping[str, Reading]
    printed_runs: int
    notes: tuple[str, ...] = ()

    def row(self, name: str) -> Row:
        by_id = {row.id: row for row in self.rows}
        if name not in by_id:
            raise unknown(f"method of table {self.id}", name, by_id)
        return by_id[name]


@dataclass(frozen=True)
class NetworkTable:
    """A printed table of network sizes, filled by looking at what a method of another table builds.

    printed: role of a network (an attribute of the method) to its printed sizes by column.
    """

    id: str
    number: str | None
    title: str
    citation: str
    columns: tuple[Column, ...]
    printed: Mapping[str, Mapping[str, int]]
    of: Table
    method: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """What a user chose of a table: the same for ``run``, ``plan``, ``show``, ``figure`` and ``throughput``."""

    table: Table
    profile: str
    reading: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    settings: Settings

    @property
    def budget(self) -> float:
        """Share of the paper's training, in generator updates: the least of the rows."""
        points = len(registry.dataset(self.table.dataset).centres) * registry.dataset(self.table.dataset).per_mode

        def updates(protocol: Protocol) -> int:
            return protocol.epochs * math.ceil(points / protocol.batch_size)

        paper = Protocol(**{**self.table.protocol, **self.table.profiles["paper"].protocol})  # type: ignore[arg-type]
        return min(updates(self.protocol(row)) for row in self.rows) / updates(paper)

    def protocol(self, row: Row) -> Protocol:
        profile, reading = self.table.profiles[self.profile], self.table.readings[self.reading]
        named = {"profile": self.profile, "reading": self.reading}
        fields: dict[str, Any] = {
            **self.table.protocol,
            **profile.protocol,
            **reading.protocol,
            **row.protocol,
            **named,
        }
        return Protocol(**{**fields, **self.settings.protocol})

    def overrides(self, row: Row) -> dict[str, Setting]:
        """Method fields of a row that differ from the defaults: the reading's, then the user's, then what makes it
        this row."""
        method = registry.method(row.method)
        reading = self.table.readings[self.reading].overrides.get(row.id, {})
        fields = {**reading, **self.settings.for_method(method), **row.overrides}
        defaults = {name: field.default for name, field in method_fields(method).items()}
        return {name: value for name, value in fields.items() if value != defaults[name]}

    def cell(self, row: Row, seed: int) -> Cell:
        overrides = tuple(sorted(self.overrides(row).items()))
        return Cell(self.table.dataset, row.method, self.protocol(row), seed, overrides)

    def cells(self, row: Row) -> list[Cell]:
        return [self.cell(row, seed) for seed in self.seeds]


def all_tables() -> dict[str, Table | NetworkTable]:
    """Every table, by id."""
    return {value.id: value for value in registry.values_in(tables) if isinstance(value, (Table, NetworkTable))}


def find_table(name: str) -> Table | NetworkTable:
    """The table of that id or, for GAAN's, number."""
    known = all_tables()
    by_number = {table.number: table for table in known.values() if table.number}
    table = known.get(name) or by_number.get(name)
    if table is None:
        raise unknown("table", name, [*known, *by_number])
    return table


def select(
    table: Table,
    *,
    profile: str = "paper",
    reading: str = "corrected",
    methods: Sequence[str] = (),
    own: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    assignments: Sequence[str] = (),
) -> Selection:
    """What the options of the command line choose; ``own`` are classes ``package.module:Class`` beside the rows."""
    if profile not in table.profiles:
        raise unknown("profile", profile, table.profiles)
    if reading not in table.readings:
        raise unknown("reading", reading, table.readings)
    rows = [table.row(name) for name in methods] if methods else list(table.rows)
    for name in own:
        registry.method(name)
        rows.append(Row(id=name, title=name.rpartition(":")[2], method=name))
    if len({row.id for row in rows}) < len(rows):
        raise UserError("a method is named twice in --methods or --method; name it once")
    settings = Settings.parse(assignments, [registry.method(row.method) for row in rows])
    chosen = tuple(seeds) if seeds is not None else tuple(range(table.profiles[profile].seeds))
    return Selection(table, profile, reading, tuple(rows), chosen, settings)
