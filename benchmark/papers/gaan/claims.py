"""Claims of GAAN's text, and the measurements that test them."""

import math

from benchmark.papers.gaan import tables
from benchmark.papers.gaan.tables_images import MNIST
from benchmark.spec.claims import Claim, Comparison, Models, Statistic
from benchmark.spec.table import Table

_GAAN = "Tran et al. 2018 (arXiv:1803.08887)"

_GRID = "grid25-gaan"

#: Training stops early if a model diverges; it then counts as one with no registered mode.
_MODES = Statistic("modes registered", "registered_modes", lost=0.0)

_POINTS = Statistic("points registered, of 2,000", "registered_points", lost=0.0)

_DECEIVED = Statistic("mean -log D(G(z)) over the training", "loss.generator", "mean")

#: A diverged model gets the largest possible value, log 10.
_BALANCE = Statistic("KL of digits", "digit_kl", lost=math.log(10))


def _gaan(row: str) -> Models:
    """Return the models of a row of GAAN's Table 2 or of its ablation, which share one protocol."""
    table: Table = tables.TABLE_2 if any(row == known.id for known in tables.TABLE_2.rows) else tables.TABLE_2_ABLATION
    return Models(table, row, _GRID)


def _digits(row: str) -> Models:
    return Models(MNIST, row, "mnist", seeds=3)


GAAN_CLAIMS = (
    Claim(
        "gaan-real",
        "Showing reconstructions to the discriminator as real slows it down, and the generator's gradients stay alive.",
        f"{_GAAN}, section 3.2.1",
        "25 Gaussians. A discriminator that wins makes -log D(G(z)) large and the gradient of log(1 - D(G(z))), "
        "D(G(z)) times the logit's, small; against reconstructions labelled fake, and not shown at all. All show "
        "it as much real as fake, so that log 2 is where nobody wins; otherwise the weights alone would decide. "
        "The gradient itself is not measured.",
        (
            Comparison(_DECEIVED, _gaan("gaan_2"), "lower", _gaan("gaan-label-fake")),
            Comparison(_DECEIVED, _gaan("gaan_2"), "lower", _gaan("gaan-label-none")),
        ),
    ),
    Claim(
        "gaan-penalty",
        "The gradient penalty alone does not solve MNIST.",
        f"{_GAAN}, Fig. 2",
        "MNIST with two latents, GAAN without its regulariser against GAAN, which has both, by what the figure's "
        "colours show: the balance of the digits.",
        (Comparison(_BALANCE, _digits("gaan_1"), "higher", _digits("gaan_2")),),
    ),
    Claim(
        "gaan-vae-gan",
        "VAE-GAN diverges without decay of the learning rate.",
        _GAAN,
        "25 Gaussians. A training that ends in numbers that are not finite registers nothing, nor does one that "
        "has left the data: fewer points by half of the 2,000, as a rate that does not fall blurs them anyway. "
        "Below the paper's budget this says little: at short the rate falls to 0.73 of its start with the decay.",
        (Comparison(_POINTS, _gaan("vae-gan-no-decay"), "lower", _gaan("vae-gan"), 1_000.0),),
    ),
    Claim(
        "gaan-mdgan",
        "MDGAN collapses.",
        _GAAN,
        "25 Gaussians, GAAN's networks: fewer than half of the modes.",
        (Comparison(_MODES, _gaan("mdgan"), "lower", 12.5),),
    ),
    Claim(
        "gaan-small",
        "Small networks make collapse worse.",
        f"{_GAAN}, Table 3 (K/4 against K/2)",
        "25 Gaussians: GAN with a quarter of the discriminator's width.",
        (Comparison(_MODES, _gaan("gan-quarter"), "lower", _gaan("gan")),),
    ),
    Claim(
        "gaan-faster",
        "GAAN_2 covers all modes faster than GAAN_1.",
        f"{_GAAN}, Fig. 5",
        "25 Gaussians, the first epoch that ends with all; a model that never covers all counts as one epoch more "
        "than there are.",
        (
            Comparison(
                Statistic("epochs to all 25 modes", "registered_modes", "wait", goal=25),
                _gaan("gaan_2"),
                "lower",
                _gaan("gaan_1"),
            ),
        ),
    ),
    Claim(
        "gaan-priors",
        "Other priors than the uniform one work.",
        _GAAN,
        "25 Gaussians: with a normal prior GAAN_2 registers at most two modes fewer.",
        (Comparison(_MODES, _gaan("prior-normal"), "higher", _gaan("gaan_2"), -2.0),),
    ),
    Claim(
        "gaan-blur",
        "Comparing reconstructions pixel by pixel blurs.",
        _GAAN,
        "25 Gaussians, where what is blurred lies between the modes: GAAN without its regulariser, by squared "
        "error of the coordinates against that of the discriminator's features.",
        (Comparison(_POINTS, _gaan("gaan_1"), "lower", _gaan("gaan-features")),),
    ),
)
