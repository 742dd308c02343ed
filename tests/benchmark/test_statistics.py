"""Means, intervals and verdicts against scipy's own tests and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmark.statistics import Summary, order_agreement, summarise, verdict


def summary(mean: float, std: float, n: int = 8) -> Summary:
    return Summary(n, mean, std, math.nan, math.nan)


def test_summary_of_values() -> None:
    values = [1.0, 2.0, 4.0, 9.0]
    found = summarise(values)
    assert (found.n, found.mean) == (4, 4.0)
    assert found.std == pytest.approx(np.std(values, ddof=1))
    # The bootstrap's mean has the population std over sqrt(n).
    error = np.std(values) / 2
    assert found.ci_low == pytest.approx(4 - 1.96 * error, abs=0.6)
    assert found.ci_high == pytest.approx(4 + 1.96 * error, abs=0.8)
    assert found == summarise(values), "the interval must not change from call to call"


def test_interval_of_constant_values_is_that_value() -> None:
    found = summarise([25.0] * 8)
    assert (found.std, found.ci_low, found.ci_high) == (0.0, 25.0, 25.0)


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 4.0]])
def test_fewer_than_three_values_have_no_interval(values: list[float]) -> None:
    found = summarise(values)
    assert math.isnan(found.ci_low) and math.isnan(found.ci_high)
    assert math.isnan(found.std) == (len(values) < 2)


@pytest.mark.parametrize("std", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("shift", [-3.0, -0.4, 0.0, 0.4, 3.0])
def test_a_difference_is_found_exactly_when_welch_finds_it(shift: float, std: float) -> None:
    found = verdict(summary(24.0 + shift, std, 3), 24.0, 1.2, 8, 1.0)
    p = stats.ttest_ind_from_stats(24.0 + shift, std, 3, 24.0, 1.2, 8, equal_var=False).pvalue
    assert (found in ("higher", "lower")) == (p < 0.05)
    if p < 0.05:
        assert found == ("higher" if shift > 0 else "lower")


def test_constant_values_on_both_sides_are_equal_or_not() -> None:
    assert verdict(summary(25.0, 0.0), 25.0, 0.0, 8, 1.0) == "agrees"
    assert verdict(summary(24.0, 0.0), 25.0, 0.0, 8, 1.0) == "lower"
    assert verdict(summary(25.0, 0.0), 25.0, None, 8, 1.0) == "agrees"
    assert verdict(summary(26.0, 0.0), 25.0, None, 8, 1.0) == "higher"


def test_without_a_printed_std_the_value_must_lie_in_the_prediction_interval() -> None:
    for runs in (1, 5):
        half = stats.t.ppf(0.975, 7) * 0.5 * math.sqrt(1 / runs + 1 / 8)
        assert verdict(summary(20.0 + 0.99 * half, 0.5), 20.0, None, runs, 1.0) == "agrees"
        assert verdict(summary(20.0 + 1.01 * half, 0.5), 20.0, None, runs, 1.0) == "higher"
        assert verdict(summary(20.0 - 1.01 * half, 0.5), 20.0, None, runs, 1.0) == "lower"


def test_the_prediction_interval_holds_a_mean_of_new_runs_as_often_as_it_says() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(2_000):
        ours, theirs = rng.normal(20.0, 0.5, 5), rng.normal(20.0, 0.5, 5)
        inside += verdict(Summary(5, ours.mean(), ours.std(ddof=1), 0.0, 0.0), theirs.mean(), None, 5, 1.0) == "agrees"
    assert inside / 2_000 == pytest.approx(0.95, abs=0.02)


def test_a_wide_interval_without_a_difference_settles_nothing() -> None:
    assert verdict(summary(0.5, 0.4), 0.5, 0.3, 8, 1.0) == "inconclusive"
    assert verdict(summary(0.5, 0.04), 0.5, 0.03, 8, 1.0) == "agrees"
    assert verdict(summary(5.0, 0.4), 0.5, 0.3, 8, 1.0) == "higher", "a difference that is found is said"


def test_too_few_seeds_or_nothing_printed_has_no_verdict() -> None:
    assert verdict(summary(25.0, 0.0, 2), 25.0, 0.0, 8, 1.0) == "-"
    assert verdict(summary(25.0, 0.0), None, None, 8, 1.0) == "-"


def test_verdicts_below_the_papers_budget_are_marked() -> None:
    assert verdict(summary(25.0, 0.0), 25.0, 0.0, 8, 0.2) == "~agrees"
    assert verdict(summary(25.0, 0.0), None, None, 8, 0.2) == "-"


def test_order_agreement_counts_pairs() -> None:
    assert order_agreement([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert order_agreement([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx((5 - 1) / 6)
    assert math.isnan(order_agreement([1, 2], [1, 2]))
    assert math.isnan(order_agreement([1, 1, 1], [1, 2, 3]))
