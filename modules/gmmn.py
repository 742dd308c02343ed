"""Generative moment matching network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import gaussian_bandwidths, squared_mmd
from modules.options import Training
from modules.ranks import all_gather

#: Where two batches are equal the square root has no derivative: the floor keeps it finite.
_LEAST = 1e-12


class GMMN(AdversarialModule):
    """GMMN (Li et al. 2015, arXiv:1502.02761, section 3.3): the generator lowers the square root of the squared maximum
    mean discrepancy between a batch of data and one of samples. There is no discriminator.

    bandwidth_scale: factor on the six squared bandwidths of the released code for MNIST, 2 to 80; 0 for D / 784 times
        the squared width of the data's range, which is 2 where they lie in [-1, 1] and else counts as 1.
    """

    name = "gmmn"
    version = 1
    batch_coupled_losses = ("generator_loss",)

    def __init__(
        self, training: Training, data_shape: Sequence[int], seeds: Sequence[int], *, bandwidth_scale: float = 0.0
    ) -> None:
        super().__init__(training, data_shape, seeds)
        self.generator = self.build_generator()
        self.bandwidths = gaussian_bandwidths(self.data_dim, training.scaling, bandwidth_scale)

    def updates(self) -> Iterator[Update]:
        yield Update(self.generator_loss, params=(self.generator,))

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """sqrt(MMD^2(x, G(z))), the biased estimator (Eqs. 3 and 6)."""
        return squared_mmd(all_gather(x), all_gather(self.generator(z)), self.bandwidths).clamp_min(_LEAST).sqrt()
