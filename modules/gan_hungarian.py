"""Generator trained on the optimal matching between data and samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.density import optimal_partners
from modules.options import Training
from modules.ranks import all_gather

#: The square root has no derivative at 0, where the points of a pair are equal. This floor keeps the gradient finite.
_LEAST = 1e-24


class GANHungarian(AdversarialModule):
    """Hungarian matching ("GANs powered by autoencoding", poster): the exact matching that an autoencoder replaces.

    The generator lowers the mean distance between data and samples that are paired one to one with the least total
    distance. The Hungarian method finds the pairs in O(B^3). There is no discriminator.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
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
        """Index ``[S, B]`` of each datum's partner among the samples, a constant to the gradient."""
        return optimal_partners(x, sample)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Mean of |x_i - G(z)_p(i)| over the batch, with p the best pairing: the batches' 1-Wasserstein distance."""
        data, sample = all_gather(x.flatten(2)), all_gather(self.generator(z).flatten(2))
        partners = self.partners(data, sample).unsqueeze(2).expand_as(sample)
        squares = (data - torch.gather(sample, 1, partners)).square().sum(2)
        return squares.clamp_min(_LEAST).sqrt().mean(1)
