"""Statistics of tables: means over seeds with intervals, and verdicts on comparisons.

A comparison consists of a difference of two means, its standard error and its degrees of freedom. It undergoes two
tests. The first is a two-sided test for a difference at 5 %. The second is a test for equivalence within a margin that
is fixed beforehand: two one-sided tests (TOST) at 5 % each (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15, 657).
Failing to find a difference alone is never called agreement.

Four conventions hold everywhere:

- Means have unequal variances (Welch 1947, Biometrika 34, 28). If a paper reports no spread, its runs are assumed to
  have the spread of ours. The standard error is then that of a prediction of the mean of as many new runs.
- A reported number stands for every number that rounds to it. The test for a difference uses the nearest of them, the
  test for equivalence the farthest, and a reported spread is taken at its upper end.
- Equal values do not show that there is no spread. Their standard deviation is taken as if one more run differed by the
  margin: ``margin / sqrt(n + 1)``, in the spirit of the added observations of Agresti and Coull (1998, Am. Stat. 52,
  119).
- Tests for a difference are corrected over all entries of a table by Holm (1979, Scand. J. Stat. 6, 65).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

if TYPE_CHECKING:
    from benchmark.spec.table import Reported

#: Seeds below which nothing is said about a difference.
ENOUGH = 3
#: Of intervals, and the error rates of the two tests.
CONFIDENCE, ALPHA = 0.95, 0.05
#: The power that ``seeds_to_decide`` asks for, and the most seeds that it looks at.
POWER, MOST_SEEDS = 0.80, 1_000
#: Spreads below this share of the values are the rounding errors of equal values.
_ROUNDING_ERROR = 1e-9
#: Quantiles of the sample variance over which power is averaged.
_QUANTILES = (np.arange(100) + 0.5) / 100
_RESAMPLES = 2_000

Word = Literal["equivalent", "higher", "lower", "undecided", "-"]
Lean = Literal["higher", "lower", "-"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Mean of runs with its spread and interval.

    Attributes:
        n: Number of values.
        mean: Their mean.
        std: Sample standard deviation; NaN below 2 values.
        ci_low: Lower end of the 95 % interval of the mean (Student's t). NaN below 3 values, and for equal values: a
            standard deviation of 0 does not estimate the spread. Equal values say little: with 95 % confidence, at most
            ``1 - 0.05^(1/n)`` of all runs differ from them (Clopper and Pearson 1934), which is 63 % after 3 runs and
            31 % after 8.
        ci_high: Upper end of that interval.
    """

    n: int
    mean: float
    std: float
    ci_low: float
    ci_high: float

    @property
    def all_equal(self) -> bool:
        """Whether there are enough values for an interval but all are equal."""
        return self.n >= ENOUGH and self.std == 0


def summarise(values: Sequence[float]) -> Summary:
    """Return count, mean, standard deviation (n - 1) and 95 % Student-t interval of the mean; NaN if undefined.

    The interval covers the mean of normal values in 95 % of all cases for every n. The coverage is lower for skewed
    values: for exponential ones, 87 % at n = 3 and 90 % at n = 10 (``tests/benchmark/test_statistics.py``).

    Args:
        values: Finite numbers, one per run.

    Raises:
        ValueError: A value is not finite.
    """
    n = len(values)
    if not all(map(math.isfinite, values)):
        raise ValueError("values must be finite")
    mean = float(np.mean(values)) if n else math.nan
    std = _std(np.asarray(values, dtype=float)) if n > 1 else math.nan
    if n < ENOUGH or std == 0:
        return Summary(n, mean, std, math.nan, math.nan)
    half = float(special.stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - half, mean + half)


def _std(values: Floats, scale: float = 0.0) -> float:
    """Return the sample standard deviation; exactly 0 for values that differ only by rounding errors.

    ``scale`` is the size of the numbers that the values were computed from, if it is larger than theirs.
    """
    found = float(np.std(values, ddof=1))
    return 0.0 if found <= _ROUNDING_ERROR * max(scale, float(np.abs(values).max())) else found


@dataclass(frozen=True)
class Difference:
    """Our mean minus another mean, with the inputs of both tests.

    Attributes:
        difference: Our mean minus the other, in the unit of the measure.
        std: Standard deviation of our runs.
        n: Number of our runs.
        other_std: Standard deviation of the other runs; NaN assumes ours.
        other_n: Number of the other runs; infinite for an exact number and for differences of pairs.
        margin: Largest difference that does not matter; NaN if the measure has no margin.
        rounding: Half a unit of the last reported decimal.
    """

    difference: float
    std: float
    n: int
    other_std: float = math.nan
    other_n: float = math.inf
    margin: float = math.nan
    rounding: float = 0.0

    @property
    def error(self) -> float:
        """Standard error of the difference."""
        return float(standard_error(self.std, self.n, self.other_std, self.other_n)[0])

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error."""
        return float(standard_error(self.std, self.n, self.other_std, self.other_n)[1])

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference."""
        half = float(special.stdtrit(self.freedom, 0.5 + CONFIDENCE / 2)) * self.error
        return self.difference - half, self.difference + half

    @property
    def p(self) -> float:
        """Two-sided p value of no difference."""
        return float(difference_p(self.difference, self.error, self.freedom, self.rounding))

    @property
    def p_equivalence(self) -> float:
        """p value of a difference of at least the margin: the larger one of the two one-sided tests."""
        return float(equivalence_p(self.difference, self.error, self.freedom, self.margin, self.rounding))


def standard_error(
    std: npt.ArrayLike, n: npt.ArrayLike, other_std: npt.ArrayLike, other_n: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Return the standard error of a difference of two means and its degrees of freedom (Welch and Satterthwaite).

    If ``other_std`` is NaN, the other runs are assumed to have the spread of ours. The error is then that of predicting
    the mean of ``other_n`` more runs from ours, with ``n - 1`` degrees of freedom.

    Args:
        std: Standard deviation of our runs.
        n: Number of our runs.
        other_std: Standard deviation of the other runs, or NaN.
        other_n: Number of the other runs; may be infinite.
    """
    std, n, other_std, other_n = (np.asarray(x, dtype=float) for x in (std, n, other_std, other_n))
    unknown = np.isnan(other_std)
    a, b = std**2 / n, np.where(unknown, std, other_std) ** 2 / other_n
    with np.errstate(divide="ignore", invalid="ignore"):
        welch = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (other_n - 1))
    # Without any spread every number of degrees is as good.
    return np.sqrt(a + b), np.where(unknown | (a + b == 0), n - 1, welch)


def difference_p(
    difference: npt.ArrayLike, error: npt.ArrayLike, freedom: npt.ArrayLike, rounding: npt.ArrayLike = 0.0
) -> Floats:
    """Return the two-sided p value of no difference (Student's t).

    Args:
        difference: Difference of two means.
        error: Its standard error.
        freedom: Degrees of freedom of the error.
        rounding: Half a unit of the last reported decimal. The nearest difference that the rounding allows is tested.

    Returns:
        The p value; 1 within the rounding and without any spread.
    """
    beyond = np.maximum(np.abs(difference) - np.asarray(rounding, dtype=float), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * special.stdtr(freedom, -beyond / np.asarray(error, dtype=float))
    return np.where((beyond == 0) | (np.asarray(error) == 0), 1.0, p)


def equivalence_p(
    difference: npt.ArrayLike,
    error: npt.ArrayLike,
    freedom: npt.ArrayLike,
    margin: npt.ArrayLike,
    rounding: npt.ArrayLike = 0.0,
) -> Floats:
    """Return the p value of the two one-sided tests (TOST) for a difference of at least the margin.

    Args:
        difference: Difference of two means.
        error: Its standard error.
        freedom: Degrees of freedom of the error.
        margin: Margin of equivalence, or NaN.
        rounding: Half a unit of the last reported decimal. The farthest difference that the rounding allows is tested.

    Returns:
        The p value; 1 without a margin and without any spread.
    """
    inside = np.asarray(margin, dtype=float) - np.abs(difference) - np.asarray(rounding, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = special.stdtr(freedom, -inside / np.asarray(error, dtype=float))
    return np.where(np.isnan(inside) | (np.asarray(error) == 0), 1.0, p)


def against_reported(ours: Summary, reported: Reported, runs: int, margin: float) -> Difference | None:
    """Compare our runs with a reported value.

    The reported spread of a single run is not used, as it describes something else, such as images. A reported standard
    error is converted to a standard deviation.

    Args:
        ours: Summary of our runs; lost runs count with the measure's worst value.
        reported: Reported mean, and standard deviation or error.
        runs: Number of runs behind the reported value, at least 1.
        margin: Margin in the unit of the measure.

    Returns:
        The difference; None below 3 seeds.

    Raises:
        ValueError: ``runs`` is below 1, or the reported value is not finite.
    """
    if ours.n < ENOUGH:
        return None
    if runs < 1:
        raise ValueError(f"a reported value has at least one run behind it, not {runs}")
    if not math.isfinite(reported.mean) or not (reported.std is None or math.isfinite(reported.std)):
        raise ValueError("a reported value must be finite")
    std = math.nan
    if reported.std is not None and runs > 1:
        scale = math.sqrt(runs) if reported.error == "se" else 1.0
        std = (reported.std + reported.std_rounding) * scale
        if reported.std == 0:
            std = max(std, assumed_std(0.0, runs, margin))
    return Difference(
        difference=ours.mean - reported.mean,
        std=assumed_std(ours.std, ours.n, margin),
        n=ours.n,
        other_std=std,
        other_n=runs,
        margin=margin,
        rounding=reported.rounding,
    )


def paired(ours: Sequence[float], others: Sequence[float], margin: float = math.nan) -> Difference | None:
    """Compare two rows paired by seed, or one row with a repeated number (paired t test).

    If all pairs differ by the same amount, the spread is taken as if one more pair differed by the margin. Without a
    margin p is then 1.

    Args:
        ours: Finite numbers, one per seed.
        others: Finite numbers for the same seeds in the same order.
        margin: Margin in the unit of the measure; NaN if it has none.

    Returns:
        The difference; None below 3 pairs.

    Raises:
        ValueError: The lengths differ, or a value is not finite.
    """
    a, b = np.asarray(ours, dtype=float), np.asarray(others, dtype=float)
    if a.shape != b.shape or not np.isfinite(a).all() or not np.isfinite(b).all():
        raise ValueError("pairs must be finite and as many on either side")
    if len(a) < ENOUGH:
        return None
    scale = float(max(np.abs(a).max(), np.abs(b).max()))
    mean, std = float(np.mean(a - b)), _std(a - b, scale)
    return Difference(mean, assumed_std(std, len(a), margin), len(a), margin=margin)


def assumed_std(std: float, n: int, margin: float) -> float:
    """Return the standard deviation that the tests use.

    If all ``n`` values are equal, this is the standard deviation of ``n + 1`` values of which one differs by the
    margin, or 0 without a margin.
    """
    return std if std > 0 or math.isnan(margin) else margin / math.sqrt(n + 1)


def holm(p: Sequence[float]) -> Floats:
    """Adjust p values for the family-wise error rate (Holm 1979)."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def benjamini_hochberg(p: Sequence[float]) -> Floats:
    """Adjust p values for the false discovery rate (Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57, 289)."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")[::-1]
    stepped = np.minimum.accumulate(values[order] * len(values) / np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


@dataclass(frozen=True)
class Verdict:
    """Verdict on a difference.

    Attributes:
        word: ``equivalent`` (inside the margin), ``higher`` or ``lower`` (different, and not shown to be inside the
            margin), ``undecided``, or ``-`` if there is nothing to compare.
        lean: Direction of a significant difference inside the margin; ``-`` if there is none.
        margin: Margin in the unit of the measure.
        p: p value of no difference.
        p_holm: ``p``, adjusted by Holm over the table.
        p_bh: ``p``, adjusted by Benjamini and Hochberg over the table.
        p_equivalence: p value of a difference of at least the margin. It is not adjusted, as the error rate of 5 % for
            a wrong ``equivalent`` holds for each entry.
        seeds_to_decide: Seeds that an undecided difference needs for 80 % power; NaN if 1,000 of ours are not enough.
    """

    word: Word = "-"
    lean: Lean = "-"
    margin: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    p_bh: float = math.nan
    p_equivalence: float = math.nan
    seeds_to_decide: float = math.nan


def verdict_text(word: str, lean: str, seeds_to_decide: float) -> str:
    """Return the verdict as text, with the lean of an equivalent one and the seeds that an undecided one needs."""
    if word.removeprefix("~") == "undecided":
        if math.isnan(seeds_to_decide):
            return f"{word}, even with {MOST_SEEDS:,} seeds"
        return f"{word}, wants {seeds_to_decide:.0f} seeds"
    return word if lean == "-" else f"{word}, leans {lean}"


def verdicts(differences: Sequence[Difference | None]) -> list[Verdict]:
    """Return the verdicts on all entries of a table; ``-`` for None. Tests for a difference are corrected together."""
    tested = [d for d in differences if d is not None]
    p = [d.p for d in tested]
    rows = iter(zip(tested, p, holm(p), benjamini_hochberg(p), strict=True))
    level = ALPHA / max(1, len(tested))
    return [Verdict() if d is None else _verdict(*next(rows), level) for d in differences]


def _verdict(d: Difference, p: float, p_holm: float, p_bh: float, level: float) -> Verdict:
    direction: Literal["higher", "lower"] = "higher" if d.difference > 0 else "lower"
    differs, p_equivalence = p_holm < ALPHA, d.p_equivalence
    word: Word = "equivalent" if p_equivalence < ALPHA else direction if differs else "undecided"
    wanted = seeds_to_decide(d, level) if word == "undecided" else None
    return Verdict(
        word=word,
        lean=direction if word == "equivalent" and differs else "-",
        margin=d.margin,
        p=p,
        p_holm=float(p_holm),
        p_bh=float(p_bh),
        p_equivalence=p_equivalence,
        seeds_to_decide=math.nan if wanted is None else float(wanted),
    )


def power_to_decide(d: Difference, n: int, level: float = ALPHA) -> float:
    """Return the probability that new seeds decide a comparison.

    Our true mean and spread are assumed to equal the observed ones, which is a guess if there are few seeds. The other
    side does not change. The result is averaged over the distribution of the new seeds' standard deviation.

    Args:
        d: The observed difference.
        n: Number of new seeds.
        level: Level of the test for a difference; equivalence is always tested at 5 %.
    """
    variance = special.chdtri(n - 1, 1 - _QUANTILES) / (n - 1)
    error, freedom = standard_error(d.std * np.sqrt(variance), n, d.other_std, d.other_n)
    outer = d.rounding + special.stdtrit(freedom, 1 - level / 2) * error
    inner = d.margin - d.rounding - special.stdtrit(freedom, 1 - ALPHA) * error
    inner = np.where(np.isnan(inner), 0, np.maximum(inner, 0))
    own = d.std / math.sqrt(n)

    def within(limit: Floats) -> Floats:
        return special.ndtr((limit - d.difference) / own) - special.ndtr((-limit - d.difference) / own)

    return float(np.mean(np.where(inner >= outer, 1.0, within(inner) + 1 - within(outer))))


def seeds_to_decide(d: Difference, level: float = ALPHA) -> int | None:
    """Return the smallest number of our seeds, above the current one, that decides with 80 % power.

    More seeds of ours do not make the reported value more certain: if its own error exceeds the margin, no number may
    be enough.

    Args:
        d: The difference, whose size and spread the new seeds are assumed to have.
        level: Level of the test for a difference. 5 % divided by the number of entries is Holm's level for the first of
            them; 0 tests for equivalence only.

    Returns:
        The number; None above 1,000.
    """
    if d.std == 0:
        return None
    low, high = d.n, d.n + 1
    while power_to_decide(d, high, level) < POWER:
        if high >= MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_to_decide(d, middle, level) >= POWER else (middle, high)
    return high


def seeds_for_margin(std: float, margin: float, reported: Reported | None = None, runs: int = 1) -> int | None:
    """Return the seeds with which a method equal to the report is called equivalent with 80 % power.

    ``plan`` shows this number before a training, from a stored spread.

    Args:
        std: Stored standard deviation over seeds.
        margin: Margin in the unit of the measure.
        reported: The reported value; None compares with an exact number.
        runs: Number of runs behind the reported value.

    Returns:
        The number, at least 3; None above 1,000.
    """
    if reported is None:
        alone = Difference(0.0, assumed_std(std, ENOUGH, margin), ENOUGH - 1, margin=margin)
        return seeds_to_decide(alone, level=0)
    pilot = against_reported(Summary(ENOUGH, reported.mean, std, math.nan, math.nan), reported, runs, margin)
    assert pilot is not None
    planned = Difference(0.0, pilot.std, ENOUGH - 1, pilot.other_std, pilot.other_n, margin, pilot.rounding)
    return seeds_to_decide(planned, level=0)


class Order(NamedTuple):
    """Kendall's tau-b of two orders, with a 95 % percentile-bootstrap interval over seeds; NaN if undefined."""

    tau: float
    low: float
    high: float


def order_agreement(ours: Sequence[Sequence[float]], reported: Sequence[float]) -> Order:
    """Measure how well our order of methods agrees with the reported one.

    The seeds of every method are resampled with replacement 2,000 times. With few seeds this interval tends to be too
    narrow.

    Args:
        ours: Values of each method, one per seed, at least one each.
        reported: One value per method, in the same order.
    """
    if len(ours) < 3:
        return Order(math.nan, math.nan, math.nan)
    tau = _tau(np.array([np.mean(values) for values in ours]), np.asarray(reported, dtype=float))
    rng = np.random.default_rng(0)
    drawn = [np.asarray(v, dtype=float)[rng.integers(len(v), size=(_RESAMPLES, len(v)))].mean(1) for v in ours]
    taus = _tau(np.stack(drawn, 1), np.asarray(reported, dtype=float))
    if math.isnan(tau) or np.isnan(taus).all():
        return Order(float(tau), math.nan, math.nan)
    low, high = np.nanquantile(taus, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Order(float(tau), float(low), float(high))


def _tau(a: Floats, b: Floats) -> Floats:
    """Return Kendall's tau-b (Kendall 1945, Biometrika 33, 239) over the last axis of ``a [..., m]`` and ``b [m]``."""
    i, j = np.triu_indices(len(b), 1)
    # Means of equal values differ in their last bits.
    near = np.abs(a[..., i] - a[..., j]) <= _ROUNDING_ERROR * np.maximum(np.abs(a[..., i]), np.abs(a[..., j]))
    signs, others = np.where(near, 0, np.sign(a[..., i] - a[..., j])), np.sign(b[i] - b[j])
    with np.errstate(invalid="ignore"):
        return (signs * others).sum(-1) / np.sqrt(np.abs(signs).sum(-1) * np.abs(others).sum(-1))


class Tail(NamedTuple):
    """The end of a learning curve.

    Attributes:
        n: Number of evaluations.
        mean: Their mean.
        std: Their standard deviation; NaN for one evaluation.
    """

    n: int
    mean: float
    std: float


def last_tenth(curve: Sequence[float | None]) -> Tail | None:
    """Return the mean and the fluctuation over the last tenth of a curve's evaluations, at least one.

    Epochs without an evaluation are None or NaN and do not count.

    Returns:
        The end of the curve; None if it has no evaluation.
    """
    values = [value for value in curve if value is not None and not math.isnan(value)]
    if not values:
        return None
    tail = values[-math.ceil(len(values) / 10) :]
    return Tail(len(tail), float(np.mean(tail)), float(np.std(tail, ddof=1)) if len(tail) > 1 else math.nan)
