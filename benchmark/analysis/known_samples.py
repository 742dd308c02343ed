"""Measure samples of known quality: those of a perfect model, of a collapsed one and of uniform noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np

from benchmark.spec.protocol import Protocol
from benchmark.spec.registry import DataSet
from benchmark.spec.versions import version_of
from benchmark.store.store import Store
from datamodules.images import ImageSet
from datamodules.mixture import GaussianMixture
from evaluators.names import MEASURE_VERSIONS

#: Rows of known samples.
KNOWN = ("real", "collapsed", "spread")


class _Known(TypedDict):
    """Measures of each row of known samples, by name, one value per seed."""

    real: dict[str, list[float]]
    collapsed: dict[str, list[float]]
    spread: dict[str, list[float]]


def collapsed_modes(dataset: DataSet) -> int:
    """Return the number of modes of the samples in the row "collapsed"."""
    return dataset.modes // 2


def known_samples(
    dataset: DataSet, protocol: Protocol, seeds: Sequence[int], store: Store, own: Sequence[str] = ()
) -> dict[str, dict[str, list[float]]]:
    """Measure samples of known quality, one set per seed. Measures of images are cached in the store.

    Args:
        dataset: The data set.
        protocol: Gives the number of samples and the settings of the evaluation.
        seeds: Seeds of the samples.
        store: The results folder.
        own: Measures of the user, computed in addition.

    Returns:
        Finite values by name of the row and of the measure.
    """
    if own:
        from benchmark.training.evaluation import measure_own

        found = known_samples(dataset, protocol, seeds, store)
        for name, samples in sample_known(dataset, protocol, seeds):
            values = {key: [measure_own(key, dataset, part) for part in samples] for key in own}
            found[name] = found[name] | {k: [v for v in part if math.isfinite(v)] for k, part in values.items()}
        return found
    if not version_of(dataset):
        return _measure_known(dataset, protocol, seeds)
    versions = {"dataset": version_of(dataset), "measures": MEASURE_VERSIONS[dataset.measures]}
    key: list[object] = [dataset.name, dataset.fingerprint, protocol.samples, list(seeds), versions]
    if isinstance(dataset, GaussianMixture):
        key += [protocol.mode_radius, protocol.mode_min_points]
    if dataset.measures == "images":
        key += [protocol.features, protocol.real_samples, protocol.inverted]
    kept: dict[str, dict[str, list[float]]] = store.cached(
        "known", key, lambda: _measure_known(dataset, protocol, seeds), of=_Known
    )
    return kept


def _measure_known(dataset: DataSet, protocol: Protocol, seeds: Sequence[int]) -> dict[str, dict[str, list[float]]]:
    from benchmark.training.evaluation import measure, measure_nearest

    found = {}
    for name, samples in sample_known(dataset, protocol, seeds):
        values = measure(dataset, protocol, samples)
        if isinstance(dataset, ImageSet):
            values |= measure_nearest(dataset, protocol, samples)
        found[name] = {key: [float(v) for v in value if np.isfinite(v)] for key, value in values.items()}
    return found


def sample_known(dataset: DataSet, protocol: Protocol, seeds: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
    """Draw samples of known quality.

    Yields:
        The name of the row and samples ``[S, n, ...]`` for S seeds.
    """
    # Of images no more than there are different ones: copies would not be as far from the data as others.
    real = min(protocol.samples, dataset.training_size) if dataset.measures == "images" else protocol.samples
    samplers = (
        lambda rng: dataset.sample(real, rng),
        lambda rng: dataset.sample_modes(protocol.samples, rng, collapsed_modes(dataset)),
        lambda rng: dataset.sample_uniform(protocol.samples, rng),
    )
    for name, sampler in zip(KNOWN, samplers, strict=True):
        generators = [np.random.default_rng((*f"known {name} {dataset.name} ".encode(), seed)) for seed in seeds]
        yield name, np.stack([_as_drawn(sampler(g)) for g in generators])


def _as_drawn(samples: np.ndarray) -> np.ndarray:
    """Convert samples to the precision of a model's samples."""
    return samples if samples.dtype == np.uint8 else samples.astype(np.float32)
