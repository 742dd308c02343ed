"""Generative moment matching network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import gaussian_bandwidths, squared_mmd
from modules.options import Training
from modules.ranks import all_gather

#: The square root has no derivative at 0, where two batches are equal. This floor keeps the gradient finite.
_LEAST = 1e-12


class GMMN(AdversarialModule):
    """GMMN (Li et al. 2015, arXiv:1502.02761, section 3.3): a generator trained by maximum mean discrepancy.

    The generator lowers the square root of the squared maximum mean discrepancy between a batch of data and a batch of
    samples. There is no discriminator.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        bandwidth_scale: Factor on the six squared bandwidths of the released code for MNIST, 2 to 80. 0 stands for D /
            784 times the squared width of the data's range; the width is 2 for data in [-1, 1] and otherwise taken as
            1.
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
        """sqrt(MMD^2(x, G(z))) with the biased estimator (Eqs. 3 and 6)."""
        return squared_mmd(all_gather(x), all_gather(self.generator(z)), self.bandwidths).clamp_min(_LEAST).sqrt()
