"""Claims of the autoencoding poster, and the measurements that test them."""

from benchmark.papers.gan_ae import tables
from benchmark.papers.statistics import DIVERGENCE, on_each
from benchmark.spec.claims import Claim, Comparison, Models, Statistic

_AUTOENCODING = tables.CITATION

_CAPTURED = Statistic("modes captured", "captured_modes", lost=0.0)

_SWING = Statistic("swing of the log gradient at G(E(x))", "trace.gradient", "swing")


def _unstable(row: str) -> Models:
    return Models(tables.INSTABILITY, row, "mnist", seeds=3)


GAN_AE_CLAIMS = (
    Claim(
        "gan-ae-modes",
        "An autoencoder remedies mode missing.",
        _AUTOENCODING,
        "Three mixtures, GAN + AE against GAN; modes alone say nothing where quality is low, which the divergence "
        "sees. Free samples of GAN + AE come from 30 Gaussians that are fitted to codes of data, a help that GAN "
        "lacks.",
        (
            *on_each(_CAPTURED, tables.TABLE_2, "gan-ae", "higher", "gan"),
            *on_each(DIVERGENCE, tables.TABLE_2, "gan-ae", "lower", "gan"),
        ),
    ),
    Claim(
        "gan-ae-prior",
        "An autoencoder remedies mode missing, also where nothing is fitted to codes of data.",
        f"{_AUTOENCODING}, which leaves open what free samples are drawn from",
        "The same, with a critic that draws codes to the prior and free samples from the prior, as GAN's are. The "
        "critic has the weight of the discriminator, which is a choice of ours.",
        (
            *on_each(_CAPTURED, tables.TABLE_2, "gan-ae-critic", "higher", "gan"),
            *on_each(DIVERGENCE, tables.TABLE_2, "gan-ae-critic", "lower", "gan"),
        ),
    ),
    Claim(
        "gan-ae-decay",
        "The adaptive decay of the adversarial error tames the instability.",
        f"{_AUTOENCODING}, curves of the discriminator's loss and gradient",
        "MNIST, one epoch: the standard deviation, over the second half of the training, of the log of the "
        "gradient that the discriminator sends to reconstructions, alpha included. Not on mixtures, where the "
        "discriminator stays at 1/2 and alpha at 1.",
        (Comparison(_SWING, _unstable("gan-ae-alpha"), "lower", _unstable("gan-ae")),),
    ),
)
