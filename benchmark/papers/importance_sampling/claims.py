"""Claims of the importance-sampling poster, and the measurements that test them."""

from benchmark.papers.importance_sampling import tables
from benchmark.papers.statistics import DIVERGENCE, on_each
from benchmark.spec.claims import Claim, Comparison, Models, Statistic

_AEIS = "Lee and Lee 2018, poster"


def _covers(modes: int) -> Statistic:
    return Statistic(f"epochs to all {modes} modes, kept", "captured_modes", "covered", goal=modes)


IMPORTANCE_SAMPLING_CLAIMS = (
    Claim(
        "aeis-faster",
        "An autoencoder with importance sampling converges faster than VEEGAN.",
        f"{_AEIS}, Fig. 2",
        "Three mixtures, the epoch (500 updates) from which on all modes stay captured and at least a tenth of the "
        "samples are of high quality, the autoencoder's training before it not counted (6,000 updates, at paper "
        "20,000); a model that never gets there counts as one epoch more than there are.",
        tuple(
            Comparison(
                _covers(k),
                Models(tables.TABLE_1, "aeis", name),
                "lower",
                Models(tables.TABLE_1, "veegan", name),
            )
            for name, k in (("ring8", 8), ("grid25", 25), ("cube27", 27))
        ),
    ),
    Claim(
        "aeis-weights",
        "The importance weights help.",
        _AEIS,
        "Three mixtures: against pairs without weights.",
        on_each(DIVERGENCE, tables.TABLE_1, "aeis", "lower", "aeis-pairs"),
    ),
)
