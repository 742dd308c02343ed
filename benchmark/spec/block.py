"""Blocks: runs that differ only in seed and train together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmark.spec.run import Run, digest

#: What tells one version of a record's file from the next: nanoseconds and inode.
Stamp = tuple[int, int]


@dataclass(frozen=True)
class Block:
    """Runs that differ only in seed and are trained as one batch of models, ``run.protocol.width`` of them.

    A seed's slot is its remainder by the width, as kernels may treat slots differently in the last bit (they do where
    the width is no power of two).
    pending: the runs that are to be trained; their siblings in the block are done.
    before: stamps of the records of ``pending`` when that was decided, None where there was none. A record that has
        another one since is somebody else's work, and done.
    """

    runs: tuple[Run, ...]
    pending: tuple[Run, ...] = ()
    before: tuple[Stamp | None, ...] = field(default=(), compare=False)

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def label(self) -> str:
        """Method and overrides, for people."""
        return " ".join([self.first.method, *(f"{name}={value}" for name, value in self.first.overrides)])

    @property
    def id(self) -> str:
        return digest([run.identity() for run in self.pending])

    @property
    def place(self) -> str:
        """The same for all who train any of these seeds, whichever of them are pending: what is claimed."""
        run = self.first
        return digest([dataclasses.replace(run, seed=0).identity(), run.seed // run.protocol.width])

    @property
    def slots(self) -> dict[int, Run]:
        """The pending runs by the slot that each is trained in."""
        return {run.seed % run.protocol.width: run for run in self.pending}

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of all slots; those without a pending run repeat one that has."""
        slots, width = self.slots, self.first.protocol.width
        return tuple(slots.get(slot, self.pending[0]).seed for slot in range(width))


def make_blocks(runs: Sequence[Run]) -> list[Block]:
    """Blocks of the runs that differ only in seed, as many seeds as the protocol's width: 0-7, 8-15 and so on.

    The block and the slot of a seed depend on nothing else, whatever seeds are asked for beside it.
    """
    families: dict[str, dict[int, list[Run]]] = {}
    for run in dict.fromkeys(runs):
        family = families.setdefault(dataclasses.replace(run, seed=0).id, {})
        family.setdefault(run.seed // run.protocol.width, []).append(run)
    groups = [group for family in families.values() for group in family.values()]
    return [Block(tuple(sorted(group, key=lambda run: run.seed))) for group in groups]


@dataclass(frozen=True)
class Shard:
    """One of ``count`` parts of a table's blocks, ``index`` from 1: every ``count``-th block, so that the rows of a
    table, which cost very differently, are spread over the parts."""

    index: int = 1
    count: int = 1

    def of(self, blocks: Sequence[Block]) -> list[Block]:
        """This part of the blocks of ``make_blocks``; what is done must not be left out before."""
        return list(blocks[self.index - 1 :: self.count])


def drop_finished(blocks: Iterable[Block], done: Iterable[str]) -> list[Block]:
    """Blocks with something left to train once the runs with ids ``done`` are taken out."""
    finished = set(done)
    left = [Block(b.runs, tuple(c for c in b.runs if c.id not in finished)) for b in blocks]
    return [block for block in left if block.pending]
