"""Random numbers that depend on a name, a seed and the iteration only.

No state needs to be stored: a resumed run gets the same numbers as an uninterrupted one. The numbers of a seed do not
depend on the other seeds of its block. They are drawn on the CPU, so that a GPU gets the same ones.
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
    """Draw ``shape`` float32 values from U[-1, 1] or N(0, 1)."""
    if distribution == "normal":
        return generator.standard_normal(shape, dtype=np.float32)
    return generator.random(shape, dtype=np.float32) * 2 - 1


class Noise:
    """Streams of noise for a block of seeds. Each stream draws the noise of many iterations at a time.

    Args:
        seeds: One integer per copy.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = tuple(seeds)
        self._chunks: dict[str, tuple[int, Tensor]] = {}

    def __call__(self, name: str, iteration: int, distribution: Distribution, shape: Sequence[int]) -> Tensor:
        """Return the noise of one iteration.

        Args:
            name: Name of the stream. A stream must always be called with the same shape.
            iteration: Number of the iteration, at least 0.
            distribution: U[-1, 1] or N(0, 1).
            shape: Shape per seed.

        Returns:
            Noise ``[S, *shape]``, float32.
        """
        length = max(1, min(_CHUNK_ITERATIONS, _CHUNK_VALUES // max(1, int(np.prod(shape)))))
        index, position = divmod(iteration, length)
        held = self._chunks.get(name)
        if held is None or held[0] != index:
            generators = [np.random.default_rng((*name.encode(), seed, index)) for seed in self.seeds]
            chunk = np.stack([draw(g, distribution, (length, *shape)) for g in generators], axis=1)
            held = self._chunks[name] = (index, torch.from_numpy(chunk))
        return held[1][position]
