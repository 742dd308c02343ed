"""Generative adversarial autoencoder network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import (
    PenaltyNorm,
    bce_fake,
    bce_real,
    bce_with_logits,
    gradient_penalty,
    per_seed,
    squared_distance,
)
from modules.networks import forward_batched
from modules.options import Training
from modules.ranks import all_reduce_mean


class GAAN(AdversarialModule):
    """GAAN (Tran et al. 2018, arXiv:1803.08887, Alg. 1): a GAN whose generator is also the decoder of an autoencoder.

    A regulariser ties distances in data space to distances in latent space. Paper, evident slips and released code
    differ in places. Each difference is a field; the defaults follow the paper without its slips.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        lambda_r: Weight of the regulariser (Eq. 5). 0 gives the paper's GAAN_1.
        lambda_w: Weight of the latent distance in the regulariser (Eq. 6). ``dimensions`` is sqrt(d / D), with d the
            dimension of the latent and D that of the compared space (images).
        lambda_p: Weight of the gradient penalty (Eq. 4). 0 leaves the penalty out.
        penalty: What the penalty pulls to 1: the squared gradient norm (``squared``, as printed in Eq. 4), the norm
            (``l2``), or the root mean square (``rms``, released 2-D code).
        real_weight: Weight of the term of real data in the discriminator loss; 1 in Eq. 4.
        reconstruction_weight: Weight of the term of reconstructions in the discriminator loss; 1 in Eq. 4. With both
            weights 1 the optimal discriminator is 2/3 at equilibrium instead of 1/2.
        reconstruction_label: Label of reconstructions in the discriminator loss: ``real`` (section 3.2.1), ``fake``
            (released 2-D code), or ``none`` to leave the term out (``real_weight`` stays as given).
        generator_loss: ``log`` (-log D, Alg. 1) or ``mean-difference`` (absolute difference of the batch means of D,
            released code).
        reconstruction_loss: ``squared-error`` (Eq. 3) or ``cross-entropy`` (released code; data in [0, 1]).
        distance_from: Whether the regulariser's data distance starts at ``data`` (Eq. 6) or at ``reconstruction``
            (released code).
        discriminator_updates: Discriminator updates per iteration.
        compared: Where reconstructions and the regulariser are compared: in ``data`` space (2-D) or in ``features`` of
            the discriminator (images).
        reconstruction_scale: Whether the squared error is the ``sum`` over coordinates (Eq. 3) or their ``mean``
            (released code for images). The regulariser is a square of means and would be negligible beside a sum over
            many coordinates.
        autoencoder_moves: Whether the autoencoder loss updates ``both`` encoder and generator (Alg. 1) or the
            ``encoder`` alone (released code of Dist-GAN).

    Raises:
        ValueError: Cross-entropy is asked for and data are not in [0, 1].
    """

    name = "gaan"
    version = 1
    batch_coupled_losses = ("autoencoder_loss", "generator_loss")
    second_derivatives = True

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        lambda_r: float = 0.1,
        lambda_w: float | Literal["dimensions"] = 1.0,
        lambda_p: float = 0.1,
        penalty: PenaltyNorm = "l2",
        real_weight: float = 0.5,
        reconstruction_weight: float = 0.5,
        reconstruction_label: Literal["real", "fake", "none"] = "real",
        generator_loss: Literal["log", "mean-difference"] = "log",
        reconstruction_loss: Literal["squared-error", "cross-entropy"] = "squared-error",
        distance_from: Literal["data", "reconstruction"] = "data",
        discriminator_updates: int = 1,
        compared: Literal["data", "features"] = "data",
        reconstruction_scale: Literal["sum", "mean"] = "sum",
        autoencoder_moves: Literal["both", "encoder"] = "both",
    ) -> None:
        if reconstruction_loss == "cross-entropy" and training.scaling != "unit":
            raise ValueError("method.reconstruction_loss=cross-entropy needs data in [0, 1]: protocol.scaling=unit")
        super().__init__(training, data_shape, seeds)
        self.encoder = self.build_encoder("encoder", training.latent_dim)
        self.generator = self.build_generator()
        self.discriminator = self.build_discriminator("discriminator", 1)
        self.lambda_r, self.lambda_w, self.lambda_p, self.penalty = lambda_r, lambda_w, lambda_p, penalty
        self.real_weight, self.reconstruction_weight = real_weight, reconstruction_weight
        self.reconstruction_label = reconstruction_label
        self.generator_objective, self.reconstruction_loss = generator_loss, reconstruction_loss
        self.distance_from = distance_from
        self.discriminator_updates = discriminator_updates
        self.compared, self.reconstruction_scale = compared, reconstruction_scale
        self.autoencoder_moves = autoencoder_moves

    def updates(self) -> Iterator[Update]:
        both = self.autoencoder_moves == "both"
        yield Update(self.autoencoder_loss, params=(self.encoder, self.generator) if both else (self.encoder,))
        yield Update(self.discriminator_loss, params=(self.discriminator,), n_steps=self.discriminator_updates)
        yield Update(self.generator_loss, params=(self.generator,))

    def autoencoder_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """|x - G(E(x))|^2 + lambda_r (f - lambda_w g)^2 (Eqs. 3, 5 and 6).

        f and g are differences of means over the batch and all coordinates: f between data and samples (or their
        features), g between codes and latents.
        """
        code = self.encoder(x)
        logits, sample_logits = forward_batched(self.generator.logits, code, z)
        rebuilt, sample = self.generator.finish(logits), self.generator.finish(sample_logits)
        data = x
        if self.compared == "features":
            data, rebuilt, sample = forward_batched(self.discriminator.features, x, rebuilt, sample)
        if self.reconstruction_loss == "squared-error":
            loss = squared_distance(data, rebuilt)
            if self.reconstruction_scale == "mean":
                loss = loss / data[0, 0].numel()
        else:
            loss = bce_with_logits(logits, x)
        f = all_reduce_mean(per_seed(data if self.distance_from == "data" else rebuilt) - per_seed(sample))
        g = all_reduce_mean(per_seed(code) - per_seed(z))
        weight = self.lambda_w
        if weight == "dimensions":
            weight = (z[0, 0].numel() / data[0, 0].numel()) ** 0.5
        return loss + self.lambda_r * (f - weight * g).square()

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Logistic loss on data, reconstructions and samples, plus the penalty between data and samples (Eq. 4).

        The sign of the penalty is reversed, because the printed one rewards violations.
        """
        with torch.no_grad():
            rebuilt, fake = forward_batched(self.generator, self.encoder(x), z)
        logits, rebuilt_logits, fake_logits = forward_batched(self.discriminator.logits, x, rebuilt, fake)
        loss = self.real_weight * bce_real(logits) + bce_fake(fake_logits)
        if self.reconstruction_label != "none":
            bce = bce_real if self.reconstruction_label == "real" else bce_fake
            loss = loss + self.reconstruction_weight * bce(rebuilt_logits)
        if self.lambda_p == 0:
            return loss
        epsilon = (self.random("penalty", x, "uniform", *[1] * (x.ndim - 2)) + 1) / 2
        return loss + self.lambda_p * gradient_penalty(self.discriminator.logits, x, fake, epsilon, self.penalty)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(G(z)) (Alg. 1, line 10), or |E D(x) - E D(G(z))| (released code)."""
        logits = self.discriminator.logits(self.generator(z))
        if self.generator_objective == "log":
            return bce_real(logits)
        return all_reduce_mean(per_seed(self.discriminator.logits(x).sigmoid()) - per_seed(logits.sigmoid())).abs()
