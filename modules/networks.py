"""Networks with a leading seeds axis: S independent copies trained as one.

A network maps ``[S, B, in]`` to ``[S, B, out]``. Copy ``s`` reads and writes slice ``s`` only, so that the gradient of
a sum over seeds holds the gradient of each seed. ``S = 1`` is the ordinary case.
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

#: Linear pieces per maxout unit (Goodfellow et al. 2013), as in ALI's released toy code.
PIECES = 5
#: Gain of the orthogonal initialisation and standard deviation of the normal one, from the released code that uses
#: them.
_ORTHOGONAL_GAIN, _NORMAL_STD = 1.4, 0.02


def initial_weights(kind: Initialisation, inputs: int, outputs: int, generator: np.random.Generator) -> np.ndarray:
    """Draw initial weights ``[in, out]``, float32.

    Args:
        kind: ``he``: N(0, 2 / in) (He et al. 2015, Eq. 10). ``normal``: N(0, 0.02^2). ``orthogonal``: 1.4 times a
            random matrix with orthonormal rows or columns (Saxe et al. 2014).
        inputs: Number of inputs.
        outputs: Number of outputs.
        generator: Source of random numbers.
    """
    draws = generator.standard_normal((inputs, outputs), dtype=np.float32)
    if kind == "he":
        return draws * np.float32((2.0 / inputs) ** 0.5)
    if kind == "normal":
        return draws * np.float32(_NORMAL_STD)
    q, r = np.linalg.qr(draws if inputs >= outputs else draws.T)
    q = q * np.sign(np.diagonal(r))
    return np.float32(_ORTHOGONAL_GAIN) * (q if inputs >= outputs else q.T)


class SeedLinear(nn.Module):
    """``S`` independent linear layers, from ``[S, B, in]`` to ``[S, B, out]``.

    Weights are ``[S, in, out]``, biases ``[S, 1, out]`` and initially zero. Each copy draws from its own generator, so
    that a seed's weights do not depend on the other seeds.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
        generators: One source of initial weights per seed.
        kind: Initialisation of the weights.
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
    """Batch normalisation of ``[S, B, width]`` over the batch (Ioffe and Szegedy 2015, Alg. 1), per seed.

    It uses running statistics in evaluation mode.
    """

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
    """Fully connected network with hidden layers of equal width.

    ``features`` returns the last hidden layer, ``logits`` the output before the output function, ``forward`` the
    output. A ``condition`` is concatenated to the data.

    Args:
        role: Name of the network. Its initial weights depend on it.
        inputs: Number of inputs, those of the condition included.
        outputs: Number of outputs.
        seeds: One integer per copy.
        hidden: Number of hidden layers.
        width: Units per hidden layer.
        output: Output function.
        activation: Nonlinearity of the hidden layers.
        batch_norm: Whether hidden layers have batch norm.
        initialisation: Initialisation of the weights.
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
        #: Whether the output for a sample depends on the other samples of its batch.
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
        """Apply the output function."""
        return finish(logits, self.output)


def to_float32(x: Tensor) -> Tensor:
    """Convert 16-bit outputs of mixed precision to float32, because losses are means of many small terms."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def finish(logits: Tensor, output: Output) -> Tensor:
    """Apply a network's output function."""
    if output == "sigmoid":
        return logits.sigmoid()
    return logits.tanh() if output == "tanh" else logits


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Apply the nonlinearity of a hidden layer. ``x`` may be overwritten."""
    if activation == "relu":
        return x.relu_()
    return x.tanh() if activation == "tanh" else x.unflatten(2, (-1, PIECES)).amax(3)


def forward_batched(network: Callable[..., Tensor], *batches: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Pass several batches through a network in one call, which is faster than one call per batch.

    A network with batch norm gets one batch per call, so that the batches do not share statistics.

    Args:
        network: A network or one of its methods.
        batches: Batches ``[S, B_i, ...]``, or tuples of such tensors if the network takes several arguments.

    Returns:
        The output of each batch, ``[S, B_i, ...]``.
    """
    parts = [batch if isinstance(batch, tuple) else (batch,) for batch in batches]
    if getattr(getattr(network, "__self__", network), "mixes_batch", False):
        return tuple(network(*part) for part in parts)
    joined = (torch.cat(column, 1) for column in zip(*parts, strict=True))
    return network(*joined).split([part[0].shape[1] for part in parts], 1)


class InstanceNoise(nn.Module):
    """A network that adds noise to its data but not to its condition.

    Args:
        network: The network.
        add_noise: Function that returns its argument with noise added.
    """

    def __init__(self, network: nn.Module, add_noise: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network: Any = network
        self.add_noise = add_noise
        self.mixes_batch = getattr(network, "mixes_batch", False)

    def features(self, x: Tensor, *condition: Tensor) -> Tensor:
        """Features of the network for data with noise."""
        return self.network.features(self.add_noise(x), *condition)

    def logits(self, x: Tensor, *condition: Tensor) -> Tensor:
        """Logits of the network for data with noise."""
        return self.network.logits(self.add_noise(x), *condition)

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        return self.network(self.add_noise(x), *condition)


@dataclass(frozen=True)
class MLPFamily:
    """A named choice of fully connected layers. Every method builds its networks for vectors from one family.

    Discriminators end linearly. Their sigmoid (GAAN, Table 1) is part of the losses, which take logits.

    Attributes:
        hidden: Number of hidden layers.
        width: Units per hidden layer.
        source: Where the choice comes from.
        activation: Nonlinearity of the hidden layers.
        batch_norm: Whether hidden layers have batch norm.
        initialisation: Initialisation of the weights.
        roles: Fields that differ for the network of a role.
        version: Raise this when a change alters the results of these networks.
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
        """A network from latents ``[S, B, latent]`` to data ``[S, B, *shape]``.

        Args:
            role: Name of the network. Its initial weights depend on it.
            latent: Number of inputs.
            shape: Shape of one sample.
            seeds: One integer per copy.
            output: Output function.
            norm: False builds it without batch norm.
        """
        return self._changed(role, norm).build(role, latent, self.dim(shape), seeds, output)

    def encoder(
        self, role: str, shape: Sequence[int], outputs: int, seeds: Sequence[int], extra: int = 0, norm: bool = True
    ) -> MLP:
        """A network from data ``[S, B, *shape]`` to ``[S, B, outputs]``.

        Args:
            role: Name of the network. Its initial weights depend on it.
            shape: Shape of one sample.
            outputs: Number of outputs.
            seeds: One integer per copy.
            extra: Number of further inputs, given as a condition.
            norm: False builds it without batch norm, so that samples of a batch do not affect one another.
        """
        return self._changed(role, norm).build(role, self.dim(shape) + extra, outputs, seeds)

    def _changed(self, role: str, norm: bool) -> MLPFamily:
        if norm:
            return self
        unmixed = {**self.roles.get(role, {}), "batch_norm": False}
        return replace(self, batch_norm=False, roles={**self.roles, role: unmixed})

    @staticmethod
    def dim(shape: Sequence[int]) -> int:
        """The dimension of vectors.

        Raises:
            ValueError: The shape is not that of a vector.
        """
        if len(shape) != 1:
            raise ValueError(f"these networks read vectors, not images of shape {list(shape)}: set protocol.networks")
        return shape[0]

    def build(self, role: str, inputs: int, outputs: int, seeds: Sequence[int], output: Output = "linear") -> MLP:
        """A network of this family with the given numbers of inputs and outputs."""
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
