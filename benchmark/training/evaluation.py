"""Draw samples from a trained module and measure them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import chi2
from torch import Tensor

from benchmark.errors import UserError
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol
from benchmark.spec.registry import DataSet
from datamodules.images import ImageSet, data_folder
from datamodules.mixture import GaussianMixture
from evaluators.digits import digit_measures, digits, kl_to, number_counts
from evaluators.distances import distance_measures
from evaluators.features import extractor_hash, features
from evaluators.intensity import intensity_kl, mean_intensities
from evaluators.inversion import RESTARTS, invert, nearest_errors
from evaluators.names import INVERSION_MEASURES, SHARES
from evaluators.quality import cell_counts, histogram_counts, literal_measures, quality_measures
from evaluators.registered import registered_counts, registered_measures
from modules.base import AdversarialModule
from modules.noise import draw

Array = np.ndarray
Generators = Sequence[np.random.Generator]


def measure(dataset: DataSet, protocol: Protocol, samples: Array) -> dict[str, Array]:
    """Compute every measure of a data set.

    Args:
        dataset: The data set that was trained on.
        protocol: The protocol of the run.
        samples: Points ``[S, n, d]`` in original units, or uint8 images ``[S, n, C, H, W]``, for S seeds.

    Returns:
        Values ``[S]`` by name of the measure.
    """
    return MEASURES[dataset.measures](dataset, protocol, samples)


def measure_own(name: str, dataset: DataSet, samples: Array) -> float:
    """Compute a user's measure ``package.module:function``.

    The function gets a copy of the samples, so it cannot change what other measures see.

    Args:
        name: The measure.
        dataset: The data set that was trained on.
        samples: Samples ``[n, ...]`` of one seed.

    Returns:
        The value; NaN if it is NaN or infinite.

    Raises:
        UserError: The function raises, exits or does not return a number.
    """
    function = registry.user_measure(name)
    try:
        value = float(function(samples.copy(), dataset))
        return value if math.isfinite(value) else math.nan
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split())
        raise UserError(f"--measure {name} on {dataset.name}: {type(error).__name__}: {said}") from error


def measure_registered(mixture: GaussianMixture, protocol: Protocol, samples: Array) -> dict[str, Array]:
    """Compute GAAN's measures with the protocol's radius and threshold (``evaluators.registered``).

    Args:
        mixture: The data set.
        protocol: Gives the radius of a mode, and the threshold of points per 2,000 samples.
        samples: Points ``[S, n, d]``.

    Returns:
        Values ``[S]`` by name of the measure.
    """
    n = samples.shape[1]
    centres = torch.tensor(mixture.centres, dtype=torch.float64)
    counts = registered_counts(torch.from_numpy(samples), centres, protocol.mode_radius)
    inside = inside_share(mixture, protocol.mode_radius)
    values = registered_measures(counts, n, inside, protocol.mode_min_points * n / 2_000)
    return {name: value.double().numpy() for name, value in values.items()}


def measure_quality(mixture: GaussianMixture, protocol: Protocol, samples: Array) -> dict[str, Array]:
    """Compute VEEGAN's measures, and the divergences from an equal number of real samples (``evaluators.quality``).

    If the paper states a radius that it cannot have used, the measures are also computed at that one.

    Args:
        mixture: The data set.
        protocol: Not used.
        samples: Points ``[S, n, d]``.

    Returns:
        Values ``[S]`` by name of the measure.
    """
    points, centres = torch.from_numpy(samples), torch.tensor(mixture.centres, dtype=torch.float64)
    real = torch.from_numpy(_real(mixture, samples.shape[1]))
    cells, real_cells = (cell_counts(x, centres, mixture.radius) for x in (points, real))
    histogram, real_histogram = (histogram_counts(x, mixture.limit) for x in (points, real))
    values = quality_measures(cells, histogram, real_cells, real_histogram)
    if mixture.reported_radius:
        values |= literal_measures(cell_counts(points, centres, mixture.reported_radius))
    return {name: value.double().numpy() for name, value in values.items()}


def measure_digits(images: ImageSet, protocol: Protocol, samples: Array) -> dict[str, Array]:
    """Compute the measures of digits, seed by seed, from the numbers that a classifier reads (``evaluators.digits``).

    For single digits, also compute the balance of the classes and the divergence of mean intensities from the training
    images.

    Args:
        images: The data set.
        protocol: Not used.
        samples: uint8 images ``[S, n, C, H, W]``.

    Returns:
        Values ``[S]`` by name of the measure.
    """
    found = [_measure_numbers(images, torch.from_numpy(part)) for part in samples]
    return {name: np.array([float(values[name]) for values in found]) for name in found[0]}


def _measure_numbers(images: ImageSet, samples: Tensor) -> dict[str, Tensor]:
    counts = number_counts(digits(samples))
    values = digit_measures(counts)
    if not images.stack:
        values["digit_kl"] = kl_to(counts, torch.from_numpy(np.bincount(images.labels("train"), minlength=len(counts))))
        values["intensity_kl"] = intensity_kl(mean_intensities(samples), reference_intensities(images, data_folder()))
    return values


@cache
def reference_intensities(images: ImageSet, folder: Path) -> Tensor:
    """Return M_d of the first 55,000 training images, the number in GAAN's Fig. 4.

    ``folder`` holds the images; it is an argument so that the cache distinguishes folders.
    """
    return mean_intensities(torch.from_numpy(np.array(images.images("train")[:55_000])))


def measure_images(images: ImageSet, protocol: Protocol, samples: Array) -> dict[str, Array]:
    """Compute the distances from the test images, seed by seed (``evaluators.distances``).

    Args:
        images: The data set.
        protocol: Gives the network in whose features images are compared; ``none`` gives no measure.
        samples: uint8 images ``[S, n, C, H, W]``.

    Returns:
        Values ``[S]`` by name of the measure.
    """
    if protocol.features == "none":
        return {}
    real = reference_features(images, protocol)
    found = [
        distance_measures(features(torch.from_numpy(part), protocol.features), real, protocol.features)
        for part in samples
    ]
    return {name: np.array([values[name] for values in found]) for name in found[0]}


def floor(images: ImageSet, protocol: Protocol, n: int) -> dict[str, float]:
    """Compute the distances of training images from the test images: the scores of a perfect model.

    Args:
        images: The data set.
        protocol: Gives the network in whose features images are compared.
        n: Number of training images.

    Returns:
        Values by name of the measure with the suffix ``_floor``.
    """
    real = images.sample(min(n, images.training_size), np.random.default_rng((*b"floor ", *images.name.encode())))
    found = measure_images(images, protocol, real[None])
    return {f"{name}_floor": float(value[0]) for name, value in found.items() if not name.startswith(SHARES)}


def reference_features(images: ImageSet, protocol: Protocol) -> Tensor:
    """Return the features of the test images that samples are compared with. They are cached on disk per network."""
    n, extractor = protocol.real_samples, protocol.features
    what = f"test-{n}-{extractor}-{extractor_hash(extractor)[:12]}"
    made = images.cached(what, lambda: features(torch.from_numpy(images.reference(n)), extractor).numpy())
    return torch.from_numpy(np.asarray(made))


def measure_nearest(images: ImageSet, protocol: Protocol, samples: Array) -> dict[str, Array]:
    """Compute the counterpart of IvOM for samples without a generator: the mean error of the nearest sample.

    Args:
        images: The data set.
        protocol: Gives the number of test images; 0 gives no measure.
        samples: uint8 images ``[S, n, C, H, W]``.

    Returns:
        Values ``[S]`` by name of the measure.
    """
    if not protocol.inverted:
        return {}
    targets = torch.from_numpy(images.reference(protocol.inverted)).float() / 255
    parts = (torch.from_numpy(part).float() / 255 for part in samples)
    return {INVERSION_MEASURES[-1]: np.array([float(nearest_errors(targets, part).mean()) for part in parts])}


def measure_generator(module: AdversarialModule, images: ImageSet, protocol: Protocol) -> dict[str, Array]:
    """Compute the measures of the generator itself: IvOM (``evaluators.inversion``).

    Batch norm uses its running statistics.

    Args:
        module: The trained module, one copy per seed.
        images: The data set.
        protocol: Gives the number of test images; 0 gives no measure.

    Returns:
        Values ``[S]`` by name of the measure, for pixels in [0, 1].
    """
    if not protocol.inverted:
        return {}
    device = module.device
    targets = torch.from_numpy(images.reference(protocol.inverted)).to(device).float() / 255
    name = images.name
    found = []
    with module.evaluating("running"):
        for slot, generator in enumerate(evaluation_generators(f"inversion {name}", module.seeds, 0)):
            shape = (len(targets), module.noise_dim)
            starts = [torch.from_numpy(draw(generator, protocol.prior, shape)).to(device) for _ in range(RESTARTS)]

            found.append(invert(partial(unit_images, module, protocol, slot), targets, starts)[0].mean(1))
    return {key: np.array([float(part[row]) for part in found]) for row, key in enumerate(INVERSION_MEASURES)}


def unit_images(module: AdversarialModule, protocol: Protocol, slot: int, z: Tensor) -> Tensor:
    """Generate images ``[n, C, H, W]`` in [0, 1] with copy ``slot`` from latents ``z [n, noise_dim]``."""
    # Every copy sees the latents; one is looked at, so that seeds do not share a line search.
    made = module.generate(z.expand(len(module.seeds), *z.shape))[slot]
    return (made + 1) / 2 if protocol.scaling == "symmetric" else made


#: How the samples of a data set are measured, by the name that it gives. Versions are in ``evaluators.names``.
MEASURES: dict[str, Callable[[Any, Protocol, Array], dict[str, Array]]] = {
    "registered": measure_registered,
    "quality": measure_quality,
    "digits": measure_digits,
    "images": measure_images,
}


def inside_share(mixture: GaussianMixture, radius: float) -> float:
    """Return the probability that a sample of the exact mixture lies within ``radius`` of its mode (chi-squared)."""
    return float(chi2.cdf((radius / mixture.std) ** 2, df=mixture.noisy or len(mixture.centres[0])))


@cache
def _real(mixture: GaussianMixture, n: int) -> Array:
    """Return the real samples from which divergences are computed."""
    return mixture.sample(n, np.random.default_rng((*b"divergence ", *mixture.name.encode())))


def evaluation_generators(dataset: str, seeds: Sequence[int], epoch: int) -> list[np.random.Generator]:
    """Create the random generators of an evaluation, one per seed.

    They are the same for every method, so that differences between methods are paired seed by seed.
    """
    return [np.random.default_rng((*b"evaluation ", *dataset.encode(), seed, epoch)) for seed in seeds]


def draw_samples(module: AdversarialModule, dataset: DataSet, protocol: Protocol, epoch: int) -> Array:
    """Draw samples after ``epoch`` epochs.

    Args:
        module: The module, one copy per seed.
        dataset: The data set that it is trained on.
        protocol: Gives the number of samples.
        epoch: Number of the epoch; every epoch has random numbers of its own.

    Returns:
        Points ``[S, n, d]``, float32 in original units, or uint8 images ``[S, n, C, H, W]``.
    """
    generators = evaluation_generators(dataset.name, module.seeds, epoch)
    if isinstance(dataset, ImageSet):
        return draw_images(module, dataset, protocol, generators)
    return draw_points(module, dataset, protocol, generators)


def draw_points(
    module: AdversarialModule, mixture: GaussianMixture, protocol: Protocol, generators: Generators
) -> Array:
    """Draw points ``[S, n, d]`` in original units."""
    if module.calibration:
        points = mixture.sample(module.calibration, calibration_generator(mixture))
        seen = mixture.scale(points) if protocol.scaling == "unit" else points
        module.calibrate(torch.from_numpy(seen).float())
    samples = module.sample(protocol.samples, generators).cpu().numpy()
    return mixture.unscale(samples) if protocol.scaling == "unit" else samples


def draw_images(module: AdversarialModule, images: ImageSet, protocol: Protocol, generators: Generators) -> Array:
    """Draw uint8 images ``[S, n, C, H, W]``, one batch at a time."""
    if module.calibration:
        pixels = images.draw(module.calibration, calibration_generator(images), "train")
        seen = torch.from_numpy(pixels).float() / 255
        module.calibrate(seen * 2 - 1 if protocol.scaling == "symmetric" else seen)
    parts = module.sample_batches(protocol.samples, generators, protocol.batch_size)
    return np.concatenate([as_pixels(part.cpu(), protocol.scaling).numpy() for part in parts], 1)


def calibration_generator(dataset: DataSet) -> np.random.Generator:
    """Create the generator that chooses the data for a method's calibration: the same for every method."""
    return np.random.default_rng((*b"calibration ", *dataset.name.encode()))


def as_pixels(images: Tensor, scaling: str) -> Tensor:
    """Convert images as networks generate them to uint8. They are rounded once; non-finite values become black."""
    unit = (images + 1) / 2 if scaling == "symmetric" else images
    return (unit.nan_to_num(0.0).clamp(0, 1) * 255).round().to(torch.uint8)
