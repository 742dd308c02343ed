"""The claims of all papers, in one table."""

from benchmark.papers.gaan.claims import GAAN_CLAIMS
from benchmark.papers.gan_ae.claims import GAN_AE_CLAIMS
from benchmark.papers.importance_sampling.claims import IMPORTANCE_SAMPLING_CLAIMS
from benchmark.papers.veegan.claims import VEEGAN_CLAIMS
from benchmark.spec.claims import ClaimTable

CLAIMS = ClaimTable(
    id="claims",
    number=None,
    title="What the texts say in sentences, and what is measured of it",
    citation="GAAN, VEEGAN, the importance-sampling poster, the autoencoding poster; the lecture's claims are "
    "demonstrations of their own (list demonstrations)",
    claims=(*GAAN_CLAIMS, *VEEGAN_CLAIMS, *IMPORTANCE_SAMPLING_CLAIMS, *GAN_AE_CLAIMS),
    notes=(
        "A comparison holds if the 95 % interval of the mean difference over paired seeds (Student's t) lies wholly "
        "beyond its margin, and does not hold if it lies wholly short of it. It is undecided otherwise, below three "
        "pairs, and where a claim without a margin rests on a difference inside the measure's margin of equivalence. A "
        "claim holds if all of its comparisons do, and does not if one does not. Intervals are not widened for the "
        "number of comparisons.",
        "Claims are in our words, and hold or not at this budget, on these data, by these statistics.",
    ),
)
