"""Random numbers that depend on their name, their seed and their iteration, and on nothing else.

There is no state to store: a resumed run asks for iteration 1000 and gets what a straight run got, and a seed's
numbers do not know which other seeds share the block. Numbers are made on the CPU, so that a GPU run sees the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from modules.options import Distribution

_CHUNK_ITERATIONS = 64
_CHUNK_VALUES = 1 << 20


def draw(generator: np.random.Generator, distribution: Distribution, shape: Sequence[int]) -> np.ndarray:
    """``shape`` float32 values from U[-1, 1] or N(0, 1)."""
    if distribution == "normal":
        return generator.standard_normal(shape, dtype=np.float32)
    return generator.random(shape, dtype=np.float32) * 2 - 1


class Noise:
    """Streams of noise for a block of seeds, drawn many iterations at a time."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = tuple(seeds)
        self._chunks: dict[str, tuple[int, Tensor]] = {}

    def __call__(self, name: str, iteration: int, distribution: Distribution, shape: Sequence[int]) -> Tensor:
        """Noise ``[S, *shape]`` of stream ``name`` at ``iteration``; one name must keep one shape."""
        length = max(1, min(_CHUNK_ITERATIONS, _CHUNK_VALUES // max(1, int(np.prod(shape)))))
        index, position = divmod(iteration, length)
        held = self._chunks.get(name)
        if held is None or held[0] != index:
            generators = [np.random.default_rng((*name.encode(), seed, index)) for seed in self.seeds]
            chunk = np.stack([draw(g, distribution, (length, *shape)) for g in generators], axis=1)
            held = self._chunks[name] = (index, torch.from_numpy(chunk))
        return held[1][position]
