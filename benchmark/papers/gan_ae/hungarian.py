"""Compare the autoencoder's pairs with an optimal matching (poster "GANs powered by autoencoding").

The Hungarian method pairs samples with data one to one at the least total distance, in O(n^3) time. An autoencoder
pairs every data point with its own reconstruction, in O(n). No pairing has a smaller total distance than the optimal
matching of the same reconstructions, so the autoencoder's mean distance is at least as large. The demonstration
measures how much larger it is, and how long both take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median

import matplotlib.figure
import numpy as np
import torch
from torch import Tensor

from benchmark.plotting.axes import tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec import registry
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of
from datamodules.lightning.mixtures import FreshBatches
from datamodules.mixture import GaussianMixture
from modules.density import optimal_pairs
from modules.gan_ae import GANAE
from modules.options import Training

Array = np.ndarray
BATCH, RATE, REPEATS, CALIBRATION = 128, 1e-3, 3, 2_000


def trained(mixture: GaussianMixture, seeds: Sequence[int], steps: int) -> GANAE:
    """Train GAN + AE on new points of a mixture in every batch.

    Args:
        mixture: Data set; its points are scaled to [0, 1].
        seeds: Seeds of the models.
        steps: Number of iterations.
    """
    dim = mixture.data_shape[0]
    training = Training(latent_dim=dim, prior="normal", batch_size=BATCH, beta1=0.8)
    module = GANAE(training, (dim,), seeds, components=30, calibration=CALIBRATION)
    adams = [torch.optim.Adam(parameters, lr=RATE, betas=(0.8, 0.999)) for _, parameters in module.steps]
    for group in FreshBatches(mixture, seeds, BATCH, 1, 0, steps, scaled=True):
        for x in (draws[0] for draws in group):
            for (update, parameters), adam in zip(module.steps, adams, strict=True):
                # Neither loss uses latents, so x is passed in their place.
                gradients = torch.autograd.grad(update.loss(x, x).sum(), parameters)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
                adam.step()
            module.iteration += 1
    return module


def rebuilt(module: GANAE, mixture: GaussianMixture, points: Array) -> Array:
    """Return the reconstructions G(E(x)) of ``points [S, n, d]``, both in the unit of the data."""
    seen = torch.from_numpy(mixture.scale(points)).float()
    with torch.no_grad():
        made: Tensor = module.generator(module.encoder(seen))
    return mixture.unscale(made.numpy())


def generated(module: GANAE, mixture: GaussianMixture, n: int, rngs: Sequence[np.random.Generator]) -> Array:
    """Draw free samples from latents, after a density was fitted to the codes of data.

    Args:
        module: Trained model of S seeds.
        mixture: Data set.
        n: Number of samples for each seed.
        rngs: Generators, one for each seed.

    Returns:
        Samples ``[S, n, d]`` in the unit of the data.
    """
    seen = mixture.scale(mixture.sample(CALIBRATION, rngs[0]))
    module.calibrate(torch.from_numpy(seen).float())
    return mixture.unscale(module.sample(n, rngs).numpy())


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median time in milliseconds of three calls, after one call that is not timed."""
    work()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(1_000 * (time.perf_counter() - began))
    return median(times)


def growth(counts: Array, costs: Array) -> float:
    """Estimate the exponent p of costs that grow like n^p, from the upper half of ``counts``."""
    upper = len(counts) // 2
    return float(np.polyfit(np.log(counts[upper:]), np.log(costs[upper:]), 1)[0])


def measure(seeds: Sequence[int], *, datasets: tuple[str, ...], steps: int, counts: tuple[int, ...]) -> Findings:
    """Measure distances and times of both ways to pair points.

    Args:
        seeds: Seeds of the models and of the points.
        datasets: Names of D mixtures.
        steps: Number of training iterations.
        counts: Numbers of points, N of them.

    Returns:
        Series of the mean distance within pairs, ``[D, S, N]``: ``autoencoder``, each data point and its own
        reconstruction; ``exact``, the optimal matching of data and reconstructions; ``generated`` and ``data``, the
        optimal matching of data with equally many free samples and with equally many other data. ``own [D, S, N]`` is
        the share of data that the optimal matching pairs with their own reconstruction. ``milliseconds_autoencoder``
        and ``milliseconds_exact [D, N]`` are times for the first seed. ``count [N]`` holds ``counts``.
    """
    found: dict[str, list[list[Array]]] = {}
    costs: dict[str, list[list[float]]] = {}
    for name in datasets:
        mixture = registry.mixture(name)
        module = trained(mixture, seeds, steps)
        rngs = [np.random.default_rng((*b"hungarian", *name.encode(), seed)) for seed in seeds]
        real, other = (np.stack([mixture.sample(max(counts), rng) for rng in rngs]) for _ in range(2))
        made, free = rebuilt(module, mixture, real), generated(module, mixture, max(counts), rngs)
        rows: dict[str, list[Array]] = {}
        times: dict[str, list[float]] = {}
        for n in counts:
            x, y, h = real[:, :n], other[:, :n], made[:, :n]
            partners = np.stack([optimal_pairs(a, b) for a, b in zip(x, h, strict=True)])
            matched = np.take_along_axis(h, partners[..., None], 1)
            strangers, samples = (
                np.stack([b[optimal_pairs(a, b)] for a, b in zip(x, there, strict=True)]) for there in (y, free[:, :n])
            )
            pairs = {"autoencoder": h, "exact": matched, "generated": samples, "data": strangers}
            for key, pair in pairs.items():
                rows.setdefault(key, []).append(np.linalg.norm(x - pair, axis=2).mean(1))
            rows.setdefault("own", []).append((partners == np.arange(n)).mean(1))
            # Time from data to pairs. Gradients would take more time in both cases.
            times.setdefault("exact", []).append(milliseconds(partial(optimal_pairs, x[0], y[0])))
            times.setdefault("autoencoder", []).append(milliseconds(partial(rebuilt, module, mixture, x)) / len(x))
        for key, row in rows.items():
            found.setdefault(key, []).append(row)
        for key, line in times.items():
            costs.setdefault(key, []).append(line)
    series = {key: np.moveaxis(np.array(value), 1, 2) for key, value in found.items()}
    series |= {f"milliseconds_{key}": np.array(value) for key, value in costs.items()}
    series["count"] = np.array(counts, dtype=float)
    numbers = {
        "excess": float((series["autoencoder"][..., -1] / series["exact"][..., -1]).max() - 1),
        "own": float(series["own"][..., -1].min()),
        "against_data": float((series["autoencoder"][..., -1] / series["data"][..., -1]).max()),
        "generated": float((series["generated"][..., -1] / series["data"][..., -1]).max()),
        "growth_exact": min(growth(series["count"], line) for line in series["milliseconds_exact"]),
        "growth_autoencoder": max(growth(series["count"], line) for line in series["milliseconds_autoencoder"]),
    }
    return Findings(numbers, series)


def judge(numbers: Mapping[str, float]) -> Verdict:
    cheaper = numbers["growth_autoencoder"] <= 1.25 < 1.75 <= numbers["growth_exact"]
    good = numbers["excess"] <= 0.1
    return verdict_of(
        cheaper and good, numbers["excess"] > 1 or numbers["growth_autoencoder"] >= numbers["growth_exact"]
    )


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    lines = len(series["autoencoder"])
    picture = blank(8.5, 2.7 * lines)
    names = {
        "autoencoder": "data and their reconstructions",
        "exact": "the same, matched exactly",
        "generated": "data and generated samples, matched exactly",
        "data": "data and other data, matched exactly",
    }
    for place, (left, right) in enumerate(picture.subplots(lines, 2, squeeze=False)):
        for (key, label), colour in zip(names.items(), COLOURS[4:], strict=False):
            left.plot(series["count"], series[key][place].mean(0), color=colour, marker=".", label=label)
        for key, label in (("autoencoder", "autoencoder"), ("exact", "exact matching")):
            right.plot(series["count"], series[f"milliseconds_{key}"][place], marker=".", label=label)
        for ax in (left, right):
            ax.set(xscale="log", yscale="log")
        # Leave room for the legend above the lines.
        left.set_ylim(top=10 * left.get_ylim()[1])
        tidy(left, "points", "mean distance of pairs", f"data set {place + 1}")
        tidy(right, "points", "milliseconds", "cost, on the machine that measured")
    return picture


HUNGARIAN = Demonstration(
    id="gan-ae-hungarian",
    version=1,
    title="The pairs of an autoencoder against exact matching: what they leave, and what they cost (mean over seeds)",
    claim="An autoencoder takes the place of matching samples and data one to one, which costs O(n^3).",
    citation="GANs powered by autoencoding, poster",
    setting="GAN + AE on ring8 (1) and grid25 (2), networks 3 x 128; distances in units of the data. Times are of one "
    "process on the machine that measured, a network's per seed of a batch of seeds; they are never the same twice.",
    profiles={
        "short": {"datasets": ("ring8", "grid25"), "steps": 4000, "counts": (64, 128, 256, 512, 1024, 2048)},
        "smoke": {"datasets": ("ring8",), "steps": 30, "counts": (16, 64, 128)},
    },
    seeds=3,
    measure=measure,
    numbers={
        "excess": "what the autoencoder's pairs leave more than the exact matching of the same points, as a share",
        "own": "least share of data whose exact partner is their own reconstruction",
        "against_data": "largest distance to the reconstruction / exact distance to other data",
        "generated": "largest exact distance to generated samples / exact distance to other data",
        "growth_exact": "least exponent of the matching's cost in n",
        "growth_autoencoder": "largest exponent of the autoencoder's cost in n",
    },
    rule="the autoencoder's pairs leave at most a tenth more than the exact ones for every seed, its cost grows at "
    "most like n^1.25 and the matching's at least like n^1.75",
    judge=judge,
    draw=draw,
)
