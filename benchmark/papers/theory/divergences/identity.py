"""The loss -log D at the optimal discriminator, written in divergences (Arjovsky and Bottou 2017, Theorem 2.5).

With D* = r / (r + g):  E_g[-log D*] = KL(g, r) - 2 JS(g, r) + 2 log 2 + E_r[log D*].

The lecture drops the logarithms in the step to KL, and calls the last two terms constant in G. They are constant only
if D* is held fixed while G changes. Theorem 2.5 states this: it is about gradients at one point. If D* follows G, the
loss has another gradient (``drift``). So "equivalent to minimising" holds for one step and not for the whole training.

KL(g, r) - 2 JS(g, r) = 2 KL((g + r) / 2, r) is itself a divergence: it is never negative, and 0 only if g = r.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
import torch
from torch import Tensor

from benchmark.plotting.axes import tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of

#: Largest difference that counts as equal. It is above machine precision because sums over 1,000 outcomes round.
TOLERANCE = 1e-10


def kl(p: Tensor, q: Tensor) -> Tensor:
    """Compute KL(p, q) in nats, for distributions ``[..., K]`` without zeros."""
    return (p * (p.log() - q.log())).sum(-1)


def js(p: Tensor, q: Tensor) -> Tensor:
    """Compute the Jensen-Shannon divergence in nats, for distributions ``[..., K]`` without zeros."""
    mean = (p + q) / 2
    return (kl(p, mean) + kl(q, mean)) / 2


def measure(seeds: Sequence[int], *, outcomes: tuple[int, ...], pairs: int) -> Findings:
    """Compute both sides of the identity for random pairs of distributions (r, g), in 64-bit arithmetic.

    Args:
        seeds: Seeds of the pairs.
        outcomes: Numbers of outcomes of the distributions.
        pairs: Number of pairs for each seed and number of outcomes.

    Returns:
        Series ``[n]`` of all pairs. ``outcomes``; ``left`` and ``right``, the sides of the identity; ``value_gap``,
        their difference. ``gradient_gap``, the largest entry of the difference of the gradients with respect to g's
        logits, with D* held fixed. ``drift``, the relative difference of the gradient if D* follows G.
        ``divergence_gap``, the difference between KL - 2 JS and 2 KL((g + r) / 2, r).
    """
    found: dict[str, list[Tensor]] = {}
    for size in outcomes:
        rngs = [np.random.default_rng((*b"identity", seed, size)) for seed in seeds]
        r = torch.from_numpy(np.concatenate([rng.dirichlet(np.ones(size), pairs) for rng in rngs]))
        start = np.concatenate([np.log(rng.dirichlet(np.ones(size), pairs)) for rng in rngs])
        logits = torch.from_numpy(start).requires_grad_()
        g = logits.softmax(-1)
        optimal = r / (r + g)
        held = optimal.detach()
        left, following = -(g * held.log()).sum(-1), -(g * optimal.log()).sum(-1)
        divergence = kl(g, r) - 2 * js(g, r)
        right = divergence + 2 * math.log(2) + (r * held.log()).sum(-1)
        by_left, by_right, by_following = (
            torch.autograd.grad(value.sum(), logits, retain_graph=True)[0] for value in (left, divergence, following)
        )
        parts = {
            "outcomes": torch.full((len(r),), size),
            "left": left,
            "right": right,
            "value_gap": (left - right).abs(),
            "gradient_gap": (by_left - by_right).abs().amax(-1),
            "drift": (by_following - by_right).norm(dim=-1) / by_right.norm(dim=-1),
            "divergence_gap": (divergence - 2 * kl((g + r) / 2, r)).abs(),
        }
        for name, values in parts.items():
            found.setdefault(name, []).append(values.detach().double())
    series = {name: torch.cat(values).numpy() for name, values in found.items()}
    largest = {name: float(series[name].max()) for name in ("value_gap", "gradient_gap", "divergence_gap")}
    return Findings(largest | {"drift": float(np.median(series["drift"]))}, series)


def judge(numbers: Mapping[str, float]) -> Verdict:
    gap = max(numbers["value_gap"], numbers["gradient_gap"])
    return verdict_of(gap <= TOLERANCE, gap > TOLERANCE)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    picture = blank(8.5, 3.2)
    left, right = picture.subplots(1, 2)
    sizes = np.unique(series["outcomes"])
    for size, colour in zip(sizes, COLOURS[1:], strict=False):
        chosen = series["outcomes"] == size
        left.scatter(series["right"][chosen], series["left"][chosen], s=7, color=colour, label=f"{size:.0f} outcomes")
    left.axline((1, 1), slope=1, color="0.6", linewidth=0.8, zorder=0)
    tidy(left, "KL − 2 JS + 2 log 2 + E log D* over r (nats)", "E(−log D*) over g (nats)", "the identity, pair by pair")
    named = {"value_gap": "values", "gradient_gap": "gradients, D* held", "drift": "gradients, D* following (relative)"}
    for (name, label), colour in zip(named.items(), COLOURS[2:], strict=False):
        worst = [series[name][series["outcomes"] == size].max() for size in sizes]
        right.plot(sizes, np.maximum(worst, 1e-17), color=colour, marker="o", ms=3, label=label)
    right.axhline(TOLERANCE, color="0.4", linestyle=":", linewidth=0.9, label="tolerance")
    right.set(xscale="log", yscale="log")
    tidy(right, "outcomes", "largest difference", "how far the two sides are apart", legend=False)
    right.legend(frameon=False, fontsize=7, loc="lower right", bbox_to_anchor=(1, 0.5))
    return picture


IDENTITY = Demonstration(
    id="theory-identity",
    version=1,
    title="At the optimal discriminator, −log D is KL(g, r) − 2 JS(g, r) (points and largest differences, all pairs)",
    claim="Minimising −log D(G(z)) at the optimal D minimises KL(g, r) − 2 JS(g, r), up to terms constant in G.",
    citation="Arjovsky and Bottou 2017 (arXiv:1701.04862), Theorem 2.5",
    setting="Random pairs of distributions on finitely many outcomes, uniform on the simplex. The other terms are "
    "constant in G only while D* is held fixed: where D* follows G, the gradient is another one (drift). "
    "KL − 2 JS equals 2 KL((g + r)/2, r), so that its least value, 0, is at g = r.",
    profiles={
        "short": {"outcomes": (2, 5, 10, 30, 100, 300, 1000), "pairs": 20},
        "smoke": {"outcomes": (2, 10, 100), "pairs": 5},
    },
    seeds=5,
    measure=measure,
    numbers={
        "value_gap": "largest difference of values (nats)",
        "gradient_gap": "largest difference of gradients, D* held",
        "divergence_gap": "largest difference of KL − 2 JS from 2 KL(mean, r)",
        "drift": "median relative difference of gradients where D* follows G",
    },
    rule=f"values and gradients (D* held) agree to {TOLERANCE:g}",
    judge=judge,
    draw=draw,
)
