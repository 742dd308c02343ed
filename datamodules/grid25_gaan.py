"""The 25-Gaussian grid of GAAN's Table 2."""

from datamodules.mixture import GaussianMixture

GRID25_GAAN = GaussianMixture(
    name="grid25-gaan",
    version=1,
    centres=tuple((float(x), float(y)) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)),
    std=0.05,
    per_mode=2_000,
    limit=4.18,
    source="Tran et al. 2018 (arXiv:1803.08887), section 4.1; sizes and largest value of the released toydatav2.txt",
    measures="registered",
)
