"""Mixtures of Gaussians: data whose modes are known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

Array = np.ndarray


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of isotropic Gaussians with equal weights.

    Attributes:
        name: Name on the command line.
        centres: ``K`` centres of ``d`` coordinates, in original units.
        std: Standard deviation per coordinate, in original units.
        per_mode: Points per mode in the fixed training set. The set is the same for every seed.
        limit: Largest absolute coordinate. Coordinates of training points beyond it are drawn again. Networks with
            scaled data see ``(x / limit + 1) / 2``, which is in [0, 1].
        source: Origin of these numbers.
        measures: How samples are evaluated: ``registered`` (GAAN) or ``quality`` (VEEGAN).
        radius: Distance to a centre within which ``quality`` counts a sample as high-quality, in original units.
        reported_radius: The paper's own radius if it must be an error. Results are also computed for it.
        noisy: Number of coordinates with noise, counted from the first; 0 for all. The others equal those of the
            centre.
        projected: Whether the noise lies in a random subspace of dimension ``noisy`` instead.
        version: Raise this when a change alters the points drawn. 0 stands for data sets without a version.
    """

    name: str
    centres: tuple[tuple[float, ...], ...]
    std: float
    per_mode: int
    limit: float
    source: str
    measures: Literal["registered", "quality"] = "quality"
    radius: float = 0.0
    reported_radius: float = 0.0
    noisy: int = 0
    projected: bool = False
    version: int = 0

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return (len(self.centres[0]),)

    @property
    def modes(self) -> int:
        """Number of modes."""
        return len(self.centres)

    @property
    def training_size(self) -> int:
        """Size of the fixed training set."""
        return len(self.centres) * self.per_mode

    def scale(self, points: Array) -> Array:
        """Map original units to the networks' [0, 1]."""
        return (points / self.limit + 1) / 2

    def unscale(self, points: Array) -> Array:
        """Map the networks' [0, 1] to original units."""
        return (points * 2 - 1) * self.limit

    def training_points(self) -> Array:
        """The training set, float32 ``[K * per_mode, d]`` in original units, ordered by mode."""
        rng = np.random.default_rng((*self.name.encode(), self.per_mode))
        points = np.repeat(np.array(self.centres), self.per_mode, axis=0)
        noise = self._noise(rng, len(points))
        while (beyond := np.abs(points + noise) > self.limit).any():
            noise[beyond] = rng.standard_normal(int(beyond.sum())) * self.std
        return (points + noise).astype(np.float32)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw ``n`` new points of the mixture, as a perfect model would: float64 ``[n, d]``."""
        return self.sample_modes(n, rng, len(self.centres))

    def sample_modes(self, n: int, rng: np.random.Generator, modes: int) -> Array:
        """Draw ``n`` new points of the first ``modes`` modes only."""
        centres = np.array(self.centres)[rng.integers(modes, size=n)]
        return centres + self._noise(rng, n)

    def sample_uniform(self, n: int, rng: np.random.Generator) -> Array:
        """Draw ``n`` points from the uniform distribution over the box of the data. They cover every mode without
        quality.
        """
        return rng.uniform(-self.limit, self.limit, (n, *self.data_shape))

    def _noise(self, rng: np.random.Generator, n: int) -> Array:
        dim = len(self.centres[0])
        drawn = rng.standard_normal((n, self.noisy or dim)) * self.std
        if not self.noisy:
            return drawn
        if self.projected:
            return drawn @ _orthonormal_rows(self.noisy, dim)
        return np.concatenate([drawn, np.zeros((n, dim - self.noisy))], axis=1)


@cache
def _orthonormal_rows(rows: int, columns: int) -> Array:
    """A fixed random matrix ``[rows, columns]`` with orthonormal rows."""
    rng = np.random.default_rng((*b"projection", rows, columns))
    return np.linalg.qr(rng.standard_normal((columns, rows)))[0].T


class SeededBatches(IterableDataset):
    """Batches of one epoch, with an order of its own for each seed.

    Yields lists of up to ``group`` tensors ``[draws, S, B, ...]``. The order of draw ``k`` of seed ``s`` in epoch ``e``
    depends on (data set, s, k, e) only. Methods with one batch per iteration therefore see the same batches, a resumed
    run finds them again, and a seed does not depend on its neighbours.

    Args:
        name: Name of the data set.
        points: Training set ``[n, ...]``.
        seeds: One integer per copy of the model.
        batch_size: Samples per batch.
        draws: Batches per seed and iteration.
        epoch: Number of the epoch.
        group: Largest number of batches per list.
    """

    def __init__(
        self, name: str, points: Tensor, seeds: Sequence[int], batch_size: int, draws: int, epoch: int, group: int = 17
    ) -> None:
        self.name, self.points, self.seeds = name, points, tuple(seeds)
        self.batch_size, self.draws, self.epoch, self.group = batch_size, draws, epoch, group

    def order(self, seed: int, draw: int) -> Array:
        """Order of the training points for a seed and a draw, ``[n]``."""
        rng = np.random.default_rng((*b"order ", *self.name.encode(), seed, draw, self.epoch))
        return rng.permutation(len(self.points))

    def __iter__(self) -> Iterator[list[Tensor]]:
        orders = [[self.order(seed, draw) for seed in self.seeds] for draw in range(self.draws)]
        batches = torch.from_numpy(np.array(orders)).split(self.batch_size, dim=2)
        for start in range(0, len(batches), self.group):
            yield [self.points[index] for index in batches[start : start + self.group]]


class FreshBatches(IterableDataset):
    """Batches of new points, as lists of up to ``group`` tensors ``[draws, S, B, d]``.

    Draw ``k`` of seed ``s`` in epoch ``e`` depends on (data set, s, k, e) only.

    Args:
        mixture: The data set.
        seeds: One integer per copy of the model.
        batch_size: Samples per batch.
        draws: Batches per seed and iteration.
        epoch: Number of the epoch.
        iterations: Number of batches.
        scaled: Whether points are scaled to [0, 1].
        group: Largest number of batches per list.
    """

    def __init__(
        self,
        mixture: GaussianMixture,
        seeds: Sequence[int],
        batch_size: int,
        draws: int,
        epoch: int,
        iterations: int,
        scaled: bool,
        group: int = 17,
    ) -> None:
        self.mixture, self.seeds, self.draws, self.scaled = mixture, tuple(seeds), draws, scaled
        self.batch_size, self.epoch, self.iterations, self.group = batch_size, epoch, iterations, group

    def __iter__(self) -> Iterator[list[Tensor]]:
        name = self.mixture.name.encode()
        streams = [
            [np.random.default_rng((*b"fresh ", *name, seed, draw, self.epoch)) for seed in self.seeds]
            for draw in range(self.draws)
        ]
        for start in range(0, self.iterations, self.group):
            count = min(self.group, self.iterations - start)
            points = [[self.mixture.sample(count * self.batch_size, rng) for rng in row] for row in streams]
            seen = self.mixture.scale(np.array(points)) if self.scaled else np.array(points)
            batches = torch.from_numpy(seen.astype(np.float32)).unflatten(2, (count, self.batch_size))
            yield list(batches.movedim(2, 0))


class MixtureDataModule(LightningDataModule):
    """Training data of a mixture for a block of seeds.

    Args:
        mixture: The data set.
        seeds: One integer per copy of the model.
        batch_size: Samples per batch.
        draws: Batches per seed and iteration.
        scaled: Whether points are scaled to [0, 1] instead of original units.
        fresh_iterations: Iterations per epoch with new points; 0 for one pass through the fixed training set.
    """

    def __init__(
        self,
        mixture: GaussianMixture,
        seeds: Sequence[int],
        batch_size: int,
        draws: int = 1,
        *,
        scaled: bool = True,
        fresh_iterations: int = 0,
    ) -> None:
        super().__init__()
        self.dataset, self.seeds, self.batch_size, self.draws = mixture, tuple(seeds), batch_size, draws
        self.scaled, self.fresh_iterations = scaled, fresh_iterations

    @cached_property
    def points(self) -> Tensor:
        """The fixed training set as the networks see it, ``[n, d]``."""
        points = self.dataset.training_points()
        return torch.from_numpy(self.dataset.scale(points) if self.scaled else points)

    @property
    def iterations_per_epoch(self) -> int:
        """Number of iterations of one epoch."""
        return self.fresh_iterations or math.ceil(self.dataset.training_size / self.batch_size)

    def train_dataloader(self) -> DataLoader:
        """Loader of the current epoch's batches. The trainer calls it at the start of every epoch."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        batches: IterableDataset
        if self.fresh_iterations:
            batches = FreshBatches(
                self.dataset, self.seeds, self.batch_size, self.draws, epoch, self.fresh_iterations, self.scaled
            )
        else:
            batches = SeededBatches(self.dataset.name, self.points, self.seeds, self.batch_size, self.draws, epoch)
        return DataLoader(batches, batch_size=None)
