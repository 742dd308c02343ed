"""What golden values are, where they lie, and when two of them are the same."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("values")
#: Arrays by name.
Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """Something that gives numbers which must not change.

    kind, name: the file and the key that hold the stored values.
    make: computes them.
    remedy: what to raise if a change is meant.
    tolerance: largest difference, relative to a value or to the root mean square of its array, whichever is larger.
        Values near 0 are often differences of larger ones.
    least: a difference that is always allowed.
    """

    kind: str
    name: str
    make: Callable[[], Values]
    remedy: str
    tolerance: float
    least: float = 0.0

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.kind}.json"

    def stored(self) -> Values:
        """The stored values; empty if there are none."""
        return {name: as_array(value) for name, value in read(self.path).get(self.name, {}).items()}

    def excess(self, stored: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Differences as multiples of what is allowed; infinite where only one of both is a number."""
        scale = math.sqrt(np.square(stored[np.isfinite(stored)]).mean()) if np.isfinite(stored).any() else 0.0
        allowed = self.tolerance * np.maximum(np.abs(stored), scale) + self.least
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.abs(value - stored) / allowed
        found = np.where(value == stored, 0.0, found)
        return np.where(
            np.isnan(stored) | np.isnan(value), np.where(np.isnan(stored) & np.isnan(value), 0, np.inf), found
        )

    def change(self, values: Values) -> str:
        """Two lines on the largest change, and on what to do about it; empty if nothing changed."""
        stored = self.stored()
        file = "/".join(self.path.parts[-4:])
        write = f"run `python -m tests.golden --write {self.id}`"
        if not stored:
            return f"{file} has no values of {self.name}.\nIf it is new, {write}."
        said = ""
        if missing := sorted(stored.keys() ^ values.keys()):
            said = f"there is {missing[0]!r} on one side only"
        elif other := [name for name, value in stored.items() if value.shape != values[name].shape]:
            said = f"{other[0]!r} has shape {list(values[other[0]].shape)}, stored {list(stored[other[0]].shape)}"
        else:
            worst = {name: self.excess(value, values[name]) for name, value in stored.items()}
            name = max(worst, key=lambda each: worst[each].max(initial=0.0))
            if worst[name].max(initial=0.0) > 1:
                place = np.unravel_index(int(worst[name].argmax()), worst[name].shape)
                now, then = float(values[name][place]), float(stored[name][place])
                times = worst[name][place]
                said = (
                    f"{name!r}{list(map(int, place))} is {now:.7g}, stored {then:.7g}, {times:.3g} times the tolerance"
                )
        if not said:
            return ""
        way_out = f"If the change is meant, raise {self.remedy}, then {write}."
        return f"{file}: {self.name}: {said}.\nIf no number should have changed, undo the change. {way_out}"


def as_array(value: object) -> np.ndarray:
    """A stored value as an array; what is not finite is NaN."""
    return np.array(value, dtype=float)


def as_json(value: np.ndarray) -> object:
    """An array as nested lists of seven digits, as many as 32 bits hold; None where it is not finite."""
    if value.ndim:
        return [as_json(part) for part in value]
    return float(f"{float(value):.7g}") if np.isfinite(value) else None


def read(path: Path) -> dict[str, dict[str, object]]:
    """A file of values; empty if there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, content: Mapping[str, Mapping[str, object]]) -> None:
    """Write a file of values, one array a line."""
    cases = []
    for name, values in sorted(content.items()):
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items())
        cases.append(f" {json.dumps(name)}: {{\n{lines}\n }}")
    path.parent.mkdir(exist_ok=True)
    path.write_text("{\n" + ",\n".join(cases) + "\n}\n")
