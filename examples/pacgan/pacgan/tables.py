"""Tables of PacGAN (Lin, Khetan, Fanti, Oh 2018)."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.spec.columns import quality_columns
from benchmark.spec.protocol import Setting
from benchmark.spec.table import Column, Profile, Reading, Reported, Row, Table

CITATION = (
    "Z. Lin, A. Khetan, G. Fanti, S. Oh: PacGAN: The power of two samples in generative adversarial networks, 2018, "
    "arXiv:1712.04086"
)
PACGAN = "pacgan.pacgan:PacGAN"
REVERSE_KL = "pacgan.measures:reverse_kl"
#: Degrees of packing.
_PACKINGS = (2, 3, 4)

#: A mean and its standard error, as printed.
_Pair = tuple[str, str]


def _packs(batch: int) -> dict[str, dict[str, Setting]]:
    """Batches that hold as many packs as other rows' batches hold samples, by row."""
    return {f"pacgan{m}": {"batch_size": m * batch} for m in _PACKINGS}


def _mixtures(*pairs: _Pair) -> dict[str, Reported]:
    """Modes, percent of high quality and reverse KL on the ring, then on the grid."""
    names = [(data, measure) for data in ("ring8", "grid25") for measure in ("captured_modes", "share", REVERSE_KL)]
    found = {}
    for (data, measure), (mean, error) in zip(names, pairs, strict=True):
        if measure == "share":
            found[f"{data}/high_quality_fraction"] = Reported.read(mean, error, per=100, error="se")
        else:
            found[f"{data}/{measure}"] = Reported.read(mean, error, error="se")
    return found


def _digits(*parts: tuple[str, Sequence[_Pair]], quoted: bool = False) -> dict[str, Reported]:
    """Modes and KL of each part of a table; what is quoted from Metz et al. has standard deviations of ten runs."""
    found = {}
    for prefix, pairs in parts:
        for measure, pair in zip(("modes", "kl"), pairs, strict=True):
            value = Reported.read(*pair, runs=10) if quoted else Reported.read(*pair, error="se")
            found[f"{prefix}{measure}"] = value
    return found


def _pacgan(m: int, title: str, reported: dict[str, Reported], **fields: Setting) -> Row:
    return Row(
        f"pacgan{m}",
        f"{title}{m}",
        PACGAN,
        overrides={"packing": m, **fields},
        reported=reported,
        assumptions=f"batches of {m} times as many samples, so that the discriminator sees as many packs",
    )


TABLE_1 = Table(
    id="pacgan-1",
    number=None,
    title="Mixtures of Gaussians: modes captured, high-quality samples and reverse KL over modes",
    citation=f"{CITATION}, Table 1",
    datasets=("ring8", "grid25"),
    columns=tuple(
        column
        for name in ("ring8", "grid25")
        for column in (
            *quality_columns(name),
            Column(REVERSE_KL, "reverse KL", "Reverse KL", "lower", 2, name),
        )
    ),
    rows=(
        Row(
            "gan",
            "GAN",
            "gan",
            reported=_mixtures(
                ("6.3", "0.5"), ("98.2", "0.2"), ("0.45", "0.09"), ("17.3", "0.8"), ("94.8", "0.7"), ("0.70", "0.07")
            ),
            assumptions="non-saturating; the released code moves both players at once, here one follows the other",
        ),
        Row(
            "ali",
            "ALI",
            "ali",
            reported=_mixtures(
                ("6.6", "0.3"), ("97.6", "0.4"), ("0.36", "0.04"), ("24.1", "0.4"), ("95.7", "0.6"), ("0.14", "0.03")
            ),
            assumptions="its encoder has two hidden layers of 400, after ALI's released toy code",
        ),
        _pacgan(
            2,
            "PacGAN",
            _mixtures(
                ("7.9", "0.1"), ("95.6", "2.0"), ("0.07", "0.03"), ("23.8", "0.7"), ("91.3", "0.8"), ("0.13", "0.04")
            ),
        ),
        _pacgan(
            3,
            "PacGAN",
            _mixtures(
                ("7.8", "0.1"), ("97.7", "0.3"), ("0.10", "0.02"), ("24.6", "0.4"), ("94.2", "0.4"), ("0.06", "0.02")
            ),
        ),
        _pacgan(
            4,
            "PacGAN",
            _mixtures(
                ("7.8", "0.1"), ("95.9", "1.4"), ("0.07", "0.02"), ("24.8", "0.2"), ("93.6", "0.6"), ("0.04", "0.01")
            ),
        ),
    ),
    protocol={
        "networks": "ali",
        "latent_dim": 2,
        "prior": "normal",
        "scaling": "none",
        "lr": 1e-4,
        "beta1": 0.8,
        "batch_size": 100,
        "fresh_iterations": 1_000,
        "samples": 2_500,
        "width": 5,
    },
    profiles={
        "paper": Profile({"epochs": 400}, seeds=10),
        "short": Profile({"epochs": 20}, seeds=5),
        "smoke": Profile({"epochs": 1, "fresh_iterations": 10, "batch_size": 24, "width": 2}, seeds=2),
    },
    readings={
        "corrected": Reading(
            "networks and training of the released code for every method, with new points in every batch",
            rows=_packs(100),
        )
    },
    reported_runs=10,
    notes=(
        "The paper draws batches from 100,000 fixed points, 1,000 batches an epoch. Here every batch has new ones, so "
        "that all rows have as many updates, whatever their packs take.",
        "Reverse KL is of the shares of the modes among high-quality samples from equal shares. It is taken of stored "
        "samples; 2,500 samples of the data themselves have 0.001 on the ring and 0.005 on the grid.",
    ),
)

_VEEGAN = "printed: quoted from VEEGAN (Srivastava et al. 2017), which prints no errors and names no runs"
_TWO_STEPS: dict[str, Setting] = {"generator_steps": 2}

TABLE_2 = Table(
    id="pacgan-2",
    number=None,
    title="Stacked MNIST by VEEGAN's protocol: modes, of 1,000, and KL divergence from uniform",
    citation=f"{CITATION}, Table 2",
    datasets=("stacked-mnist",),
    columns=(Column("modes", "modes", "Modes", "higher", 1), Column("kl", "KL", "KL", "lower", 3)),
    rows=(
        Row(
            "gan",
            "DCGAN",
            "gan",
            reported={"modes": Reported.read("99.0"), "kl": Reported.read("3.40")},
            assumptions=_VEEGAN,
        ),
        Row(
            "ali",
            "ALI",
            "ali",
            reported={"modes": Reported.read("16.0"), "kl": Reported.read("5.40")},
            assumptions=f"{_VEEGAN}; its encoder has the discriminator's convolutions",
        ),
        Row(
            "unrolled",
            "Unrolled GAN",
            "unrolled",
            overrides={"generator_rate": 0.5},
            reported={"modes": Reported.read("48.7"), "kl": Reported.read("4.32")},
            assumptions=f"{_VEEGAN}; 5 inner steps through the discriminator's Adam, generator at 1e-4",
        ),
        Row(
            "veegan",
            "VEEGAN",
            "veegan",
            protocol={"prior": "normal"},
            reported={"modes": Reported.read("150.0"), "kl": Reported.read("2.95")},
            assumptions=f"{_VEEGAN}; normal prior, and a reconstructor with the discriminator's convolutions",
        ),
        Row(
            "pacgan1",
            "DCGAN (theirs)",
            PACGAN,
            overrides={"packing": 1, **_TWO_STEPS},
            reported=_digits(("", (("78.9", "6.46"), ("4.50", "0.127")))),
            assumptions="two generator steps on the same latents, as in the rows below",
        ),
        _pacgan(2, "PacDCGAN", _digits(("", (("1000.0", "0.00"), ("0.06", "0.003")))), **_TWO_STEPS),
        _pacgan(3, "PacDCGAN", _digits(("", (("1000.0", "0.00"), ("0.06", "0.003")))), **_TWO_STEPS),
        _pacgan(4, "PacDCGAN", _digits(("", (("1000.0", "0.00"), ("0.07", "0.005")))), **_TWO_STEPS),
    ),
    protocol={
        "networks": "dcgan-32",
        "latent_dim": 100,
        "prior": "uniform",
        "scaling": "symmetric",
        "batch_size": 64,
        "fresh_iterations": 2_000,
        "lr": 2e-4,
        "beta1": 0.5,
        "samples": 26_000,
        "features": "none",
        "width": 1,
    },
    profiles={
        "paper": Profile({"epochs": 50, "evaluate_every": 5}, seeds=10),
        "short": Profile({"epochs": 1, "fresh_iterations": 1_000, "networks": "dcgan-32-quarter"}, seeds=1),
        "smoke": Profile({"epochs": 1, "fresh_iterations": 1, "batch_size": 8, "samples": 100}, seeds=1),
    },
    readings={"corrected": Reading("DCGAN's layers for every method, with new stacks in every batch", rows=_packs(64))},
    reported_runs=10,
    notes=(
        "The paper trains on 128,000 fixed stacks, 2,000 batches an epoch. Here every batch has new ones, so that all "
        "rows have as many updates, whatever their packs take.",
        "Profile short has a quarter of the channels and a hundredth of the updates.",
    ),
)

_METZ = "printed: quoted from Metz et al. 2017, whose ± is taken as a standard deviation of ten runs"
_HALF_RATE: dict[str, Setting] = {"generator_rate": 0.5}


def _halves(*pairs: _Pair, quoted: bool = False) -> dict[str, Reported]:
    """Modes and KL with a discriminator of a quarter and of a half of the full width."""
    return _digits(("k4/", pairs[:2]), ("k2/", pairs[2:]), quoted=quoted)


def _unrolled(k: int, *pairs: _Pair) -> Row:
    return Row(
        f"unrolled{k}",
        f"Unrolled GAN, {k} step{'s' * (k > 1)}",
        "unrolled",
        overrides={"k": k, **_HALF_RATE},
        reported=_halves(*pairs, quoted=True),
        assumptions=_METZ,
    )


TABLE_3 = Table(
    id="pacgan-3",
    number=None,
    title="Stacked MNIST by Metz et al.'s protocol: modes, of 1,000, and KL divergence from uniform",
    citation=f"{CITATION}, Table 3",
    datasets=("k4", "k2"),
    data={"k4": "mnist-1k", "k2": "mnist-1k"},
    columns=tuple(
        column
        for part in ("k4", "k2")
        for column in (
            Column("modes", "modes", "Modes", "higher", 1, part),
            Column("kl", "KL", "KL", "lower", 2, part),
        )
    ),
    rows=(
        Row(
            "gan",
            "DCGAN (Metz)",
            "gan",
            overrides=_HALF_RATE,
            reported=_halves(("30.6", "20.73"), ("5.99", "0.42"), ("628.0", "140.9"), ("2.58", "0.75"), quoted=True),
            assumptions=f"{_METZ}; trained as the next DCGAN, so that their difference is one of seeds",
        ),
        _unrolled(1, ("65.4", "34.75"), ("5.91", "0.14"), ("523.6", "55.77"), ("2.44", "0.26")),
        _unrolled(5, ("236.4", "63.30"), ("4.67", "0.43"), ("732.0", "44.98"), ("1.66", "0.09")),
        _unrolled(10, ("327.2", "74.67"), ("4.66", "0.46"), ("817.4", "37.91"), ("1.43", "0.12")),
        Row(
            "pacgan1",
            "DCGAN (theirs)",
            PACGAN,
            overrides={"packing": 1, **_HALF_RATE},
            reported=_halves(("78.5", "17.56"), ("5.21", "0.19"), ("487.7", "34.59"), ("2.24", "0.15")),
        ),
        _pacgan(
            2,
            "PacDCGAN",
            _halves(("484.5", "32.99"), ("2.61", "0.22"), ("840.7", "15.92"), ("1.00", "0.05")),
            **_HALF_RATE,
        ),
        _pacgan(
            3,
            "PacDCGAN",
            _halves(("601.3", "32.18"), ("2.00", "0.17"), ("866.6", "12.10"), ("0.90", "0.04")),
            **_HALF_RATE,
        ),
        _pacgan(
            4,
            "PacDCGAN",
            _halves(("667.4", "29.00"), ("1.81", "0.15"), ("820.2", "25.50"), ("1.15", "0.14")),
            **_HALF_RATE,
        ),
    ),
    protocol={
        "latent_dim": 256,
        "prior": "normal",
        "scaling": "symmetric",
        "norm_at_evaluation": "batch",
        "batch_size": 128,
        "lr": 2e-4,
        "beta1": 0.5,
        "beta2": 0.99,
        "fresh_iterations": 2_000,
        "samples": 25_600,
        "features": "none",
        "width": 1,
    },
    profiles={
        "paper": Profile({"epochs": 250, "evaluate_every": 10}, seeds=50),
        "short": Profile({"epochs": 2, "fresh_iterations": 500}, seeds=1),
        "smoke": Profile({"epochs": 1, "fresh_iterations": 1, "batch_size": 8, "samples": 100}, seeds=1),
    },
    readings={
        "corrected": Reading(
            "the networks of the released code, after Metz et al.'s appendix, for every method",
            rows=_packs(128),
            datasets={"k4": {"networks": "metz-k4"}, "k2": {"networks": "metz-k2"}},
        )
    },
    reported_runs=50,
    notes=(
        "k4 and k2: a discriminator with a quarter and with half of the full number of channels (D 1/4 and D 1/2).",
        "A normal prior and the statistics of the batch in evaluation, where the paper names neither.",
    ),
)
