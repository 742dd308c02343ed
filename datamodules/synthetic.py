"""The synthetic mixtures of VEEGAN's Table 1 and of the papers that repeat its experiment."""

import math

from datamodules.mixture import GaussianMixture

_EIGHTHS = [2 * math.pi * k / 8 for k in range(8)]
_PACGAN = "released code of PacGAN (Lin et al. 2018, arXiv:1712.04086)"

RING8 = GaussianMixture(
    name="ring8",
    version=1,
    centres=tuple((math.cos(angle), math.sin(angle)) for angle in _EIGHTHS),
    std=0.01,
    per_mode=12_500,
    limit=1.05,
    radius=0.03,
    source=f"8 modes on a circle of radius 1; std and size from the {_PACGAN}, as VEEGAN states none",
)

RING8_METZ = GaussianMixture(
    name="ring8-metz",
    version=1,
    centres=tuple((2 * math.cos(angle), 2 * math.sin(angle)) for angle in _EIGHTHS),
    std=0.02,
    per_mode=12_500,
    limit=2.1,
    radius=0.06,
    source="8 modes on a circle of radius 2, std 0.02: Metz et al. 2017 (arXiv:1611.02163), appendix",
)

GRID25 = GaussianMixture(
    name="grid25",
    version=1,
    centres=tuple((float(x), float(y)) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)),
    std=0.05,
    per_mode=4_000,
    limit=4.25,
    radius=0.15,
    source="Dumoulin et al. 2017 (arXiv:1606.00704), Srivastava et al. 2017 (arXiv:1705.07761); size from ALI's code",
)

CUBE27 = GaussianMixture(
    name="cube27",
    version=1,
    centres=tuple((float(x), float(y), float(z)) for x in (-2, 0, 2) for y in (-2, 0, 2) for z in (-2, 0, 2)),
    std=0.05,
    per_mode=4_000,
    limit=2.25,
    radius=0.15,
    source="27 modes in three dimensions (Lee and Lee 2018); spacing and std as in grid25, as the poster states none",
)

SYNTH1200 = GaussianMixture(
    name="synth1200",
    version=1,
    centres=tuple((c,) * 1_200 for c in (-1.0, -0.5, 0.0, 0.5, -2.0, -2.5, 10.0, 0.25, -13.0, -5.5)),
    std=1.0,
    per_mode=10_000,
    limit=20.0,
    # 98.89 % of the data are within this radius, as within 3 std in two dimensions. The paper's radius of 10 contains
    # none.
    radius=28.08,
    reported_radius=10.0,
    noisy=700,
    source=f"ten 700-dimensional Gaussians in 1,200 dimensions (Srivastava et al. 2017); centres from the {_PACGAN}",
)
