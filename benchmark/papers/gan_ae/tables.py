"""Tables of the poster "GANs powered by autoencoding". It shows pictures only, so no column has reported values."""

import dataclasses
from collections.abc import Iterator

from benchmark.papers.veegan.tables import GAAN_NETS, NORMAL, SMALL_NOISE, SYNTHETIC, VEEGAN_NETS
from benchmark.spec.columns import quality_columns
from benchmark.spec.protocol import Setting
from benchmark.spec.table import Column, Profile, Reading, Row, Table

CITATION = "GANs powered by autoencoding, poster"

_ADAPTIVE: dict[str, Setting] = {"decay": "adaptive"}
_GAN_AE = (
    "squared error per coordinate, weight 1, and the adversarial error with weight 0.01; free samples from Gaussians "
    "fitted to the codes of training data: 10 to those of 5,000 images, 30 to those of 2,000 points"
)
_ALPHA = "alpha: running mean of the discriminator's loss over 2 log 2, between 0 and 1"
#: Weights of the adversarial error, besides the default 0.01. They stand for lambda = 1 to 10,000.
_SWEEP = ("0.0001", "0.001", "0.1", "1")


def _ablated() -> Iterator[Row]:
    """Yield rows that change one choice of GAN + AE each, where the poster leaves the choice open."""
    for weight in _SWEEP:
        fields: dict[str, Setting] = {"adversarial_weight": float(weight)}
        title = f"GAN + AE, lambda {1 / float(weight):,.0f}"
        yield Row(f"gan-ae-weight-{weight}", title, "gan-ae", fields, NORMAL, optional=True)
    variants: dict[str, tuple[str, dict[str, Setting]]] = {
        "alone": ("no adversarial error", {"adversarial_weight": 0.0}),
        "l1": ("absolute error", {"reconstruction": "l1"}),
        "gamma": ("alpha = gamma^t on the adversarial error", {"decay": "exponential"}),
        "critic": ("critic of codes", {"code_critic": True}),
        "critic-weight-1": ("critic of codes, weights 1", {"code_critic": True, "adversarial_weight": 1.0}),
        "alpha-l": ("alpha on the reconstruction", _ADAPTIVE | {"decays": "reconstruction"}),
    }
    for name, (what, fields) in variants.items():
        yield Row(f"gan-ae-{name}", f"GAN + AE, {what}", "gan-ae", fields, NORMAL, optional=True)


def _noisy() -> Iterator[Row]:
    """Yield rows with instance noise on the inputs of the discriminator."""
    for std in ("0.01", "0.1"):
        fields: dict[str, Setting] = {"instance_noise": float(std), "instance_noise_schedule": "linear"}
        assumptions = f"Gaussian, std {std} in the scale that networks see, to 0 over the training"
        yield Row(
            f"gan-noise-{std}", f"GAN, instance noise {std}", "gan", {}, fields, assumptions=assumptions, optional=True
        )


_GAN = Row("gan", "GAN", "gan", assumptions="non-saturating")
_LSGAN = Row("lsgan", "LSGAN", "lsgan", assumptions="targets 1, 0 and 1, linear output")
_GMMN = Row(
    "gmmn", "GMMN", "gmmn", assumptions="square root of the biased MMD^2, six Gaussian kernels that grow with D"
)
_MMD = Row("gan-mmd", "GAN + MMD", "gan-mmd", assumptions="MMD^2 of GMMN's kernels with weight 1")
_MB = Row("gan-mb", "GAN + MB", "gan-mb", assumptions="100 kernels of dimension 5 before the output")
_UR = Row("unrolled", "GAN + UR", "unrolled", assumptions="5 inner steps through the discriminator's Adam")
_AE = Row("gan-ae", "GAN + AE", "gan-ae", protocol=NORMAL, assumptions=_GAN_AE)
_AE_ALPHA = Row("gan-ae-alpha", "GAN + AE, alpha", "gan-ae", _ADAPTIVE, NORMAL, assumptions=_ALPHA)
_SEVEN = (_GAN, _LSGAN, _GMMN, _MMD, _MB, _UR, _AE)

_DATASETS = ("ring8", "grid25", "cube27")
_FEW_KERNELS = dataclasses.replace(
    _MB,
    overrides={"kernels": 20},
    assumptions="20 kernels of dimension 5 before the output, as 100 cost five times as much",
)


def _on_points(row: Row) -> Row:
    """Return the row for training on mixtures, with more Gaussians fitted to the codes than a mixture has modes."""
    if row.method != "gan-ae":
        return _FEW_KERNELS if row is _MB else row
    return dataclasses.replace(row, overrides={"components": 30, "calibration": 2_000} | dict(row.overrides))


TABLE_2 = Table(
    id="gan-ae-2",
    number=None,
    title="Synthetic data: does an autoencoder remedy mode missing? Modes, high-quality samples and divergence",
    citation=f"{CITATION}; it shows no synthetic data",
    datasets=_DATASETS,
    columns=tuple(column for name in _DATASETS for column in quality_columns(name, reported=False)),
    rows=(
        *map(_on_points, (*_SEVEN, _AE_ALPHA)),
        Row(
            "gan-hungarian",
            "Hungarian",
            "gan-hungarian",
            assumptions="exact one-to-one matching of each batch instead of a discriminator",
        ),
        *map(_on_points, _ablated()),
        *_noisy(),
    ),
    protocol=SYNTHETIC,
    profiles={
        "paper": Profile({"epochs": 100}, seeds=5),
        "short": Profile({"epochs": 20}, seeds=5),
        "smoke": Profile({"epochs": 1, "fresh_iterations": 20, "width": 2}, seeds=2),
    },
    readings={"gaan-nets": GAAN_NETS, "veegan-nets": VEEGAN_NETS, "small-noise": SMALL_NOISE},
    reading="gaan-nets",
    reported_runs=1,
    notes=(
        "The poster prints no table. Its claim that autoencoding remedies mode missing is looked at where the truth is "
        "known; profile paper is 50,000 iterations, a choice of ours.",
        "GAN + AE trains its generator on codes alone: what free samples are worth, the density of codes decides that "
        "is fitted to data after training, which no other method here looks at when it draws.",
        "A mode is captured by one sample within 3 std of it, of 2,500: where few are of high quality the number of "
        "modes says nothing.",
    ),
)

#: Number of batches of 64 images in MNIST's training set of 60,000.
_PASS = 938
_DIGITS: dict[str, Setting] = {
    "networks": "dcgan-28",
    "latent_dim": 100,
    "prior": "normal",
    "scaling": "unit",
    "batch_size": 64,
    "lr": 2e-4,
    "beta1": 0.5,
    "width": 1,
}
_IMAGE_ROWS = tuple(
    dataclasses.replace(row, assumptions=f"{row.assumptions}; batches of 500") if row is _GMMN else row
    for row in _SEVEN
)
#: These settings stand in a reading, so that a profile can override them.
_BATCHES: dict[str, dict[str, Setting]] = {_GMMN.id: {"batch_size": 500}}
_FEW_CODES: dict[str, dict[str, Setting]] = {name: {"calibration": 100} for name in ("gan-ae", "gan-ae-alpha")}
_ONE_NETWORK = {"corrected": Reading("DCGAN for 28 x 28 pixels for every method", rows=_BATCHES)}


def _smoke(**fields: Setting) -> Profile:
    """Return a profile that trains on images for a few iterations only."""
    return Profile({"batch_size": 8, "fresh_iterations": 1, **fields}, seeds=1, overrides=_FEW_CODES)


TABLE_1 = Table(
    id="gan-ae-1",
    number=None,
    title="Compositional MNIST: modes covered, of 1,000, and KL divergence of the generated numbers from uniform",
    citation=f"{CITATION}; it shows samples and no numbers",
    datasets=("mnist-1k",),
    columns=(
        Column("modes", "modes", None, "higher", 1),
        Column("kl", "KL", None, "lower", 2),
    ),
    rows=(*_IMAGE_ROWS, _AE_ALPHA, *_ablated(), *_noisy()),
    protocol={**_DIGITS, "fresh_iterations": _PASS, "samples": 25_600},
    profiles={
        "paper": Profile({"epochs": 20}, seeds=3),
        "short": Profile({"epochs": 1, "fresh_iterations": 150}, seeds=1),
        "smoke": _smoke(epochs=1, fresh_iterations=2, samples=100),
    },
    readings=_ONE_NETWORK,
    reported_runs=1,
    notes=(
        "Stacks of three digits are new for every batch; 938 batches of 64 count as an epoch. The poster states "
        "neither networks nor training.",
    ),
)

DIGITS = Table(
    id="gan-ae-mnist",
    number=None,
    title="MNIST: digits covered, of 10, and KL divergence of the generated digits from uniform",
    citation=f"{CITATION}; it shows samples after 1 and 10 epochs, and no numbers",
    datasets=("mnist",),
    columns=TABLE_1.columns,
    rows=(*_IMAGE_ROWS, dataclasses.replace(_AE_ALPHA, optional=True)),
    protocol={**_DIGITS, "fresh_iterations": _PASS, "samples": 10_000, "frames": "1,10", "evaluate_every": 10},
    profiles={
        "paper": Profile({"epochs": 10}, seeds=1),
        "short": Profile({"epochs": 10, "fresh_iterations": 20}, seeds=1),
        "smoke": _smoke(epochs=10, samples=100),
    },
    readings=_ONE_NETWORK,
    reported_runs=1,
    notes=("938 batches of 64 count as an epoch; profile short has 20.",),
)

NATURAL = Table(
    id="gan-ae-natural",
    number=None,
    title="CIFAR-10 and faces: IvOM, error of the generated image that is nearest to a test image",
    citation=f"{CITATION}; it shows samples and no numbers",
    datasets=("cifar10", "celeba"),
    columns=tuple(Column("ivom", "IvOM", None, "lower", 4, name) for name in ("cifar10", "celeba")),
    rows=(*_IMAGE_ROWS, dataclasses.replace(_AE_ALPHA, optional=True)),
    protocol={**_DIGITS, "features": "none", "samples": 100},
    profiles={
        "paper": Profile({"epochs": 25, "fresh_iterations": 782, "inverted": 64, "frames": "25"}, seeds=1),
        "short": Profile({"epochs": 1, "fresh_iterations": 20, "inverted": 4, "frames": "1"}, seeds=1),
        "smoke": _smoke(epochs=1, inverted=1, frames="1"),
    },
    readings={
        "corrected": Reading(
            "one DCGAN for every method: on CIFAR-10 that of WGAN-GP's authors at half its width, on CelebA 64 to 512 "
            "channels",
            rows=_BATCHES,
            datasets={"cifar10": {"networks": "wgan-gp-cifar-half"}, "celeba": {"networks": "dcgan-64"}},
        )
    },
    reported_runs=1,
    notes=("782 batches of 64 count as an epoch. The poster states neither data, networks nor training.",),
)

#: Batches per entry of a curve, and entries per epoch. The poster's pictures are after 10, 50 and 100 batches.
_STEP, _STEPS = 5, 188

INSTABILITY = Table(
    id="gan-ae-instability",
    number=None,
    title="MNIST: GAN + AE with and without the adaptive decay of its adversarial error, one epoch",
    citation=f"{CITATION}; it shows curves and samples, and no numbers",
    datasets=("mnist",),
    columns=TABLE_1.columns,
    rows=(_AE, _AE_ALPHA, *(row for row in _ablated() if row.id in ("gan-ae-gamma", "gan-ae-alpha-l"))),
    protocol={
        **_DIGITS,
        "networks": "dcgan-mnist",
        "fresh_iterations": _STEP,
        "samples": 1_000,
        "frames": "2,10,20",
        "evaluate_every": 1_000,
    },
    profiles={
        **dict.fromkeys(("paper", "short"), Profile({"epochs": _STEPS}, seeds=1)),
        "smoke": _smoke(epochs=20, samples=100),
    },
    readings={
        "corrected": Reading("WGAN-GP's authors' networks for MNIST, without batch norm, on which a GAN is unstable")
    },
    reported_runs=1,
    notes=("Curves have an entry for every 5 batches.",),
)
