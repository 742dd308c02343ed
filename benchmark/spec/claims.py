"""Claims: sentences of a paper, and the comparisons and demonstrations that test them. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark.errors import unknown
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
