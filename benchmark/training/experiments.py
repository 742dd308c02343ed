"""Run the experiment of a demonstration."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from benchmark.spec.demonstration import Experiment
from benchmark.store.environment import environment
from benchmark.store.record import Record
from benchmark.store.store import Store


def perform(experiment: Experiment, store: Store) -> Record:
    """Run an experiment and store its record."""
    demonstration = experiment.demonstration
    # Read the environment before the run, as files and the commit may change while it lasts.
    where = environment()
    began = time.monotonic()
    found = demonstration.measure(experiment.seeds, **experiment.settings)
    record = Record(
        id=experiment.id,
        run=experiment.identity(),
        status="done",
        versions={"demonstration": demonstration.version},
        measures={name: finite_or_none(value) for name, value in found.numbers.items()},
        curves={name: finite_or_none(np.asarray(values)) for name, values in found.series.items()},
        cost={"seconds": round(time.monotonic() - began, 3)},
        environment=where | {"device": "cpu"},
    )
    store.write(experiment, record)
    return record


def finite_or_none(value: Any) -> Any:
    """Convert a number or an array for JSON: arrays to nested lists, non-finite values to None."""
    if isinstance(value, np.ndarray):
        return [finite_or_none(part) for part in value] if value.ndim else finite_or_none(value.item())
    return float(value) if math.isfinite(value) else None
