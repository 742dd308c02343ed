"""Kantorovich-Rubinstein duality: W is a maximum over functions of slope 1 (Arjovsky et al. 2017, Eq. 2 and 3).

W(r, g) = 1/K max over |f|_L <= K of E_r f - E_g f. A critic with Lipschitz constant K finds K times the distance. So
the factor 1/K must not be dropped when the values of critics are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

from benchmark.papers.theory.wasserstein.transport_plan import best_plan
from benchmark.plotting.axes import tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of

Array = np.ndarray
TOLERANCE = 1e-8


def best_critic(points: Array, difference: Array, slope: float) -> tuple[float, Array]:
    """Find by linear programming the function f of slope at most ``slope`` that maximises ``sum f * difference``.

    Args:
        points: Points ``[n, d]`` at which f is defined.
        difference: Weight of r minus weight of g at each point, ``[n]``.
        slope: Largest slope of f.

    Returns:
        The maximum, and f ``[n]``, which is 0 at the first point.
    """
    n = len(points)
    i, j = np.nonzero(~np.eye(n, dtype=bool))
    rows = np.zeros((len(i), n))
    rows[np.arange(len(i)), i], rows[np.arange(len(i)), j] = 1.0, -1.0
    limits = slope * cdist(points, points)[i, j]
    bounds = [(0.0, 0.0)] + [(None, None)] * (n - 1)
    solved = linprog(-difference, A_ub=rows, b_ub=limits, bounds=bounds, method="highs")
    assert solved.x is not None, solved.message
    return float(difference @ solved.x), solved.x


def measure(seeds: Sequence[int], *, points: int, dims: tuple[int, ...], slopes: tuple[float, ...]) -> Findings:
    """Compute both sides of the duality for pairs of discrete distributions with random places and weights.

    Args:
        seeds: Seeds of the pairs; there is one pair for each seed and dimension.
        points: Number of places of each distribution.
        dims: Dimensions of the space.
        slopes: Lipschitz constants of the critic.

    Returns:
        Series ``[n]`` of all cases: ``dim``; ``slope``; ``primal``, the cost of the cheapest plan; ``dual``, the value
        of the best critic of that slope. ``place``, ``weight`` and ``critic`` describe the first case with one
        dimension and slope 1.
    """
    cases = []
    shown: dict[str, Array] = {}
    for seed in seeds:
        for dim in dims:
            rng = np.random.default_rng((*b"duality", seed, dim))
            x, y = rng.standard_normal((points, dim)), rng.standard_normal((points, dim)) + 0.5
            r, g = rng.dirichlet(np.ones(points)), rng.dirichlet(np.ones(points))
            primal = best_plan(cdist(x, y), r, g)[0]
            both, weight = np.concatenate([x, y]), np.concatenate([r, -g])
            for slope in slopes:
                dual, critic = best_critic(both, weight, slope)
                cases.append((dim, slope, primal, dual))
                if dim == 1 and slope == 1 and not shown:
                    order = np.argsort(both[:, 0])
                    shown = {"place": both[order, 0], "weight": weight[order], "critic": critic[order]}
    dim, slope, primal, dual = np.array(cases).T
    gap = np.abs(dual / slope - primal)
    numbers = {
        "gap": float(gap.max()),
        "without": float(np.abs(dual - primal)[slope != 1].max()),
        "cases": float(len(cases)),
    }
    return Findings(numbers, {"dim": dim, "slope": slope, "primal": primal, "dual": dual} | shown)


def judge(numbers: Mapping[str, float]) -> Verdict:
    return verdict_of(numbers["gap"] <= TOLERANCE, numbers["gap"] > TOLERANCE)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    picture = blank(8.5, 3.2)
    left, right = picture.subplots(1, 2)
    for slope, colour in zip(np.unique(series["slope"]), COLOURS[1:], strict=False):
        chosen = series["slope"] == slope
        left.scatter(series["primal"][chosen], series["dual"][chosen], s=9, color=colour, label=f"K = {slope:g}")
        left.axline((0, 0), slope=slope, color=colour, linewidth=0.7)
    left.set(yscale="linear")
    tidy(left, "cost of the cheapest plan (W1)", "value of the best critic of slope K", "lines: K times W1")
    up, down = series["weight"] > 0, series["weight"] < 0
    for chosen, name, colour in ((up, "r", COLOURS[4]), (down, "g", COLOURS[6])):
        right.vlines(series["place"][chosen], 0, series["weight"][chosen], color=colour, linewidth=1.6, label=name)
    right.axhline(0, color="0.7", linewidth=0.6)
    beside = right.twinx()
    beside.plot(series["place"], series["critic"], color="0.2", linewidth=1.1, marker=".", ms=4)
    beside.set_ylabel("best critic of slope 1 (line)")
    tidy(right, "place", "weight of r (up) and of g (down)", "one case in one dimension")
    return picture


DUALITY = Demonstration(
    id="theory-duality",
    version=1,
    title="Kantorovich-Rubinstein duality: plans and critics give one distance (each dot: a pair of distributions)",
    claim="W(r, g) is 1/K times the largest E f over r minus E f over g among functions f with Lipschitz constant K.",
    citation="Arjovsky et al. 2017 (arXiv:1701.07875), Eq. 2 and 3; Villani 2009, Theorem 5.10",
    setting="Random weights on random places, both sides solved exactly by linear programming. Where K is not "
    "known, the value of a critic is no distance: without the 1/K it is off as the last number says.",
    profiles={
        "short": {"points": 20, "dims": (1, 2, 5), "slopes": (0.5, 1.0, 2.0, 10.0)},
        "smoke": {"points": 6, "dims": (1, 2), "slopes": (1.0, 2.0)},
    },
    seeds=5,
    measure=measure,
    numbers={
        "gap": "largest |1/K dual − primal|",
        "cases": "cases",
        "without": "largest |dual − primal| where K is not 1",
    },
    rule=f"both sides agree to {TOLERANCE:g} in every case",
    judge=judge,
    draw=draw,
)
