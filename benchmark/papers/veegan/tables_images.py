"""Image table of Srivastava et al., "VEEGAN" (2017, arXiv:1705.07761)."""

from benchmark.papers.veegan.tables import CITATION
from benchmark.spec.table import Column, Profile, Reading, Reported, Row, Table


def _reported(modes: str, kl: str, ivom: str, ivom_std: str) -> dict[str, Reported]:
    return {
        "stacked-mnist/modes": Reported.read(modes),
        "stacked-mnist/kl": Reported.read(kl),
        "cifar10/ivom": Reported.read(ivom, ivom_std),
    }


TABLE_2 = Table(
    id="veegan-2",
    number=None,
    title="Stacked MNIST: modes, of 1,000, and KL divergence; CIFAR-10: IvOM, error of the nearest image",
    citation=f"{CITATION}, Table 2",
    datasets=("stacked-mnist", "cifar10"),
    columns=(
        Column("modes", "modes", "Modes (Max 1000)", "higher", 1, "stacked-mnist"),
        Column("kl", "KL", "KL", "lower", 2, "stacked-mnist"),
        Column("ivom", "IvOM", "IvOM", "lower", 4, "cifar10"),
        Column("ivom_50", "IvOM, 50 steps", None, "lower", 4, "cifar10"),
        Column("ivom_5", "IvOM, 5 steps", None, "lower", 4, "cifar10"),
    ),
    rows=(
        Row("gan", "DCGAN", "gan", reported=_reported("99", "3.4", "0.00844", "0.002")),
        Row(
            "ali",
            "ALI",
            "ali",
            reported=_reported("16", "5.4", "0.0067", "0.004"),
            assumptions="its encoder has the discriminator's convolutions",
        ),
        Row(
            "unrolled",
            "Unrolled GAN",
            "unrolled",
            overrides={"generator_rate": 0.5},
            reported=_reported("48.7", "4.32", "0.013", "0.0009"),
            assumptions="5 inner steps through the discriminator's Adam, non-saturating, generator at 1e-4",
        ),
        Row(
            "veegan",
            "VEEGAN",
            "veegan",
            reported=_reported("150", "2.95", "0.0068", "0.0001"),
            assumptions="its reconstructor has the discriminator's convolutions",
        ),
    ),
    protocol={
        "networks": "dcgan-32",
        "latent_dim": 100,
        "prior": "normal",
        "scaling": "symmetric",
        "batch_size": 64,
        "lr": 2e-4,
        "beta1": 0.5,
        "samples": 26_000,
        "features": "none",
        "width": 1,
    },
    profiles={
        "paper": Profile(
            {"epochs": 50},
            seeds=5,
            datasets={"cifar10": {"epochs": 100, "inverted": 256, "samples": 100, "evaluate_every": 10}},
        ),
        "short": Profile(
            {"epochs": 1, "fresh_iterations": 1_000, "networks": "dcgan-32-quarter"},
            seeds=1,
            datasets={"cifar10": {"inverted": 64, "samples": 100}},
        ),
        "smoke": Profile(
            {"epochs": 1, "fresh_iterations": 1, "batch_size": 8, "samples": 100},
            seeds=1,
            datasets={"cifar10": {"inverted": 2}},
        ),
    },
    readings={"corrected": Reading("DCGAN's layers for every method, after the released code of VEEGAN's authors")},
    reported_runs=5,
    notes=(
        "Stacks are drawn once, 128,000 of them, from the training digits; the released codes draw from all 70,000. "
        "Profile short draws a new one each time, 64,000 in all.",
        "IvOM: mean squared error per number, pixels in [0, 1], of the generated image that comes nearest to a test "
        "image, by 100 steps of L-BFGS from the best of three starts. In the rows real, collapsed and spread it is the "
        "nearest of the samples, as these have no generator.",
        "Profile short has a quarter of the channels: for what it costs, the full networks have 120 updates, after "
        "which they spell one or two numbers.",
        "The paper says neither how many test images nor how many steps it took.",
    ),
)
