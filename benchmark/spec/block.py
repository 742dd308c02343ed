"""Blocks: runs that differ only in seed and are trained together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmark.spec.run import Run, digest

#: Modification time in nanoseconds and inode of a record's file. They differ between versions of the record.
Stamp = tuple[int, int]


@dataclass(frozen=True)
class Block:
    """Runs that differ only in seed and are trained as one batch of ``run.protocol.width`` models.

    A seed's slot in the batch is its remainder modulo the width. It is fixed because kernels may compute slots
    differently in the last bit (they do if the width is not a power of two).

    Attributes:
        runs: All runs of the block.
        pending: The runs that still need training.
        before: Stamps of the records of ``pending`` when they were found to need training, None for runs without a
            record. A record whose stamp has changed since was written by another process, so its run is finished.
    """

    runs: tuple[Run, ...]
    pending: tuple[Run, ...] = ()
    before: tuple[Stamp | None, ...] = field(default=(), compare=False)

    @property
    def first(self) -> Run:
        """The run with the lowest seed."""
        return self.runs[0]

    @property
    def label(self) -> str:
        """Method and overrides as text."""
        return " ".join([self.first.method, *(f"{name}={value}" for name, value in self.first.overrides)])

    @property
    def id(self) -> str:
        """Hash of the pending runs."""
        return digest([run.identity() for run in self.pending])

    @property
    def place(self) -> str:
        """Hash of the block that does not depend on which runs are pending. The lock of a block has this name."""
        run = self.first
        return digest([dataclasses.replace(run, seed=0).identity(), run.seed // run.protocol.width])

    @property
    def slots(self) -> dict[int, Run]:
        """The pending runs by slot."""
        return {run.seed % run.protocol.width: run for run in self.pending}

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of all slots. A slot without a pending run repeats the seed of one that has."""
        slots, width = self.slots, self.first.protocol.width
        return tuple(slots.get(slot, self.pending[0]).seed for slot in range(width))


def make_blocks(runs: Sequence[Run]) -> list[Block]:
    """Group runs that differ only in seed into blocks, with as many seeds as the protocol's width: 0-7, 8-15 and so on.

    The block and the slot of a seed depend on the seed and the width only, not on the other seeds in ``runs``.
    """
    families: dict[str, dict[int, list[Run]]] = {}
    for run in dict.fromkeys(runs):
        family = families.setdefault(dataclasses.replace(run, seed=0).id, {})
        family.setdefault(run.seed // run.protocol.width, []).append(run)
    groups = [group for family in families.values() for group in family.values()]
    return [Block(tuple(sorted(group, key=lambda run: run.seed))) for group in groups]


@dataclass(frozen=True)
class Shard:
    """One of ``count`` shards of a table's blocks: every ``count``-th block.

    The rows of a table differ much in cost. Taking every ``count``-th block spreads them over the shards.

    Attributes:
        index: Number of the shard, from 1.
        count: Number of shards.
    """

    index: int = 1
    count: int = 1

    def of(self, blocks: Sequence[Block]) -> list[Block]:
        """The blocks of this shard.

        Args:
            blocks: All blocks of ``make_blocks``, finished ones included, so that every process divides the same list.
        """
        return list(blocks[self.index - 1 :: self.count])


def drop_finished(blocks: Iterable[Block], done: Iterable[str]) -> list[Block]:
    """Remove the runs with ids ``done`` and return the blocks that still have runs to train."""
    finished = set(done)
    left = [Block(b.runs, tuple(c for c in b.runs if c.id not in finished)) for b in blocks]
    return [block for block in left if block.pending]
