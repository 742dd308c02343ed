"""Least-squares generative adversarial network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from modules.gan import GAN
from modules.losses import per_seed
from modules.networks import forward_batched
from modules.options import Training


class LSGAN(GAN):
    """LSGAN (Mao et al. 2017, arXiv:1611.04076, Eq. 9): a GAN with squared errors in place of the logistic loss.

    The targets are 1 for data, 0 for samples, and 1 for samples in the generator's loss.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        score: Output that is compared with the targets: the discriminator's ``linear`` output, or its ``sigmoid`` as in
            the code of Lucic et al. (2018).
        generator_rate: The generator's learning rate as a multiple of the protocol's.
    """

    name = "lsgan"
    version = 1
    batch_coupled_losses = ()

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        score: Literal["linear", "sigmoid"] = "linear",
        generator_rate: float = 1.0,
    ) -> None:
        super().__init__(training, data_shape, seeds, generator_rate=generator_rate)
        self.score = score

    def _miss(self, logits: Tensor, target: float) -> Tensor:
        score = logits if self.score == "linear" else logits.sigmoid()
        return 0.5 * per_seed((score - target).square())

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """E (D(x) - 1)^2 / 2 + E D(G(z))^2 / 2 (Eq. 9)."""
        real, fake = forward_batched(self.discriminator.logits, x, self.fake(z))
        return self._miss(real, 1.0) + self._miss(fake, 0.0)

    def adversarial_loss(self, logits: Tensor) -> Tensor:
        """E (D(G(z)) - 1)^2 / 2 (Eq. 9)."""
        return self._miss(logits, 1.0)
