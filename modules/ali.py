"""Adversarially learned inference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import bce_fake, bce_real
from modules.networks import forward_batched
from modules.options import Training


class ALI(AdversarialModule):
    """ALI (Dumoulin et al. 2017, arXiv:1606.00704, Alg. 1): a GAN on pairs of data and latents, with an encoder.

    The discriminator separates (x, E(x)) from (G(z), z). Generator and encoder are trained with swapped labels. All
    gradients of an iteration are computed before any network changes.

    The encoder is stochastic: it reads x and as many noise coordinates as the latent has.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
    """

    name = "ali"
    version = 1
    batch_coupled_losses = ()
    simultaneous = True

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__(training, data_shape, seeds)
        latent = training.latent_dim
        self.encoder = self.build_encoder("encoder", latent, extra=latent)
        self.generator = self.build_generator()
        self.discriminator = self.build_discriminator("discriminator", 1, extra=latent)

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.generator, self.encoder))

    def pairs(self, x: Tensor, z: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """The pairs (x, E(x)) and (G(z), z)."""
        code = self.encoder(x, self.random("encoder", x, "normal", z.shape[2]))
        return (x, code), (self.generator(z), z)

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-log D(x, E(x)) - log(1 - D(G(z), z)) (Alg. 1)."""
        with torch.no_grad():
            pairs = self.pairs(x, z)
        inferred, generated = forward_batched(self.discriminator.logits, *pairs)
        return bce_real(inferred) + bce_fake(generated)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-log(1 - D(x, E(x))) - log D(G(z), z) (Alg. 1)."""
        inferred, generated = forward_batched(self.discriminator.logits, *self.pairs(x, z))
        return bce_fake(inferred) + bce_real(generated)
