"""The cost of transport plans, and the cheapest one (the lecture's introduction of the Wasserstein distance).

Two boxes are at 4 and two at 6. They are to be moved to 3, 4, 6 and 7. The lecture's first plan leaves one box at 4 and
one at 6 and costs 1 + 1 = 2. The second plan exchanges the ends and costs 3 + 3 = 6. The distance is the least cost of
all plans: 2 for four boxes, which is 0.5 for a total mass of 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from scipy.optimize import linprog

from benchmark.plotting.axes import tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of

Array = np.ndarray

FROM, SUPPLY = np.array([4.0, 6.0]), np.array([2.0, 2.0])
TO, DEMAND = np.array([3.0, 4.0, 6.0, 7.0]), np.ones(4)
#: Number of boxes moved from each place of ``FROM`` (rows) to each place of ``TO`` (columns).
GAMMA_1 = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
GAMMA_2 = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]])
COSTS = np.abs(FROM[:, None] - TO)


def best_plan(costs: Array, supply: Array, demand: Array) -> tuple[float, Array, Array]:
    """Find the cheapest transport plan by linear programming.

    Args:
        costs: Cost of one unit from each source to each target, ``[n, m]``.
        supply: Amount at each source, ``[n]``.
        demand: Amount at each target, ``[m]``.

    Returns:
        The least cost, the plan ``[n, m]``, and the prices ``[n + m]`` of the dual program, which prove that no plan is
        cheaper.
    """
    n, m = costs.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    solved = linprog(
        costs.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([supply, demand]), method="highs"
    )
    assert solved.x is not None, solved.message
    return float(costs.ravel() @ solved.x), solved.x.reshape(n, m), np.asarray(solved.eqlin.marginals)


def measure(seeds: Sequence[int]) -> Findings:
    """Compute the costs of the lecture's plans, of the cheapest plan, and of all plans that move whole boxes.

    Returns:
        Series: the plans ``gamma_1``, ``gamma_2`` and ``best [2, 4]``; ``prices [6]`` of the dual program;
        ``costs_of_all``, the cost of every plan that moves whole boxes.
    """
    least, best, prices = best_plan(COSTS, SUPPLY, DEMAND)
    halves = [np.isin(np.arange(4), chosen).astype(float) for chosen in itertools.combinations(range(4), 2)]
    everything = [np.stack([half, 1 - half]) for half in halves]
    numbers = {
        "gamma_1": float((GAMMA_1 * COSTS).sum()),
        "gamma_2": float((GAMMA_2 * COSTS).sum()),
        "best": least,
        "distance": least / SUPPLY.sum(),
        # If no sum of two prices exceeds its cost, the prices' value at supply and demand is a lower bound of the cost.
        "dual": float(prices @ np.concatenate([SUPPLY, DEMAND])),
        "overprice": float((prices[:2, None] + prices[None, 2:] - COSTS).max()),
    }
    all_costs = np.sort([float((plan * COSTS).sum()) for plan in everything])
    series = {"gamma_1": GAMMA_1, "gamma_2": GAMMA_2, "best": best, "prices": prices, "costs_of_all": all_costs}
    return Findings(numbers, series)


def judge(numbers: Mapping[str, float]) -> Verdict:
    proved = abs(numbers["dual"] - numbers["best"]) < 1e-9 and numbers["overprice"] < 1e-9
    said = (numbers["gamma_1"], numbers["gamma_2"]) == (2, 6) and abs(numbers["best"] - 2) < 1e-9
    return verdict_of(proved and said, proved and not said)


def draw(found: Findings) -> matplotlib.figure.Figure:
    picture = blank(9, 2.9)
    axes = picture.subplots(1, 3, width_ratios=(2, 2, 1.3))
    for ax, name, title in zip(axes, ("gamma_1", "gamma_2"), ("first plan", "second plan"), strict=False):
        _draw_plan(ax, found.series[name])
        ax.set_title(f"{title}: cost {found.numbers[name]:.0f}")
    values, counts = np.unique(found.series["costs_of_all"], return_counts=True)
    axes[2].bar(values, counts, width=0.6, color=COLOURS[2])
    axes[2].set_xticks(values)
    axes[2].set_yticks(range(max(counts) + 1))
    tidy(axes[2], "cost", "plans", f"all {counts.sum()} plans of whole boxes", legend=False)
    return picture


def _draw_plan(ax: Axes, plan: Array) -> None:
    """Draw the boxes before (below) and after (above) a plan, with an arrow for each box that moves."""
    for place, count in zip(FROM, SUPPLY, strict=True):
        ax.bar([place] * int(count), 0.45, bottom=0.5 * np.arange(count), width=0.7, color=COLOURS[2])
    ax.bar(TO, 0.45, bottom=2.6, width=0.7, color=COLOURS[3])
    for (row, column), boxes in np.ndenumerate(plan):
        if boxes:
            words = {"arrowstyle": "-|>", "color": "0.2", "linewidth": 1.0}
            ax.annotate("", (TO[column], 2.55), (FROM[row], 1.05), arrowprops=words)
            # The number stands beyond the point where arrows cross.
            x, y = 0.55 * FROM[row] + 0.45 * TO[column], 0.55 * 1.05 + 0.45 * 2.55
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            ax.text(float(x), y, f"{COSTS[row, column]:.0f}", ha="center", va="center", fontsize=8, bbox=box)
    ax.set(xlim=(2.3, 7.7), ylim=(0, 3.2), xticks=range(3, 8), yticks=(0.5, 2.8), yticklabels=("before", "after"))
    ax.set_xlabel("place")


TRANSPORT_PLAN = Demonstration(
    id="theory-transport-plan",
    version=1,
    title="Moving boxes: the cost of a plan (numbers at the arrows: distance that a box is moved)",
    claim="Of two plans that move the boxes one costs 2 and the other 6, and the distance is the cost of the cheapest.",
    citation='Lecture "Understanding GANs", Wasserstein distance; Arjovsky et al. 2017 (arXiv:1701.07875), section 2',
    setting="Two boxes at 4 and two at 6 are moved to 3, 4, 6 and 7. The least cost is a linear program, and the "
    "prices of its dual prove it. Divided by the four boxes it is the distance W1.",
    profiles={"short": {}, "smoke": {}},
    seeds=0,
    measure=measure,
    numbers={
        "gamma_1": "cost of the first plan",
        "gamma_2": "cost of the second plan",
        "best": "least cost of any plan",
        "dual": "lower bound that the dual proves",
        "distance": "W1, for a mass of one",
    },
    rule="the plans cost 2 and 6, and 2 is proved to be the least cost",
    judge=judge,
    draw=draw,
)
