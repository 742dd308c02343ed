"""Which errors KL(g, r) - 2 JS(g, r) penalises (Arjovsky and Bottou 2017, after Theorem 2.5; the lecture on collapse).

KL(g, r) is large if g has mass where r has none (fake samples). It is small if g misses a mode: at most minus the
logarithm of the share that is kept. The lecture explains collapse by this difference, and the measurements agree.
The lecture's statement that "-2 JS rewards missing modes" holds for this term alone. The sum of both terms is
2 KL((g + r) / 2, r), which is never negative. So a missing mode still has a cost, and the JS term reduces it by about
two thirds.

If g keeps k of K modes, with q = k / K, then KL(g, r) = -log q and
2 JS = log(2 / (1 + q)) + q log(2 q / (1 + q)) + (1 - q) log 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
from scipy.special import logsumexp, xlogy

from benchmark.plotting.axes import tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of

Array = np.ndarray
MODES = 8
#: Grid cells per standard deviation of a mode, and width of the grid beyond the outermost modes in standard deviations.
_FINE, _BEYOND = 40, 12.0


def log_mixture(x: Array, centres: Array, shares: Array) -> Array:
    """Compute the log density at ``x [n]`` of a mixture of Gaussians of standard deviation 1.

    Args:
        x: Places ``[n]``.
        centres: Means of the Gaussians, ``[K]``.
        shares: Weights of the Gaussians, ``[K]``.
    """
    parts = -((x[:, None] - centres) ** 2) / 2 - math.log(2 * math.pi) / 2
    return logsumexp(parts, axis=1, b=shares)


def divergences(log_g: Array, log_r: Array, cell: float) -> dict[str, float]:
    """Compute divergences from log densities on a grid.

    Args:
        log_g: Log density of g at the centres of the cells.
        log_r: Log density of r there.
        cell: Width of a cell.

    Returns:
        In nats: ``kl`` KL(g, r), ``reverse_kl`` KL(r, g), ``twice_js`` 2 JS, ``cost`` KL(g, r) - 2 JS, and ``as_one``
        2 KL((g + r) / 2, r).
    """
    g, r = np.exp(log_g), np.exp(log_r)
    log_mean = np.logaddexp(log_g, log_r) - math.log(2)
    mean = np.exp(log_mean)

    def kl(p: Array, log_p: Array, log_q: Array) -> float:
        return float((p * np.where(p > 0, log_p - log_q, 0)).sum() * cell)

    forward, twice_js = kl(g, log_g, log_r), kl(g, log_g, log_mean) + kl(r, log_r, log_mean)
    return {
        "kl": forward,
        "reverse_kl": kl(r, log_r, log_g),
        "twice_js": twice_js,
        "cost": forward - twice_js,
        "as_one": 2 * kl(mean, log_mean, log_r),
    }


def measure(seeds: Sequence[int], *, spacing: float) -> Findings:
    """Compute the divergences for two kinds of error that move the same mass m/8, m = 1..7.

    r is a mixture of eight Gaussians of standard deviation 1. With the error ``missing``, g leaves out m modes. With
    the error ``fakes``, g puts this mass between two modes.

    Args:
        seeds: Not used, as nothing is random.
        spacing: Distance between neighbouring modes.

    Returns:
        Series ``[7]``: ``mass``, and one for each error and divergence, such as ``missing_kl`` and ``fakes_kl``.
    """
    centres = spacing * np.arange(MODES)
    lost = np.arange(1, MODES)
    cells = round((centres[-1] + 2 * _BEYOND) * _FINE)
    x = -_BEYOND + (np.arange(cells) + 0.5) / _FINE
    even = np.full(MODES, 1 / MODES)
    log_r = log_mixture(x, centres, even)
    between = np.array([spacing * (MODES // 2 - 0.5)])
    found: dict[str, list[float]] = {}
    for m in lost:
        kept = MODES - m
        missing = log_mixture(x, centres[:kept], np.full(kept, 1 / kept))
        shares = np.append(even * (1 - m / MODES), m / MODES)
        fakes = log_mixture(x, np.append(centres, between), shares)
        for error, log_g in (("missing", missing), ("fakes", fakes)):
            for name, value in divergences(log_g, log_r, 1 / _FINE).items():
                found.setdefault(f"{error}_{name}", []).append(value)
    series = {name: np.array(values) for name, values in found.items()}
    q = 1 - lost / MODES
    closed = -np.log(q) - (np.log(2 / (1 + q)) + xlogy(q, 2 * q / (1 + q)) + (1 - q) * math.log(2))
    gaps = [np.abs(series[f"{error}_cost"] - series[f"{error}_as_one"]).max() for error in ("missing", "fakes")]
    numbers = {
        "fakes_over_missing": float((series["fakes_cost"] / series["missing_cost"]).min()),
        "fakes_over_missing_reverse": float((series["fakes_reverse_kl"] / series["missing_reverse_kl"]).max()),
        "taken_off": float(series["missing_twice_js"][0] / series["missing_kl"][0]),
        "least_cost": float(min(series["missing_cost"].min(), series["fakes_cost"].min())),
        "closed_gap": float(np.abs(series["missing_cost"] - closed).max()),
        "as_one_gap": float(max(gaps)),
    }
    return Findings(numbers, {"mass": lost / MODES, **series})


def judge(numbers: Mapping[str, float]) -> Verdict:
    punishes, rewards = numbers["fakes_over_missing"] > 10, numbers["taken_off"] > 0
    return verdict_of(punishes and rewards, numbers["fakes_over_missing"] < 1 or not rewards)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    picture = blank(9, 3.2)
    axes = picture.subplots(1, 3)
    for ax, name, title in zip(
        axes, ("cost", "reverse_kl"), ("KL(g, r) − 2 JS", "KL(r, g), for comparison"), strict=False
    ):
        for error, colour, label in (("fakes", COLOURS[6], "fakes"), ("missing", COLOURS[4], "missing modes")):
            ax.plot(series["mass"], series[f"{error}_{name}"], color=colour, marker="o", ms=3, label=label)
        ax.set_yscale("log")
        tidy(ax, "mass that is wrong", "cost (nats)", title)
    parts = (("kl", "KL(g, r)", 4, "-"), ("twice_js", "2 JS", 3, "--"), ("cost", "KL − 2 JS", 0, "-"))
    for name, label, index, style in parts:
        axes[2].plot(
            series["mass"], series[f"missing_{name}"], style, color=COLOURS[index], marker="o", ms=3, label=label
        )
    axes[2].axhline(0, color="0.6", linewidth=0.6)
    tidy(axes[2], "share of the modes that are missing", "cost (nats)", "missing modes: what −2 JS takes off")
    return picture


ASYMMETRY = Demonstration(
    id="theory-asymmetry",
    version=1,
    title="What the loss −log D punishes: fakes against missing modes of the same mass",
    claim="KL(g, r) − 2 JS punishes fake samples far more than missing modes, and its −2 JS rewards missing them.",
    citation="Arjovsky and Bottou 2017 (arXiv:1701.04862), after Theorem 2.5",
    setting="Eight Gaussians on a line; an error leaves modes out, or puts as much mass midway between two modes. "
    "Exact densities on a grid. The reward is of the term alone: as KL − 2 JS = 2 KL((g + r)/2, r) is never negative, "
    "missing a mode stays a cost, reduced by the share that −2 JS takes off.",
    profiles={"short": {"spacing": 20.0}, "smoke": {"spacing": 20.0}},
    seeds=0,
    measure=measure,
    numbers={
        "fakes_over_missing": "least ratio of the cost of fakes to that of missing modes",
        "fakes_over_missing_reverse": "largest such ratio under KL(r, g)",
        "taken_off": "share of KL that −2 JS takes off where one of eight modes is missing",
        "least_cost": "least cost of any error (nats)",
        "closed_gap": "largest difference from the closed form of missing modes (nats)",
    },
    rule="fakes cost more than 10 times what missing modes of equal mass do, and −2 JS lowers the cost of these",
    judge=judge,
    draw=draw,
)
