"""A constant discriminator gives the generator no information about the data (Srivastava et al. 2017).

The generator's loss depends on the data only through the gradient of the discriminator. If the discriminator is
constant, this gradient is 0 and VEEGAN minimises the reconstruction error of the noise alone. Every generator that can
be inverted does this for all data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
import torch
from torch import Tensor

from benchmark.papers.theory.games import gradients, transport
from benchmark.plotting.axes import tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec import registry
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of
from datamodules.lightning.mixtures import FreshBatches
from modules.losses import per_seed
from modules.options import Training
from modules.veegan import VEEGAN

Array = np.ndarray
DATA, BATCH, RATE = "ring8", 128, 1e-3


class Lesson:
    """VEEGAN on ring8, with a discriminator that is trained or one that is constant.

    S below is the number of seeds.
    """

    def __init__(self, seeds: Sequence[int], steps: int, constant: bool) -> None:
        training = Training(networks="two-layers", prior="normal", scaling="none", batch_size=BATCH)
        self.seeds, self.mixture = tuple(seeds), registry.mixture(DATA)
        self.module = VEEGAN(training, self.mixture.data_shape, seeds)
        self.steps = self.module.steps
        if constant:
            for parameter in self.module.discriminator.parameters():
                torch.nn.init.zeros_(parameter)
            self.steps = [(u, p) for u, p in self.steps if self.module.discriminator not in u.params]
        self.adams = [torch.optim.Adam(parameters, lr=RATE, betas=(0.5, 0.999)) for _, parameters in self.steps]
        self.batches = FreshBatches(self.mixture, self.seeds, BATCH, 1, 0, steps, scaled=False)

    def latents(self, x: Tensor) -> Tensor:
        return self.module.random("z", x, "normal", self.module.training_setup.latent_dim)

    def train(self) -> None:
        """Train: compute the gradients of all networks at one point, then step all of them (Alg. 1)."""
        for x in (draws[0] for group in self.batches for draws in group):
            z = self.latents(x)
            for update, parameters in self.steps:
                found = torch.autograd.grad(update.loss(x, z).sum(), parameters)
                for parameter, gradient in zip(parameters, found, strict=True):
                    parameter.grad = gradient
            for adam in self.adams:
                adam.step()
            self.module.iteration += 1

    def slope(self) -> Tensor:
        """Return the norm ``[S]`` of the gradient that the generator gets through the discriminator."""
        z = self.latents(torch.zeros(len(self.seeds), BATCH, 1))
        logits = self.module.discriminator.logits(self.module.made(z), z)
        return gradients(per_seed(logits), self.module.generator).norm(dim=1)

    def away(self, n: int) -> Array:
        """Return the W1 distance ``[S]`` between ``n`` samples and ``n`` points of the data."""
        rngs = [np.random.default_rng((*b"lesson", seed)) for seed in self.seeds]
        samples = self.module.sample(n, rngs).numpy()
        return np.array([transport(own, self.mixture.sample(n, rng)) for own, rng in zip(samples, rngs, strict=True)])


def measure(seeds: Sequence[int], *, steps: int, points: int) -> Findings:
    """Train VEEGAN with a constant and with a trained discriminator.

    Args:
        seeds: Seeds of the models.
        steps: Number of training steps.
        points: Number of samples, and of data points, for W1.

    Returns:
        Series ``[S]``: ``before``, W1 to the data before training; ``constant`` and ``playing``, W1 after training
        with a constant and with a trained discriminator; ``slope_constant`` and ``slope_playing``, the norms of the
        generator's gradient through the discriminator after training.
    """
    series: dict[str, Array] = {}
    for name, constant in (("constant", True), ("playing", False)):
        lesson = Lesson(seeds, steps, constant)
        series["before"] = lesson.away(points)
        lesson.train()
        series |= {name: lesson.away(points), f"slope_{name}": lesson.slope().numpy()}
    numbers = {
        "slope_constant": float(series["slope_constant"].max()),
        "slope_playing": float(series["slope_playing"].min()),
        "left_constant": float((series["constant"] / series["before"]).min()),
        "left_playing": float((series["playing"] / series["before"]).max()),
    }
    return Findings(numbers, series)


def judge(numbers: Mapping[str, float]) -> Verdict:
    nothing = numbers["slope_constant"] == 0 and numbers["left_constant"] >= 0.5
    return verdict_of(nothing and numbers["left_playing"] < 0.5, not nothing)


def draw(found: Findings) -> matplotlib.figure.Figure:
    picture = blank(5.0, 3.2)
    ax = picture.subplots()
    names = {"before": "before training", "constant": "D constant", "playing": "D at play"}
    for place, (name, colour) in enumerate(zip(names, COLOURS[4:], strict=False)):
        values = found.series[name]
        ax.scatter(np.full(len(values), place), values, s=14, color=colour)
        ax.hlines(values.mean(), place - 0.25, place + 0.25, color=colour)
    ax.set(xticks=range(3), xticklabels=names.values(), ylim=(0, None))
    tidy(ax, "", "W1 between samples and data", legend=False)
    return picture


CONSTANT = Demonstration(
    id="veegan-constant",
    version=1,
    title="VEEGAN on the ring with a discriminator that is held constant and with one at play (dots: seeds)",
    claim="A constant discriminator teaches the generator nothing of the data.",
    citation="Srivastava et al. 2017 (arXiv:1705.07761)",
    setting="Eight modes on a circle of radius 1, networks with two layers of 128, two noise coordinates. Held "
    "constant, all weights of D are 0; encoder and generator then follow the reconstruction of the noise alone.",
    profiles={"short": {"steps": 3000, "points": 500}, "smoke": {"steps": 60, "points": 100}},
    seeds=3,
    measure=measure,
    numbers={
        "slope_constant": "largest gradient of the generator through a constant D",
        "slope_playing": "least gradient of the generator through a D at play",
        "left_constant": "least W1 to the data after training with a constant D, as a share of that before",
        "left_playing": "largest such share with a D at play",
    },
    rule="no gradient comes through a constant D, at least half of the distance to the data is left with it in every "
    "seed, and less than half with a D at play",
    judge=judge,
    draw=draw,
)
