"""From a trained module to the measures of its samples: where samplers, targets and measures meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import chi2

from benchmark.cells import Protocol
from datamodules.mixture import GaussianMixture
from evaluators.registered import registered_counts, registered_measures
from modules.base import AdversarialModule

Array = np.ndarray


def inside_share(mixture: GaussianMixture, radius: float) -> float:
    """Share of the exact sampler within ``radius`` of its mode: a chi-squared probability."""
    return float(chi2.cdf((radius / mixture.std) ** 2, df=len(mixture.centres[0])))


def measure(mixture: GaussianMixture, protocol: Protocol, samples: Array) -> dict[str, Array]:
    """Every measure of the data set, ``[S]`` each, for ``samples [S, n, d]`` in original units."""
    n = samples.shape[1]
    centres = torch.tensor(mixture.centres, dtype=torch.float64)
    counts = registered_counts(torch.from_numpy(samples), centres, protocol.mode_radius)
    inside = inside_share(mixture, protocol.mode_radius)
    values = registered_measures(counts, n, inside, protocol.mode_min_points * n / 2_000)
    return {name: value.double().numpy() for name, value in values.items()}


def evaluation_generators(mixture: GaussianMixture, seeds: Sequence[int], epoch: int) -> list[np.random.Generator]:
    """Streams that methods share, so that their differences pair up seed by seed."""
    return [np.random.default_rng((*b"evaluation ", *mixture.name.encode(), seed, epoch)) for seed in seeds]


def draw_samples(module: AdversarialModule, mixture: GaussianMixture, protocol: Protocol, epoch: int) -> Array:
    """Samples ``[S, n, d]`` after ``epoch`` epochs, float32 in original units."""
    generators = evaluation_generators(mixture, module.seeds, epoch)
    return mixture.unscale(module.sample(protocol.samples, generators).cpu().numpy())
