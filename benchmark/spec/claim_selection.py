"""What a user chose of a table of claims: the claims, and the runs and experiments that they rest on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmark.spec.claims import Claim, ClaimTable, Comparison, Models
from benchmark.spec.commands import seeds_text
from benchmark.spec.demonstration import USUAL_PROFILE, Demonstration, Experiment, choose
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection, select


@dataclass(frozen=True)
class ClaimSelection:
    """What a user chose of a table of claims.

    find_demonstration: gives the demonstration of an id that a claim names.
    seeds: those of the models, None for each table's own.
    """

    table: ClaimTable
    profile: str
    claims: tuple[Claim, ...]
    find_demonstration: Callable[[str], Demonstration]
    seeds: tuple[int, ...] | None = None

    def selection(self, models: Models) -> Selection:
        """The models of one side, as their own table chooses them."""
        seeds = self.seeds if self.seeds is not None else range(models.seeds) if models.seeds else None
        profile, row, dataset = self.profile, models.row, models.dataset
        return select(models.table, profile=profile, methods=[row], datasets=[dataset], seeds=seeds)

    def models(self, models: Models) -> list[Run]:
        chosen = self.selection(models)
        return chosen.runs(chosen.rows[0], models.dataset)

    def runs(self, claim: Claim) -> list[Run]:
        """Every model that a claim looks at, once."""
        sides = [side for part in claim.evidence if isinstance(part, Comparison) for side in part.sides]
        return list(dict.fromkeys(run for side in sides for run in self.models(side)))

    @property
    def trained(self) -> dict[str, list[Run]]:
        """Every model once, under the table, the data set and the row that it belongs to."""
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
        """Each once."""
        return list({e.id: e for claim in self.claims for e in self.experiments(claim)}.values())

    def experiments(self, claim: Claim) -> list[Experiment]:
        return [self.experiment(part) for part in claim.evidence if isinstance(part, str)]

    def experiment(self, name: str) -> Experiment:
        """The demonstration of that name, at the usual profile where it has none of this name."""
        found = self.find_demonstration(name)
        return choose(found, self.profile if self.profile in found.profiles else USUAL_PROFILE, None)

    @property
    def name(self) -> str:
        """Of files made from it."""
        return f"{self.table.id}-{self.profile}"

    @property
    def header(self) -> str:
        seeds = "each table's own" if self.seeds is None else f"{seeds_text(self.seeds)} ({len(self.seeds)})"
        return f"profile {self.profile} of every table; seeds {seeds}"

    @property
    def whole(self) -> ClaimSelection:
        """All claims; where seeds are chosen, the selection itself."""
        return self if self.seeds is not None else replace(self, claims=self.table.claims)


def profiles(table: ClaimTable) -> list[str]:
    """Those that every table has which a claim looks at."""
    sides = [s for claim in table.claims for part in claim.evidence if isinstance(part, Comparison) for s in part.sides]
    return [name for name in sides[0].table.profiles if all(name in side.table.profiles for side in sides)]
