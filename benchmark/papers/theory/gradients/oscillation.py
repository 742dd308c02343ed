"""Do the two opposed terms of -log D make the generator's gradient oscillate?

Source: the lecture; Arjovsky and Bottou 2017, after Theorem 2.5.

At the optimal D the gradient of -log D is that of KL(g, r) - 2 JS(g, r). The first term draws g towards r, the second
pushes it away. The lecture names their conflict as the cause of oscillation. Two experiments test this cause apart from
others:

- The terms alone. g and r are distributions on 20 outcomes, and D* is computed exactly at every step. The gradient of
  each term is measured, and gradient descent follows their sum. The sum is a divergence, KL - 2 JS =
  2 KL((g + r) / 2, r), so it has no reason to turn back, however much its terms conflict.
- GANs. Three GANs are trained on ``ring8`` from the same initialisation: with -log D, with log(1 - D), and with a
  Wasserstein critic, which has no such terms. Measured is how often the generator's gradient, on fixed latents, turns
  by more than a right angle from one step to the next.

If the conflict were the cause, the gradient would oscillate in the first experiment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
import torch
from torch import Tensor

from benchmark.papers.theory.divergences.identity import js, kl
from benchmark.papers.theory.games import Game, cosines, gradients, step
from benchmark.plotting.axes import band, tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of
from datamodules.synthetic import RING8
from modules.losses import gradient_penalty, per_seed
from modules.networks import forward_batched

Array = np.ndarray
OUTCOMES, FLOW_RATE = 20, 0.5
LATENT, HIDDEN, WIDTH, BATCH, RATE = 2, 2, 128, 128, 5e-4
CRITIC_STEPS, PENALTY = 5, 1.0
GAMES = ("non-saturating", "minimax", "wasserstein")


def measure(seeds: Sequence[int], *, starts: int, flow_steps: int, steps: int, held: int) -> Findings:
    """Run both experiments.

    Args:
        seeds: S seeds.
        starts: Number of random pairs (r, g) for each seed.
        flow_steps: Steps of gradient descent on the terms alone.
        steps: Number T of training steps of the GANs.
        held: Number of latents for the generator's gradient.

    Returns:
        Series: ``pulls``, the cosine between the gradients of KL and of -2 JS, for each pair. ``flow`` and
        ``flow_turn``, for each step of gradient descent, the mean of KL - 2 JS and the least cosine between successive
        gradients over all pairs. ``turn [G, S, T]``, the cosine between successive gradients of the generators of
        G = 3 GANs. ``radius [G, S, T]``, the mean distance of their samples from the origin.
    """
    pulls, flow, flow_turn = _flow(seeds, starts, flow_steps)
    played = [_play(kind, seeds, steps, held) for kind in GAMES]
    turn, radius = (np.array(parts) for parts in zip(*played, strict=True))
    backwards = (turn < 0).mean((1, 2))
    numbers = {
        "conflict": float((pulls < 0).mean()),
        "pull_cosine": float(pulls.mean()),
        "flow_turns": float((flow_turn[1:] < 0).mean()),
        "flow_least": float(flow_turn[1:].min()),
        "flow_rises": float((np.diff(flow) > 0).sum()),
        "flow_left": float(flow[-1]),
        **{f"turns_{name}": float(value) for name, value in zip(GAMES, backwards, strict=True)},
    }
    series = {"pulls": pulls, "flow": flow, "flow_turn": flow_turn, "turn": turn, "radius": radius}
    return Findings(numbers, series)


def _flow(seeds: Sequence[int], starts: int, steps: int) -> tuple[Array, Array, Array]:
    """Descend on g's logits along the gradient of -log D*, with D* exact and constant within a step.

    Returns:
        ``pulls``, ``flow`` and ``flow_turn`` of ``measure``.
    """
    rngs = [np.random.default_rng((*b"oscillation", seed)) for seed in seeds]
    r = torch.from_numpy(np.concatenate([rng.dirichlet(np.ones(OUTCOMES), starts) for rng in rngs]))
    begin = np.concatenate([rng.dirichlet(np.ones(OUTCOMES), starts) for rng in rngs])
    logits = torch.from_numpy(np.log(begin)).requires_grad_()
    g = logits.softmax(-1)
    towards, away = (torch.autograd.grad(d.sum(), logits, retain_graph=True)[0] for d in (kl(g, r), -2 * js(g, r)))
    pulls = cosines(towards, away).numpy()
    cost, turn = [], []
    before: Tensor | None = None
    for _ in range(steps):
        g = logits.softmax(-1)
        optimal = (r / (r + g)).detach()
        (gradient,) = torch.autograd.grad(-(g * optimal.log()).sum(), logits)
        cost.append(float((kl(g, r) - 2 * js(g, r)).mean().detach()))
        turn.append(1.0 if before is None else float(cosines(gradient, before).min()))
        before = gradient
        with torch.no_grad():
            logits -= FLOW_RATE * gradient
    return pulls, np.array(cost), np.array(turn)


def _play(kind: str, seeds: Sequence[int], steps: int, held: int) -> tuple[Array, Array]:
    points = torch.from_numpy(RING8.training_points())
    game = Game(
        points, seeds, latent=LATENT, hidden=HIDDEN, width=WIDTH, batch=BATCH, rate=RATE, output="linear", beta1=0.5
    )
    z = game.held_latents(held)
    turn, radius = [], []
    before: Tensor | None = None
    for _ in range(steps):
        if kind == "wasserstein":
            for _ in range(CRITIC_STEPS):
                _critic_step(game)
        else:
            game.discriminator_step()
        samples = game.generator(z)
        loss = -per_seed(game.discriminator(samples)) if kind == "wasserstein" else game.loss(kind, z)
        gradient = gradients(loss, game.generator)
        turn.append(torch.ones(len(seeds)).double() if before is None else cosines(gradient, before))
        radius.append(samples.detach().double().norm(dim=-1).mean(1))
        before = gradient
        if kind == "wasserstein":
            step(game.generator_adam, -per_seed(game.discriminator(game.generator(game.latents()))))
        else:
            game.generator_step(kind)
    return torch.stack(turn, -1).numpy(), torch.stack(radius, -1).numpy()


def _critic_step(game: Game) -> None:
    """Take one step of WGAN-GP's critic (Gulrajani et al. 2017, Alg. 1), with one interpolation weight per sample."""
    with torch.no_grad():
        fake = game.generator(game.latents())
    real = game.real()
    up, down = forward_batched(game.discriminator, real, fake)
    # The normal distribution function turns a coordinate of a latent into a uniform number in [0, 1].
    epsilon = torch.special.ndtr(game.latents()[..., :1])
    penalty = gradient_penalty(game.discriminator, real, fake, epsilon)
    step(game.discriminator_adam, per_seed(down) - per_seed(up) + PENALTY * penalty)


def judge(numbers: Mapping[str, float]) -> Verdict:
    more = numbers["turns_non-saturating"] > 1.5 * max(numbers["turns_minimax"], numbers["turns_wasserstein"])
    return verdict_of(numbers["flow_turns"] > 0.01 and more, numbers["flow_turns"] == 0 or not more)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    picture = blank(10, 3.2)
    axes = picture.subplots(1, 3)
    axes[0].hist(series["pulls"], bins=np.linspace(-1, 1, 41).tolist(), color=COLOURS[2])
    tidy(axes[0], "cosine between the pulls of KL and −2 JS", "pairs (r, g)", "the pulls conflict", legend=False)
    x = np.arange(len(series["flow"]))
    axes[1].plot(x, series["flow"], color=COLOURS[4], label="KL − 2 JS (mean, nats)")
    axes[1].plot(x[1:], series["flow_turn"][1:], color=COLOURS[6], label="least cosine to the gradient before")
    axes[1].axhline(0, color="0.5", linewidth=0.7)
    axes[1].set_ylim(-1.05, 1.08)
    tidy(axes[1], "steps with exact D*", "cost (nats); cosine", "the pulls alone: no turning back", legend=False)
    axes[1].legend(frameon=False, fontsize=7, loc="lower right")
    names = {"non-saturating": "−log D", "minimax": "log(1 − D)", "wasserstein": "Wasserstein critic"}
    for kind, turn, colour in zip(GAMES, series["turn"], (COLOURS[4], COLOURS[6], COLOURS[3]), strict=True):
        window = max(1, turn.shape[1] // 30)
        parts = turn.shape[1] // window
        share = (turn[:, : parts * window] < 0).reshape(len(turn), parts, window).mean(-1)
        band(axes[2], (np.arange(parts) + 0.5) * window, share, colour, names[kind])
    tidy(axes[2], "generator steps", "share of steps that turn back", "games on ring8", legend=False)
    axes[2].legend(frameon=False, fontsize=7)
    return picture


OSCILLATION = Demonstration(
    id="theory-oscillation",
    version=1,
    title="Do the two pulls in −log D make the gradient oscillate? (bands: seeds, from minimum to maximum)",
    claim="The opposite pulls of KL and −2 JS make the gradient of the generator oscillate.",
    citation='Lecture "Understanding GANs"; Arjovsky and Bottou 2017 (arXiv:1701.04862), after Theorem 2.5',
    setting="The pulls alone: random distributions on 20 outcomes, gradient descent through −log D* with D* exact "
    "and renewed at every step. The games: ring8, networks 2 x 128, Adam 5e-4, gradients on the same "
    "latents at every step; a step turns back where its gradient has a negative cosine with the one "
    "before.",
    profiles={
        "short": {"starts": 200, "flow_steps": 1000, "steps": 1000, "held": 256},
        "smoke": {"starts": 10, "flow_steps": 100, "steps": 40, "held": 64},
    },
    seeds=3,
    measure=measure,
    numbers={
        "conflict": "share of pairs in which the pulls oppose each other",
        "pull_cosine": "mean cosine between the pulls",
        "flow_turns": "share of steps with exact D* at which any start turns back",
        "flow_least": "least cosine of successive gradients with exact D*",
        "turns_non-saturating": "share of steps that turn back in the game with −log D",
        "turns_minimax": "the same with log(1 − D)",
        "turns_wasserstein": "the same with a Wasserstein critic",
    },
    rule="the gradient turns back with exact D*, and in games 1.5 times as often with −log D as with the other losses",
    judge=judge,
    draw=draw,
)
