"""Integer versions: what a record was made with, and whether that is what the code has today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.spec import registry
from benchmark.spec.run import Run
from evaluators.names import MEASURE_VERSIONS
from modules.families import find_family

#: Version of what all methods share: the training loop, its noise, optimizers and evaluation. Raise it when a change
#: alters the numbers of every record.
TRAINING_VERSION = 1

#: What has a version, in the order in which messages name it. Records of demonstrations have ``demonstration`` alone.
PARTS = ("method", "dataset", "measures", "networks", "training")


def version_of(thing: Any) -> int:
    """The version of a data set; 0 where it states none."""
    return int(getattr(thing, "version", 0))


def versions_of(run: Run) -> dict[str, int]:
    """The versions that a record of this run is made with today.

    Raises:
        UserError: the method or the data set is not here.
    """
    dataset = registry.dataset(run.dataset)
    return {
        "method": registry.describe_method(run.method).version,
        "dataset": version_of(dataset),
        "measures": MEASURE_VERSIONS[dataset.measures],
        "networks": find_family(run.protocol.networks).version,
        "training": TRAINING_VERSION,
    }


def differing(stored: Mapping[str, int], today: Mapping[str, int]) -> str:
    """What has another version today, as in ``method 1, now 2``; empty where nothing has."""
    parts = (f"{part} {stored.get(part, 0)}, now {now}" for part, now in today.items() if stored.get(part, 0) != now)
    return "; ".join(parts)
