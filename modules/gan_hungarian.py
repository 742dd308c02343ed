"""Generator that follows the exact matching between data and samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.density import optimal_partners
from modules.options import Training
from modules.ranks import all_gather

#: Where a pair is equal its distance has no derivative: the floor keeps it finite.
_LEAST = 1e-24


class GANHungarian(AdversarialModule):
    """What an autoencoder stands in for ("GANs powered by autoencoding", poster): the generator lowers the mean
    distance between a batch of data and one of samples that are paired one to one, the total being least. The Hungarian
    method finds the pairs in O(B^3); it takes the place of a discriminator.
    """

    name = "gan-hungarian"
    version = 1
    batch_coupled_losses = ("generator_loss",)

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__(training, data_shape, seeds)
        self.generator = self.build_generator()

    def updates(self) -> Iterator[Update]:
        yield Update(self.generator_loss, params=(self.generator,))

    def partners(self, x: Tensor, sample: Tensor) -> Tensor:
        """The place ``[S, B]`` of each datum's partner among the samples, a constant to the gradient."""
        return optimal_partners(x, sample)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Mean of |x_i - G(z)_p(i)| over the batch, p the best one-to-one pairing: the batches' 1-Wasserstein
        distance."""
        data, sample = all_gather(x.flatten(2)), all_gather(self.generator(z).flatten(2))
        partners = self.partners(data, sample).unsqueeze(2).expand_as(sample)
        squares = (data - torch.gather(sample, 1, partners)).square().sum(2)
        return squares.clamp_min(_LEAST).sqrt().mean(1)
