"""Variational autoencoder with a learned similarity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import bce_fake, bce_real, gaussian_kl, squared_distance
from modules.networks import forward_batched
from modules.options import Training


class VAEGAN(AdversarialModule):
    """VAE-GAN (Larsen et al. 2016, arXiv:1512.09300, Alg. 1): a VAE whose decoder is the generator of a GAN.

    The likelihood is measured in the discriminator's features. Encoder, discriminator and generator are updated one
    after another. The prior must be normal.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        gamma: Weight of the likelihood in the generator's loss (section 2.3); 1e-6 in the 1-D code released with GAAN.
        likelihood: Gaussian of unit variance on the discriminator's last hidden layer (``features``, Eq. 7) or on the
            ``data``.

    Raises:
        ValueError: The prior is not normal.
    """

    name = "vae-gan"
    version = 1
    batch_coupled_losses = ()

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        gamma: float = 1e-6,
        likelihood: Literal["features", "data"] = "features",
    ) -> None:
        if training.prior != "normal":
            raise ValueError("vae-gan needs a normal prior, as its KL divergence is to N(0, I): protocol.prior=normal")
        super().__init__(training, data_shape, seeds)
        self.encoder = self.build_encoder("encoder", 2 * training.latent_dim)
        self.generator = self.build_generator()
        self.discriminator = self.build_discriminator("discriminator", 1)
        self.gamma, self.likelihood = gamma, likelihood

    def updates(self) -> Iterator[Update]:
        yield Update(self.encoder_loss, params=(self.encoder,))
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.generator,))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A sample, the mean and the log variance of q(z | x), ``[S, B, latent_dim]`` each."""
        mean, log_variance = self.encoder(x).chunk(2, 2)
        noise = self.random("encoder", x, "normal", mean.shape[2])
        return mean + noise * (0.5 * log_variance).exp(), mean, log_variance

    def negative_log_likelihood(self, x: Tensor, rebuilt: Tensor) -> Tensor:
        """-log p(x | z) up to a constant (Eq. 7)."""
        if self.likelihood == "features":
            x, rebuilt = forward_batched(self.discriminator.features, x, rebuilt)
        return 0.5 * squared_distance(x, rebuilt)

    def encoder_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """KL divergence to the prior plus negative log likelihood (Alg. 1, gradient of the encoder)."""
        code, mean, log_variance = self.encode(x)
        return gaussian_kl(mean, log_variance) + self.negative_log_likelihood(x, self.generator(code))

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Logistic loss on data, reconstructions and samples (Eq. 8)."""
        with torch.no_grad():
            rebuilt, fake = forward_batched(self.generator, self.encode(x)[0], z)
        real, rebuilt, fake = forward_batched(self.discriminator.logits, x, rebuilt, fake)
        return bce_real(real) + bce_fake(rebuilt) + bce_fake(fake)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Non-saturating loss on reconstructions and samples, plus gamma times the negative log likelihood."""
        rebuilt, sample = forward_batched(self.generator, self.encode(x)[0].detach(), z)
        logits = forward_batched(self.discriminator.logits, rebuilt, sample)
        return bce_real(logits[0]) + bce_real(logits[1]) + self.gamma * self.negative_log_likelihood(x, rebuilt)
