"""From a trained module to the measures of its samples: where samplers, targets and measures meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from scipy.stats import chi2

from benchmark.cells import Protocol
from datamodules.mixture import GaussianMixture
from evaluators.quality import cell_counts, histogram_counts, literal_measures, quality_measures
from evaluators.registered import registered_counts, registered_measures
from modules.base import AdversarialModule

Array = np.ndarray


def measure(mixture: GaussianMixture, protocol: Protocol, samples: Array) -> dict[str, Array]:
    """Every measure of the data set, ``[S]`` each, for ``samples [S, n, d]`` in original units."""
    return MEASURES[mixture.measures](mixture, protocol, samples)


def measure_registered(mixture: GaussianMixture, protocol: Protocol, samples: Array) -> dict[str, Array]:
    """GAAN's measures, with the protocol's radius and threshold."""
    n = samples.shape[1]
    centres = torch.tensor(mixture.centres, dtype=torch.float64)
    counts = registered_counts(torch.from_numpy(samples), centres, protocol.mode_radius)
    inside = inside_share(mixture, protocol.mode_radius)
    values = registered_measures(counts, n, inside, protocol.mode_min_points * n / 2_000)
    return {name: value.double().numpy() for name, value in values.items()}


def measure_quality(mixture: GaussianMixture, protocol: Protocol, samples: Array) -> dict[str, Array]:
    """VEEGAN's measures and divergences from as many real samples; a paper's own radius where it is another one."""
    points, centres = torch.from_numpy(samples), torch.tensor(mixture.centres, dtype=torch.float64)
    real = torch.from_numpy(_real(mixture, samples.shape[1]))
    cells, real_cells = (cell_counts(x, centres, mixture.radius) for x in (points, real))
    histogram, real_histogram = (histogram_counts(x, mixture.limit) for x in (points, real))
    values = quality_measures(cells, histogram, real_cells, real_histogram)
    if mixture.printed_radius:
        values |= literal_measures(cell_counts(points, centres, mixture.printed_radius))
    return {name: value.double().numpy() for name, value in values.items()}


#: How a mixture's samples are measured, by the name that it gives.
MEASURES: dict[str, Callable[[GaussianMixture, Protocol, Array], dict[str, Array]]] = {
    "registered": measure_registered,
    "quality": measure_quality,
}


def inside_share(mixture: GaussianMixture, radius: float) -> float:
    """Share of the exact sampler within ``radius`` of its mode: a chi-squared probability."""
    return float(chi2.cdf((radius / mixture.std) ** 2, df=mixture.noisy or len(mixture.centres[0])))


@cache
def _real(mixture: GaussianMixture, n: int) -> Array:
    """The real samples that divergences compare with."""
    return mixture.real(n, np.random.default_rng((*b"divergence ", *mixture.name.encode())))


def evaluation_generators(mixture: GaussianMixture, seeds: Sequence[int], epoch: int) -> list[np.random.Generator]:
    """Streams that methods share, so that their differences pair up seed by seed."""
    return [np.random.default_rng((*b"evaluation ", *mixture.name.encode(), seed, epoch)) for seed in seeds]


def draw_samples(module: AdversarialModule, mixture: GaussianMixture, protocol: Protocol, epoch: int) -> Array:
    """Samples ``[S, n, d]`` after ``epoch`` epochs, float32 in original units."""
    generators = evaluation_generators(mixture, module.seeds, epoch)
    samples = module.sample(protocol.samples, generators).cpu().numpy()
    return mixture.unscale(samples) if protocol.scaling == "unit" else samples
