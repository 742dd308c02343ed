"""Networks with a leading seeds axis: S independent copies trained as one.

A network maps ``[S, B, in]`` to ``[S, B, out]``. Copy ``s`` reads and writes slice ``s`` only, so that the gradient of
a sum over seeds holds the gradient of each seed. ``S = 1`` is the ordinary case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modules.families import Activation, Initialisation, Output
from modules.ranks import batch_norm

#: Linear pieces of a maxout unit (Goodfellow et al. 2013), as in ALI's released toy code.
PIECES = 5
#: Gain of orthogonal initialisation and std of normal initialisation in the released code that uses them.
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
        return self.network.features(self.add_noise(x), *condition)

    def logits(self, x: Tensor, *condition: Tensor) -> Tensor:
        return self.network.logits(self.add_noise(x), *condition)

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        return self.network(self.add_noise(x), *condition)
