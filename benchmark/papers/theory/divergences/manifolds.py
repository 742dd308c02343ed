"""Two manifolds that are moved a little at random do not perfectly align (Arjovsky and Bottou 2017, Def. 2.2, Lemma 2).

Two manifolds perfectly align if at some common point their tangent spaces together do not span the space. In the
plane, two curves perfectly align if they meet at an angle of 0. A curve aligns with itself everywhere. The lemma says:
if both are shifted independently at random, the probability of aligning is 0.

A probability of 0 cannot be estimated by counting, but the probability of a crossing at a small angle can. It must go
to 0 with the angle. For two unit circles with centres D apart the angle is known, 2 asin(D / 2).

Two crossings near a point of tangency lie close together. None is missed here: the curve is divided at every point
where it stops approaching the other one, so that each piece has at most one crossing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib.figure
import numpy as np

from benchmark.plotting.axes import band, tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of

Array = np.ndarray

#: Exponent p and half-axes a, b of the curves |x / a|^p + |y / b|^p = 1.
CURVES = {"circle": (2, 1.0, 1.0), "ellipse": (2, 1.5, 0.7), "rounded square": (4, 1.0, 1.0)}
#: Limits for the sine of the angle: a crossing counts if its sine is smaller.
SINES = np.geomspace(1e-3, 1, 13)
_BISECTIONS = 60


def point(shape: tuple[int, float, float], t: Array) -> tuple[Array, Array]:
    """Compute points and tangents of a curve at polar angles ``t``.

    Returns:
        Points ``[..., 2]`` and tangents ``[..., 2]``; the tangents do not have unit length.
    """
    p, a, b = shape
    cos, sin = np.cos(t), np.sin(t)
    size = (np.abs(cos / a) ** p + np.abs(sin / b) ** p) ** (-1 / p)
    change = -(size ** (p + 1)) * (
        np.sign(sin) * np.abs(sin) ** (p - 1) * cos / b**p - np.sign(cos) * np.abs(cos) ** (p - 1) * sin / a**p
    )
    points = np.stack([size * cos, size * sin], -1)
    return points, np.stack([change * cos - size * sin, change * sin + size * cos], -1)


def implicit_value(shape: tuple[int, float, float], xy: Array) -> Array:
    """Compute the implicit function of a curve at ``xy [..., 2]``: negative inside, 0 on it, positive outside."""
    p, a, b = shape
    return np.abs(xy[..., 0] / a) ** p + np.abs(xy[..., 1] / b) ** p - 1


def normal(shape: tuple[int, float, float], xy: Array) -> Array:
    """Compute the gradient of ``implicit_value`` at ``xy [..., 2]``, which is normal to the curve."""
    p, a, b = shape
    x, y = xy[..., 0] / a, xy[..., 1] / b
    powers = (np.sign(v) * np.abs(v) ** (p - 1) * p / half for v, half in ((x, a), (y, b)))
    return np.stack(list(powers), -1)


def bisect(function: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Find by bisection where an elementwise function changes its sign, once between each ``low`` and ``high``."""
    sign = np.sign(function(low))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        same = np.sign(function(middle)) == sign
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return (low + high) / 2


def crossings(shape: tuple[int, float, float], shifts: Array, grid: int) -> tuple[Array, Array]:
    """Find where a curve crosses copies of itself that are shifted.

    Args:
        shape: Exponent and half-axes of the curve.
        shifts: Shifts ``[n, 2]``.
        grid: Number of intervals in which sign changes are searched.

    Returns:
        For each crossing the index of the shift, and the sine of the angle between the curves.
    """
    t = np.linspace(0, 2 * np.pi, grid + 1)

    def approach(t: Array, shift: Array) -> tuple[Array, Array]:
        """Return the implicit value of the unshifted curve along the shifted one, and its derivative by t."""
        points, tangents = point(shape, t)
        moved = points + shift
        return implicit_value(shape, moved), (normal(shape, moved) * tangents).sum(-1)

    slopes = approach(t[None], shifts[:, None])[1]
    which, cell = np.nonzero(np.sign(slopes[:, :-1]) != np.sign(slopes[:, 1:]))
    turns = bisect(lambda u: approach(u, shifts[which])[1], t[cell], t[cell + 1])
    index = np.concatenate([np.repeat(np.arange(len(shifts)), grid + 1), which])
    place = np.concatenate([np.tile(t, len(shifts)), turns])
    order = np.lexsort((place, index))
    index, place = index[order], place[order]
    sign = np.sign(approach(place, shifts[index])[0])
    found = np.nonzero((index[:-1] == index[1:]) & (sign[:-1] != sign[1:]))[0]
    chosen = index[found]
    roots = bisect(lambda u: approach(u, shifts[chosen])[0], place[found], place[found + 1])
    points, tangents = point(shape, roots)
    normals = normal(shape, points + shifts[chosen])
    lengths = np.linalg.norm(normals, axis=-1) * np.linalg.norm(tangents, axis=-1)
    return chosen, np.abs((normals * tangents).sum(-1)) / lengths


def measure(seeds: Sequence[int], *, shifts: int, std: float, grid: int) -> Findings:
    """Count crossings at small angles between pairs of curves with independent random shifts.

    Args:
        seeds: S seeds.
        shifts: Number of pairs for each seed and curve.
        std: Standard deviation of each coordinate of a shift, which is normal with mean 0.
        grid: Number of intervals in which crossings are searched.

    Returns:
        Series for C curves: ``sine [E]``, limits of the sine; ``share [C, S, E]``, the share of pairs with a crossing
        below each limit; ``least [C, S]``, the least sine; ``crossings [C, S]``, the mean number of crossings.
    """
    shares, least, counts = [], [], []
    for name, shape in CURVES.items():
        for seed in seeds:
            rng = np.random.default_rng((*b"manifolds", *name.encode(), seed))
            moved = rng.normal(0, std, (2, shifts, 2))
            which, sines = crossings(shape, moved[1] - moved[0], grid)
            flattest = np.full(shifts, np.inf)
            np.minimum.at(flattest, which, sines)
            shares.append([(flattest < limit).mean() for limit in SINES])
            least.append(sines.min())
            counts.append(len(sines) / shifts)
    where = (len(CURVES), len(seeds))
    series = {
        "sine": SINES,
        "share": np.reshape(shares, (*where, -1)),
        "least": np.reshape(least, where),
        "crossings": np.reshape(counts, where),
    }
    t = np.linspace(0, 2 * np.pi, grid)
    unmoved = [point(shape, t) for shape in CURVES.values()]
    on_itself = [
        np.abs((normal(shape, xy) * tangent).sum(-1)) / np.linalg.norm(normal(shape, xy), axis=-1)
        for shape, (xy, tangent) in zip(CURVES.values(), unmoved, strict=True)
    ]
    mean = series["share"].mean((0, 1))
    tenth, hundredth = (int(np.argmin(np.abs(SINES - limit))) for limit in (0.1, 0.01))
    numbers = {
        "unmoved": float(np.max(on_itself)),
        "least": float(series["least"].min()),
        "share_tenth": float(mean[tenth]),
        "share_hundredth": float(mean[hundredth]),
        "pairs": float(len(CURVES) * len(seeds) * shifts),
        "crossings": float(series["crossings"].mean()),
    }
    return Findings(numbers, series)


def judge(numbers: Mapping[str, float]) -> Verdict:
    vanishing = numbers["share_hundredth"] < 0.2 * numbers["share_tenth"]
    return verdict_of(numbers["least"] > 0 and vanishing and numbers["unmoved"] < 1e-9, numbers["least"] == 0)


def draw(found: Findings) -> matplotlib.figure.Figure:
    picture = blank(9, 3.4)
    left, right = picture.subplots(1, 2)
    t = np.linspace(0, 2 * np.pi, 400)
    rng = np.random.default_rng(1)
    for height, moved in ((0.0, False), (-3.6, True)):
        for place, (name, shape) in zip((-3.4, 0.0, 3.4), sorted(CURVES.items(), reverse=True), strict=True):
            for colour, style in ((COLOURS[4], "-"), (COLOURS[6], "--")):
                shift = rng.normal(0, 0.25, 2) if moved else np.zeros(2)
                xy = point(shape, t)[0] + shift
                left.plot(xy[:, 0] + place, xy[:, 1] + height, color=colour, linestyle=style, linewidth=1.2)
            if not moved:
                left.text(place, 1.3, name, ha="center", fontsize=7)
        said = "shifted at random: they cross" if moved else "unmoved: aligned everywhere"
        left.text(0, height - 1.85, said, ha="center", fontsize=8)
    left.set(aspect="equal", xlim=(-5.0, 5.0), ylim=(-5.7, 1.9))
    left.set_axis_off()
    series = found.series
    for name, share, colour in zip(CURVES, series["share"], COLOURS[1:], strict=False):
        band(right, series["sine"], np.maximum(share, 1e-6), colour, name)
    lowest = max(1e-6, float(series["share"][series["share"] > 0].min()) / 3)
    right.set(xscale="log", yscale="log", ylim=(lowest, 1.5))
    tidy(right, "sine of the angle", "share of pairs with a flatter crossing", "nearly aligned pairs")
    return picture


MANIFOLDS = Demonstration(
    id="theory-manifolds",
    version=1,
    title="Two equal curves, aligned until both are shifted at random (bands from minimum to maximum over seeds)",
    claim="Two manifolds of less than full dimension, each perturbed at random, almost surely do not perfectly align.",
    citation="Arjovsky and Bottou 2017 (arXiv:1701.04862), Definition 2.2 and Lemma 2",
    setting="Closed curves in the plane and random shifts, the lemma's perturbation. Aligned means meeting under "
    "an angle of 0. A probability of 0 shows as a share of nearly aligned pairs that goes to 0 with the "
    "angle.",
    profiles={
        "short": {"shifts": 4000, "std": 0.3, "grid": 256},
        "smoke": {"shifts": 200, "std": 0.3, "grid": 128},
    },
    seeds=5,
    measure=measure,
    numbers={
        "unmoved": "largest sine of the angle where a curve meets itself",
        "least": "least sine at any crossing after the shifts",
        "share_tenth": "share of pairs with a crossing of sine below 0.1",
        "share_hundredth": "the same below 0.01",
        "pairs": "pairs",
        "crossings": "mean crossings of a pair",
    },
    rule="unmoved curves align, no shifted pair does, and the share of nearly aligned pairs falls to a fifth or less "
    "where the sine falls to a tenth",
    judge=judge,
    draw=draw,
)
