"""Boundary equilibrium generative adversarial network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import per_seed
from modules.networks import forward_batched
from modules.options import Training
from modules.ranks import all_reduce_mean


class BEGAN(AdversarialModule):
    """BEGAN (Berthelot et al. 2017, arXiv:1703.10717, section 3.4): a GAN whose discriminator is an autoencoder.

    A controller keeps the autoencoder's error on samples at ``gamma`` times its error on data. No network has batch
    norm.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        gamma: Diversity ratio; 0.75 in Lucic et al. (2018).
        lambda_k: Gain of the controller.
        code_dim: Dimension of the autoencoder's code. 0 stands for the latent's dimension, as in the paper.
    """

    name = "began"
    version = 1
    batch_coupled_losses = ("discriminator_loss",)
    simultaneous = True

    balance: Tensor

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        gamma: float = 0.75,
        lambda_k: float = 1e-3,
        code_dim: int = 0,
    ) -> None:
        super().__init__(training, data_shape, seeds)
        code = code_dim or training.latent_dim
        self.generator = self.build_generator(norm=False)
        self.discriminator = self.build_discriminator("discriminator", code, norm=False)
        self.decoder = self.build_generator("discriminator-decoder", code, norm=False)
        self.gamma, self.lambda_k = gamma, lambda_k
        self.register_buffer("balance", torch.zeros(len(seeds)))

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator, self.decoder))
        yield Update(self.generator_loss, params=(self.generator,))

    def rebuilt(self, x: Tensor) -> Tensor:
        """Reconstructions of images by the autoencoder."""
        return self.decoder(self.discriminator(x))

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """L(x) - k_t L(G(z)), with L the mean absolute error of the autoencoder.

        Also compute the balance of the next iteration, k_t + lambda_k (gamma L(x) - L(G(z))), clipped to [0, 1].
        """
        sample = self.fake(z)
        of_real, of_fake = forward_batched(self.rebuilt, x, sample)
        real, fake = per_seed((of_real - x).abs()), per_seed((of_fake - sample).abs())
        now = self.balance.clone()
        with torch.no_grad():
            moved = (self.balance + self.lambda_k * all_reduce_mean(self.gamma * real - fake)).clamp(0, 1)
            self.balance.copy_(moved)
        return real - now * fake

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """L(G(z)), with L the mean absolute error of the autoencoder."""
        sample = self.generator(z)
        return per_seed((self.rebuilt(sample) - sample).abs())
