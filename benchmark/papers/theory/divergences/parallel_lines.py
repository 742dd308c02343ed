"""Distances between two parallel lines (Arjovsky et al. 2017, arXiv:1701.07875, Example 1).

r is uniform on {0} x [0, 1], and g on {theta} x [0, 1]. W = |theta|. If theta is not 0, JS = log 2 and KL is infinite;
if it is 0, all three are 0. So only W tells how far the lines are apart.

Each closed form is compared with a measurement. The exact distance W of samples is at least |theta|, the distance of
the lines, and at most |theta| plus the distance between the ordinates of the two samples. A trained discriminator
estimates JS and KL on held-out points (Goodfellow et al. 2014, Theorem 1): JS >= log 2 - its logistic loss, and
KL = E_g log((1 - D) / D) for the optimal D. The first estimate stops at log 2, the second grows as
long as the discriminator is trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from benchmark.papers.theory.games import step, transport
from benchmark.plotting.axes import band, tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of
from modules.losses import bce_fake, bce_real, per_seed
from modules.networks import MLP, forward_batched
from modules.noise import Noise

Array = np.ndarray

_HELD_OUT = 4096
#: Largest error in nats of the discriminator's estimate of JS.
TOLERANCE = 0.02


def lines(theta: Tensor, ordinates: Tensor) -> tuple[Tensor, Tensor]:
    """Return points of r and of g.

    Args:
        theta: Distances of the lines, ``[S]``.
        ordinates: Ordinates in [0, 1], ``[S, B, 2]``: the first column for r, the second for g.

    Returns:
        Points of r and of g, ``[S, B, 2]`` each.
    """
    zero = torch.zeros_like(ordinates[..., :1])
    real = torch.cat([zero, ordinates[..., :1]], -1)
    return real, torch.cat([zero + theta[:, None, None], ordinates[..., 1:]], -1)


def measure(
    seeds: Sequence[int], *, thetas: tuple[float, ...], points: int, moments: tuple[int, ...], batch: int
) -> Findings:
    """Measure W of samples exactly, and estimate JS and KL with a discriminator for each theta and seed.

    Args:
        seeds: S seeds.
        thetas: T distances of the lines.
        points: Number of points of each line for W.
        moments: Training steps after which JS and KL are estimated, M of them.
        batch: Batch size of the discriminator.

    Returns:
        Series: ``theta [T]`` and ``moment [M]``; ``w_sample`` and its upper bound ``w_upper [S, T]``; ``js`` and
        ``kl [S, T, M]``, the discriminator's estimates in nats.
    """
    theta = np.tile(thetas, len(seeds))
    names = [1000 * seed + index for seed in seeds for index in range(len(thetas))]
    w, upper = [], []
    for name, apart in zip(names, theta, strict=True):
        y = np.random.default_rng((*b"parallel lines", name)).random((2, points))
        a, b = (np.stack([np.full(points, x), ordinates], 1) for x, ordinates in zip((0.0, apart), y, strict=True))
        w.append(transport(a, b))
        upper.append(abs(apart) + wasserstein_distance(y[0], y[1]))
    js, kl = _discriminate(torch.from_numpy(theta).float(), names, moments, batch)
    shape = (len(seeds), len(thetas))
    series = {
        "theta": np.array(thetas),
        "w_sample": np.reshape(w, shape),
        "w_upper": np.reshape(upper, shape),
        "moment": np.array(moments, dtype=float),
        "js": js.reshape(*shape, -1),
        "kl": kl.reshape(*shape, -1),
    }
    apart, last = series["theta"] != 0, series["js"][..., -1]
    inside = (series["w_sample"] >= np.abs(thetas) - 1e-12) & (series["w_sample"] <= series["w_upper"] + 1e-12)
    numbers = {
        "outside": float((~inside).sum()),
        "w_gap": float(np.abs(series["w_sample"] - np.abs(thetas)).max()),
        "js_gap": float(np.abs(last[:, apart] - math.log(2)).max()),
        "js_at_0": float(np.abs(last[:, ~apart]).max()),
        "kl_growth": float((series["kl"][:, apart, -1] / series["kl"][:, apart, -2]).min()),
        "kl_last": float(series["kl"][:, apart, -1].mean()),
    }
    return Findings(numbers, series)


def _discriminate(theta: Tensor, names: Sequence[int], moments: Sequence[int], batch: int) -> tuple[Array, Array]:
    network = MLP("discriminator", 2, 1, seeds=names, hidden=2, width=64)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    noise = Noise(names)
    held = lines(theta, (noise("held", 0, "uniform", (_HELD_OUT, 2)) + 1) / 2)
    js, kl = [], []
    for number in range(1, max(moments) + 1):
        x, y = lines(theta, (noise("ordinates", number, "uniform", (batch, 2)) + 1) / 2)
        real, fake = forward_batched(network, x, y)
        step(adam, bce_real(real) + bce_fake(fake))
        if number in moments:
            with torch.no_grad():
                real, fake = forward_batched(network, *held)
                js.append(math.log(2) - (bce_real(real) + bce_fake(fake)).double() / 2)
                kl.append(-per_seed(fake).double())
    return torch.stack(js, -1).numpy(), torch.stack(kl, -1).numpy()


def judge(numbers: Mapping[str, float]) -> Verdict:
    if numbers["outside"]:
        return "does not hold"
    close = max(numbers["js_gap"], numbers["js_at_0"]) <= TOLERANCE
    return verdict_of(close and numbers["kl_growth"] > 1.1, False)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series, theta = found.series, found.series["theta"]
    picture = blank(9.5, 3.0)
    axes = picture.subplots(1, 3)
    axes[0].plot(theta, np.abs(theta), color="0.2", linewidth=1.0, label="|θ|")
    axes[0].plot(theta, series["w_sample"].T, ".", color=COLOURS[4], ms=4)
    axes[0].plot([], [], ".", color=COLOURS[4], label="exact, of samples")
    tidy(axes[0], "θ", "W1", "Wasserstein distance")
    apart = theta != 0
    for side in (theta < 0, theta > 0):
        axes[1].plot(theta[side], [math.log(2)] * side.sum(), color="0.2", linewidth=1.0)
    axes[1].plot([], [], color="0.2", label="log 2, and 0 at θ = 0")
    axes[1].plot([0], [0], "o", color="0.2", ms=3)
    axes[1].plot(theta, series["js"][..., -1].T, ".", color=COLOURS[3], ms=4)
    axes[1].plot([], [], ".", color=COLOURS[3], label="by a discriminator")
    axes[1].set_ylim(-0.05, 0.8)
    tidy(axes[1], "θ", "JS (nats)", "Jensen-Shannon divergence", legend=False)
    axes[1].legend(frameon=False, fontsize=7, loc="center left")
    sizes = np.unique(np.abs(theta[apart]))
    for size, colour in zip(sizes, COLOURS[1:], strict=False):
        values = series["kl"][:, np.abs(theta) == size].reshape(-1, len(series["moment"]))
        band(axes[2], series["moment"], values, colour, f"|θ| = {size:g}")
    axes[2].set(xscale="log", yscale="log")
    tidy(axes[2], "steps of the discriminator", "its estimate of KL (nats)", "Kullback-Leibler divergence: no limit")
    return picture


PARALLEL_LINES = Demonstration(
    id="theory-parallel-lines",
    version=1,
    title="Two parallel lines at a distance θ: W is |θ|, JS is log 2, KL has no bound",
    claim="Between parallel lines KL is infinite and JS is log 2 however near they are, while W is |θ|.",
    citation="Arjovsky et al. 2017 (arXiv:1701.07875), Example 1",
    setting="Dots: seeds; bands from minimum to maximum. W of samples is exact (Hungarian algorithm) and lies "
    "between |θ| and |θ| + the distance of the ordinates. JS and KL are held-out estimates of one network "
    "(2 x 64) per θ and seed.",
    profiles={
        "short": {
            "thetas": (-1.0, -0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5, 1.0),
            "points": 500,
            "moments": (30, 100, 300, 1000, 3000),
            "batch": 128,
        },
        "smoke": {"thetas": (-1.0, 0.0, 1.0), "points": 60, "moments": (10, 30, 100), "batch": 64},
    },
    seeds=3,
    measure=measure,
    numbers={
        "w_gap": "largest difference of W of samples from |θ|",
        "outside": "of these outside the bounds",
        "js_gap": "largest difference of the estimated JS from log 2 (nats)",
        "js_at_0": "the same from 0 at θ = 0",
        "kl_growth": "least growth of the estimated KL over the last part of the training",
        "kl_last": "mean estimate of KL at its end (nats)",
    },
    rule=f"W lies within its bounds, JS is met to {TOLERANCE:g} and the estimate of KL still grows by a tenth at least",
    judge=judge,
    draw=draw,
)
