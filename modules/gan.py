"""Generative adversarial network, the baseline of every table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import GeneratorLoss, bce_fake, bce_real
from modules.networks import forward_batched
from modules.options import Training


class GAN(AdversarialModule):
    """GAN (Goodfellow et al. 2014, arXiv:1406.2661, Alg. 1).

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        generator_loss: ``non-saturating`` (-log D(G(z)), section 3) or ``minimax`` (log(1 - D(G(z))), Eq. 1). The
            gradient of the latter vanishes where the discriminator is confident.
        generator_rate: The generator's learning rate as a multiple of the protocol's.
    """

    name = "gan"
    version = 1
    batch_coupled_losses: ClassVar[tuple[str, ...] | None] = ()

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        generator_loss: GeneratorLoss = "non-saturating",
        generator_rate: float = 1.0,
    ) -> None:
        super().__init__(training, data_shape, seeds)
        self.generator = self.build_generator()
        self.discriminator = self.build_discriminator("discriminator", 1)
        self.generator_objective, self.generator_rate = generator_loss, generator_rate

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.generator,), lr_scale=self.generator_rate)

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z))) (Eq. 1)."""
        real, fake = forward_batched(self.discriminator.logits, x, self.fake(z))
        return bce_real(real) + bce_fake(fake)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(G(z)) (section 3), or E log(1 - D(G(z))) (Eq. 1)."""
        return self.adversarial_loss(self.discriminator.logits(self.generator(z)))

    def adversarial_loss(self, logits: Tensor) -> Tensor:
        """The generator's loss ``[S]`` for the logits of its samples."""
        return bce_real(logits) if self.generator_objective == "non-saturating" else -bce_fake(logits)
