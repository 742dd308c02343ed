"""Margins of equivalence of all measures, with the better direction and the worst value of each.

The margins were fixed before any verdict used them. They follow three rules. For a share of samples, or a distance
between distributions that is a share, the margin is 5 percentage points. For a number of modes it is one mode, or 4 %
if there are more than 25. For a distance without a scale of its own it is 5 % of the value compared with. If the
sampling error of a perfect model is larger than that, the margin is about this error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

#: Number of modes up to which the margin is one mode.
_MODES = 25


@dataclass(frozen=True)
class Margin:
    """Largest difference of a measure that counts as equivalent.

    Attributes:
        amount: Size of the margin in ``unit``.
        unit: ``modes`` (a number of modes; with more than 25 modes the same share as of 25), ``samples`` (a share of
            the samples drawn), ``value`` (a share of the value compared with), or ``absolute``.
        reason: Reason for this size.
        better: The better direction; None if there is none.
        worst: The worst value as a function of the numbers of modes and samples; None if there is no such value.
    """

    amount: float
    unit: Literal["modes", "samples", "value", "absolute"]
    reason: str
    better: Literal["higher", "lower"] | None
    worst: Callable[[int, int], float] | None = None

    def size(self, modes: int, samples: int, value: float) -> float:
        """The margin in the unit of the measure.

        Args:
            modes: Number of modes of the data set.
            samples: Number of samples per model.
            value: The value compared with.
        """
        if self.unit == "modes":
            return self.amount * max(1.0, modes / _MODES)
        return self.amount * {"samples": float(samples), "value": abs(value), "absolute": 1.0}[self.unit]

    @property
    def text(self) -> str:
        """The margin as text: ``1 mode of 25``, ``5 % of the samples``."""
        if self.unit == "modes":
            return f"{self.amount:g} mode, of more than {_MODES} {100 * self.amount / _MODES:g} %"
        if self.unit == "absolute":
            return f"{self.amount:g}"
        return f"{100 * self.amount:g} % of the {'samples' if self.unit == 'samples' else 'value compared with'}"


def _constant(value: float) -> Callable[[int, int], float]:
    return lambda modes, samples: value


_ONE_MODE = Margin(1, "modes", "less than one mode lost or found", "higher", _constant(0.0))
_SHARE = Margin(0.05, "absolute", "one sample in twenty", "higher", _constant(0.0))
_JSD = Margin(0.05, "absolute", "7 % of the largest value, ln 2", "lower", _constant(math.log(2)))
_KL = "as if the modes that are really in use, K exp(-KL), were 5 % more or fewer"
_SCALE = "the value has the scale of the data and of the network that sees them"
_DISTANCE = Margin(0.05, "value", _SCALE, "lower")

#: Margins by name of the measure.
MARGINS: dict[str, Margin] = {
    "registered_modes": _ONE_MODE,
    "captured_modes": _ONE_MODE,
    "captured_modes_literal": _ONE_MODE,
    "modes": _ONE_MODE,
    "registered_points": Margin(0.05, "samples", "one sample in twenty", "higher", _constant(0.0)),
    "high_quality_fraction": _SHARE,
    "high_quality_fraction_literal": _SHARE,
    "precision": _SHARE,
    "recall": _SHARE,
    "precision_effnetlite0": _SHARE,
    "recall_effnetlite0": _SHARE,
    "max_deficit": Margin(
        0.1, "absolute", "the counting error of a mode that should have 80 samples, 11 %", "lower", _constant(1.0)
    ),
    "max_relative_deviation": Margin(
        0.1,
        "absolute",
        "the counting error of a mode that should have 80 samples, 11 %",
        "lower",
        lambda modes, samples: modes - 1.0,
    ),
    "cv": Margin(
        0.05,
        "absolute",
        "counts that differ by 5 % of a mode more or less",
        "lower",
        lambda modes, samples: math.sqrt(modes - 1),
    ),
    "tv_true": Margin(0.05, "absolute", "one sample in twenty in another cell", "lower", _constant(1.0)),
    "tv_differential": Margin(
        0.05, "absolute", "one sample in twenty in another mode", "lower", lambda modes, samples: 1 - 1 / modes
    ),
    "jsd": _JSD,
    "jsd_histogram": _JSD,
    "kl": Margin(0.05, "absolute", _KL, "lower", lambda modes, samples: math.log(modes)),
    # Infinite if a digit is generated that the data do not contain, so that there is no worst value.
    "digit_kl": Margin(0.05, "absolute", _KL, "lower"),
    # The largest value is reached when all images are in a bin without data, whose share is the 1e-6 added to every
    # bin.
    "intensity_kl": Margin(
        0.001,
        "absolute",
        "the value that 55,000 draws of the data's own intensities have, 0.0008",
        "lower",
        _constant(math.log(1e6)),
    ),
    "fid": _DISTANCE,
    "kid": _DISTANCE,
    "fd_effnetlite0": _DISTANCE,
    "kd_effnetlite0": _DISTANCE,
    # Pixels are in [0, 1].
    "ivom": Margin(0.05, "value", _SCALE, "lower", _constant(1.0)),
    "ivom_50": Margin(0.05, "value", _SCALE, "lower", _constant(1.0)),
    "ivom_5": Margin(0.05, "value", _SCALE, "lower", _constant(1.0)),
    # A model that never covers all modes has no value.
    "updates_to_coverage": Margin(0.1, "value", "looks at a model lie 500 updates apart", "lower"),
}
