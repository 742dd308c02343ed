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
    """VEEGAN (Srivastava et al. 2017, arXiv:1705.07761, Alg. 1): a reconstructor F maps data to noise, the
    discriminator tells pairs (z, G(z)) from (F(x), x), and all players move from one common point.

    The generator lowers the raw logit of its pairs, without a logarithm; the reconstructor follows the likelihood of
    the noise alone (Alg. 1, line 9). The prior must be normal, as codes are drawn from normal distributions: from noise
    in a box those outside it would always be told.

    reconstruction_weight: of the likelihood, 1 in the notebook.
    likelihood: its squares are summed over the noise's coordinates (``sum``, the Gaussian's) or averaged (``mean``).
    extra_noise: normal inputs of the generator that nobody reconstructs, 1 in the notebook.
    codes: the reconstructor's distribution N(F(x), I) is what the discriminator sees of data, as in the notebook
        (``sampled``), or its ``mean``, which no noise hides from a discriminator.
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
        return self.training_setup.latent_dim + self.extra_noise

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.generator, self.reconstructor))

    def made(self, z: Tensor) -> Tensor:
        """G(z) and its extra noise."""
        return self.generator(torch.cat([z, self.random("extra", z, "normal", self.extra_noise)], 2))

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-log D(z, G(z)) - log(1 - D(f, x)), f from N(F(x), I): the generated pair is labelled 1 (Eq. 6 and Alg. 1,
        line 7)."""
        with torch.no_grad():
            code = self.reconstructor(x)
            if self.codes == "sampled":
                code = code + self.random("code", x, "normal", z.shape[2])
            pairs = (self.made(z), z), (x, code)
        generated, inferred = forward_batched(self.discriminator.logits, *pairs)
        return bce_real(generated) + bce_fake(inferred)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Mean logit of (z, G(z)) plus half the squared error of F(G(z)) as a reconstruction of z, which is its
        Gaussian negative log likelihood up to a constant (Eq. 5 and Alg. 1, lines 8 and 9)."""
        sample = self.made(z)
        logit = per_seed(self.discriminator.logits(sample, z))
        error = 0.5 * squared_distance(z, self.reconstructor(sample))
        if self.likelihood == "mean":
            error = error / z.shape[2]
        return logit + self.reconstruction_weight * error
