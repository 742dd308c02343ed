"""What a claim is: a sentence of a text, and the comparisons that it is judged by. Pure data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from benchmark.errors import unknown
from benchmark.spec.commands import seeds_text
from benchmark.spec.demonstration import USUAL_PROFILE, Demonstration, Experiment, choose
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import Direction, NetworkTable, Table


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
    name: of a measure or of a curve, which has an entry per epoch.
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

    def claim(self, name: str) -> Claim:
        by_id = {claim.id: claim for claim in self.claims}
        if name not in by_id:
            raise unknown(f"claim of table {self.id}", name, by_id)
        return by_id[name]


AnyTable = Table | NetworkTable | ClaimTable


@dataclass(frozen=True)
class ClaimSelection:
    """The claims, profile and seeds that a user chose from a table of claims.

    Attributes:
        table: The table of claims.
        profile: Profile of the models.
        claims: The chosen claims.
        find_demonstration: Returns the demonstration with the id that a claim refers to.
        seeds: Seeds of the models; None uses those of each table.
    """

    table: ClaimTable
    profile: str
    claims: tuple[Claim, ...]
    find_demonstration: Callable[[str], Demonstration]
    seeds: tuple[int, ...] | None = None

    def selection(self, models: Models) -> Selection:
        """Return the selection that contains the models of one side of a comparison."""
        seeds = self.seeds if self.seeds is not None else range(models.seeds) if models.seeds else None
        profile, row, dataset = self.profile, models.row, models.dataset
        return select(models.table, profile=profile, methods=[row], datasets=[dataset], seeds=seeds)

    def models(self, models: Models) -> list[Run]:
        chosen = self.selection(models)
        return chosen.runs(chosen.rows[0], models.dataset)

    def runs(self, claim: Claim) -> list[Run]:
        """Return the runs of every model that a claim refers to, without duplicates."""
        sides = [side for part in claim.evidence if isinstance(part, Comparison) for side in part.sides]
        return list(dict.fromkeys(run for side in sides for run in self.models(side)))

    @property
    def trained(self) -> dict[str, list[Run]]:
        """Runs of all claims without duplicates, grouped by table, data set and row."""
        found: dict[str, list[Run]] = {}
        seen: set[Run] = set()
        for claim in self.claims:
            for part in claim.evidence:
                for side in part.sides if isinstance(part, Comparison) else ():
                    new = [run for run in self.models(side) if run not in seen]
                    seen.update(new)
                    if new:
                        found.setdefault(f"{side.table.id} {side.dataset} {side.row}", []).extend(new)
        return found

    @property
    def all_experiments(self) -> list[Experiment]:
        """Experiments of all claims, without duplicates."""
        return list({e.id: e for claim in self.claims for e in self.experiments(claim)}.values())

    def experiments(self, claim: Claim) -> list[Experiment]:
        return [self.experiment(part) for part in claim.evidence if isinstance(part, str)]

    def experiment(self, name: str) -> Experiment:
        """Return the experiment of a demonstration, at the usual profile if it does not define this selection's."""
        found = self.find_demonstration(name)
        return choose(found, self.profile if self.profile in found.profiles else USUAL_PROFILE, None)

    @property
    def name(self) -> str:
        """Base name of files that are made from this selection."""
        return f"{self.table.id}-{self.profile}"

    @property
    def header(self) -> str:
        seeds = "each table's own" if self.seeds is None else f"{seeds_text(self.seeds)} ({len(self.seeds)})"
        return f"profile {self.profile} of every table; seeds {seeds}"

    @property
    def whole(self) -> ClaimSelection:
        """The selection of all claims; this selection itself if the user chose seeds."""
        return self if self.seeds is not None else replace(self, claims=self.table.claims)


def profiles(table: ClaimTable) -> list[str]:
    """List the profiles that exist in every table that the claims refer to."""
    sides = [s for claim in table.claims for part in claim.evidence if isinstance(part, Comparison) for s in part.sides]
    return [name for name in sides[0].table.profiles if all(name in side.table.profiles for side in sides)]
