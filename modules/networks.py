"""Networks that carry a leading seeds axis: S independent copies trained as one.

A network maps ``[S, B, in]`` to ``[S, B, out]``; copy ``s`` reads and writes slice ``s`` only, so gradients of a
sum over seeds are the gradients of each seed alone. ``S = 1`` is the ordinary case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

Output = Literal["linear", "sigmoid"]


class SeedLinear(nn.Module):
    """``S`` affine maps side by side.

    Weights are ``[S, in, out]``, drawn from N(0, 2 / in) (He et al. 2015, Eq. 10), biases ``[S, 1, out]``, zero.
    Each copy draws from its own generator, so a seed's weights do not depend on the others.
    """

    def __init__(self, inputs: int, outputs: int, generators: Sequence[np.random.Generator]) -> None:
        super().__init__()
        std = (2.0 / inputs) ** 0.5
        draws = [g.standard_normal((inputs, outputs), dtype=np.float32) * np.float32(std) for g in generators]
        self.weight = nn.Parameter(torch.from_numpy(np.stack(draws)))
        self.bias = nn.Parameter(torch.zeros(len(draws), 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)

    def extra_repr(self) -> str:
        seeds, inputs, outputs = self.weight.shape
        return f"{inputs}, {outputs}, seeds={seeds}"


class MLP(nn.Module):
    """Fully connected network with ReLU hidden layers and a linear or sigmoid output.

    ``forward`` applies the output function, ``logits`` leaves it out, ``features`` is the last hidden layer.
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
    ) -> None:
        super().__init__()
        generators = [np.random.default_rng((*b"initialisation", *role.encode(), seed)) for seed in seeds]
        sizes = [inputs] + [width] * hidden + [outputs]
        self.layers = nn.ModuleList(SeedLinear(i, o, generators) for i, o in zip(sizes, sizes[1:], strict=False))  # noqa: RUF007
        self.output = output

    def features(self, x: Tensor) -> Tensor:
        """Activations of the last hidden layer, ``[S, B, width]``."""
        for layer in self.layers[:-1]:
            x = layer(x).relu_()
        return x

    def logits(self, x: Tensor) -> Tensor:
        """Output before the output function, ``[S, B, out]``."""
        return self.layers[-1](self.features(x))

    def forward(self, x: Tensor) -> Tensor:
        out = self.logits(x)
        return out.sigmoid() if self.output == "sigmoid" else out


def together(network: Callable[[Tensor], Tensor], *batches: Tensor) -> tuple[Tensor, ...]:
    """One pass over several batches ``[S, B_i, ...]``: the outputs of each, at the cost of fewer, larger products."""
    return network(torch.cat(batches, 1)).split([batch.shape[1] for batch in batches], 1)


@dataclass(frozen=True)
class MLPFamily:
    """A named choice of layer count and width, from which every method builds the networks it needs.

    A discriminator's sigmoid (GAAN Table 1) lives in the losses, which take logits.
    """

    hidden: int
    width: int
    source: str

    def build(self, role: str, inputs: int, outputs: int, seeds: Sequence[int], output: Output = "linear") -> MLP:
        return MLP(role, inputs, outputs, seeds=seeds, hidden=self.hidden, width=self.width, output=output)


NETWORKS: dict[str, MLPFamily] = {
    "gaan-1": MLPFamily(hidden=3, width=128, source="Tran et al. 2018 (arXiv:1803.08887), Table 1"),
}
