"""What a demonstration is: a claim of a text, a small experiment that tests it, and the verdict that its numbers give.

The way of the data: Demonstration -> Experiment -> measure -> Record -> Findings -> verdict and drawing.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib.figure
import numpy as np

from benchmark import demonstrations, registry
from benchmark.cells import digest
from benchmark.environment import environment
from benchmark.errors import Damaged, UserError, unknown
from benchmark.page import finish, own_style, save
from benchmark.records import Record, Store
from benchmark.sheet import seeds_text

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

    @staticmethod
    def of(identity: Mapping[str, Any]) -> Experiment:
        """The experiment of that ``identity()``. ``ValueError`` where no profile of today has these settings."""
        known = {d.id: d for d in registry.values_in(demonstrations) if isinstance(d, Demonstration)}
        demonstration, seeds = known[identity["demonstration"]], tuple(identity["seeds"])
        for profile in demonstration.profiles:
            if (found := Experiment(demonstration, profile, seeds)).identity() == identity:
                return found
        raise ValueError(f"no profile of {demonstration.id} has these settings")

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

    def command(self, store: Store) -> str:
        """What runs it."""
        words = ["python", "-m", "benchmark", "run", "--figure", self.demonstration.id]
        words += ["--profile", self.profile] if self.profile != USUAL_PROFILE else []
        if self.seeds != choose(self.demonstration, self.profile).seeds:
            text = seeds_text(self.seeds)
            # One number alone is a count of seeds on the command line.
            words += ["--seeds", f"{text}-{text}" if text.isdigit() else text]
        words += ["--results", str(store.folder)] if store.folder != Path("results") else []
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


def perform(experiment: Experiment, store: Store) -> Record:
    """Measure and store."""
    demonstration = experiment.demonstration
    # Now, as the code that runs is today's: files and the commit may change while it does.
    where = environment()
    began = time.monotonic()
    found = demonstration.measure(experiment.seeds, **experiment.settings)
    record = Record(
        id=experiment.id,
        run=experiment.identity(),
        status="done",
        versions={"demonstration": demonstration.version},
        measures={name: _stored(value) for name, value in found.numbers.items()},
        curves={name: _stored(np.asarray(values)) for name, values in found.series.items()},
        cost={"seconds": round(time.monotonic() - began, 3)},
        environment=where | {"device": "cpu"},
    )
    store.write(experiment, record)
    return record


def read(experiment: Experiment, store: Store) -> Record:
    """The record of an experiment. Raises ``UserError`` where there is none."""
    record = store.read(experiment)
    if record is None:
        name = experiment.demonstration.id
        raise UserError(f"figure {name} has no record of this in {store.folder}; first: {experiment.command(store)}")
    if missing := experiment.demonstration.numbers.keys() - record.measures.keys():
        said = f"is damaged (without {', '.join(sorted(missing))})"
        raise Damaged(f"{store.path(experiment)} {said}; delete it and give again: {experiment.command(store)}")
    return record


def is_stale(experiment: Experiment, record: Record) -> bool:
    """Whether a record was made with another version of the demonstration than today's."""
    return record.versions != {"demonstration": experiment.demonstration.version}


def findings(record: Record) -> Findings:
    """What was measured, from a record; NaN where it stores no number."""
    numbers = {name: math.nan if value is None else value for name, value in record.measures.items()}
    return Findings(numbers, {name: np.array(values, dtype=float) for name, values in record.curves.items()})


def report(experiment: Experiment, record: Record) -> list[str]:
    """Claim, numbers and verdict, a line each."""
    demonstration, numbers = experiment.demonstration, findings(record).numbers
    return [
        demonstration.title,
        f"claim: {demonstration.claim}",
        *(f"  {number(numbers[name]):>10}  {what}" for name, what in demonstration.numbers.items()),
        f"verdict: {demonstration.judge(numbers)} (it holds if {demonstration.rule})",
    ]


def small_print(experiment: Experiment, record: Record) -> list[str]:
    """What a reader must know to judge the drawing."""
    demonstration, numbers = experiment.demonstration, findings(record).numbers
    measured = "; ".join(f"{what}: {number(numbers[name])}" for name, what in demonstration.numbers.items())
    return [
        f"Claim: {demonstration.claim}",
        f"Measured: {measured}.",
        f"Verdict: {demonstration.judge(numbers)}. It holds if {demonstration.rule}.",
        demonstration.setting,
        f"{demonstration.citation}. Ours: {experiment.header}.",
        "Stale: made with an earlier version (run with --redo-stale)." if is_stale(experiment, record) else "",
    ]


def compose(experiment: Experiment, store: Store) -> matplotlib.figure.Figure:
    """The drawing with its title and small print; to be called within ``page.own_style``."""
    record = read(experiment, store)
    try:
        picture = experiment.demonstration.draw(findings(record))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        said = f"is damaged (its curves are not what is drawn, {type(error).__name__}: {error})"
        path, command = store.path(experiment), experiment.command(store)
        raise Damaged(f"{path} {said}; delete it and give again: {command}") from error
    finish(picture, experiment.demonstration.title, small_print(experiment, record))
    return picture


def draw(experiment: Experiment, store: Store) -> list[Path]:
    """Draw what is stored, as PNG and SVG. Raises ``UserError`` where nothing is."""
    with own_style(experiment.demonstration.id):
        folder = store.writable(store.pictures() / experiment.name).parent
        return save(compose(experiment, store), folder, experiment.name)


def verdict(holds: bool, fails: bool) -> Verdict:
    """``holds``, ``does not hold``, or ``undecided`` where neither is shown."""
    return "holds" if holds else "does not hold" if fails else "undecided"


def number(value: float) -> str:
    """A number for people: four digits."""
    if math.isnan(value):
        return "none"
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.4g}"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _stored(value: Any) -> Any:
    """A number, or an array as nested lists, with None where it is not finite."""
    if isinstance(value, np.ndarray):
        return [_stored(part) for part in value] if value.ndim else _stored(value.item())
    return float(value) if math.isfinite(value) else None
