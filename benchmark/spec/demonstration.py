"""Demonstrations: a claim of a paper, an experiment that tests it, and the rule of its verdict."""

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

#: Default profile.
USUAL_PROFILE = "short"


@dataclass(frozen=True)
class Findings:
    """Results of an experiment.

    Attributes:
        numbers: Numbers by name, NaN for missing ones.
        series: Arrays by name. The demonstration defines their shapes.
    """

    numbers: Mapping[str, float]
    series: Mapping[str, Array]


@dataclass(frozen=True)
class Demonstration:
    """A claim of a paper, and the experiment that tests it.

    Attributes:
        id: Name on the command line and in file names.
        title: Title of the drawing.
        claim: The claim in one sentence.
        citation: The paper, and other papers that make or prove the claim.
        setting: What was done, our choices and the paper's slips included, for the small print.
        profiles: Arguments of ``measure`` besides the seeds, by name of the profile.
        seeds: Default number of seeds; 0 if nothing is random.
        measure: The experiment. Equal arguments give equal findings on equal machines.
        numbers: Numbers shown to users, with their descriptions. The verdict depends on them.
        rule: When the claim holds, in one sentence.
        judge: Function that applies the rule to the numbers.
        draw: Function that makes the drawing.
        version: Raise this when a change alters the numbers of the experiment.
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
    """A demonstration with a profile and seeds. It has one record.

    Attributes:
        demonstration: The demonstration.
        profile: Name of the profile.
        seeds: Seeds; empty if nothing is random.
    """

    demonstration: Demonstration
    profile: str
    seeds: tuple[int, ...]

    @property
    def settings(self) -> Mapping[str, Any]:
        """Arguments of the experiment besides the seeds."""
        return self.demonstration.profiles[self.profile]

    def identity(self) -> dict[str, Any]:
        """The content that the id is a hash of. Profiles with equal settings share a record."""
        settings = {name: list(v) if isinstance(v, tuple) else v for name, v in self.settings.items()}
        return {"demonstration": self.demonstration.id, "settings": settings, "seeds": list(self.seeds)}

    @property
    def id(self) -> str:
        """Hash of ``identity()``."""
        return digest(self.identity())

    @property
    def place(self) -> str:
        """Folder of the record under ``records/``."""
        return self.demonstration.id

    @property
    def name(self) -> str:
        """Name of the rendered files. Experiments with other than the default seeds get a hash as suffix."""
        name = f"{self.demonstration.id}-{self.profile}"
        return name if self == choose(self.demonstration, self.profile) else f"{name}-{self.id[:6]}"

    @property
    def header(self) -> str:
        """Profile, settings and seeds as text."""
        settings = ", ".join(f"{name} {_text(value)}" for name, value in self.settings.items())
        drawn = f"seeds {seeds_text(self.seeds)} ({len(self.seeds)})" if self.seeds else "nothing random"
        return "; ".join(part for part in (f"profile {self.profile}", settings, drawn) if part)

    def command(self, results: Path) -> str:
        """The command that runs the experiment, with results in this folder."""
        words = ["python", "-m", "benchmark", "run", "--figure", self.demonstration.id]
        words += ["--profile", self.profile] if self.profile != USUAL_PROFILE else []
        if self.seeds != choose(self.demonstration, self.profile).seeds:
            text = seeds_text(self.seeds)
            # On the command line a single number is a number of seeds, so one seed is written as a range.
            words += ["--seeds", f"{text}-{text}" if text.isdigit() else text]
        words += ["--results", str(results)] if results != Path("results") else []
        return shlex.join(words)


def choose(
    demonstration: Demonstration, profile: str = USUAL_PROFILE, seeds: tuple[int, ...] | None = None
) -> Experiment:
    """The experiment that options of the command line select.

    Args:
        demonstration: The demonstration.
        profile: Name of the profile.
        seeds: Seeds; None for the default ones.

    Raises:
        UserError: There is no such profile, or seeds are given and nothing is random.
    """
    if profile not in demonstration.profiles:
        raise unknown(f"profile of {demonstration.id}", profile, demonstration.profiles)
    if seeds is not None and not demonstration.seeds:
        raise UserError(f"nothing in {demonstration.id} is random: leave out --seeds")
    return Experiment(demonstration, profile, tuple(range(demonstration.seeds)) if seeds is None else seeds)


def verdict_of(holds: bool, fails: bool) -> Verdict:
    """``holds``, ``does not hold``, or ``undecided`` if neither was shown."""
    return "holds" if holds else "does not hold" if fails else "undecided"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
