"""What a demonstration is: a claim of a text, an experiment that tests it, and the rule of its verdict."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmark.errors import UserError, unknown
from benchmark.spec.commands import seeds_text
from benchmark.spec.run import digest

if TYPE_CHECKING:
    import matplotlib.figure

Array = np.ndarray
Verdict = Literal["holds", "does not hold", "undecided"]

#: What is run where the user names no profile.
USUAL_PROFILE = "short"


@dataclass(frozen=True)
class Findings:
    """What an experiment gave.

    numbers: by name, NaN where there is none. series: arrays by name, shaped as the demonstration says.
    """

    numbers: Mapping[str, float]
    series: Mapping[str, Array]


@dataclass(frozen=True)
class Demonstration:
    """A claim, and the experiment that tests it.

    id: on the command line, and in file names. title: stands above the drawing.
    claim: one sentence of the text. citation: the text, and where else the claim is made or proved.
    setting: what was done, with the choices that are ours and where the text slips, for the small print.
    profiles: what ``measure`` takes besides the seeds, by the profile's name.
    seeds: usual number of seeds; 0 where nothing is random.
    measure: the experiment; equal arguments give equal findings on equal machines.
    numbers: those that a reader is shown, with what they are; the verdict rests on them.
    rule: when the claim holds, in a sentence. judge: the same for the numbers.
    draw: makes the drawing on a ``page.blank``.
    version: to be raised when a change of the experiment alters its numbers.
    """

    id: str
    title: str
    claim: str
    citation: str
    setting: str
    profiles: Mapping[str, Mapping[str, Any]]
    seeds: int
    measure: Callable[..., Findings]
    numbers: Mapping[str, str]
    rule: str
    judge: Callable[[Mapping[str, float]], Verdict]
    draw: Callable[[Findings], matplotlib.figure.Figure]
    version: int = 0


@dataclass(frozen=True)
class Experiment:
    """A demonstration as a user chose it: one record."""

    demonstration: Demonstration
    profile: str
    seeds: tuple[int, ...]

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.demonstration.profiles[self.profile]

    def identity(self) -> dict[str, Any]:
        """What the id is a hash of: profiles with equal settings share their record."""
        settings = {name: list(v) if isinstance(v, tuple) else v for name, v in self.settings.items()}
        return {"demonstration": self.demonstration.id, "settings": settings, "seeds": list(self.seeds)}

    @property
    def id(self) -> str:
        return digest(self.identity())

    @property
    def place(self) -> str:
        return self.demonstration.id

    @property
    def name(self) -> str:
        """Of files made from it; seeds that are not the usual ones have files of their own."""
        name = f"{self.demonstration.id}-{self.profile}"
        return name if self == choose(self.demonstration, self.profile) else f"{name}-{self.id[:6]}"

    @property
    def header(self) -> str:
        """Profile, settings and seeds."""
        settings = ", ".join(f"{name} {_text(value)}" for name, value in self.settings.items())
        drawn = f"seeds {seeds_text(self.seeds)} ({len(self.seeds)})" if self.seeds else "nothing random"
        return "; ".join(part for part in (f"profile {self.profile}", settings, drawn) if part)

    def command(self, results: Path) -> str:
        """What runs it."""
        words = ["python", "-m", "benchmark", "run", "--figure", self.demonstration.id]
        words += ["--profile", self.profile] if self.profile != USUAL_PROFILE else []
        if self.seeds != choose(self.demonstration, self.profile).seeds:
            text = seeds_text(self.seeds)
            # One number alone is a count of seeds on the command line.
            words += ["--seeds", f"{text}-{text}" if text.isdigit() else text]
        words += ["--results", str(results)] if results != Path("results") else []
        return shlex.join(words)


def choose(
    demonstration: Demonstration, profile: str = USUAL_PROFILE, seeds: tuple[int, ...] | None = None
) -> Experiment:
    """What the options of the command line choose."""
    if profile not in demonstration.profiles:
        raise unknown(f"profile of {demonstration.id}", profile, demonstration.profiles)
    if seeds is not None and not demonstration.seeds:
        raise UserError(f"nothing in {demonstration.id} is random: leave out --seeds")
    return Experiment(demonstration, profile, tuple(range(demonstration.seeds)) if seeds is None else seeds)


def verdict_of(holds: bool, fails: bool) -> Verdict:
    """``holds``, ``does not hold``, or ``undecided`` where neither is shown."""
    return "holds" if holds else "does not hold" if fails else "undecided"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
