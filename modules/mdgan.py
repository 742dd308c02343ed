"""Mode-regularised generative adversarial network, trained by manifold and diffusion steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import bce_fake, bce_real, squared_distance
from modules.networks import forward_batched
from modules.options import Training


class MDGAN(AdversarialModule):
    """MDGAN (Che et al. 2017, arXiv:1612.02136, section 3.3 and Fig. 2): a GAN trained in manifold and diffusion steps.

    In the manifold step one discriminator separates data from reconstructions. In the diffusion step another separates
    reconstructions from samples. According to the paper the manifold loss trains "G"; here it trains the encoder, too,
    as an autoencoder requires.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        adversarial_weight: lambda, the weight of the adversarial term beside the squared error in the manifold step.
    """

    name = "mdgan"
    version = 1
    batch_coupled_losses = ()

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        adversarial_weight: float = 0.01,
    ) -> None:
        super().__init__(training, data_shape, seeds)
        self.encoder = self.build_encoder("encoder", training.latent_dim)
        self.generator = self.build_generator()
        self.manifold_discriminator = self.build_discriminator("discriminator", 1)
        self.diffusion_discriminator = self.build_discriminator("discriminator-diffusion", 1)
        self.adversarial_weight = adversarial_weight

    def updates(self) -> Iterator[Update]:
        yield Update(self.manifold_discriminator_loss, params=(self.manifold_discriminator,))
        yield Update(self.autoencoder_loss, params=(self.encoder, self.generator))
        yield Update(self.diffusion_discriminator_loss, params=(self.diffusion_discriminator,))
        yield Update(self.generator_loss, params=(self.generator,))

    def rebuilt(self, x: Tensor) -> Tensor:
        """Reconstructions G(E(x)) without gradient."""
        with torch.no_grad():
            return self.generator(self.encoder(x))

    def manifold_discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-log D1(x) - log(1 - D1(G(E(x)))) (Fig. 2, step 2)."""
        real, rebuilt = forward_batched(self.manifold_discriminator.logits, x, self.rebuilt(x))
        return bce_real(real) + bce_fake(rebuilt)

    def autoencoder_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """|x - G(E(x))|^2 - lambda log D1(G(E(x))) (Fig. 2, step 3)."""
        rebuilt = self.generator(self.encoder(x))
        adversarial = bce_real(self.manifold_discriminator.logits(rebuilt))
        return squared_distance(x, rebuilt) + self.adversarial_weight * adversarial

    def diffusion_discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-log D2(G(E(x))) - log(1 - D2(G(z))) (Fig. 2, step 5)."""
        rebuilt, fake = forward_batched(self.diffusion_discriminator.logits, self.rebuilt(x), self.fake(z))
        return bce_real(rebuilt) + bce_fake(fake)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-log D2(G(z)) (Fig. 2, step 6)."""
        return bce_real(self.diffusion_discriminator.logits(self.generator(z)))
