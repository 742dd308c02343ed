"""Everything that has golden values: methods, training, data sets, measures, networks and demonstrations."""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from benchmark.papers.discovery import all_figures
from benchmark.spec.block import Block
from benchmark.spec.demonstration import Demonstration
from benchmark.spec.protocol import Protocol, Setting
from benchmark.spec.registry import datasets, methods
from benchmark.spec.run import Run
from benchmark.training.callback import Evaluation
from benchmark.training.evaluation import MEASURES, measure, measure_generator, measure_nearest
from benchmark.training.trainer import fit
from datamodules.image_sets import DIGITS, DIGITS_1K
from datamodules.images import DATA_VARIABLE, ImageSet
from datamodules.lightning.images import ImageDataModule
from datamodules.lightning.mixtures import MixtureDataModule
from datamodules.mixture import GaussianMixture
from datamodules.synthetic import RING8
from evaluators.digits import load_classifier
from evaluators.distances import distance_measures
from evaluators.features import features
from modules.base import AdversarialModule
from modules.families import ConvFamily, MLPFamily, families
from modules.options import Training
from tests.golden.store import Case, Values
from tests.modules.steps import EPS, NORMAL

SEEDS = (0, 1)
ROOT = Path(__file__).parents[2]

# Methods --------------------------------------------------------------------------------------------------------------

#: One iteration an epoch, so that an epoch's mean of a loss is the loss. Three latent coordinates for two of the data,
#: so that a mix-up of the two shows.
POINTS = Protocol(
    profile="golden",
    networks="two-layers",
    latent_dim=3,
    batch_size=16,
    epochs=4,
    fresh_iterations=1,
    evaluate_every=4,
    width=len(SEEDS),
    samples=100,
)
IMAGES = replace(
    POINTS,
    networks="metz-k4",
    latent_dim=4,
    scaling="symmetric",
    norm_at_evaluation="batch",
    batch_size=8,
    epochs=2,
    evaluate_every=2,
    samples=20,
)
#: Of a thousand ReLUs on images some are 0 up to rounding, on this side or that. Adam would make full steps of it.
IMAGE_EPS = 1e-2
#: Every term of a loss has a weight with which its absence shows.
FIELDS: Mapping[str, Mapping[str, Setting]] = {
    "aeis": {"pretraining_epochs": 2, "reference": 32, "store_iterations": 2, "code_dim": 2},
    "began": {"lambda_k": 0.5},
    "gaan": {"lambda_r": 10.0, "lambda_w": 0.5, "lambda_p": 1.0},
    "gan-ae": {"adversarial_weight": 0.5, "calibration": 100, "components": 2, "gamma": 0.9},
    "gan-mb": {"kernels": 4, "kernel_dim": 3},
    "mdgan": {"adversarial_weight": 1.0},
    "unrolled": {"k": 2},
    "vae-gan": {"gamma": 1.0},
    "wgan": {"clip": 0.1, "critic_updates": 2},
    "wgan-gp": {"lambda_p": 1.0, "critic_updates": 2},
}
#: These raise on images.
POINTS_ONLY = frozenset({"dan-2s"})
#: An epoch of five iterations, where the training set is fixed.
FEW_POINTS = replace(RING8, name="golden", per_mode=10)


#: Of what is trained: largest difference that another processor or PyTorch may make. With kernels for another
#: processor (``ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=SSE41``) values moved by less than
#: 0.4 of it; a term that is left out moves them by ten times as much and more.
TRAINED = 1e-3
#: The same on images.
IMAGE_TOLERANCE = 5e-3


class _Start(Callback):
    """Keeps the weights that a training starts with.

    eps: of Adam, at which rounding stays small: a critic's last bias, and every bias before batch norm, have a
        gradient of 0 up to rounding, which the usual 1e-8 blows up to steps of full size, in either direction. 0 leaves
        Adam as it is.
    """

    def __init__(self, eps: float) -> None:
        self.eps = eps
        self.weights: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.weights = weights_of(pl_module)
        for optimizer in trainer.optimizers if self.eps else ():
            optimizer.param_groups[0]["eps"] = self.eps


def weights_of(module: nn.Module) -> list[Tensor]:
    """The parameters of each network of a module, ``[S, n]``."""
    found = [[parameter.detach().flatten(1) for parameter in network.parameters()] for network in module.children()]
    return [torch.cat(parameters, 1) for parameters in found]


def trained(
    method: str, dataset: str, protocol: Protocol, fields: Mapping[str, Setting] | None = None, eps: float = EPS
) -> Values:
    """Train a block as a table's, with Lightning: every loss, and what the networks and their samples have become.

    Losses stand in the order of the method's updates, networks in that of its attributes, as their names may change.
    """
    given = {**FIELDS.get(method, {}), **(fields or {})}
    if method in NORMAL:
        protocol = replace(protocol, prior="normal")
    runs = tuple(Run(dataset, method, protocol, seed, tuple(sorted(given.items()))) for seed in SEEDS)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "none"
        start = _Start(eps)
        found = fit(Block(runs, runs), checkpoint, lambda progress: None, "cpu", [start])
    return dict(summary(found, start.weights))


def summary(found: Evaluation, before: Sequence[Tensor]) -> Iterator[tuple[str, np.ndarray]]:
    """The numbers of a finished training, seeds last; ``before`` are the weights that it started with."""
    for start in ("loss", "trace"):
        curves = [curve for name, curve in found.curves.items() if name.startswith(f"{start}.")]
        for number, curve in enumerate(curves, 1):
            yield f"{start} {number}, epoch by epoch", np.array(curve)
    for number, (first, last) in enumerate(zip(before, weights_of(found.module), strict=True), 1):
        yield f"mean and rms of network {number}", mean_and_rms(last)
        yield f"mean and rms of how network {number} moved", mean_and_rms(last - first)
    # In the networks' scale: the pixels of young generators are 127 or 128, as they round.
    samples = found.module.sample(50, [np.random.default_rng(seed) for seed in SEEDS])
    yield "mean and rms of samples", mean_and_rms(samples)


def mean_and_rms(values: Tensor | np.ndarray) -> np.ndarray:
    """Mean and root mean square of each row of ``[S, n]``: ``[2, S]``."""
    wide = torch.as_tensor(values).double().flatten(1)
    return torch.stack([wide.mean(1), wide.square().mean(1).sqrt()]).numpy()


def choices(method: type[AdversarialModule]) -> Iterator[tuple[str, bool | str]]:
    """Every choice among words, and every switch, that is not a method's default or in ``FIELDS``."""
    hints = typing.get_type_hints(method.__init__)
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            usual = FIELDS.get(method.name, {}).get(name, parameter.default)
            words = [True, False] if hints[name] is bool else [*words_of(hints[name])]
            yield from ((name, word) for word in words if word != usual)


def words_of(hint: object) -> Iterator[str]:
    """The words of a ``Literal``, also in a union."""
    if typing.get_origin(hint) is typing.Literal:
        yield from typing.get_args(hint)
    else:
        for part in typing.get_args(hint):
            yield from words_of(part)


def method_cases() -> Iterator[Case]:
    """Every method on points, each of its choices on points, and on images with convolutions."""
    for name, method in methods().items():
        remedy = f"{method.__name__}.version in {file_of(method)} (TRAINING_VERSION if every method changed)"
        case = partial(Case, "methods", remedy=remedy, tolerance=TRAINED)
        yield case(name, partial(trained, name, "grid25", POINTS))
        for field, word in choices(method):
            yield case(f"{name}:{field}={word}", partial(trained, name, "grid25", POINTS, {field: word}))
        if name not in POINTS_ONLY:
            yield case(
                f"{name}:digits", partial(trained, name, "digits", IMAGES, eps=IMAGE_EPS), tolerance=IMAGE_TOLERANCE
            )


def training_cases() -> Iterator[Case]:
    """What methods share: each field of a protocol that training depends on, with one method."""
    remedy = "TRAINING_VERSION (or, of a network family or a data set alone, its version)"
    case = partial(Case, "training", remedy=remedy, tolerance=TRAINED)
    few = f"{__name__}:FEW_POINTS"
    with_gan: dict[str, Protocol] = {
        "rmsprop": replace(POINTS, optimizer="rmsprop"),
        "betas": replace(POINTS, beta1=0.5, beta2=0.9),
        "decay": replace(POINTS, lr_decay=0.5, lr_decay_every=2),
        "decay-by-calls": replace(POINTS, lr_decay=0.5, lr_decay_every=3, lr_counter="optimizer-calls"),
        "instance-noise": replace(POINTS, instance_noise=0.5),
        "instance-noise-linear": replace(POINTS, instance_noise=0.5, instance_noise_schedule="linear"),
        "normal-prior": replace(POINTS, prior="normal"),
        "original-units": replace(POINTS, scaling="none"),
        "longer-epochs": replace(POINTS, epochs=2, evaluate_every=2, fresh_iterations=3),
    }
    for name, protocol in with_gan.items():
        yield case(name, partial(trained, "gan", "grid25", protocol))
    yield case("adam", partial(trained, "gan", "grid25", POINTS, eps=0.0))
    yield case("draws-by-update", partial(trained, "wgan", "grid25", replace(POINTS, draws="update")))
    yield case("rates", partial(trained, "gan", "grid25", POINTS, {"generator_rate": 0.3}))
    fixed = replace(POINTS, epochs=2, evaluate_every=2, fresh_iterations=0)
    yield case("fixed-training-set", partial(trained, "gan", few, fixed))
    yield case("pretraining-on-it", partial(trained, "aeis", few, fixed))
    for statistics in ("batch", "running"):
        normed = replace(POINTS, networks="ali", norm_at_evaluation=statistics)
        yield case(f"{statistics}-statistics", partial(trained, "gan", "grid25", normed))


# Data sets ------------------------------------------------------------------------------------------------------------

#: Coordinates of a point that are stored.
SHOWN = 4


def mixture_values(mixture: GaussianMixture) -> Values:
    """Numbers of a mixture and its first points: of the training set, of each sampler, and of batches."""
    fields = (mixture.std, mixture.limit, mixture.radius, mixture.reported_radius)
    found: dict[str, np.ndarray] = {
        "std, limit, radius and printed radius": np.array(fields),
        "modes, points per mode and noisy coordinates": np.array([mixture.modes, mixture.per_mode, mixture.noisy]),
    }
    if len(mixture.centres[0]) > 3:
        # A training set of 1,200 coordinates takes a gigabyte.
        mixture = replace(mixture, per_mode=3)
        projected = replace(mixture, projected=True)
        found["projected"] = projected.sample(2, np.random.default_rng(0))[:, :SHOWN]
    points = mixture.training_points()
    found["first training points"] = points[:3, :SHOWN]
    found["last training points"] = points[-2:, :SHOWN]
    found["mean and rms of all"] = mean_and_rms(points[None])
    samplers: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
        "real": mixture.sample,
        "collapsed": partial(mixture.sample_modes, modes=2),
        "spread": mixture.sample_uniform,
    }
    for name, sampler in samplers.items():
        drawn = sampler(50, np.random.default_rng(0))
        found[name], found[f"mean and rms of {name}"] = drawn[:2, :SHOWN], mean_and_rms(drawn[None])
    for scaled, fresh in ((True, 0), (False, 0), (True, 2)):
        data = MixtureDataModule(mixture, SEEDS, 16, 2, scaled=scaled, fresh_iterations=fresh)
        first = next(iter(data.train_dataloader()))[0]
        words = f"batch, {'scaled' if scaled else 'original units'}, {'fresh' if fresh else 'fixed'}"
        found[words] = first[:, :, :2, :SHOWN].numpy()
        found[f"iterations per epoch, {words}"] = np.array(data.iterations_per_epoch)
    return found


def image_values(images: ImageSet) -> Values:
    """Numbers of an image set and, of the digits that come with scikit-learn, images; others must be downloaded."""
    found: dict[str, np.ndarray] = {"shape, stack and size": np.array([*images.shape, images.stack, images.fixed])}
    if images.base != "digits":
        return found
    for part in ("train", "test"):
        pixels = images.images(part)
        found[f"number of {part} images"] = np.array(len(pixels))
        found[f"mean and rms of {part} images"] = mean_and_rms(pixels[None])
        found[f"a row of a {part} image"] = pixels[1, 0, 14]
        found[f"labels of {part} images"] = np.bincount(images.labels(part))
    drawn = {
        "real": images.sample(20, np.random.default_rng(0)),
        "collapsed": images.sample_modes(20, np.random.default_rng(0), 2),
        "spread": images.sample_uniform(20, np.random.default_rng(0)),
        "reference": images.reference(20),
    }
    for name, values in drawn.items():
        found[f"mean and rms of {name}"] = mean_and_rms(values)
    for symmetric, fresh in ((True, 0), (False, 2)):
        data = ImageDataModule(images, SEEDS, 8, 2, symmetric=symmetric, fresh_iterations=fresh)
        first = next(iter(data.train_dataloader()))[0]
        words = f"batch, {'[-1, 1]' if symmetric else '[0, 1]'}, {'fresh' if fresh else 'fixed'}"
        found[f"mean and rms of {words}"] = np.stack([mean_and_rms(draw) for draw in first])
        found[f"iterations per epoch, {words}"] = np.array(data.iterations_per_epoch)
    return found


def dataset_cases() -> Iterator[Case]:
    """Every data set of the house."""
    for name, dataset in datasets().items():
        # Drawn by NumPy alone; only its last digits may differ.
        case = partial(Case, "datasets", name, remedy=remedy_of(dataset), tolerance=1e-5)
        if isinstance(dataset, GaussianMixture):
            yield case(partial(mixture_values, dataset))
        else:
            yield case(partial(image_values, dataset))


# Measures -------------------------------------------------------------------------------------------------------------

#: Samples that a measure gets.
COUNT = 2_000


def near_modes(mixture: GaussianMixture, radius: float) -> np.ndarray:
    """Samples ``[2, n, d]`` of which as many lie outside the radius of a mode as inside, unevenly over the modes, and
    in the second row over half of them."""
    rng, modes, dim = np.random.default_rng(0), mixture.modes, len(mixture.centres[0])
    chosen = [(rng.random(COUNT) ** 2 * part).astype(int) for part in (modes, modes // 2)]
    noise = rng.standard_normal((len(chosen), COUNT, dim)) * radius / np.sqrt(dim)
    return np.array(mixture.centres)[np.array(chosen)] + noise


def measured_points(mixture: GaussianMixture) -> Values:
    """The measures of a mixture's family."""
    radius = mixture.radius or POINTS.mode_radius
    return measure(mixture, POINTS, near_modes(mixture, radius))


def made_digits(images: ImageSet, n: int) -> np.ndarray:
    """Images ``[2, n, C, H, W]``: real ones, and of four classes alone."""
    rng = np.random.default_rng(0)
    return np.stack([images.sample(n, rng), images.sample_modes(n, rng, 4)])


def measured_digits(images: ImageSet) -> Values:
    """The measures of digits."""
    return measure(images, IMAGES, made_digits(images, 100))


def classified() -> Values:
    """What the classifier says of ten digits."""
    images = torch.from_numpy(DIGITS.reference(10)).float() / 255
    with torch.no_grad():
        return {"logits": load_classifier()(images).numpy()}


#: Digits that are judged as other images are.
AS_IMAGES = ImageSet("golden", "digits", (1, 28, 28), "digits", "images")


def measured_images() -> Values:
    """The measures of images, in the features whose weights a package has."""
    protocol = replace(IMAGES, features="efficientnet-lite0", real_samples=12)
    # Features of the test images are kept in the data folder.
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {DATA_VARIABLE: folder}):
        samples = made_digits(AS_IMAGES, 12)
        found = dict(measure(AS_IMAGES, protocol, samples))
        found["mean and rms of features"] = mean_and_rms(
            torch.stack([features(torch.from_numpy(part), "efficientnet-lite0") for part in samples])
        )
        return found


def distances() -> Values:
    """Distances of features that no network made."""
    rng = np.random.default_rng(0)
    real, fake = (torch.from_numpy(rng.standard_normal((60, 6)).astype(np.float32)) for _ in range(2))
    return {name: np.array(v) for name, v in distance_measures(fake * 1.3 + 0.2, real, "inception").items()}


class _Tiny(AdversarialModule):
    """A generator of images with one layer, smooth and small."""

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__(training, data_shape, seeds)
        family = MLPFamily(hidden=1, width=8, activation="tanh", source="tests")
        self.generator = family.build("generator", training.latent_dim, self.data_dim, seeds, "tanh")

    def generate(self, z: Tensor) -> Tensor:
        return self.generator(z).unflatten(2, self.data_shape)


def inverted() -> Values:
    """What is measured on a generator, and its stand-in for samples."""
    protocol = replace(IMAGES, inverted=3, latent_dim=2)
    module = _Tiny(protocol, DIGITS.shape, SEEDS)
    return {**measure_generator(module, DIGITS, protocol), "nearest": nearest(protocol)}


def nearest(protocol: Protocol) -> np.ndarray:
    """The error of the nearest of some samples."""
    (found,) = measure_nearest(DIGITS, protocol, made_digits(DIGITS, 30)).values()
    return found


def measure_cases() -> Iterator[Case]:
    """Every family of measures."""
    # Distances are taken in 64 bits: no sample may change sides.
    points = partial(Case, "measures", tolerance=1e-5)
    for name, mixture in sorted(datasets().items()):
        if isinstance(mixture, GaussianMixture) and len(mixture.centres[0]) < 4:
            yield points(
                f"{mixture.measures}:{name}", partial(measured_points, mixture), measure_remedy(mixture.measures)
            )
    wide = datasets()["synth1200"]
    assert isinstance(wide, GaussianMixture)
    yield points(f"{wide.measures}:{wide.name}", partial(wide_points, wide), measure_remedy(wide.measures))
    case = partial(Case, "measures", tolerance=1e-3)
    for images in (DIGITS, DIGITS_1K):
        yield case(f"digits:{images.name}", partial(measured_digits, images), measure_remedy("digits"))
    yield case("digits:classifier", classified, measure_remedy("digits"))
    yield case("images:efficientnet-lite0", measured_images, measure_remedy("images"))
    yield case("images:distances", distances, measure_remedy("images"))
    remedy = "the version of the measures of inversion (IvOM) in " + file_of(measure_generator)
    yield Case("measures", "inversion", inverted, remedy, 1e-3)


def wide_points(mixture: GaussianMixture) -> Values:
    """The measures of a mixture of 1,200 coordinates, of a few samples: they take megabytes."""
    samples = near_modes(mixture, mixture.radius)[:, :200]
    return measure(mixture, POINTS, samples)


# Networks -------------------------------------------------------------------------------------------------------------


def network_values(family: MLPFamily | ConvFamily) -> Values:
    """Initial weights and outputs of a family's networks, at the smallest size of data."""
    shape = (2,) if isinstance(family, MLPFamily) else DIGITS.shape
    rng = np.random.default_rng(0)
    latents, data = (torch.from_numpy(rng.random((2, 3, *size), dtype=np.float32)) for size in ((4,), shape))
    networks = {
        "generator": (family.generator("generator", 4, shape, SEEDS, "tanh"), latents),
        "discriminator": (family.encoder("discriminator", shape, 1, SEEDS), data),
        "encoder": (family.encoder("encoder", shape, 4, SEEDS), data),
        "generator without batch norm": (
            family.generator("generator", 4, shape, SEEDS, "sigmoid", norm=False),
            latents,
        ),
    }
    found = {}
    for role, (network, inputs) in networks.items():
        weights = [parameter.detach().flatten(1) for parameter in network.parameters()]
        found[f"mean and rms of {role}"] = mean_and_rms(torch.cat(weights, 1))
        with torch.no_grad():
            outputs = network(inputs).flatten(2)
        found[f"output of {role}"] = outputs[:, :2, :SHOWN].numpy()
        found[f"mean and rms of output of {role}"] = mean_and_rms(outputs)
    return found


def network_cases() -> Iterator[Case]:
    """Every family of networks."""
    for name, family in families().items():
        remedy = f"the version of networks {name} in {file_of(type(family))}"
        yield Case("networks", name, partial(network_values, family), remedy, 1e-4, 1e-6)


# Demonstrations -------------------------------------------------------------------------------------------------------

#: Numbers that are fitted to times on a clock, and an order of estimates that differ in their last digits only.
LEFT_OUT = ("growth_exact", "growth_autoencoder", "order_001")
#: Trainings in which rounding grows to percents within the steps of the smallest profile.
STEPS = {"gan-ae-hungarian": 5, "theory-clipping": 5, "veegan-constant": 5}


def demonstrated(found: Demonstration) -> Values:
    """The numbers of a demonstration's smallest profile."""
    settings = dict(found.profiles["smoke"])
    if found.id in STEPS:
        settings["steps"] = STEPS[found.id]
    numbers = found.measure(tuple(range(min(2, found.seeds))), **settings).numbers
    return {name: np.array(float(value)) for name, value in numbers.items() if name not in LEFT_OUT}


def demonstration_cases() -> Iterator[Case]:
    """Every demonstration; each takes less than two seconds."""
    for name, found in all_figures().items():
        if isinstance(found, Demonstration):
            remedy = f"the version of demonstration {name} in {file_of(found.measure)}"
            # Gaps that should be 0 are rounding errors.
            yield Case("demonstrations", name, partial(demonstrated, found), remedy, 5e-3, 1e-9)


# All ------------------------------------------------------------------------------------------------------------------


def file_of(what: type | Callable[..., object]) -> str:
    """Where a class or a function stands, below the root."""
    return Path(inspect.getfile(what)).relative_to(ROOT).as_posix()


def remedy_of(dataset: GaussianMixture | ImageSet) -> str:
    """The version of a data set, by the name and the file that it has."""
    package = type(dataset).__module__.partition(".")[0]
    for name, module in sorted(sys.modules.items()):
        if name.startswith(f"{package}."):
            for key, value in vars(module).items():
                if value is dataset and module.__file__:
                    return f"{key}.version in {Path(module.__file__).relative_to(ROOT).as_posix()}"
    raise LookupError(f"no module of {package} holds {dataset.name}")


def measure_remedy(family: str) -> str:
    """The version of a family of measures."""
    return f"the version of the measures {family!r} in {file_of(measure)}"


ALL = (
    *method_cases(),
    *training_cases(),
    *dataset_cases(),
    *measure_cases(),
    *network_cases(),
    *demonstration_cases(),
)
assert {case.name.partition(":")[0] for case in ALL if case.kind == "measures"} >= set(MEASURES)
