"""Claims of VEEGAN's text, and the measurements that test them."""

from benchmark.spec.claims import Claim

_VEEGAN = "Srivastava et al. 2017 (arXiv:1705.07761)"

VEEGAN_CLAIMS = (
    Claim(
        "veegan-constant",
        "A constant discriminator teaches the generator nothing of the data.",
        _VEEGAN,
        "VEEGAN on the ring with its discriminator held constant.",
        ("veegan-constant",),
    ),
    Claim(
        "veegan-bound",
        "The cross entropy of the noise under the codes is bounded by the objective: -∫ p0 log p_θ ≤ O.",
        _VEEGAN,
        "In one dimension with Gaussian data, generator and reconstructor, all in closed form.",
        ("veegan-bound",),
    ),
)
