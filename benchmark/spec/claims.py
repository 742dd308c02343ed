"""Claims: sentences of a paper, and the comparisons and demonstrations that test them. Pure data."""

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
    """The trained models on one side of a comparison: a row of a table on one of its data sets.

    They are trained as that table trains them at the same profile, so that both share their records.

    Attributes:
        table: The table.
        row: Id of the row.
        dataset: Name of the data set.
        seeds: Number of seeds, counted from the first; 0 for those of the profile.
    """

    table: Table
    row: str
    dataset: str
    seeds: int = 0


@dataclass(frozen=True)
class Statistic:
    """One number computed from the record of a model.

    Attributes:
        title: Name as shown to users.
        name: Name of a measure or of a curve. A curve has one value per epoch.
        take: How the number is computed. ``last``: the final measure. ``mean``: the mean of the curve. ``swing``: the
            standard deviation of the curve's natural logarithm over the second half. ``wait``: epochs until the curve
            reaches ``goal``. ``covered``: epochs until the model covers ``goal`` modes and keeps them to the end
            (``benchmark.analysis.coverage``). If a goal is never reached, the number is one more than the number of
            epochs.
        goal: Value of the curve or number of modes for ``wait`` and ``covered``.
        lost: Value for a model that diverged, which never reaches a goal. With None the model is left out.
    """

    title: str
    name: str
    take: Literal["last", "mean", "swing", "wait", "covered"] = "last"
    goal: float = 0.0
    lost: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The assertion that a statistic is higher or lower for ``left`` than for ``right``.

    Attributes:
        statistic: What is compared.
        left: Models of the left side.
        direction: Whether ``left`` is asserted to be higher or lower.
        right: Models of the right side, compared seed by seed, or a number.
        margin: Least difference. A negative margin asserts only that ``left`` is not worse by more than its absolute
            value.
    """

    statistic: Statistic
    left: Models
    direction: Direction
    right: Models | float
    margin: float = 0.0

    @property
    def sides(self) -> tuple[Models, ...]:
        """The sides that are trained models."""
        return (self.left, self.right) if isinstance(self.right, Models) else (self.left,)


@dataclass(frozen=True)
class Claim:
    """A testable sentence of a paper.

    Attributes:
        id: Name on the command line.
        sentence: The claim in our words.
        source: The paper and the place in it.
        reading: Our interpretation, and what is measured for it.
        evidence: Comparisons, and ids of demonstrations. The claim holds if all of them do.
    """

    id: str
    sentence: str
    source: str
    reading: str
    evidence: tuple[Comparison | str, ...]


@dataclass(frozen=True)
class ClaimTable:
    """A table of claims, each tested by models of other tables and by demonstrations. Pure data.

    Attributes:
        id: Name on the command line.
        number: Second name on the command line; None if there is none.
        title: Title as shown to users.
        citation: The papers.
        claims: The claims.
        notes: Remarks printed below the table.
    """

    id: str
    number: str | None
    title: str
    citation: str
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()

    def claim(self, name: str) -> Claim:
        """The claim with this id.

        Raises:
            UserError: There is no such claim.
        """
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
