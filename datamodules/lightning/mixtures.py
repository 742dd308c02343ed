"""Mixtures of Gaussians as training data: seeded batches for the seeds axis, and their LightningDataModule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from datamodules.mixture import Array, GaussianMixture


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
