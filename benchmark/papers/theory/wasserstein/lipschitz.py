"""Lipschitz constants multiply under composition, so clipped weights bound the slope of a critic (from the lecture).

Lip(f o g) <= Lip(f) Lip(g). ReLU has the Lipschitz constant 1. So the product of the spectral norms of the layers
bounds the slope of a network with ReLU. The bound is reached only if the singular vectors of successive layers are
aligned.

Weights in [-c, c] bound the spectral norm of a layer from n to m units by c (n m)^(1/2). For a critic of several layers
of 128 units, K is therefore a product of factors 128 c. It is huge for the lecture's c = 1, and for other c it grows or
vanishes with the depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
import torch
from torch import Tensor

from benchmark.papers.theory.divergences.dimension import jacobians
from benchmark.plotting.axes import band, tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of
from modules.networks import MLP, SeedLinear

Array = np.ndarray
#: Relative excess over the product that is put down to rounding.
ROUNDING = 1e-9
#: Values of c for the networks with random weights in [-c, c].
CLIPS = {"c = 1": 1.0, "c = 0.01": 0.01}


def layers_of(network: MLP) -> list[SeedLinear]:
    """Return the affine layers of a network."""
    return [layer for layer in network.layers if isinstance(layer, SeedLinear)]


def steepest(network: MLP, rng: np.random.Generator, points: int, inputs: int) -> Array:
    """Find the largest slope for each seed, among Jacobians at random points and secants between pairs of points.

    Args:
        network: Network of S copies.
        rng: Generator of the points.
        points: Number of points, and of pairs.
        inputs: Number of inputs of the network.

    Returns:
        The largest slope, ``[S]``.
    """
    seeds = len(layers_of(network)[0].weight)
    x, y = torch.from_numpy(rng.standard_normal((2, seeds, points, inputs)))
    slopes = torch.linalg.matrix_norm(jacobians(network, x), 2).amax(-1)
    with torch.no_grad():
        secants = (network(x) - network(y)).norm(dim=-1) / (x - y).norm(dim=-1)
    return torch.maximum(slopes, secants.amax(-1)).numpy()


def product(network: MLP) -> Array:
    """Compute the product of the layers' spectral norms, ``[S]``."""
    norms = [torch.linalg.matrix_norm(layer.weight.detach(), 2) for layer in layers_of(network)]
    return torch.stack(norms).prod(0).numpy()


def line_up(network: MLP) -> None:
    """Align the leading singular vectors of successive layers.

    The leading part of a layer becomes u v^T, with v the vector u of the layer before. All entries are positive, where
    ReLU is the identity.
    """
    with torch.no_grad():
        last: Tensor | None = None
        for layer in layers_of(network):
            _, inputs, outputs = layer.weight.shape
            first = torch.ones(inputs, dtype=layer.weight.dtype) / inputs**0.5 if last is None else last
            last = torch.arange(1, outputs + 1, dtype=layer.weight.dtype)
            last = last / last.norm()
            # The other directions are orthogonal to the leading one on both sides, and have smaller singular values.
            beside = layer.weight - first[:, None] * (first @ layer.weight)[:, None]
            beside = beside - (beside @ last)[..., None] * last
            layer.weight.copy_(
                3 * first[:, None] * last + beside / (2 * torch.linalg.matrix_norm(beside, 2)[:, None, None] + 1)
            )


def measure(seeds: Sequence[int], *, depths: tuple[int, ...], width: int, inputs: int, points: int) -> Findings:
    """Compare the slopes of networks with the product of their layers' spectral norms.

    Args:
        seeds: S seeds.
        depths: H numbers of hidden layers.
        width: Width of the hidden layers.
        inputs: Number of inputs.
        points: Number of points at which slopes are measured.

    Returns:
        Series: ``depth [H]``, hidden layers. ``slope`` and ``product [N, H, S]`` for N = 3 kinds of network: the
        default initialisation, c = 1 and c = 0.01. ``aligned [H, S]``, slope divided by product for networks with
        aligned layers. ``bound [2, H]``, the bound from c alone.
    """
    slopes: list[list[Array]] = [[], [], []]
    products: list[list[Array]] = [[], [], []]
    aligned = []
    for depth in depths:
        rng = np.random.default_rng((*b"lipschitz", depth))
        for kind, clip in enumerate((None, *CLIPS.values())):
            network = MLP("critic", inputs, 1, seeds=seeds, hidden=depth, width=width).double()
            if clip:
                for layer in layers_of(network):
                    draws = [
                        np.random.default_rng((*b"clipped", seed, depth)).uniform(-clip, clip, w.shape)
                        for seed, w in zip(seeds, layer.weight, strict=True)
                    ]
                    layer.weight.data = torch.from_numpy(np.stack(draws))
            slopes[kind].append(steepest(network, rng, points, inputs))
            products[kind].append(product(network))
        network = MLP("critic", inputs, 1, seeds=seeds, hidden=depth, width=width).double()
        line_up(network)
        towards = torch.full((len(seeds), 1, inputs), 1.0, dtype=torch.float64)
        with torch.no_grad():
            rise = (network(2 * towards) - network(towards)).norm(dim=-1) / towards.norm(dim=-1)
        aligned.append(rise[:, 0].numpy() / product(network))
    hidden = np.array(depths, dtype=float)
    bounds = [[c ** (h + 1) * width**h * inputs**0.5 for h in depths] for c in CLIPS.values()]
    series = {
        "depth": hidden,
        "slope": np.array(slopes),
        "product": np.array(products),
        "aligned": np.array(aligned),
        "bound": np.array(bounds),
    }
    ratio = series["slope"] / series["product"]
    deepest = [float(series["bound"][kind, -1]) for kind in range(2)]
    numbers = {
        "largest_ratio": float(ratio.max()),
        "typical_ratio": float(np.median(ratio)),
        "aligned_gap": float(np.abs(series["aligned"] - 1).max()),
        "bound_1": deepest[0],
        "bound_001": deepest[1],
        "networks": float(ratio.size),
    }
    return Findings(numbers, series)


def judge(numbers: Mapping[str, float]) -> Verdict:
    exceeded = numbers["largest_ratio"] > 1 + ROUNDING
    return verdict_of(not exceeded and numbers["aligned_gap"] < ROUNDING, exceeded)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    picture = blank(9, 3.2)
    left, right = picture.subplots(1, 2)
    names = ("as they are made", *CLIPS)
    for name, slope, whole, colour in zip(names, series["slope"], series["product"], COLOURS[1:], strict=False):
        band(left, series["depth"], slope.T, colour, f"{name}: steepest slope")
        left.plot(series["depth"], whole.mean(1), ":", color=colour, label=f"{name}: product of norms")
        # Both networks with weights in [-c, c] differ by a constant factor only, so their curves coincide.
        band(right, series["depth"], (slope / whole).T, colour, name, "--" if name == "c = 0.01" else "-")
    right.plot(series["depth"], series["aligned"].mean(1), "--", color="0.2", label="layers that line up")
    left.set(yscale="log", ylim=(1e-16, None))
    right.set(ylim=(0, 1.08))
    for ax in (left, right):
        ax.set_xticks(series["depth"])
    tidy(left, "hidden layers", "slope", "slopes stay below the product of the layers' norms", legend=False)
    left.legend(frameon=False, fontsize=6, ncols=2, loc="lower left")
    tidy(right, "hidden layers", "steepest slope / product", "the product is a bound, and reached", legend=False)
    right.legend(frameon=False, fontsize=7, loc="center right", bbox_to_anchor=(1, 0.72))
    return picture


LIPSCHITZ = Demonstration(
    id="theory-lipschitz",
    version=1,
    title="Lipschitz constants multiply: slopes of networks against the product of their layers' norms",
    claim="A composition has at most the product of the Lipschitz constants, so that weights in [−c, c] bound a "
    "network.",
    citation='Lecture "Understanding GANs", weight clipping; Arjovsky et al. 2017 (arXiv:1701.07875), section 3',
    setting="Networks with ReLU, whose weights are as they are made or uniform on [−c, c]; bands: seeds, from "
    "minimum to maximum. The bound by c alone is c (n m)^(1/2) per layer from n to m units; it grows or "
    "vanishes with the depth.",
    profiles={
        "short": {"depths": (1, 2, 3, 4, 5, 6), "width": 128, "inputs": 2, "points": 500},
        "smoke": {"depths": (1, 3), "width": 16, "inputs": 2, "points": 50},
    },
    seeds=5,
    measure=measure,
    numbers={
        "largest_ratio": "largest slope found / product of the layers' norms",
        "typical_ratio": "its median",
        "aligned_gap": "distance of that ratio from 1 where layers line up",
        "bound_1": "bound of the deepest network by c = 1 alone",
        "bound_001": "the same by c = 0.01",
        "networks": "networks",
    },
    rule="no slope exceeds the product, and layers that line up reach it",
    judge=judge,
    draw=draw,
)
