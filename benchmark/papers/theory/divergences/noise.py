"""Noise makes the Jensen-Shannon divergence informative (Arjovsky and Bottou 2017, section 3 and Theorem 3.3).

Noise e of mean 0 and variance V = E|e|^2 is added to both distributions, and C is the diameter of a ball that contains
both noisy supports. Then W(r, g) <= 2 V^(1/2) + 2 C (JS(r + e, g + e))^(1/2). The theorem needs a bounded support, so
the Gaussian noise is truncated here to a ball of three standard deviations.

r and g are the parallel lines of ``theory-parallel-lines``. In units of the noise, with R the radius of the ball and
the half-chord h(x) = (R^2 - x^2)^(1/2), the density of a noisy line is
p(x, y) = c phi(x) (Phi(min(y, h)) - Phi(max(y - 1, -h))). JS is a sum over a fine grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
from scipy.special import ndtr, xlogy

from benchmark.plotting.axes import tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of

Array = np.ndarray
#: Radius at which the noise is truncated, in standard deviations.
CUT = 3.0


def variance(std: float) -> float:
    """Compute E|e|^2 of the truncated noise in two dimensions."""
    lost = math.exp(-(CUT**2) / 2)
    return std**2 * (2 - CUT**2 * lost / (1 - lost))


def diameter(theta: float, std: float) -> float:
    """Compute the diameter of the smallest ball that contains both noisy lines."""
    return math.hypot(theta, 1) + 2 * CUT * std


def density(x: Array, y: Array, std: float) -> Array:
    """Compute the density of the noisy line {0} x [0, 1] at ``(x, y)``."""
    mass = 1 - math.exp(-(CUT**2) / 2)
    u, half = x / std, np.sqrt(np.maximum(CUT**2 - (x / std) ** 2, 0))
    high, low = np.minimum(y / std, half), np.maximum((y - 1) / std, -half)
    along = np.where(high > low, ndtr(high) - ndtr(low), 0.0)
    return np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi) / std / mass * along


def smoothed_js(theta: float, std: float, cells: int) -> float:
    """Compute the JS divergence of the noisy lines by the midpoint rule.

    Args:
        theta: Distance of the lines.
        std: Standard deviation of the noise before truncation; 0 for none, with the exact result.
        cells: Number of grid cells along an axis, approximately.

    Returns:
        The divergence, in nats.
    """
    if std == 0:
        return math.log(2) if theta else 0.0
    reach = CUT * std
    # Both lines lie alike on the grid, so that both densities have the same discretisation error.
    step = theta / max(1, round(cells * theta / (theta + 2 * reach))) if theta else 2 * reach / cells
    columns = math.ceil(2 * reach / step) + (round(theta / step) if theta else 0)
    x = -reach + (np.arange(columns) + 0.5) * step
    y = -reach + (np.arange(cells) + 0.5) * (1 + 2 * reach) / cells
    area = step * (1 + 2 * reach) / cells
    p, q = (density(x[:, None] - place, y[None], std) * area for place in (0.0, theta))
    mean = (p + q) / 2
    terms = xlogy(p, p) + xlogy(q, q) - 2 * xlogy(mean, mean)
    return float(terms.sum() / (p.sum() + q.sum()))


def measure(seeds: Sequence[int], *, largest: float, distances: int, stds: tuple[float, ...], cells: int) -> Findings:
    """Compute JS of the noisy lines and the theorem's bound of W.

    Args:
        seeds: Not used, as nothing is random.
        largest: Largest distance of the lines.
        distances: Number T of distances from 0 to ``largest``.
        stds: N standard deviations of the noise.
        cells: Number of grid cells along an axis.

    Returns:
        Series: ``theta [T]``, ``std [N]``; ``js`` (nats), ``bound`` (of W) and ``variance [N, T]``.
    """
    thetas = np.linspace(0, largest, distances)
    divergence = np.array([[smoothed_js(theta, std, cells) for theta in thetas] for std in stds])
    diameters = np.array([[diameter(theta, std) for theta in thetas] for std in stds])
    variances = np.array([variance(std) for std in stds])
    bound = 2 * np.sqrt(variances)[:, None] + 2 * diameters * np.sqrt(np.maximum(divergence, 0))
    rises = np.diff(divergence, axis=1)
    # Lines further apart than twice the radius of the noise have disjoint noisy supports, and JS is log 2.
    meeting = thetas[1:] < 2 * CUT * np.array(stds)[:, None]
    silent = np.array(stds) == 0
    noisy = divergence[~silent]
    numbers = {
        "violations": float((bound < thetas - 1e-12).sum()),
        "least_slack": float((bound - thetas)[:, 1:].min()),
        "cases": float(bound[:, 1:].size),
        "least_rise": float(rises[meeting].min()),
        "rise_without": float(np.abs(rises[silent][:, 1:]).max()) if silent.any() else math.nan,
        "least_share": float(noisy[noisy > 0].min() / math.log(2)),
    }
    return Findings(
        numbers,
        {
            "theta": thetas,
            "std": np.array(stds),
            "js": divergence,
            "bound": bound,
            "variance": np.broadcast_to(variances[:, None], bound.shape),
        },
    )


def judge(numbers: Mapping[str, float]) -> Verdict:
    informative = numbers["least_rise"] > 0 and numbers["rise_without"] == 0
    return verdict_of(informative and not numbers["violations"], bool(numbers["violations"]) or not informative)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series, theta = found.series, found.series["theta"]
    picture = blank(9.5, 3.1)
    axes = picture.subplots(1, 3)
    for std, values, bound, colour in zip(series["std"], series["js"], series["bound"], COLOURS, strict=False):
        # Without noise JS is discontinuous at theta = 0.
        shown = slice(1, None) if std == 0 else slice(None)
        axes[0].plot(theta[shown], values[shown], color=colour, label=f"σ = {std:g}")
        axes[1].plot(theta[shown], bound[shown], color=colour, label=f"σ = {std:g}")
    axes[1].plot(theta, theta, color="0.4", linestyle=":", label="W = θ")
    axes[0].set_ylim(-0.02, 0.76)
    tidy(axes[0], "θ", "JS of the noisy lines (nats)", "noise lets JS say how far", legend=False)
    tidy(axes[1], "θ", "bound of Theorem 3.3", "the bound stays above W", legend=False)
    axes[1].set_yscale("log")
    axes[1].legend(frameon=False, fontsize=6, ncols=2)
    chosen = np.unique(np.linspace(1, len(theta) - 1, 4).round().astype(int))
    for index, colour in zip(chosen, COLOURS[1:], strict=False):
        axes[2].plot(series["variance"][1:, index], series["bound"][1:, index], color=colour, marker=".", ms=4)
        axes[2].axhline(theta[index], color=colour, linestyle=":", linewidth=0.9)
        axes[2].plot([], [], color=colour, label=f"θ = {theta[index]:g}")
    axes[2].set(xscale="log", yscale="log")
    tidy(axes[2], "variance V of the noise", "bound; dotted: W", "over the variance")
    return picture


NOISE = Demonstration(
    id="theory-noise",
    version=1,
    title="Parallel lines with noise on both: JS follows their distance, and bounds it",
    claim="Noise on both distributions makes JS informative: W ≤ 2 V^(1/2) + 2 C JS^(1/2), V the noise's variance.",
    citation="Arjovsky and Bottou 2017 (arXiv:1701.04862), section 3 and Theorem 3.3",
    setting="Gaussian noise of std σ per coordinate, cut off at 3 σ, as the theorem needs a bounded support (C is its "
    "diameter). Densities are exact, JS is their sum over a grid. Where the lines are further apart than the noise "
    "reaches, JS is log 2 as before.",
    profiles={
        "short": {"largest": 2.0, "distances": 41, "stds": (0.0, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6), "cells": 500},
        "smoke": {"largest": 2.0, "distances": 9, "stds": (0.0, 0.1, 0.4), "cells": 150},
    },
    seeds=0,
    measure=measure,
    numbers={
        "violations": "cases in which the bound is below W",
        "cases": "cases",
        "least_slack": "least distance of the bound from W",
        "least_rise": "least rise of JS from one θ to the next, while the noise reaches (nats)",
        "rise_without": "the same without noise",
    },
    rule="the bound is never below W, JS rises with θ as far as the noise reaches, and does not without noise",
    judge=judge,
    draw=draw,
)
