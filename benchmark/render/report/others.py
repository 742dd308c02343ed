"""Find selections for stored models that no table contains with its default seeds and settings."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from benchmark.errors import UserError
from benchmark.papers.discovery import all_tables
from benchmark.spec import registry
from benchmark.spec.overrides import protocol_fields
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import Table


class _Way(NamedTuple):
    """A row of a table, a data set and the ``--set`` assignments that together give a model."""

    table: Table
    row: str
    own: bool
    dataset: str
    assignments: tuple[str, ...]

    def said(self, reading: str) -> tuple[bool, int]:
        """Return the sort key: the length of the command.

        A method that the table lacks counts first, then the number of assignments and a reading.
        """
        return self.own, len(self.assignments) + (reading != self.table.reading)


def other_selections(runs: Sequence[Run], shown: Iterable[str]) -> Iterator[Selection]:
    """Yield selections that contain all stored ``runs`` whose ids are not in ``shown``, if a command can select them.

    If several tables could contain a model, one that has its method is preferred, then the one with the shortest
    command. All stored seeds of such a model are included, even if they are shown elsewhere.
    """
    there = set(shown)
    families: dict[Run, list[Run]] = defaultdict(list)
    for run in runs:
        families[dataclasses.replace(run, seed=0)].append(run)
    groups: dict[tuple[str, str, str, tuple[str, ...]], list[tuple[_Way, list[int]]]] = defaultdict(list)
    for family in families.values():
        if all(run.id in there for run in family):
            continue
        protocol = family[0].protocol
        ways = sorted(_ways(family[0]), key=lambda way: way.said(protocol.reading))
        if ways:
            key = (ways[0].table.id, protocol.profile, protocol.reading, ways[0].assignments)
            groups[key].append((ways[0], [run.seed for run in family]))
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


def _ways(run: Run) -> Iterator[_Way]:
    """Yield every way to select exactly this model."""
    for table in all_tables().values():
        if not isinstance(table, Table):
            continue
        dataset = next((part for part in table.datasets if table.data.get(part, part) == run.dataset), run.dataset)
        rows = [row.id for row in table.rows if row.method == run.method]
        for name in rows or [run.method]:
            way = _Way(table, name, not rows, dataset, ())
            try:
                way = way._replace(assignments=tuple(_differences(_first(way, run), run)))
                if _first(way, run) == run:
                    yield way
            except UserError:
                # This table lacks the profile, the reading, the row on this data set, or this kind of data.
                continue


def _first(way: _Way, run: Run) -> Run:
    """Return the run that a way selects at the profile, reading and seed of ``run``."""
    chosen = select(
        way.table,
        profile=run.protocol.profile,
        reading=run.protocol.reading,
        methods=[] if way.own else [way.row],
        own=[way.row] if way.own else [],
        seeds=[run.seed],
        datasets=[way.dataset],
        assignments=way.assignments,
        all_rows=False,
    )
    return chosen.run(chosen.rows[0], run.seed, way.dataset)


def _differences(usual: Run, run: Run) -> Iterator[str]:
    """Yield the ``--set`` assignments that turn ``usual`` into ``run``."""
    before, after = usual.protocol, run.protocol
    for name in protocol_fields():
        if getattr(before, name) != getattr(after, name):
            yield f"protocol.{name}={getattr(after, name)}"
    defaults = dict(registry.describe_method(run.method).defaults)
    was, now = defaults | dict(usual.overrides), defaults | dict(run.overrides)
    yield from (f"method.{name}={now[name]}" for name in sorted(now) if was.get(name) != now[name])
