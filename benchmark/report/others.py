"""Stored models that no table has by its usual seeds and settings, each put where a command gives it again."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from benchmark import registry
from benchmark.cells import Cell
from benchmark.errors import UserError
from benchmark.schema import Selection, Table, all_tables, select
from benchmark.settings import method_fields, protocol_fields


class _Way(NamedTuple):
    """A row of a table, one data set and what is ``--set``, which together give a model."""

    table: Table
    row: str
    own: bool
    dataset: str
    assignments: tuple[str, ...]

    def said(self, reading: str) -> tuple[bool, int]:
        """How much its command has to say: a method that the table lacks, then settings and a reading."""
        return self.own, len(self.assignments) + (reading != self.table.reading)


def other_selections(cells: Sequence[Cell], shown: Iterable[str]) -> Iterator[Selection]:
    """Selections that have all stored ``cells`` whose ids are not among ``shown``, where any command has them.

    Of several tables that a model could belong to, it is put into one that has its method, and of these into the one
    whose command is the shortest. All stored seeds of such models are taken, those that are shown elsewhere, too.
    """
    there = set(shown)
    families: dict[Cell, list[Cell]] = defaultdict(list)
    for cell in cells:
        families[dataclasses.replace(cell, seed=0)].append(cell)
    groups: dict[tuple[str, str, str, tuple[str, ...]], list[tuple[_Way, list[int]]]] = defaultdict(list)
    for family in families.values():
        if all(cell.id in there for cell in family):
            continue
        protocol = family[0].protocol
        ways = sorted(_ways(family[0]), key=lambda way: way.said(protocol.reading))
        if ways:
            key = (ways[0].table.id, protocol.profile, protocol.reading, ways[0].assignments)
            groups[key].append((ways[0], [cell.seed for cell in family]))
    for (_, profile, reading, assignments), found in groups.items():
        table, named = found[0][0].table, {way.row for way, _ in found if not way.own}
        yield select(
            table,
            profile=profile,
            reading=reading,
            methods=[row.id for row in table.rows if row.id in named],
            own=list(dict.fromkeys(way.row for way, _ in found if way.own)),
            seeds=sorted({seed for _, seeds in found for seed in seeds}),
            datasets=list(dict.fromkeys(way.dataset for way, _ in found)),
            assignments=assignments,
        )


def _ways(cell: Cell) -> Iterator[_Way]:
    """Every way in which a command gives this very model."""
    for table in all_tables().values():
        if not isinstance(table, Table):
            continue
        dataset = next((part for part in table.datasets if table.data.get(part, part) == cell.dataset), cell.dataset)
        rows = [row.id for row in table.rows if row.method == cell.method]
        for name in rows or [cell.method]:
            way = _Way(table, name, not rows, dataset, ())
            try:
                way = way._replace(assignments=tuple(_differences(_first(way, cell), cell)))
                if _first(way, cell) == cell:
                    yield way
            except UserError:
                # Not of this table: it lacks the profile, the reading, the row on this data set, or data of this kind.
                continue


def _first(way: _Way, cell: Cell) -> Cell:
    """What a way gives at the profile, reading and seed of ``cell``."""
    chosen = select(
        way.table,
        profile=cell.protocol.profile,
        reading=cell.protocol.reading,
        methods=[] if way.own else [way.row],
        own=[way.row] if way.own else [],
        seeds=[cell.seed],
        datasets=[way.dataset],
        assignments=way.assignments,
        all_rows=False,
    )
    return chosen.cell(chosen.rows[0], cell.seed, way.dataset)


def _differences(usual: Cell, cell: Cell) -> Iterator[str]:
    """What must be ``--set`` to make one model of the other."""
    before, after = usual.protocol, cell.protocol
    for name in protocol_fields():
        if getattr(before, name) != getattr(after, name):
            yield f"protocol.{name}={getattr(after, name)}"
    defaults = {name: field.default for name, field in method_fields(registry.method(cell.method)).items()}
    was, now = defaults | dict(usual.overrides), defaults | dict(cell.overrides)
    yield from (f"method.{name}={now[name]}" for name in sorted(now) if was.get(name) != now[name])
