"""Images as training data: seeded batches for the seeds axis, and their LightningDataModule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from datamodules.images import Array, ImageSet


class ImageBatches(IterableDataset):
    """Batches of one epoch, as lists of up to ``group`` tensors ``[draws, S, B, C, H, W]``, float32 in [0, 1].

    Their content depends on (data set, seed, draw, epoch) only.

    Args:
        images: The data set.
        seeds: One integer per copy of the model.
        batch_size: Samples per batch.
        draws: Batches per seed and iteration.
        epoch: Number of the epoch.
        fresh: Iterations with newly drawn stacks or images; 0 for one pass through the fixed training set.
        group: Largest number of batches per list.
    """

    def __init__(
        self,
        images: ImageSet,
        seeds: Sequence[int],
        batch_size: int,
        draws: int,
        epoch: int,
        fresh: int,
        group: int = 4,
    ) -> None:
        self.images, self.seeds, self.draws, self.epoch = images, tuple(seeds), draws, epoch
        self.batch_size, self.fresh, self.group = batch_size, fresh, group

    def indices(self, seed: int, draw: int) -> Array:
        """Indices of the epoch's base images, ``[images, channels]`` for stacks, else ``[images, 1]``."""
        stack, count = max(1, self.images.stack), len(self.images.images("train"))
        name = self.images.name.encode()
        rng = np.random.default_rng((*b"order ", *name, seed, draw, self.epoch))
        if self.fresh:
            return rng.integers(count, size=(self.fresh * self.batch_size, stack))
        if not self.images.stack:
            return rng.permutation(count)[:, None]
        fixed = np.random.default_rng((*b"stacks ", *name)).integers(count, size=(self.images.fixed, stack))
        return fixed[rng.permutation(len(fixed))]

    def __iter__(self) -> Iterator[list[Tensor]]:
        order = np.array([[self.indices(seed, draw) for seed in self.seeds] for draw in range(self.draws)])
        parts = [order[:, :, start : start + self.batch_size] for start in range(0, order.shape[2], self.batch_size)]
        for first in range(0, len(parts), self.group):
            yield [self.batch(part) for part in parts[first : first + self.group]]

    def batch(self, indices: Array) -> Tensor:
        draws, seeds, size, _ = indices.shape
        taken = self.images.take(indices.reshape(-1, indices.shape[3]), "train")
        return torch.from_numpy(taken.reshape(draws, seeds, size, *self.images.shape)).float() / 255


class ImageDataModule(LightningDataModule):
    """Training images for a block of seeds.

    Args:
        images: The data set.
        seeds: One integer per copy of the model.
        batch_size: Samples per batch.
        draws: Batches per seed and iteration.
        symmetric: Whether images are scaled to [-1, 1] instead of [0, 1].
        fresh_iterations: Iterations per epoch with newly drawn stacks or images; 0 for one pass through the fixed
            training set.
        group: Largest number of batches that the data loader returns at a time.
    """

    def __init__(
        self,
        images: ImageSet,
        seeds: Sequence[int],
        batch_size: int,
        draws: int = 1,
        *,
        symmetric: bool = False,
        fresh_iterations: int = 0,
        group: int = 4,
    ) -> None:
        super().__init__()
        self.dataset, self.seeds, self.batch_size, self.draws = images, tuple(seeds), batch_size, draws
        self.symmetric, self.fresh_iterations, self.group = symmetric, fresh_iterations, group

    @cached_property
    def iterations_per_epoch(self) -> int:
        return self.fresh_iterations or math.ceil(self.dataset.training_size / self.batch_size)

    def train_dataloader(self) -> DataLoader:
        """Loader of the current epoch's batches. The trainer calls it at the start of every epoch."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        batches = ImageBatches(
            self.dataset, self.seeds, self.batch_size, self.draws, epoch, self.fresh_iterations, self.group
        )
        return DataLoader(batches, batch_size=None, collate_fn=self._to_range if self.symmetric else None)

    @staticmethod
    def _to_range(group: list[Tensor]) -> list[Tensor]:
        return [batch * 2 - 1 for batch in group]
