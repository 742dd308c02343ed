"""The rows of known samples: what a perfect, a collapsed and a careless model get."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

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


def collapsed_modes(dataset: DataSet) -> int:
    """Modes of the sampler behind the row "collapsed"."""
    return dataset.modes // 2


def known_samples(
    dataset: DataSet, protocol: Protocol, seeds: Sequence[int], store: Store, own: Sequence[str] = ()
) -> dict[str, dict[str, list[float]]]:
    """The measures on samples of known quality, a set per seed: what a perfect, a collapsed, a careless model get.

    They are kept in the store, as measuring takes PyTorch and, of images, a while. Data sets that state no version
    are measured every time.
    own: measures of the user beside them.
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
    return store.cached("known", key, lambda: _measure_known(dataset, protocol, seeds))


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
    """Samples of known quality, ``[S, n, ...]``, by name."""
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
    """Samples with the precision that a model's have."""
    return samples if samples.dtype == np.uint8 else samples.astype(np.float32)
