"""Mixtures of Gaussians: data whose modes are known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

Array = np.ndarray


@dataclass(frozen=True)
class GaussianMixture:
    """Equally weighted isotropic Gaussians, and what a benchmark needs to know of them.

    name: on the command line.
    centres: ``K`` centres of ``d`` coordinates, in original units.
    std: per coordinate, in original units.
    per_mode: training points per mode; the training set is fixed, the same for every seed.
    limit: largest absolute coordinate. Training points beyond it are drawn again, and the networks see
        ``(x / limit + 1) / 2``, which lies in [0, 1].
    source: where these numbers come from.
    """

    name: str
    centres: tuple[tuple[float, ...], ...]
    std: float
    per_mode: int
    limit: float
    source: str

    @property
    def data_shape(self) -> tuple[int, ...]:
        return (len(self.centres[0]),)

    def scale(self, points: Array) -> Array:
        """Original units to the networks' [0, 1]."""
        return (points / self.limit + 1) / 2

    def unscale(self, points: Array) -> Array:
        """The networks' [0, 1] to original units."""
        return (points * 2 - 1) * self.limit

    def training_points(self) -> Array:
        """The training set, ``[K * per_mode, d]`` float32 in original units, mode after mode."""
        rng = np.random.default_rng((*self.name.encode(), self.per_mode))
        points = np.repeat(np.array(self.centres), self.per_mode, axis=0)
        noise = rng.standard_normal(points.shape) * self.std
        while (beyond := np.abs(points + noise) > self.limit).any():
            noise[beyond] = rng.standard_normal(int(beyond.sum())) * self.std
        return (points + noise).astype(np.float32)

    def real(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` new points of the mixture: what a perfect model would give."""
        return self.collapsed(n, rng, len(self.centres))

    def collapsed(self, n: int, rng: np.random.Generator, modes: int) -> Array:
        """``n`` new points of the first ``modes`` modes only."""
        centres = np.array(self.centres)[rng.integers(modes, size=n)]
        return centres + rng.standard_normal(centres.shape) * self.std

    def spread(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` points uniform over the box of the data: every mode, no quality."""
        return rng.uniform(-self.limit, self.limit, (n, *self.data_shape))


class SeededBatches(IterableDataset):
    """Batches of one epoch, each seed in an order of its own.

    Yields lists of up to ``group`` tensors ``[draws, S, B, ...]``. The order of draw ``k`` of seed ``s`` in epoch ``e``
    depends on (data set, s, k, e) alone: methods that read one batch per iteration share it, a resumed run finds it
    again, and neighbours do not matter.
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


class MixtureDataModule(LightningDataModule):
    """Training data of a mixture for a block of seeds, scaled to [0, 1]."""

    def __init__(self, mixture: GaussianMixture, seeds: Sequence[int], batch_size: int, draws: int = 1) -> None:
        super().__init__()
        self.mixture, self.seeds, self.batch_size, self.draws = mixture, tuple(seeds), batch_size, draws
        self.points = torch.from_numpy(mixture.scale(mixture.training_points()))

    @property
    def iterations_per_epoch(self) -> int:
        return math.ceil(len(self.points) / self.batch_size)

    def train_dataloader(self) -> DataLoader:
        """The current epoch's batches; the trainer asks anew every epoch."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        batches = SeededBatches(self.mixture.name, self.points, self.seeds, self.batch_size, self.draws, epoch)
        return DataLoader(batches, batch_size=None)
