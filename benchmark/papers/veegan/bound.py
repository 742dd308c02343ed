"""VEEGAN's objective is an upper bound of the cross entropy of the noise under the codes (Srivastava et al. 2017).

p0(z) is the prior of the noise, p(x) the data, q(x|z) the generator and p(z|x) the reconstructor. p_theta(z) is the
distribution of the codes that the reconstructor gives to data. The bound is

    -E_p0 log p_theta(z) <= O = KL(q(x|z) p0(z) || p(z|x) p(x)) - E_p0 log p0(z).

The difference of the two sides is the mean over p0 of KL(q(x|z) || p(x|z)), where p(x|z) is the posterior of data given
a code. For a deterministic generator this divergence is infinite: as the variance of the generator's own noise goes to
0, O grows like minus the logarithm of its standard deviation. The generators that are trained are deterministic, so the
value of the bound says nothing about them. Training uses only the gradient of O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np

from benchmark.plotting.axes import tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of

Array = np.ndarray
TOLERANCE = 1e-9


def cross_entropy(mean: Array, std: Array, slope: Array, shift: Array, noise: Array) -> Array:
    """Compute -E log p_theta(z) over z ~ N(0, 1) in closed form.

    All arguments and the result have one shape. Data are N(mean, std^2), and codes of x are
    N(slope x + shift, noise^2).
    """
    variance = (slope * std) ** 2 + noise**2
    return 0.5 * np.log(2 * np.pi * variance) + (1 + (slope * mean + shift) ** 2) / (2 * variance)


def objective(
    mean: Array, std: Array, slope: Array, shift: Array, noise: Array, gain: Array, offset: Array, spread: Array
) -> Array:
    """Compute O = -H(q) - E log p(z|x) - E log p(x) in closed form; the entropies of p0 cancel.

    The generator is N(gain z + offset, spread^2). Data and codes are as in ``cross_entropy``.
    """
    entropy = 0.5 * np.log(2 * np.pi * np.e * spread**2)
    # Mean square of z - slope x - shift, where x = gain z + offset + spread n and n ~ N(0, 1).
    missed = (1 - slope * gain) ** 2 + (slope * offset + shift) ** 2 + (slope * spread) ** 2
    code = 0.5 * np.log(2 * np.pi * noise**2) + missed / (2 * noise**2)
    away = gain**2 + (offset - mean) ** 2 + spread**2
    return code + 0.5 * np.log(2 * np.pi * std**2) + away / (2 * std**2) - entropy


def posterior(mean: Array, std: Array, slope: Array, shift: Array, noise: Array) -> tuple[Array, Array, Array]:
    """Compute the generator that equals the posterior p(x|z), at which the bound is an equality.

    Returns:
        Its gain, offset and spread.
    """
    variance = (slope * std) ** 2 + noise**2
    gain = slope * std**2 / variance
    return gain, mean - gain * (slope * mean + shift), std * noise / np.sqrt(variance)


def measure(seeds: Sequence[int], *, cases: int, spreads: tuple[float, ...]) -> Findings:
    """Evaluate both sides of the bound on random data, reconstructors and generators.

    Args:
        seeds: Seeds of the random cases.
        cases: Number of cases for each seed.
        spreads: Standard deviations of the generator that are tried on the first case.

    Returns:
        Series in nats, of all n cases ``[n]``: ``left`` and ``right``, the two sides of the bound, and ``tight``, the
        right side with the best generator. ``gap`` is the difference of the sides in the first case for each
        ``spread``.
    """
    drawn = []
    for seed in seeds:
        rng = np.random.default_rng((*b"veegan bound", seed))
        drawn.append(np.concatenate([rng.normal(0, 2, (4, cases)), np.exp(rng.normal(0, 1, (3, cases)))]))
    slope, shift, gain, offset, std, noise, spread = np.concatenate(drawn, 1)
    mean = 1.5 * np.ones_like(std)
    given = mean, std, slope, shift, noise
    left, right = cross_entropy(*given), objective(*given, gain, offset, spread)
    best_gain, best_offset, best_spread = posterior(*given)
    tight = objective(*given, best_gain, best_offset, best_spread)
    widths = np.array(spreads)
    first = mean[:1], std[:1], slope[:1], shift[:1], noise[:1]
    gaps = objective(*first, best_gain[:1], best_offset[:1], widths) - left[0]
    numbers = {
        "below": float((right - left < -TOLERANCE * np.maximum(1, np.abs(left))).sum()),
        "cases": float(len(left)),
        "least": float((right - left).min()),
        "tight": float((np.abs(tight - left) / np.maximum(1, np.abs(left))).max()),
        "thin": float(gaps[widths.argmin()]),
    }
    return Findings(numbers, {"left": left, "right": right, "tight": tight, "spread": widths, "gap": gaps})


def judge(numbers: Mapping[str, float]) -> Verdict:
    sound = numbers["below"] == 0 and numbers["tight"] <= TOLERANCE
    return verdict_of(sound, not sound)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    picture = blank(8.5, 3.2)
    left, right = picture.subplots(1, 2)
    left.scatter(series["left"], series["right"], s=6, color=COLOURS[4], label="any generator")
    left.scatter(series["left"], series["tight"], s=6, color=COLOURS[6], label="the best generator")
    left.axline((1, 1), slope=1, color="0.5", linewidth=0.7)
    left.set(xscale="log", yscale="log")
    tidy(left, "cross entropy of the noise under the codes (nats)", "O (nats)", "line: equality")
    right.plot(series["spread"], series["gap"], color=COLOURS[4], marker=".")
    right.set(xscale="log")
    tidy(right, "standard deviation of the generator around its mean", "O − cross entropy (nats)", "first case", False)
    return picture


BOUND = Demonstration(
    id="veegan-bound",
    version=1,
    title="VEEGAN's objective bounds the cross entropy of the noise under the codes (each dot: one case)",
    claim="−∫ p0 log p_θ ≤ O(γ, θ), with equality where the generator inverts the reconstructor.",
    citation="Srivastava et al. 2017 (arXiv:1705.07761)",
    setting="Data, generator and reconstructor are Gaussian and linear in one dimension, so that both sides are exact. "
    "Without noise in the generator O is infinite: the bound then says nothing.",
    profiles={
        "short": {"cases": 200, "spreads": tuple(float(f"{s:.3g}") for s in np.geomspace(1e-4, 10, 26))},
        "smoke": {"cases": 20, "spreads": (1e-3, 1e-2, 0.1, 1.0)},
    },
    seeds=5,
    measure=measure,
    numbers={
        "below": "cases in which O is below",
        "cases": "cases",
        "least": "least O − cross entropy (nats)",
        "tight": "largest relative difference with the best generator",
        "thin": "O − cross entropy with the least noise in the generator (nats)",
    },
    rule="O is below in no case, and equal to 1e-9 with the best generator",
    judge=judge,
    draw=draw,
)
