"""The loss -log D gives the generator a larger gradient early in training (Goodfellow et al. 2014, section 3).

The two losses have the same fixed point, and are equivalent in no other sense. With the discriminator's logit a,
d/da log(1 - D) = -D and d/da (-log D) = -(1 - D). So the first derivative is D / (1 - D) times the second. They are
equal if D = 1/2. The first vanishes if the discriminator is sure that a sample is fake, which happens early.

Two GANs are trained on scikit-learn's digits, one with each loss, from the same initialisation and with the same order
of batches and latents. In each of them both gradients are measured at the same points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
import torch

from benchmark.papers.theory.games import Game, digits, gradients
from benchmark.plotting.axes import band, tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of

Array = np.ndarray
LATENT, HIDDEN, WIDTH, BATCH, RATE = 8, 3, 128, 64, 2e-4
#: Generator losses of the two GANs.
LOSSES = ("non-saturating", "minimax")


def measure(seeds: Sequence[int], *, steps: int, held: int) -> Findings:
    """Train one GAN with each loss and measure both gradients before each generator step.

    Args:
        seeds: S seeds.
        steps: Number T of training steps.
        held: Number of latents for the measurements.

    Returns:
        Series ``[G, S, T]`` for G = 2 GANs: ``non-saturating`` and ``minimax``, gradient norms; ``fake``, the mean of
        D(G(z)); ``gap``, the largest relative error of the ratio D / (1 - D) between the gradients by the logits.
    """
    points = digits()
    games = []
    for played in LOSSES:
        game = Game(
            points, seeds, latent=LATENT, hidden=HIDDEN, width=WIDTH, batch=BATCH, rate=RATE, output="tanh", beta1=0.5
        )
        z = game.held_latents(held)
        rows: dict[str, list[torch.Tensor]] = {}
        for _ in range(steps):
            game.discriminator_step()
            for kind in LOSSES:
                norm = gradients(game.loss(kind, z), game.generator).norm(dim=1)
                rows.setdefault(kind, []).append(norm.double())
            with torch.no_grad():
                logits = game.discriminator.logits(game.generator(z)).double()
            rows.setdefault("fake", []).append(logits.sigmoid().mean((1, 2)))
            rows.setdefault("gap", []).append(_gap(logits))
            game.generator_step(played)
        games.append({name: torch.stack(values, -1).numpy() for name, values in rows.items()})
    series = {name: np.stack([game[name] for game in games]) for name in games[0]}
    larger = series["non-saturating"] > series["minimax"]
    ratio = series["non-saturating"] / series["minimax"]
    numbers = {
        "share": float(larger.mean()),
        "share_fake": float(larger[series["fake"] < 0.5].mean()),
        "ratio": float(np.median(ratio, -1).min()),
        "largest_ratio": float(np.median(ratio, -1).max()),
        "ratio_minimax": float(np.median(ratio[1])),
        "ratio_non-saturating": float(np.median(ratio[0])),
        "least_fake": float(series["fake"].min()),
        "logit_gap": float(series["gap"].max()),
    }
    return Findings(numbers, series)


def _gap(logits: torch.Tensor) -> torch.Tensor:
    """Compare d log(1 - D) with D / (1 - D) times d(-log D), both with respect to the logits.

    Returns:
        The largest relative difference, ``[S]``.
    """
    a = logits.detach().requires_grad_()
    (first,) = torch.autograd.grad(-torch.nn.functional.softplus(a).sum(), a)
    (second,) = torch.autograd.grad(torch.nn.functional.softplus(-a).sum(), a)
    # exp(a) = D / (1 - D).
    return ((first - second * a.detach().exp()).abs() / first.abs()).flatten(1).amax(1)


def judge(numbers: Mapping[str, float]) -> Verdict:
    return verdict_of(numbers["ratio"] > 1, numbers["largest_ratio"] < 1)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    picture = blank(9.5, 3.1)
    axes = picture.subplots(1, 3)
    x = np.arange(1, series["fake"].shape[-1] + 1)
    names = {"non-saturating": "−log D", "minimax": "log(1 − D)"}
    for ax, game, norms in zip(axes, LOSSES, zip(*(series[name] for name in LOSSES), strict=True), strict=False):
        for name, values, colour in zip(LOSSES, norms, (COLOURS[4], COLOURS[6]), strict=True):
            band(ax, x, values, colour, f"gradient of {names[name]}")
        ax.set_ylim(0, None)
        tidy(ax, "steps", "norm of the generator's gradient", f"G lowers {names[game]}")
    for game, values, colour in zip(LOSSES, series["fake"], (COLOURS[4], COLOURS[6]), strict=True):
        band(axes[2], x, values, colour, f"G lowers {names[game]}")
    axes[2].set_ylim(0, 1)
    tidy(axes[2], "steps", "mean D(G(z))", "how real samples seem to D")
    return picture


EARLY_GRADIENT = Demonstration(
    id="theory-early-gradient",
    version=1,
    title="The generator's two losses from one initialisation: gradient norms (mean and range over seeds)",
    claim="Early in training −log D(G(z)) gives the generator a larger gradient than log(1 − D(G(z))).",
    citation="Goodfellow et al. 2014 (arXiv:1406.2661), section 3",
    setting="scikit-learn's digits (8 x 8 pixels), networks 3 x 128, one step of D before each of G, Adam 2e-4. Both "
    "gradients are taken at the same point of each game, on the same latents.",
    profiles={"short": {"steps": 200, "held": 256}, "smoke": {"steps": 30, "held": 64}},
    seeds=5,
    measure=measure,
    numbers={
        "share": "share of the steps at which −log D has the larger gradient",
        "share_fake": "the same of the steps at which the mean D(G(z)) is below 1/2",
        "ratio": "median ratio of the two norms: the least over games and seeds",
        "ratio_non-saturating": "median ratio where G lowers −log D",
        "ratio_minimax": "median ratio where G lowers log(1 − D)",
        "least_fake": "least mean D(G(z))",
        "logit_gap": "largest relative difference of the ratio by the logits from D/(1 − D)",
    },
    rule="the median ratio of the norm of −log D to that of log(1 − D) exceeds 1 in every game and seed",
    judge=judge,
    draw=draw,
)
