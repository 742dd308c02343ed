"""Means, intervals and verdicts: against scipy's own tests and closed forms, and by simulation.

The simulations draw with a fixed seed; their limits are what a test should keep, plus three standard errors of the
simulation.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmark.analysis.statistics import (
    MOST_SEEDS,
    Difference,
    Summary,
    Verdict,
    against_reported,
    benjamini_hochberg,
    difference_p,
    equivalence_p,
    holm,
    last_tenth,
    order_agreement,
    paired,
    power_to_decide,
    seeds_for_margin,
    seeds_to_decide,
    standard_error,
    summarise,
    verdict_text,
    verdicts,
)
from benchmark.spec.table import Reported

RUNS = 20_000


def summary(mean: float, std: float, n: int = 8) -> Summary:
    return Summary(n, mean, std, math.nan, math.nan)


def said(ours: Summary, reported: Reported, runs: int = 8, margin: float = 1.0) -> Verdict:
    (found,) = verdicts([against_reported(ours, reported, runs, margin)])
    return found


def limit(rate: float, runs: int = RUNS) -> float:
    """A rate, and three standard errors of its simulation."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / runs)


# Summaries


def test_summary_of_values() -> None:
    values = [1.0, 2.0, 4.0, 9.0]
    found = summarise(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.n, found.mean, found.std) == (4, 4.0, pytest.approx(np.std(values, ddof=1)))
    assert (found.ci_low, found.ci_high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("values", [[25.0] * 8, [0.1 + 0.2, 0.3, 0.3], [0.0] * 3])
def test_equal_values_have_no_interval(values: list[float]) -> None:
    found = summarise(values)
    assert found.all_equal and found.std == 0
    assert math.isnan(found.ci_low) and math.isnan(found.ci_high)


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 4.0]])
def test_fewer_than_three_values_have_no_interval(values: list[float]) -> None:
    found = summarise(values)
    assert math.isnan(found.ci_low) and math.isnan(found.ci_high) and not found.all_equal
    assert math.isnan(found.std) == (len(values) < 2)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        summarise([1.0, 2.0, value])


def covered(values: np.ndarray, truth: float) -> float:
    """Share of the rows of ``values`` whose interval holds the truth, by the product's own function."""
    found = [summarise(row) for row in values.tolist()]
    return float(np.mean([s.mean == truth if s.all_equal else s.ci_low <= truth <= s.ci_high for s in found]))


@pytest.mark.parametrize("n", [3, 5, 8, 10])
def test_intervals_of_normal_values_cover_as_they_say(n: int) -> None:
    values = np.random.default_rng(n).normal(20, 2, (3_000, n))
    assert 0.93 <= covered(values, 20) <= 0.97


@pytest.mark.parametrize(("n", "expected"), [(3, 0.87), (10, 0.90)])
def test_intervals_of_skewed_values_cover_less_often_by_a_known_amount(n: int, expected: float) -> None:
    values = np.random.default_rng(n).exponential(1, (3_000, n))
    assert covered(values, 1) == pytest.approx(expected, abs=0.02)


# The two tests


@pytest.mark.parametrize("std", [0.3, 2.0])
@pytest.mark.parametrize("shift", [-3.0, -0.4, 0.0, 0.4, 3.0])
def test_a_difference_is_welchs(shift: float, std: float) -> None:
    found = against_reported(summary(24.0 + shift, std, 3), Reported(24.0, 1.2), 8, 1.0)
    expected = stats.ttest_ind_from_stats(24.0 + shift, std, 3, 24.0, 1.2, 8, equal_var=False)
    assert found is not None and found.p == pytest.approx(expected.pvalue)


def test_equivalence_is_two_one_sided_tests() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(20, 1, 8), rng.normal(20.2, 2, 10)
    found = against_reported(summarise(a.tolist()), Reported(b.mean(), b.std(ddof=1)), 10, 2.5)
    above = stats.ttest_ind(a, b - 2.5, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(a, b + 2.5, equal_var=False, alternative="less").pvalue
    assert found is not None and found.p_equivalence == pytest.approx(max(above, below))


@pytest.mark.parametrize("runs", [1, 5])
def test_without_a_reported_spread_theirs_is_taken_to_be_ours(runs: int) -> None:
    half = stats.t.ppf(0.975, 7) * 0.5 * math.sqrt(1 / runs + 1 / 8)
    for share, expected in ((0.99, False), (1.01, True)):
        found = against_reported(summary(20.0 + share * half, 0.5), Reported(20.0), runs, 1.0)
        assert found is not None and (found.p < 0.05) == expected


def test_a_spread_beside_a_single_run_is_none_of_runs() -> None:
    ours = summary(20.4, 0.5)
    assert against_reported(ours, Reported(20.0, 3.0), 1, 1.0) == against_reported(ours, Reported(20.0), 1, 1.0)


def test_a_standard_error_is_no_standard_deviation() -> None:
    error, std = Reported.read("20.0", "0.5", error="se"), Reported(20.0, 0.55 * 3, rounding=0.05)
    assert against_reported(summary(21.0, 1.0), error, 9, 1.0) == pytest.approx(
        against_reported(summary(21.0, 1.0), std, 9, 1.0)
    )
    assert said(summary(21.0, 0.3), error, 9).word != said(summary(21.0, 0.3), Reported(20.0, 0.5), 9).word


def test_bad_reported_values_are_refused() -> None:
    for reported, runs in ((Reported(math.nan, 1.0), 8), (Reported(1.0, math.inf), 8), (Reported(1.0), 0)):
        with pytest.raises(ValueError, match="reported value"):
            against_reported(summary(1.0, 1.0), reported, runs, 1.0)


# Verdicts


@pytest.mark.parametrize(
    ("ours", "reported", "word", "lean"),
    [
        (summary(25.0, 0.1), Reported(25.0, 0.1), "equivalent", "-"),
        (summary(25.5, 0.1), Reported(25.0, 0.1), "equivalent", "higher"),
        (summary(24.5, 0.1), Reported(25.0, 0.1), "equivalent", "lower"),
        (summary(27.0, 0.1), Reported(25.0, 0.1), "higher", "-"),
        (summary(23.0, 0.1), Reported(25.0, 0.1), "lower", "-"),
        (summary(26.0, 0.1), Reported(25.0, 0.1), "higher", "-"),
        (summary(21.5, 2.0), Reported(21.5, 2.0), "undecided", "-"),
        # Equal counts on one side or on both.
        (summary(25.0, 0.0), Reported.read("25.00", "0.00"), "equivalent", "-"),
        (summary(24.0, 0.0), Reported.read("25.00", "0.00"), "lower", "-"),
        (summary(25.0, 0.0, 3), Reported.read("25.00", "0.00"), "equivalent", "-"),
        (summary(24.0, 0.0, 3), Reported.read("25.00", "0.00"), "undecided", "-"),
        (summary(25.0, 0.0), Reported.read("24.52", "1.00"), "undecided", "-"),
        (summary(12.0, 0.0), Reported.read("24.52", "1.00"), "lower", "-"),
        # A reported 0.
        (summary(0.0, 0.0), Reported.read("0", "0"), "equivalent", "-"),
        (summary(0.0, 0.0), Reported.read("0.0", "0.0"), "equivalent", "-"),
        (summary(9.0, 1.0), Reported.read("0"), "higher", "-"),
    ],
)
def test_verdict_on_one_entry(ours: Summary, reported: Reported, word: str, lean: str) -> None:
    found = said(ours, reported)
    assert (found.word, found.lean) == (word, lean)
    assert math.isnan(found.seeds_to_decide) or found.word == "undecided"


def test_too_few_seeds_have_no_verdict() -> None:
    assert said(summary(25.0, 0.0, 2), Reported(25.0, 0.0)).word == "-"
    assert said(summarise([]), Reported(25.0, 0.0)).word == "-"
    assert verdicts([]) == []


@pytest.mark.parametrize("margin", [0.0, math.nan])
def test_without_margin_and_spread_nothing_is_decided(margin: float) -> None:
    found = said(summary(24.0, 0.0), Reported(25.0, 0.0), margin=margin)
    assert (found.word, found.p) == ("undecided", 1.0)
    assert math.isnan(found.seeds_to_decide)


def test_without_a_margin_a_difference_is_still_found() -> None:
    assert said(summary(24.0, 0.1), Reported(25.0, 0.1), margin=math.nan).word == "lower"
    assert said(summary(25.0, 0.1), Reported(25.0, 0.1), margin=math.nan).word == "undecided"


def test_rounding_counts_on_both_tests() -> None:
    ours = summary(1.4, 0.05)
    assert said(ours, Reported(1.0), 5).lean == "higher"
    assert said(ours, Reported.read("1"), 5).p == 1, "1 is anything from 0.5 to 1.5"
    assert said(ours, Reported.read("1.0"), 5).lean == "higher"
    assert said(ours, Reported(1.0), 5, margin=0.6).word == "equivalent"
    assert said(ours, Reported.read("1"), 5, margin=0.6).word == "undecided", "0.5 would be 0.9 away"


def test_the_number_of_entries_raises_the_bar() -> None:
    one = against_reported(summary(22.0, 1.5), Reported(20.0, 1.5), 8, 1.0)
    none = against_reported(summary(20.0, 1.5), Reported(20.0, 1.5), 8, 1.0)
    assert verdicts([one])[0].word == "higher"
    among = verdicts([one, *[none] * 27, None])
    assert among[0].word == "undecided" and among[0].p < 0.05 < among[0].p_bh <= among[0].p_holm
    assert among[-1] == Verdict()


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == len(benjamini_hochberg([])) == 0
    assert benjamini_hochberg([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])


@pytest.mark.parametrize(
    ("word", "lean", "seeds", "text"),
    [
        ("equivalent", "-", math.nan, "equivalent"),
        ("~equivalent", "lower", math.nan, "~equivalent, leans lower"),
        ("~undecided", "-", 21.0, "~undecided, wants 21 seeds"),
        ("undecided", "-", math.nan, "undecided, even with 1,000 seeds"),
        ("higher", "-", math.nan, "higher"),
        ("-", "-", math.nan, "-"),
    ],
)
def test_texts_of_verdicts(word: str, lean: str, seeds: float, text: str) -> None:
    assert verdict_text(word, lean, seeds) == text


# Error rates


@pytest.mark.parametrize("n", [3, 5, 8])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 3.0])
def test_a_truth_at_the_margin_is_seldom_called_equivalent(n: int, ratio: float) -> None:
    rng = np.random.default_rng(n)
    ours, theirs = rng.normal(1, 0.5, (RUNS, n)), rng.normal(0, 0.5 * ratio, (RUNS, 8))
    error, freedom = standard_error(ours.std(1, ddof=1), n, theirs.std(1, ddof=1), 8)
    p = equivalence_p(ours.mean(1) - theirs.mean(1), error, freedom, 1.0)
    assert np.mean(p < 0.05) <= limit(0.05)


@pytest.mark.parametrize("runs", [1, 5])
def test_a_truth_at_the_margin_is_seldom_called_equivalent_to_a_mean_without_a_spread(runs: int) -> None:
    rng = np.random.default_rng(runs)
    ours, theirs = rng.normal(1, 0.3, (RUNS, 5)), rng.normal(0, 0.3, (RUNS, runs))
    error, freedom = standard_error(ours.std(1, ddof=1), 5, math.nan, runs)
    p = equivalence_p(ours.mean(1) - theirs.mean(1), error, freedom, 1.0)
    assert np.mean(p < 0.05) <= limit(0.05)
    far = equivalence_p(ours.mean(1) - 1 - theirs.mean(1), error, freedom, 1.0)
    assert np.mean(far < 0.05) > 0.2, "and an equal truth is not always missed"


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
def test_counts_a_margin_away_are_seldom_called_equivalent(share: float) -> None:
    """Counts that are nearly always the same: 25, or 24 in the other runs, against one mode less."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(1_000):
        ours, theirs = 25.0 - (rng.random(8) > share), 24.0 - (rng.random(8) > share)
        reported = Reported.read(f"{theirs.mean():.2f}", f"{theirs.std(ddof=1):.2f}")
        found = against_reported(summarise(ours.tolist()), reported, 8, 1.0)
        assert found is not None
        wrong += found.p_equivalence < 0.05
    assert wrong / 1_000 <= limit(0.05, 1_000)


def test_a_truth_equal_to_the_report_is_seldom_called_different_in_a_table() -> None:
    """28 entries, eight seeds on either side, half of them counts near their largest value."""
    rng, tables = np.random.default_rng(0), 2_000
    shape = (tables, 28, 8)
    spread = np.linspace(0.2, 3, 28)[:, None]
    ours, theirs = rng.normal(20, spread, shape), rng.normal(20, spread, shape)
    ours[:, ::2], theirs[:, ::2] = (np.minimum(25, np.round(x[:, ::2] + 4)) for x in (ours, theirs))
    stds = []
    for x in (ours, theirs):
        std = x.std(2, ddof=1)
        stds.append(np.where(std == 0, 1.0 / 3, std))
    error, freedom = standard_error(stds[0], 8, stds[1], 8)
    p = difference_p(ours.mean(2) - theirs.mean(2), error, freedom)
    wrong = np.mean([holm(row).min() < 0.05 for row in p])
    assert wrong <= limit(0.05, tables)
    assert np.mean((p < 0.05).any(1)) > 0.5, "without the correction most tables have a false difference"


# Seeds to decide


@pytest.mark.parametrize("difference", [0.0, 0.5, 2.0])
def test_power_is_that_of_a_simulation(difference: float) -> None:
    d, n = Difference(difference, 1.5, 5, 1.0, 8, margin=1.5, rounding=0.05), 12
    rng = np.random.default_rng(0)
    values = rng.normal(difference, 1.5, (RUNS, n))
    error, freedom = standard_error(values.std(1, ddof=1), n, 1.0, 8)
    found = values.mean(1)
    decided = (difference_p(found, error, freedom, 0.05) < 0.05) | (
        equivalence_p(found, error, freedom, 1.5, 0.05) < 0.05
    )
    assert power_to_decide(d, n) == pytest.approx(decided.mean(), abs=0.015)


@pytest.mark.parametrize("difference", [0.0, 0.8, 1.6])
def test_seeds_to_decide_are_the_fewest_that_do(difference: float) -> None:
    d = Difference(difference, 1.5, 3, 1.0, 20, margin=1.5)
    n = seeds_to_decide(d)
    assert n is not None and n > 3
    assert power_to_decide(d, n) >= 0.8 > power_to_decide(d, n - 1)


def test_no_number_of_seeds_outweighs_an_uncertain_report() -> None:
    assert seeds_to_decide(Difference(0.0, 1.0, 8, 5.0, 3, margin=1.0)) is None
    assert seeds_to_decide(Difference(0.0, 0.0, 8)) is None
    assert power_to_decide(Difference(0.0, 1.0, 8, 5.0, 3, margin=1.0), MOST_SEEDS) < 0.8


def test_seeds_for_a_margin() -> None:
    few, many = seeds_for_margin(0.2, 1.0), seeds_for_margin(2.0, 1.0)
    assert few == 3 and many is not None
    # (2.93 s / margin)^2, from the normal quantiles of 5 % and of half of 20 %.
    assert many == pytest.approx((1.645 + 1.282) ** 2 * 4, abs=3)
    assert seeds_for_margin(2.0, 1.0, Reported(20.0, 2.0), 8) is None
    assert seeds_for_margin(0.5, 1.0, Reported(20.0, 0.5), 8) == pytest.approx(6, abs=3)


# Rows against one another


def test_pairs_are_the_paired_t_tests() -> None:
    a, b = np.random.default_rng(0).normal(1, 1, (2, 6))
    expected = stats.ttest_rel(a, b)
    found = paired(a.tolist(), b.tolist(), 1.0)
    assert found is not None and found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("a", "b", "margin", "word"),
    [
        ([1.0 + 1e-7, 2.0 + 1e-7, 3.0 + 1e-7], [1.0, 2.0, 3.0], 0.05, "equivalent"),
        ([1.0 + 1e-7, 2.0 + 1e-7, 3.0 + 1e-7], [1.0, 2.0, 3.0], math.nan, "undecided"),
        ([25.0] * 3, [12.0] * 3, 1.0, "higher"),
        ([25.0] * 3, [24.0] * 3, 1.0, "undecided"),
        ([25.0] * 3, [25.0] * 3, 1.0, "equivalent"),
        ([25.0] * 3, [25.0] * 3, math.nan, "undecided"),
    ],
)
def test_pairs_that_all_differ_by_the_same(a: list[float], b: list[float], margin: float, word: str) -> None:
    (found,) = verdicts([paired(a, b, margin)])
    assert (found.word, found.lean) == (word, "-")


def test_pairs_that_do_not_match_are_refused() -> None:
    assert paired([1.0, 2.0], [1.0, 2.0]) is None
    for a, b in (([1.0] * 3, [1.0] * 4), ([1.0, 2.0, math.nan], [1.0] * 3)):
        with pytest.raises(ValueError, match="pairs"):
            paired(a, b)


# Orders and curves


def test_order_agreement_is_kendalls_tau() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        ours, reported = rng.integers(0, 5, (7, 4)).astype(float), rng.integers(0, 5, 7).astype(float)
        expected = stats.kendalltau(ours.mean(1), reported).statistic
        assert order_agreement(ours.tolist(), reported.tolist()).tau == pytest.approx(expected)
    assert math.isnan(order_agreement([[1.0], [2.0]], [1, 2]).tau)
    assert math.isnan(order_agreement([[1.0]] * 3, [1, 2, 3]).tau)


def test_the_interval_of_an_order_is_that_of_its_seeds() -> None:
    clear = order_agreement([[1.0, 1.1], [5.0, 5.1], [9.0, 9.1]], [1, 2, 3])
    assert clear == (1, 1, 1)
    close = [[1.0, 5.0, 3.0], [2.0, 4.0, 3.1], [9.0, 9.1, 9.2]]
    found = order_agreement(close, [1, 2, 3])
    assert found.tau == 1 and found.low == pytest.approx(1 / 3) and found.high == 1
    assert order_agreement(close, [1, 2, 3]) == found, "the interval must not change from call to call"


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([float(i) for i in range(20)], (2, 18.5, math.sqrt(0.5))),
        ([None, 1.0, math.nan, 3.0], (1, 3.0, math.nan)),
        ([float(i) for i in range(11)], (2, 9.5, math.sqrt(0.5))),
    ],
)
def test_the_last_tenth_of_a_curve(curve: list[float | None], expected: tuple[int, float, float]) -> None:
    assert last_tenth(curve) == pytest.approx(expected, nan_ok=True)


def test_a_curve_without_an_evaluation_has_no_end() -> None:
    assert last_tenth([]) is None
    assert last_tenth([None, math.nan]) is None


# Reported values


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (Reported.read("21.50", "2.00"), (21.5, 2.0, 0.005, 0.005)),
        (Reported.read("1"), (1.0, None, 0.5, 0.0)),
        (Reported.read("60.4", "0.005", per=100, std_per=1), (0.604, 0.005, 0.0005, 0.0005)),
        (Reported.read("-0.10"), (-0.1, None, 0.005, 0.0)),
    ],
)
def test_a_reported_value_knows_its_rounding(reported: Reported, expected: tuple[float | None, ...]) -> None:
    assert (reported.mean, reported.std, reported.rounding, reported.std_rounding) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "nan", "1e3", "1,5", "25 ± 0", ".5"])
def test_what_is_no_printed_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a decimal number"):
        Reported.read(text)
    with pytest.raises(ValueError, match="not a decimal number"):
        Reported.read("1.0", text)


def test_a_negative_deviation_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Reported.read("1.0", "-0.1")
