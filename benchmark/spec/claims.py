"""What a claim is: a sentence of a text, and the comparisons that it is judged by. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark.errors import unknown
from benchmark.spec.table import Direction, NetworkTable, Table

#: What a reader of a table of claims must know of its verdicts: the first of its notes.
HOW_JUDGED = (
    "A comparison holds if the 95 % interval of the mean difference over paired seeds (Student's t) lies wholly "
    "beyond its margin, and does not hold if it lies wholly short of it. It is undecided otherwise, below three "
    "pairs, and where a claim without a margin rests on a difference inside the measure's margin of equivalence. A "
    "claim holds if all of its comparisons do, and does not if one does not. Intervals are not widened for the "
    "number of comparisons."
)


@dataclass(frozen=True)
class Models:
    """What one side of a comparison is measured on: a row of a table on one of its data sets, as that table trains it
    at the same profile, so that its records serve both.

    seeds: the first so many, the profile's if 0.
    """

    table: Table
    row: str
    dataset: str
    seeds: int = 0


@dataclass(frozen=True)
class Statistic:
    """One number of a model's record.

    title: for people.
    name: of a measure or of a curve, which has an entry per epoch; of a measure from outside in full, as
        ``package.module:function``, and its ``take`` is ``last``.
    take: the final measure (``last``); of the curve its mean (``mean``), the standard deviation of its natural
        logarithm over the second half (``swing``), or the epochs until it reaches ``goal`` (``wait``) or until the
        model covers ``goal`` modes to the end (``covered``, by ``benchmark.analysis.coverage``): one more than there
        are where it never does.
    lost: what a model that diverged counts as, which never reaches a goal; left out if None.
    """

    title: str
    name: str
    take: Literal["last", "mean", "swing", "wait", "covered"] = "last"
    goal: float = 0.0
    lost: float | None = None


@dataclass(frozen=True)
class Comparison:
    """That a statistic of ``left`` is higher or lower than that of ``right``, another row's, seed by seed, or a number.

    margin: by how much at least; a negative one asks only that it is not worse by so much.
    """

    statistic: Statistic
    left: Models
    direction: Direction
    right: Models | float
    margin: float = 0.0

    @property
    def sides(self) -> tuple[Models, ...]:
        return (self.left, self.right) if isinstance(self.right, Models) else (self.left,)


@dataclass(frozen=True)
class Claim:
    """A sentence of a text that can be tested.

    sentence: in our words. source: the text and the place.
    reading: how we understand it, and what stands for it here.
    evidence: comparisons, and ids of demonstrations; it holds if all of them do.
    """

    id: str
    sentence: str
    source: str
    reading: str
    evidence: tuple[Comparison | str, ...]


@dataclass(frozen=True)
class ClaimTable:
    """Sentences of the texts, each judged by models of other tables and by demonstrations. Pure data."""

    id: str
    number: str | None
    title: str
    citation: str
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[Table, ...]:
        """Those whose models it looks at."""
        parts = [part for claim in self.claims for part in claim.evidence if isinstance(part, Comparison)]
        # A table is no key: it holds dictionaries.
        return tuple({id(side.table): side.table for part in parts for side in part.sides}.values())

    def claim(self, name: str) -> Claim:
        by_id = {claim.id: claim for claim in self.claims}
        if name not in by_id:
            raise unknown(f"claim of table {self.id}", name, by_id)
        return by_id[name]


AnyTable = Table | NetworkTable | ClaimTable
