"""A mixture of Gaussians along a spiral."""

import math

from datamodules.mixture import GaussianMixture

_TURNS, _MODES = 2.0, 20


def _centre(k: int) -> tuple[float, float]:
    """Centre k on the spiral r = angle / (2 pi turns): by the square root of k, centres lie about equally far apart."""
    angle = 2 * math.pi * _TURNS * math.sqrt((k + 1) / _MODES)
    radius = math.sqrt((k + 1) / _MODES)
    return radius * math.cos(angle), radius * math.sin(angle)


SPIRAL = GaussianMixture(
    name="spiral",
    centres=tuple(map(_centre, range(_MODES))),
    std=0.01,
    per_mode=2_000,
    limit=1.05,
    radius=0.03,
    source="20 modes along two turns of a spiral, from the inside out: an example",
)
