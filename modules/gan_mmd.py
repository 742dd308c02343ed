"""Generative adversarial network with a maximum mean discrepancy in the generator's loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from modules.gan import GAN
from modules.losses import gaussian_bandwidths, squared_mmd
from modules.options import Training
from modules.ranks import all_gather


class GANMMD(GAN):
    """GAN with maximum mean discrepancy, GAN + MMD (discrepancy of GMMN, Li et al. 2015, arXiv:1502.02761).

    The squared discrepancy between data and samples is added to the generator's adversarial loss.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        mmd_weight: Weight of the discrepancy.
        estimator: ``biased`` as in GMMN, or ``unbiased``. They differ by little more than a constant.
        bandwidth_scale: Factor on the squared bandwidths, as in GMMN.
    """

    name = "gan-mmd"
    version = 1
    batch_coupled_losses = ("generator_loss",)

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        mmd_weight: float = 1.0,
        estimator: Literal["biased", "unbiased"] = "biased",
        bandwidth_scale: float = 0.0,
    ) -> None:
        super().__init__(training, data_shape, seeds)
        self.mmd_weight, self.estimator = mmd_weight, estimator
        self.bandwidths = gaussian_bandwidths(self.data_dim, training.scaling, bandwidth_scale)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(G(z)) + weight MMD^2(x, G(z))."""
        sample = self.generator(z)
        discrepancy = squared_mmd(
            all_gather(x), all_gather(sample), self.bandwidths, unbiased=self.estimator == "unbiased"
        )
        return self.adversarial_loss(self.discriminator.logits(sample)) + self.mmd_weight * discrepancy
