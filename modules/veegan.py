"""VEEGAN: reducing mode collapse with a reconstructor network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import bce_fake, bce_real, per_seed, squared_distance
from modules.networks import forward_batched
from modules.options import Training


class VEEGAN(AdversarialModule):
    """VEEGAN (Srivastava et al. 2017, arXiv:1705.07761, Alg. 1): a GAN with a reconstructor network F from data to
    noise.

    The discriminator separates pairs (z, G(z)) from pairs (F(x), x). All gradients of an iteration are computed before
    any network changes. The generator lowers the logit of its pairs, without a logarithm. The reconstructor follows
    only the likelihood of the noise (Alg. 1, line 9).

    The prior must be normal because the codes are drawn from normal distributions. With a bounded prior the
    discriminator could recognise every code outside the bounds.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        reconstruction_weight: Weight of the likelihood; 1 in the notebook.
        likelihood: Whether squared errors are summed over the noise's coordinates (``sum``, the Gaussian likelihood) or
            averaged (``mean``).
        extra_noise: Additional normal inputs of the generator that are not reconstructed; 1 in the notebook.
        codes: Code that the discriminator sees with data: a sample of N(F(x), I) as in the notebook (``sampled``), or
            F(x) itself (``mean``), which the discriminator recognises more easily because no noise is added.

    Raises:
        ValueError: The prior is not normal.
    """

    name = "veegan"
    version = 1
    batch_coupled_losses = ()
    simultaneous = True

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        reconstruction_weight: float = 1.0,
        likelihood: Literal["sum", "mean"] = "sum",
        extra_noise: int = 1,
        codes: Literal["sampled", "mean"] = "sampled",
    ) -> None:
        if training.prior != "normal":
            raise ValueError("veegan's reconstructor gives the noise a Gaussian likelihood: protocol.prior=normal")
        super().__init__(training, data_shape, seeds)
        latent = training.latent_dim
        self.generator = self.build_generator(inputs=latent + extra_noise)
        self.reconstructor = self.build_encoder("reconstructor", latent)
        self.discriminator = self.build_discriminator("discriminator", 1, extra=latent)
        self.reconstruction_weight, self.likelihood = reconstruction_weight, likelihood
        self.extra_noise, self.codes = extra_noise, codes

    @property
    def noise_dim(self) -> int:
        """Coordinates of the latent and of the additional noise."""
        return self.training_setup.latent_dim + self.extra_noise

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.generator, self.reconstructor))

    def made(self, z: Tensor) -> Tensor:
        """G(z), with additional noise as further inputs."""
        return self.generator(torch.cat([z, self.random("extra", z, "normal", self.extra_noise)], 2))

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-log D(z, G(z)) - log(1 - D(f, x)), with f from N(F(x), I) (Eq. 6 and Alg. 1, line 7).

        The generated pair has label 1.
        """
        with torch.no_grad():
            code = self.reconstructor(x)
            if self.codes == "sampled":
                code = code + self.random("code", x, "normal", z.shape[2])
            pairs = (self.made(z), z), (x, code)
        generated, inferred = forward_batched(self.discriminator.logits, *pairs)
        return bce_real(generated) + bce_fake(inferred)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Mean logit of (z, G(z)) plus half the squared error of F(G(z)) from z (Eq. 5 and Alg. 1, lines 8 and 9).

        The second term is a Gaussian negative log likelihood up to a constant.
        """
        sample = self.made(z)
        logit = per_seed(self.discriminator.logits(sample, z))
        error = 0.5 * squared_distance(z, self.reconstructor(sample))
        if self.likelihood == "mean":
            error = error / z.shape[2]
        return logit + self.reconstruction_weight * error
