"""Read the results of demonstrations from their records."""

from __future__ import annotations

import math

import numpy as np

from benchmark.errors import Damaged, UserError
from benchmark.spec.demonstration import Experiment, Findings
from benchmark.store.record import Record
from benchmark.store.store import Store


def read_experiment(experiment: Experiment, store: Store) -> Record:
    """Read the record of an experiment.

    Raises:
        UserError: There is no record.
        Damaged: The record lacks a number.
    """
    record = store.read(experiment)
    if record is None:
        name = experiment.demonstration.id
        raise UserError(
            f"figure {name} has no record of this in {store.folder}; first: {experiment.command(store.folder)}"
        )
    if missing := experiment.demonstration.numbers.keys() - record.measures.keys():
        said = f"is damaged (without {', '.join(sorted(missing))})"
        raise Damaged(f"{store.path(experiment)} {said}; delete it and give again: {experiment.command(store.folder)}")
    return record


def is_experiment_stale(experiment: Experiment, record: Record) -> bool:
    """Return whether a record was made with another version of the demonstration than today's."""
    return record.versions != {"demonstration": experiment.demonstration.version}


def findings(record: Record) -> Findings:
    """Return the measured numbers and series of a record; NaN where it stores None."""
    numbers = {name: math.nan if value is None else value for name, value in record.measures.items()}
    return Findings(numbers, {name: np.array(values, dtype=float) for name, values in record.curves.items()})


def experiment_report(experiment: Experiment, record: Record) -> list[str]:
    """Return the claim, the numbers and the verdict as lines of text."""
    demonstration, numbers = experiment.demonstration, findings(record).numbers
    return [
        demonstration.title,
        f"claim: {demonstration.claim}",
        *(f"  {four_digits(numbers[name]):>10}  {what}" for name, what in demonstration.numbers.items()),
        f"verdict: {demonstration.judge(numbers)} (it holds if {demonstration.rule})",
    ]


def four_digits(value: float) -> str:
    """Format a number with four digits."""
    if math.isnan(value):
        return "none"
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.4g}"
