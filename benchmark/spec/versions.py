"""Integer versions of the parts of the code, stored in records to tell current ones from stale ones."""

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
    """Return the version of a method's class or of a data set; 0 if it states none.

    A class must state its own version; an inherited one belongs to the base class and does not count.
    """
    return int(getattr(thing, "version", 0))


def versions_of(run: Run) -> dict[str, int]:
    """Return today's versions of the parts that a run depends on.

    Raises:
        UserError: The method or the data set is unknown.
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
    """Describe the parts whose version has changed, as in ``method 1, now 2``.

    Returns:
        The description; empty if no version has changed.
    """
    parts = (f"{part} {stored.get(part, 0)}, now {now}" for part, now in today.items() if stored.get(part, 0) != now)
    return "; ".join(parts)
