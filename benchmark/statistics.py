"""Statistics of tables: means over seeds, their intervals, and what a comparison with a printed value says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

#: Seeds below which nothing is said about a difference.
ENOUGH = 3
_LEVEL = 0.95
#: An interval of the difference wider than this share of the printed value settles nothing.
_TOO_WIDE = 0.40


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation (NaN below 2 values) and a 95 % percentile bootstrap interval of the mean
    (NaN below 3)."""

    n: int
    mean: float
    std: float
    ci_low: float
    ci_high: float


def summarise(values: Sequence[float]) -> Summary:
    """Count, mean, standard deviation (n - 1) and 95 % percentile-bootstrap interval; NaN where there is none."""
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    std = float(np.std(values, ddof=1)) if n > 1 else math.nan
    if n < ENOUGH:
        return Summary(n, mean, std, math.nan, math.nan)
    interval = stats.bootstrap(
        (np.asarray(values, dtype=float),),
        np.mean,
        confidence_level=_LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Summary(n, mean, std, float(interval.low), float(interval.high))


def verdict(ours: Summary, paper_mean: float | None, paper_std: float | None, paper_runs: int, budget: float) -> str:
    """``agrees``, ``higher``, ``lower`` or ``inconclusive``; ``-`` where nothing is printed or fewer than 3 seeds ran.

    With a printed std: Welch's test at 5 % from the two means, stds and run counts. A difference that it finds is
    ``higher`` or ``lower``; one that it does not find is ``agrees`` if the 95 % interval of the difference is at most
    40 % of the printed value wide, else ``inconclusive``. Both stds 0: equal or not. Without a printed std: is the
    printed value inside our 95 % prediction interval for the mean of as many more runs as are behind it, with the same
    limit on that interval's width.
    A ``~`` stands before verdicts below the paper's training budget.
    """
    if paper_mean is None or ours.n < ENOUGH:
        return "-"
    difference = ours.mean - paper_mean
    if paper_std is None:
        half = _prediction_half_width(ours, paper_runs)
    else:
        half = _welch_half_width(ours.std, ours.n, paper_std, paper_runs)
    direction = "higher" if difference > 0 else "lower"
    # Means of equal values differ in their last bits.
    if half == 0:
        word = "agrees" if math.isclose(ours.mean, paper_mean, rel_tol=1e-9, abs_tol=1e-12) else direction
    elif abs(difference) > half:
        word = direction
    else:
        word = "inconclusive" if 2 * half > _TOO_WIDE * abs(paper_mean) else "agrees"
    return f"~{word}" if budget < 1 else word


def _welch_half_width(std: float, n: int, paper_std: float, paper_runs: int) -> float:
    """Half the 95 % interval of the difference of two means with unequal variances (Welch 1947).

    The test at 5 % finds a difference exactly when the interval leaves out 0.
    """
    a, b = std**2 / n, paper_std**2 / paper_runs
    if a + b == 0:
        return 0.0
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (paper_runs - 1))
    return float(stats.t.ppf(0.5 + _LEVEL / 2, freedom) * math.sqrt(a + b))


def _prediction_half_width(ours: Summary, runs: int) -> float:
    """Half the 95 % interval in which the mean of ``runs`` more runs of ours would fall, for normal values."""
    return float(stats.t.ppf(0.5 + _LEVEL / 2, ours.n - 1) * ours.std * math.sqrt(1 / runs + 1 / ours.n))


def difference_interval(differences: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean difference of pairs (Student's t), a point where all are equal; NaN below 3."""
    n = len(differences)
    if n < ENOUGH:
        return math.nan, math.nan
    mean, std = float(np.mean(differences)), float(np.std(differences, ddof=1))
    half = float(stats.t.ppf(0.5 + _LEVEL / 2, n - 1)) * std / math.sqrt(n)
    return mean - half, mean + half


def order_agreement(ours: Sequence[float], printed: Sequence[float]) -> float:
    """Kendall's tau-b between two orders of the same methods, NaN below 3 of them or where all tie."""
    if len(ours) < 3:
        return math.nan
    return float(stats.kendalltau(ours, printed).statistic)
