"""Networks that carry a leading seeds axis: S independent copies trained as one.

A network maps ``[S, B, in]`` to ``[S, B, out]``; copy ``s`` reads and writes slice ``s`` only, so gradients of a
sum over seeds are the gradients of each seed alone. ``S = 1`` is the ordinary case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from modules.ranks import batch_norm

Output = Literal["linear", "sigmoid", "tanh"]
Activation = Literal["relu", "tanh", "maxout"]
Initialisation = Literal["he", "orthogonal", "normal"]

#: Linear pieces of a maxout unit (Goodfellow et al. 2013), as in ALI's released toy code.
PIECES = 5
#: Gain of orthogonal initialisation and std of normal initialisation in the released code that uses them.
_ORTHOGONAL_GAIN, _NORMAL_STD = 1.4, 0.02


def initial_weights(kind: Initialisation, inputs: int, outputs: int, generator: np.random.Generator) -> np.ndarray:
    """Weights ``[in, out]``, float32: N(0, 2 / in) (He et al. 2015, Eq. 10), N(0, 0.02^2), or 1.4 times a random matrix
    with orthonormal rows or columns (Saxe et al. 2014)."""
    draws = generator.standard_normal((inputs, outputs), dtype=np.float32)
    if kind == "he":
        return draws * np.float32((2.0 / inputs) ** 0.5)
    if kind == "normal":
        return draws * np.float32(_NORMAL_STD)
    q, r = np.linalg.qr(draws if inputs >= outputs else draws.T)
    q = q * np.sign(np.diagonal(r))
    return np.float32(_ORTHOGONAL_GAIN) * (q if inputs >= outputs else q.T)


class SeedLinear(nn.Module):
    """``S`` affine maps side by side.

    Weights are ``[S, in, out]``, biases ``[S, 1, out]``, zero. Each copy draws from its own generator, so a seed's
    weights do not depend on the others.
    """

    def __init__(
        self, inputs: int, outputs: int, generators: Sequence[np.random.Generator], kind: Initialisation = "he"
    ) -> None:
        super().__init__()
        weights = np.stack([initial_weights(kind, inputs, outputs, g) for g in generators])
        self.weight = nn.Parameter(torch.from_numpy(weights))
        self.bias = nn.Parameter(torch.zeros(len(generators), 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)

    def extra_repr(self) -> str:
        seeds, inputs, outputs = self.weight.shape
        return f"{inputs}, {outputs}, seeds={seeds}"


class SeedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015, Alg. 1) of ``[S, B, width]`` over the batch, each seed by itself;
    with running statistics in eval mode."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, seeds: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(seeds, 1, width))
        self.bias = nn.Parameter(torch.zeros(seeds, 1, width))
        self.register_buffer("running_mean", torch.zeros(seeds * width))
        self.register_buffer("running_var", torch.ones(seeds * width))
        self.momentum = 0.1

    def forward(self, x: Tensor) -> Tensor:
        seeds, batch, width = x.shape
        columns = x.transpose(0, 1).reshape(batch, seeds * width)
        scale, shift = self.weight.flatten(), self.bias.flatten()
        means, variances = self.running_mean, self.running_var
        y = batch_norm(columns, means, variances, scale, shift, self.training, self.momentum)
        return y.reshape(batch, seeds, width).transpose(0, 1)


class MLP(nn.Module):
    """Fully connected network with hidden layers of one kind.

    ``forward`` applies the output function, ``logits`` leaves it out, ``features`` is the last hidden layer. The
    numbers of a ``condition`` are joined to the data.
    """

    def __init__(
        self,
        role: str,
        inputs: int,
        outputs: int,
        *,
        seeds: Sequence[int],
        hidden: int,
        width: int,
        output: Output = "linear",
        activation: Activation = "relu",
        batch_norm: bool = False,
        initialisation: Initialisation = "he",
    ) -> None:
        super().__init__()
        generators = [np.random.default_rng((*b"initialisation", *role.encode(), seed)) for seed in seeds]
        sizes = [inputs] + [width] * hidden + [outputs]
        pieces = [PIECES if activation == "maxout" else 1] * hidden + [1]
        self.layers = nn.ModuleList(
            SeedLinear(i, o * p, generators, initialisation) for i, o, p in zip(sizes, sizes[1:], pieces, strict=False)
        )
        self.norms = nn.ModuleList(SeedBatchNorm(len(seeds), width) for _ in range(hidden) if batch_norm)
        self.output = output
        self.activation = activation
        #: Whether a sample's output depends on its batch.
        self.mixes_batch = batch_norm

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Activations of the last hidden layer, ``[S, B, width]``."""
        if condition is not None:
            x = torch.cat([x, condition], 2)
        for number, layer in enumerate(self.layers[:-1]):
            x = layer(x)
            if self.norms:
                x = self.norms[number](x)
            x = activate(x, self.activation)
        return to_float32(x)

    def logits(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Output before the output function, ``[S, B, out]``."""
        return to_float32(self.layers[-1](self.features(x, condition)))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.finish(self.logits(x, condition))

    def finish(self, logits: Tensor) -> Tensor:
        """The output function."""
        return finish(logits, self.output)


def to_float32(x: Tensor) -> Tensor:
    """What leaves a network in mixed precision is 32 bits wide again: losses are means of many small terms."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def finish(logits: Tensor, output: Output) -> Tensor:
    """A network's output function."""
    if output == "sigmoid":
        return logits.sigmoid()
    return logits.tanh() if output == "tanh" else logits


def activate(x: Tensor, activation: Activation) -> Tensor:
    """A hidden layer's nonlinearity; ``x`` may be overwritten."""
    if activation == "relu":
        return x.relu_()
    return x.tanh() if activation == "tanh" else x.unflatten(2, (-1, PIECES)).amax(3)


def forward_batched(network: Callable[..., Tensor], *batches: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """One pass over several batches ``[S, B_i, ...]``, or over tuples of what a network reads side by side: the outputs
    of each, at the cost of fewer, larger products. A network whose batch norm would mix them takes them one after
    another."""
    parts = [batch if isinstance(batch, tuple) else (batch,) for batch in batches]
    if getattr(getattr(network, "__self__", network), "mixes_batch", False):
        return tuple(network(*part) for part in parts)
    joined = (torch.cat(column, 1) for column in zip(*parts, strict=True))
    return network(*joined).split([part[0].shape[1] for part in parts], 1)


class InstanceNoise(nn.Module):
    """A network whose data, but not their condition, pass through ``add_noise`` first."""

    def __init__(self, network: nn.Module, add_noise: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network: Any = network
        self.add_noise = add_noise
        self.mixes_batch = getattr(network, "mixes_batch", False)

    def features(self, x: Tensor, *condition: Tensor) -> Tensor:
        return self.network.features(self.add_noise(x), *condition)

    def logits(self, x: Tensor, *condition: Tensor) -> Tensor:
        return self.network.logits(self.add_noise(x), *condition)

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        return self.network(self.add_noise(x), *condition)


@dataclass(frozen=True)
class MLPFamily:
    """A named choice of layers, from which every method builds the networks that it needs for vectors.

    A discriminator's sigmoid (GAAN Table 1) lives in the losses, which take logits.

    roles: what is different for the network of a role.
    version: to be raised when a change alters the numbers of these networks.
    """

    hidden: int
    width: int
    source: str
    activation: Activation = "relu"
    batch_norm: bool = False
    initialisation: Initialisation = "he"
    roles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    version: int = 1

    def generator(
        self, role: str, latent: int, shape: Sequence[int], seeds: Sequence[int], output: Output, norm: bool = True
    ) -> MLP:
        """A network from ``[S, B, latent]`` to data of ``shape``; ``norm`` as in ``encoder``."""
        return self._changed(role, norm).build(role, latent, self.dim(shape), seeds, output)

    def encoder(
        self, role: str, shape: Sequence[int], outputs: int, seeds: Sequence[int], extra: int = 0, norm: bool = True
    ) -> MLP:
        """A network from data of ``shape``, and ``extra`` numbers beside them, to ``[S, B, outputs]``; ``norm=False``
        asks for one without batch norm, whose samples do not depend on each other."""
        return self._changed(role, norm).build(role, self.dim(shape) + extra, outputs, seeds)

    def _changed(self, role: str, norm: bool) -> MLPFamily:
        if norm:
            return self
        unmixed = {**self.roles.get(role, {}), "batch_norm": False}
        return replace(self, batch_norm=False, roles={**self.roles, role: unmixed})

    @staticmethod
    def dim(shape: Sequence[int]) -> int:
        if len(shape) != 1:
            raise ValueError(f"these networks read vectors, not images of shape {list(shape)}: set protocol.networks")
        return shape[0]

    def build(self, role: str, inputs: int, outputs: int, seeds: Sequence[int], output: Output = "linear") -> MLP:
        layers = {
            "hidden": self.hidden,
            "width": self.width,
            "activation": self.activation,
            "batch_norm": self.batch_norm,
            "initialisation": self.initialisation,
        }
        return MLP(role, inputs, outputs, seeds=seeds, output=output, **{**layers, **self.roles.get(role, {})})


_VEEGAN = "VEEGAN's notebook as re-posted: two hidden layers, one in the discriminator"
_ALI = "ALI's released toy code, as PacGAN (Lin et al. 2018, arXiv:1712.04086) uses it"

NETWORKS: dict[str, MLPFamily] = {
    "gaan-1": MLPFamily(hidden=3, width=128, source="Tran et al. 2018 (arXiv:1803.08887), Table 1"),
    "gaan-1-shallow": MLPFamily(
        hidden=3,
        width=128,
        source="Tran et al. 2018, Table 1, but one hidden layer in the discriminator (an ablation)",
        roles={"discriminator": {"hidden": 1}},
    ),
    "gaan-1-quarter": MLPFamily(
        hidden=3,
        width=128,
        source="Tran et al. 2018, Table 1, but a quarter of the width in the discriminator (an ablation)",
        roles={"discriminator": {"width": 32}},
    ),
    "veegan": MLPFamily(hidden=2, width=128, source=_VEEGAN, roles={"discriminator": {"hidden": 1}}),
    "veegan-512": MLPFamily(
        hidden=2,
        width=512,
        source=f"{_VEEGAN}, wider for 1,200 dimensions (ours)",
        roles={"discriminator": {"hidden": 1}},
    ),
    "two-layers": MLPFamily(hidden=2, width=128, source=f"{_VEEGAN}; here two (ours)"),
    "two-layers-512": MLPFamily(hidden=2, width=512, source=f"{_VEEGAN}; here two, and wider (ours)"),
    "unrolled": MLPFamily(
        hidden=2,
        width=128,
        activation="tanh",
        initialisation="orthogonal",
        source="released notebook of Metz et al. 2017 (arXiv:1611.02163)",
    ),
    "ali": MLPFamily(
        hidden=4,
        width=400,
        batch_norm=True,
        initialisation="normal",
        source=_ALI,
        roles={
            "encoder": {"hidden": 2},
            "discriminator": {"hidden": 3, "width": 200, "activation": "maxout", "batch_norm": False},
        },
    ),
}
