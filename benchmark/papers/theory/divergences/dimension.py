"""Samples have at most the dimension of the latents (Arjovsky and Bottou 2017, Lemma 1).

A network of affine maps and pointwise nonlinearities maps the latent space Z to a countable union of manifolds of
dimension at most dim Z. If there are fewer latents than data coordinates, the samples fill no open set. A hidden layer
narrower than Z lowers the dimension further.

Two ranks are measured. The rank of the Jacobian cannot exceed dim Z, because of the matrix's shape. The rank of samples
from a very small ball of latents could be as large as the dimension of the data; only the lemma says that it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np
import torch
from torch import Tensor

from benchmark.plotting.axes import tidy
from benchmark.plotting.canvas import blank
from benchmark.plotting.colours import COLOURS
from benchmark.spec.demonstration import Demonstration, Findings, Verdict, verdict_of
from modules.families import Activation
from modules.networks import MLP

Array = np.ndarray
ACTIVATIONS: tuple[Activation, ...] = ("relu", "tanh", "maxout")
#: Radius of the ball of latents, and the least singular value that counts as a direction, as a share of the largest.
#: Curvature and rounding cause singular values that are several orders of magnitude smaller.
_RADIUS, _DIRECTION = 1e-7, 1e-5


def jacobians(network: MLP, z: Tensor) -> Tensor:
    """Compute the Jacobians ``[S, n, out, d]`` of a network at latents ``[S, n, d]``."""

    # Each output depends on its own latent only, so the Jacobian of the sum of outputs contains that of each output.
    whole = torch.func.jacrev(lambda latents: network(latents).sum((0, 1)), chunk_size=16)(z)
    return whole.detach().movedim(0, 2)


def local_values(network: MLP, z: Tensor, rng: np.random.Generator, samples: int) -> Array:
    """Compute singular values of the samples around each latent, divided by the largest one.

    Args:
        network: Network of S copies.
        z: Latents ``[S, n, d]``, the centres of the balls.
        rng: Generator of the latents around them.
        samples: Number of samples around each latent.

    Returns:
        Singular values ``[S, n, min(samples, out)]``, in descending order.
    """
    seeds, n, dim = z.shape
    moves = torch.from_numpy(rng.standard_normal((seeds, n, samples, dim))) * _RADIUS
    with torch.no_grad():
        centre = network(z)
        around = network((z[:, :, None] + moves).flatten(1, 2)).unflatten(1, (n, samples))
    values = torch.linalg.svdvals(around - centre[:, :, None])
    return (values / values[..., :1]).numpy()


def measure(
    seeds: Sequence[int], *, latents: tuple[int, ...], outputs: int, width: int, neck: int, points: int
) -> Findings:
    """Measure both ranks for random networks with two hidden layers, in 64-bit arithmetic.

    Args:
        seeds: Seeds of the networks.
        latents: Dimensions of the latents.
        outputs: Number of outputs.
        width: Width of the hidden layers.
        neck: Width of the hidden layers in the narrow networks.
        points: Number of latents for each network, drawn from N(0, I).

    Returns:
        Series ``[C]``, one entry for each case: ``latent``, ``activation`` (index), ``narrow`` (1 if the hidden layers
        have ``neck`` units), ``jacobian`` and ``cloud`` (the largest rank of Jacobians and of samples), and ``limit``,
        the dimension that the lemma allows. ``values [C, outputs]`` are mean singular values of the samples.
    """
    cases, values = [], []
    for latent in latents:
        for kind, activation in enumerate(ACTIVATIONS):
            for narrow in (False, True):
                layers = {"hidden": 2, "width": neck if narrow else width}
                network = MLP("generator", latent, outputs, seeds=seeds, activation=activation, **layers).double()  # type: ignore[arg-type]
                rng = np.random.default_rng((*b"dimension", latent, kind, narrow))
                z = torch.from_numpy(rng.standard_normal((len(seeds), points, latent)))
                rank = int(torch.linalg.matrix_rank(jacobians(network, z)).max())
                around = local_values(network, z, rng, 2 * outputs)
                alive = np.nan_to_num(around)
                cases.append((latent, kind, narrow, rank, int((alive > _DIRECTION).sum(-1).max())))
                values.append(alive.mean((0, 1)))
    table = np.array(cases, dtype=float)
    series = dict(zip(("latent", "activation", "narrow", "jacobian", "cloud"), table.T, strict=True))
    limit = np.where(series["narrow"] == 1, np.minimum(series["latent"], neck), series["latent"])
    reached = series["cloud"] == limit
    numbers = {
        "jacobian_excess": float((series["jacobian"] - limit).max()),
        "cloud_excess": float((series["cloud"] - limit).max()),
        "reached": float(reached.mean()),
        "networks": float(len(cases) * len(seeds)),
        "outputs": float(outputs),
    }
    return Findings(numbers, {**series, "limit": limit, "values": np.array(values)})


def judge(numbers: Mapping[str, float]) -> Verdict:
    excess = max(numbers["jacobian_excess"], numbers["cloud_excess"])
    return verdict_of(excess <= 0, excess > 0)


def draw(found: Findings) -> matplotlib.figure.Figure:
    series = found.series
    picture = blank(9, 3.2)
    left, right = picture.subplots(1, 2, width_ratios=(3, 2))
    wide = (series["narrow"] == 0) & (series["activation"] == ACTIVATIONS.index("tanh"))
    for latent, values, colour in zip(series["latent"][wide], series["values"][wide], COLOURS[1:], strict=False):
        directions = np.arange(1, len(values) + 1)
        left.plot(directions, np.maximum(values, 1e-17), color=colour, marker=".", ms=4, label=f"dim Z = {latent:.0f}")
    left.axhline(_DIRECTION, color="0.4", linestyle=":", linewidth=0.9)
    left.set(yscale="log")
    tidy(left, "direction", "spread of a local cloud (largest: 1)", "tanh networks: directions above the dotted line")
    for narrow, name, mark in ((0, "wide", "o"), (1, "narrow", "x")):
        for kind, activation in enumerate(ACTIVATIONS):
            chosen = (series["narrow"] == narrow) & (series["activation"] == kind)
            right.plot(
                series["latent"][chosen] * (1 + 0.06 * (kind - 1)),
                series["cloud"][chosen],
                mark,
                color=COLOURS[kind + 1],
                ms=4,
                label=f"{activation}, {name}",
            )
    largest = series["latent"].max()
    right.plot([0, largest], [0, largest], color="0.5", linewidth=0.8, label="dim Z")
    right.set_xticks(np.unique(series["latent"]))
    tidy(right, "dim Z", "largest rank of a local cloud", "never above dim Z")
    return picture


DIMENSION = Demonstration(
    id="theory-dimension",
    version=1,
    title="The samples of a generator have the dimension of its latents at most",
    claim="G(Z) lies in a countable union of manifolds of dimension at most dim Z.",
    citation="Arjovsky and Bottou 2017 (arXiv:1701.04862), Lemma 1",
    setting="Random networks of this benchmark (three nonlinearities, two hidden layers, 64 bits), wide or with hidden "
    "layers narrower than Z. The Jacobian's shape alone bounds its rank; the rank of a cloud of samples around a point "
    "(radius 1e-7, directions above 1e-5 of the largest) is bounded by the lemma only.",
    profiles={
        "short": {"latents": (1, 2, 4, 8, 16), "outputs": 64, "width": 128, "neck": 3, "points": 20},
        "smoke": {"latents": (1, 4), "outputs": 16, "width": 32, "neck": 3, "points": 10},
    },
    seeds=5,
    measure=measure,
    numbers={
        "jacobian_excess": "largest rank of a Jacobian, less the bound",
        "cloud_excess": "largest rank of a local cloud, less the bound",
        "reached": "share of the kinds of network that reach the bound",
        "networks": "networks",
        "outputs": "coordinates of a sample",
    },
    rule="no rank exceeds dim Z or the width of the narrowest layer",
    judge=judge,
    draw=draw,
)
