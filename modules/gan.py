"""Generative adversarial network, the baseline of every table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from modules.base import AdversarialModule, Training, Update
from modules.losses import says_fake, says_real
from modules.networks import together


class GAN(AdversarialModule):
    """GAN with the non-saturating generator loss (Goodfellow et al. 2014, arXiv:1406.2661, Alg. 1 and section 3)."""

    name = "gan"

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__(training, data_shape, seeds)
        self.generator = self.build("generator", training.latent_dim, self.data_dim, "sigmoid")
        self.discriminator = self.build("discriminator", self.data_dim, 1)

    def updates(self) -> Iterator[Update]:
        yield Update(self.discrimination, moves=(self.discriminator,))
        yield Update(self.deception, moves=(self.generator,))

    def discrimination(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z))) (Eq. 1)."""
        real, fake = together(self.discriminator.logits, x, self.fake(z))
        return says_real(real) + says_fake(fake)

    def deception(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(G(z)) (section 3)."""
        return says_real(self.discriminator.logits(self.generator(z)))
