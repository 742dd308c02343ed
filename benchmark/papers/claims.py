"""The claims of all papers, in one table."""

from benchmark.papers.gaan.claims import GAAN_CLAIMS
from benchmark.papers.gan_ae.claims import GAN_AE_CLAIMS
from benchmark.papers.importance_sampling.claims import IMPORTANCE_SAMPLING_CLAIMS
from benchmark.papers.veegan.claims import VEEGAN_CLAIMS
from benchmark.spec.claims import HOW_JUDGED, ClaimTable

CLAIMS = ClaimTable(
    id="claims",
    number=None,
    title="What the texts say in sentences, and what is measured of it",
    citation="GAAN, VEEGAN, the importance-sampling poster, the autoencoding poster; the lecture's claims are "
    "demonstrations of their own (list demonstrations)",
    claims=(*GAAN_CLAIMS, *VEEGAN_CLAIMS, *IMPORTANCE_SAMPLING_CLAIMS, *GAN_AE_CLAIMS),
    notes=(
        HOW_JUDGED,
        "Claims are in our words, and hold or not at this budget, on these data, by these statistics.",
    ),
)
