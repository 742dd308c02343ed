"""Near the optimal discriminator the generator's gradient vanishes (Arjovsky and Bottou 2017, Theorem 2.4 and Fig. 2).

The generator is frozen early in its training, and a new discriminator is trained against it to convergence. Let
|D - D*| = sup |D(x) - D*(x)| + |grad D(x)| be below epsilon < 1, and let M^2 bound E|J_theta G(z)|^2 (spectral norm).
Theorem 2.4 says that the gradient of E log(1 - D(G(z))) is shorter than M epsilon / (1 - epsilon).

The supremum over the whole space cannot be measured. But the proof takes a mean over z of quantities at G(z), so the
bound also holds for a finite sample of latents, with epsilon the largest value there. This is what is checked. D* is 1
on the data and 0 on the samples, with gradient 0 (Theorem 2.1); the lecture has the two values the wrong way round.

The paper uses DCGAN on faces, after 1, 10 and 25 epochs. Here fully connected networks are trained on scikit-learn's
digits, so that one core suffices. These have 64 coordinates, and samples come from 8 latents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, jacrev, vmap

from benchmark.papers.theory.games import Game, anneal, digits, gradients, moments
from benchmark.plotting.axes import band, tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of
from modules.losses import bce_fake, bce_real
from modules.networks import MLP

Array = np.ndarray
LATENT, HIDDEN, WIDTH, BATCH, RATE = 8, 3, 128, 64, 1e-3
LOSSES = ("minimax", "non-saturating")


def mean_square_jacobian(network: MLP, z: Tensor) -> Tensor:
    """Compute E|J|^2 for each seed, where J is the Jacobian of G(z) with respect to the parameters.

    Args:
        network: Generator of S copies.
        z: Latents ``[S, n, latent]``, over which the mean is taken.

    Returns:
        Mean of the squared spectral norm, ``[S]``.
    """
    parameters = {name: value.detach() for name, value in network.named_parameters()}

    def one(own: dict[str, Tensor], point: Tensor) -> Tensor:
        """Return the output of one copy for one latent."""
        alone = {name: value[None] for name, value in own.items()}
        return functional_call(network, alone, (point[None, None],))[0, 0]

    def kernel(own: dict[str, Tensor], point: Tensor) -> Tensor:
        jacobian = torch.cat([part.flatten(1) for part in jacrev(one)(own, point).values()], 1)
        return jacobian @ jacobian.T

    found = []
    for copy in range(z.shape[0]):
        own = {name: value[copy] for name, value in parameters.items()}
        kernels = vmap(kernel, in_dims=(None, 0), chunk_size=8)(own, z[copy])
        found.append(torch.linalg.eigvalsh(kernels.double())[:, -1].mean())
    return torch.stack(found)


def distance_from_optimum(discriminator: MLP, points: Tensor, real: bool) -> Tensor:
    """Compute the largest |D(x) - D*(x)| + |grad D(x)| for each seed.

    Args:
        discriminator: Discriminator of S copies.
        points: Points ``[S, n, d]``.
        real: Whether the points are data (D* = 1) or samples (D* = 0).

    Returns:
        The largest value, ``[S]``.
    """
    points = points.detach().double().requires_grad_()
    # In 64 bits, because 1 - D rounds to 0 in 32 bits.
    copied = MLP("copy", points.shape[2], 1, seeds=[0] * len(points), hidden=HIDDEN, width=WIDTH).double()
    copied.load_state_dict(discriminator.state_dict())
    logits = copied.logits(points)
    away = (-logits if real else logits).sigmoid()[..., 0]
    (slope,) = torch.autograd.grad(away.sum(), points)
    return (away + slope.norm(dim=-1)).detach().amax(1)


def measure(seeds: Sequence[int], *, epochs: tuple[int, ...], steps: int, held: int, jacobians: int) -> Findings:
    """Train new discriminators against frozen generators, and measure the gradients and their bound.

    Args:
        seeds: S seeds.
        epochs: Epochs after which the generator is frozen, E of them.
        steps: Training steps of each new discriminator.
        held: Number of latents, and of data, for the measurements.
        jacobians: Number of latents for the bound.

    Returns:
        Series: ``epoch [E]``; ``moment [T]``, the steps at which the rest is measured, ``[E, S, T]``: ``loss``,
        -E log D(x) - E log(1 - D(G(z))) in nats; ``accuracy``; ``minimax`` and ``non-saturating``, gradient norms;
        ``epsilon`` and ``bound`` (NaN if epsilon >= 1); ``bounded_minimax``, the gradient norm on the latents of the
        bound.
    """
    points = digits()
    game = Game(
        points, seeds, latent=LATENT, hidden=HIDDEN, width=WIDTH, batch=BATCH, rate=RATE, output="tanh", beta1=0.5
    )
    z = game.held_latents(held)
    when = moments(steps)
    data = points[:: max(1, len(points) // held)].expand(len(seeds), -1, -1)
    found: dict[str, list[list[Tensor]]] = {}
    done = 0
    for epoch in epochs:
        for _ in range(epoch * (len(points) // BATCH) - done):
            game.discriminator_step()
            game.generator_step("non-saturating")
            done += 1
        kept = game.discriminator, game.discriminator_adam
        game.renew_discriminator()
        size = mean_square_jacobian(game.generator, z[:, :jacobians]).sqrt()
        rows: dict[str, list[Tensor]] = {}
        for number in range(steps + 1):
            if number in when:
                for name, values in _look(game, data, z, z[:, :jacobians], size).items():
                    rows.setdefault(name, []).append(values)
            anneal(game.discriminator_adam, RATE, number / steps)
            game.discriminator_step()
        for name, row in rows.items():
            found.setdefault(name, []).append(row)
        game.discriminator, game.discriminator_adam = kept
    series = {name: np.array([torch.stack(v, -1).double().numpy() for v in parts]) for name, parts in found.items()}
    series |= {"moment": np.array(when, dtype=float), "epoch": np.array(epochs, dtype=float)}
    bounded = np.isfinite(series["bound"])
    falls = {name: series[name][..., -1] / series[name].max(-1) for name in LOSSES}
    numbers = {
        "loss": float(series["loss"][..., -1].max()),
        "accuracy": float(series["accuracy"][..., -1].min()),
        "left_minimax": float(falls["minimax"].max()),
        "left_non-saturating": float(falls["non-saturating"].min()),
        "last_minimax": float(np.median(series["minimax"][..., -1])),
        "last_non-saturating": float(np.median(series["non-saturating"][..., -1])),
        "violations": float((series["bounded_minimax"][bounded] >= series["bound"][bounded]).sum()),
        "bounded": float(bounded.sum()),
        "tightest": float((series["bounded_minimax"][bounded] / series["bound"][bounded]).max())
        if bounded.any()
        else 0,
    }
    return Findings(numbers, series)


def _look(game: Game, data: Tensor, z: Tensor, few: Tensor, size: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        fake = game.generator(z)
        real_logits, fake_logits = (game.discriminator.logits(points) for points in (data, fake))
        right = torch.cat([real_logits > 0, fake_logits < 0], 1).double().mean((1, 2))
    rows = {"loss": bce_real(real_logits) + bce_fake(fake_logits), "accuracy": right}
    for kind in LOSSES:
        rows[kind] = gradients(game.loss(kind, z), game.generator).norm(dim=1)
    with torch.no_grad():
        where = game.generator(few)
    epsilon = torch.maximum(
        distance_from_optimum(game.discriminator, where, real=False),
        distance_from_optimum(game.discriminator, data, real=True),
    )
    bound = size * epsilon / (1 - epsilon)
    # The bound holds for the latents on which its factors were measured.
    rows["bounded_minimax"] = gradients(game.loss("minimax", few), game.generator).norm(dim=1)
    return rows | {"epsilon": epsilon, "bound": torch.where(epsilon < 1, bound, torch.nan)}


def judge(numbers: Mapping[str, float]) -> Verdict:
    if numbers["violations"]:
        return "does not hold"
    gone = numbers["left_minimax"] <= 0.1 and numbers["loss"] <= 0.01 and numbers["bounded"] > 0
    return verdict_of(gone, numbers["left_minimax"] > 0.5)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    picture = blank(10, 5.2)
    axes = picture.subplots(2, 2)
    # A logarithmic axis cannot show 0.
    x = np.maximum(series["moment"], 0.5)
    panels = (
        ("loss", "loss of D (nats)", "the new discriminator's loss"),
        ("minimax", "gradient norm", "gradient of log(1 − D(G(z)))"),
        ("non-saturating", "gradient norm", "gradient of −log D(G(z))"),
    )
    for ax, (name, label, title) in zip(axes.flat, panels, strict=False):
        for epoch, values, colour in zip(series["epoch"], series[name], COLOURS[1:], strict=False):
            band(ax, x, values, colour, f"G after {epoch:.0f} {'epoch' if epoch == 1 else 'epochs'}")
        ax.set(xscale="log", yscale="log")
        tidy(ax, "steps of D, G frozen (0 at the left end)", label, title)
    ax = axes.flat[3]
    first = slice(0, 1)
    for epoch, bound, norm, colour in zip(
        series["epoch"], series["bound"], series["bounded_minimax"], COLOURS[1:], strict=False
    ):
        for one_bound, one_norm in zip(bound[first], norm[first], strict=True):
            ax.plot(x, one_bound, "--", color=colour, label=f"bound, {epoch:.0f}")
            ax.plot(x, one_norm, "-", color=colour, label=f"norm, {epoch:.0f}")
    ax.set(xscale="log", yscale="log")
    tidy(
        ax,
        "steps of D, G frozen",
        "gradient norm of log(1 − D)",
        "Theorem 2.4 (first seed; no bound: ε ≥ 1)",
        legend=False,
    )
    ax.legend(frameon=False, fontsize=6, ncols=3)
    return picture


VANISHING = Demonstration(
    id="theory-vanishing",
    version=1,
    title="A discriminator trained to convergence against a frozen generator (mean and range over seeds)",
    claim="As the discriminator nears its optimum, its loss and the generator's gradient through log(1 − D) go to 0.",
    citation="Arjovsky and Bottou 2017 (arXiv:1701.04862), Theorem 2.4 and Fig. 2; the paper has DCGAN on faces",
    setting="G is frozen after some epochs of scikit-learn's digits (8 x 8 pixels, 8 latents, networks 3 x 128), "
    "a new D is trained against it, at a rate that falls to 0 over the second half. The bound M ε/(1 − ε) "
    "is that of the sampled latents, ε their largest |D − D*| + |∇D|, the data's included. D* is 1 on the "
    "data and 0 on samples.",
    profiles={
        "short": {"epochs": (1, 10, 25), "steps": 4000, "held": 256, "jacobians": 64},
        "smoke": {"epochs": (1,), "steps": 100, "held": 64, "jacobians": 8},
    },
    seeds=3,
    measure=measure,
    numbers={
        "loss": "largest last loss of D (nats)",
        "accuracy": "least last accuracy of D",
        "left_minimax": "gradient of log(1 − D): largest share of its maximum that is left",
        "left_non-saturating": "gradient of −log D: least share of its maximum that is left",
        "last_minimax": "median last gradient norm, log(1 − D)",
        "last_non-saturating": "median last gradient norm, −log D",
        "violations": "moments at which the bound is exceeded",
        "bounded": "moments at which there is one (ε < 1)",
        "tightest": "largest gradient norm / bound",
    },
    rule="D's last loss is below 0.01, at most a tenth of the largest gradient of log(1 − D) is left for every "
    "generator and seed, and the bound is never exceeded",
    judge=judge,
    draw=draw,
)
