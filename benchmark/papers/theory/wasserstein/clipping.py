"""What a critic with clipped weights estimates (Arjovsky et al. 2017, arXiv:1701.07875, Alg. 1; Gulrajani et al. 2017).

The critic maximises E f(x) - E f(G(z)) with weights in [-c, c]. It is then Lipschitz with a constant K that depends on
c and on the network, so its maximum is at most K W. The lecture uses c = 1 and one critic step per generator step. The
paper uses c = 0.01, RMSProp with learning rate 5e-5, and five critic steps.

The demonstration measures how well W up to one constant factor is estimated by both choices of c and by the gradient
penalty. W is known here: it is the distance between all eight modes of ``ring8`` and the first k, as a collapsed
generator would cover them. The samples are fixed, each critic is trained on them to convergence, and W of the same
samples is computed exactly.

The norm of the critic's gradient is measured as well. The estimate divided by the largest norm exceeds W only because
that norm is measured on finitely many points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from benchmark.papers.theory.games import anneal, step, transport
from benchmark.plotting.axes import tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of
from datamodules.synthetic import RING8
from modules.losses import gradient_penalty, per_seed
from modules.networks import MLP, forward_batched
from modules.noise import Noise

Array = np.ndarray
HIDDEN, WIDTH = 3, 64
PENALTY = 10.0
#: Kinds of critic and their largest weight c; None for a critic with gradient penalty.
CRITICS: dict[str, float | None] = {"c = 1": 1.0, "c = 0.01": 0.01, "penalty": None}


def measure(seeds: Sequence[int], *, points: int, steps: int) -> Findings:
    """Train the critics on all eight modes against the first k = 1..7, and compare their estimates with W.

    Args:
        seeds: S seeds.
        points: Number of samples on each side.
        steps: Training steps of a critic.

    Returns:
        Series: ``modes``, the values of k; ``distance [S, k]``, the exact W; ``estimate`` and ``slope [C, S, k]``, the
        estimates of C = 3 critics and the largest norms of their gradients.
    """
    modes = np.arange(1, RING8.modes)
    names = [100 * seed + int(k) for seed in seeds for k in modes]
    clouds = []
    for seed in seeds:
        for k in modes:
            rng = np.random.default_rng((*b"clipping", seed, k))
            clouds.append((RING8.sample(points, rng), RING8.sample_modes(points, rng, int(k))))
    shape = (len(seeds), len(modes))
    distance = np.reshape([transport(x, y) for x, y in clouds], shape)
    real, fake = (torch.from_numpy(np.stack(part)).float() for part in zip(*clouds, strict=True))
    estimates, slopes = [], []
    for clip in CRITICS.values():
        estimate, slope = _train(real, fake, names, clip, steps)
        estimates.append(estimate.reshape(shape))
        slopes.append(slope.reshape(shape))
    estimate, slope = np.array(estimates), np.array(slopes)
    ratio = estimate / distance
    numbers = {}
    for name, values, each in zip(("1", "001", "penalty"), ratio, estimate, strict=True):
        numbers[f"ratio_{name}"] = float(np.median(values))
        numbers[f"spread_{name}"] = float(values.max() / values.min())
        numbers[f"order_{name}"] = float(spearmanr(each.ravel(), distance.ravel()).statistic)
    numbers["slopes"] = float((estimate / slope / distance).max())
    return Findings(numbers, {"modes": modes, "distance": distance, "estimate": estimate, "slope": slope})


def _train(real: Tensor, fake: Tensor, names: Sequence[int], clip: float | None, steps: int) -> tuple[Array, Array]:
    """Train critics on fixed samples.

    Args:
        real: Data ``[S, n, 2]``.
        fake: Samples ``[S, n, 2]``.
        names: S seeds of the critics.
        clip: Largest weight; None for a gradient penalty.
        steps: Number of training steps.

    Returns:
        E f(x) - E f(G(z)) ``[S]``, and the largest norm of the gradient ``[S]`` at and between the points.
    """
    critic = MLP("critic", 2, 1, seeds=names, hidden=HIDDEN, width=WIDTH)
    noise = Noise(names)
    # The paper's 5e-5 is c / 200. With a smaller share of a larger c, the weights would not reach ±c.
    rate = 1e-3 if clip is None else clip / 200
    optimizer: torch.optim.Optimizer
    if clip is None:
        optimizer = torch.optim.Adam(critic.parameters(), lr=rate, betas=(0.0, 0.9))
    else:
        optimizer = torch.optim.RMSprop(critic.parameters(), lr=rate)
    for number in range(steps):
        if clip is not None:
            with torch.no_grad():
                for weight in critic.parameters():
                    weight.clamp_(-clip, clip)
        anneal(optimizer, rate, number / steps)
        up, down = forward_batched(critic, real, fake)
        loss = per_seed(down) - per_seed(up)
        if clip is None:
            epsilon = (noise("penalty", number, "uniform", (real.shape[1], 1)) + 1) / 2
            loss = loss + PENALTY * gradient_penalty(critic, real, fake, epsilon)
        step(optimizer, loss)
    if clip is not None:
        with torch.no_grad():
            for weight in critic.parameters():
                weight.clamp_(-clip, clip)
    share = (noise("slope", 0, "uniform", (real.shape[1], 1)) + 1) / 2
    where = torch.cat([real, fake, share * real + (1 - share) * fake], 1).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(where).sum(), where)
    with torch.no_grad():
        estimate = per_seed(critic(real).double()) - per_seed(critic(fake).double())
    return estimate.numpy(), gradient.double().norm(dim=-1).amax(1).numpy()


def judge(numbers: Mapping[str, float]) -> Verdict:
    spread = max(numbers["spread_1"], numbers["spread_001"])
    return verdict_of(spread <= 1.5, spread > 2)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    picture = blank(9.5, 3.2)
    axes = picture.subplots(1, 3)
    for name, estimate, slope, colour in zip(
        CRITICS, series["estimate"], series["slope"], (COLOURS[6], COLOURS[4], COLOURS[3]), strict=True
    ):
        ratio = estimate / series["distance"]
        label = f"weights, {name}" if name.startswith("c") else "gradient penalty"
        axes[0].plot(series["distance"].ravel(), estimate.ravel(), ".", color=colour, label=label)
        axes[1].plot(series["distance"].ravel(), (ratio / np.median(ratio)).ravel(), ".", color=colour)
        axes[2].plot(series["distance"].ravel(), (ratio / slope).ravel(), ".", color=colour)
    w = np.sort(series["distance"].ravel())
    axes[0].plot(w, w, color="0.5", linewidth=0.8, zorder=0)
    axes[0].set_yscale("log")
    axes[1].axhline(1, color="0.5", linewidth=0.8)
    axes[2].axhline(1, color="0.5", linewidth=0.8)
    axes[2].set_ylim(0, 1.15)
    tidy(axes[0], "exact W", "critic's estimate (line: W)", "estimates", legend=False)
    axes[0].legend(frameon=False, fontsize=7, loc="center right", bbox_to_anchor=(1, 0.72))
    tidy(axes[1], "exact W", "estimate / W, in units of its median", "one constant?", legend=False)
    tidy(axes[2], "exact W", "estimate / (steepest slope · W)", "share of W per unit of slope", legend=False)
    return picture


CLIPPING = Demonstration(
    id="theory-clipping",
    version=1,
    title="Critics with clipped weights and with a gradient penalty against the exact Wasserstein distance",
    claim="With weights clipped to [−c, c] the critic's maximum is the Wasserstein distance up to one constant.",
    citation="Arjovsky et al. 2017 (arXiv:1701.07875), Alg. 1; Gulrajani et al. 2017 (arXiv:1704.00028), section 3",
    setting="Dots: ring8 against its first k modes, k = 1 to 7, for each seed; samples are frozen, critics (3 x 64, "
    "without batch norm) are trained on all of them until the rate has fallen to 0, RMSProp at c/200 (5e-5 for the "
    "paper's c = 0.01), Adam 1e-3 with the penalty (weight 10). W of the same samples is exact. The lecture's c is 1.",
    profiles={"short": {"points": 256, "steps": 2000}, "smoke": {"points": 48, "steps": 60}},
    seeds=3,
    measure=measure,
    numbers={
        "ratio_1": "c = 1: median of estimate / W",
        "spread_1": "c = 1: largest / least of that",
        "order_1": "c = 1: rank correlation with W",
        "ratio_001": "c = 0.01: median of estimate / W",
        "spread_001": "c = 0.01: largest / least of that",
        "order_001": "c = 0.01: rank correlation with W",
        "ratio_penalty": "penalty: median of estimate / W",
        "spread_penalty": "penalty: largest / least of that",
        "order_penalty": "penalty: rank correlation with W",
        "slopes": "largest estimate / (steepest slope · W)",
    },
    rule="estimate / W varies by a factor of 1.5 at most for either c (it does not if by more than 2)",
    judge=judge,
    draw=draw,
)
