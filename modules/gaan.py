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
    """GAAN (Tran et al. 2018, arXiv:1803.08887, Alg. 1): a GAN whose generator is also the decoder of an autoencoder,
    with a regulariser that ties distances in data space to distances in latent space.

    Where the paper, its evident slips and the released code depart, each choice is a field; defaults are the text
    without its slips.

    lambda_r, lambda_w, lambda_p: weights of the regulariser (Eq. 5), of its latent distance (Eq. 6) and of the gradient
        penalty (Eq. 4). ``lambda_r=0`` is the paper's GAAN_1, ``lambda_p=0`` leaves the penalty out; ``lambda_w`` may
        be ``dimensions``, sqrt(d / D) of the latent's d and the compared space's D coordinates (images).
    compared: what reconstructions and the regulariser compare: ``data`` (2-D), or ``features`` of the discriminator
        (images).
    penalty: ``squared`` (squared norm to 1, as Eq. 4 prints it), ``l2`` or ``rms`` (released 2-D code).
    real_weight, reconstruction_weight: weights of the two "real" terms of the discriminator loss; 1 and 1 in Eq. 4,
        which moves the discriminator's optimum from 1/2 to 2/3.
    reconstruction_label: what the discriminator is told that G(E(x)) is: ``real`` in section 3.2.1, ``fake`` in the
        released 2-D code, ``none`` leaves the term out (with real_weight as given).
    generator_loss: ``log`` (-log D, Alg. 1) or ``mean-difference`` (absolute difference of the batch means of D, code).
    reconstruction_loss: ``squared-error`` (Eq. 3) or ``cross-entropy`` (code; data in [0, 1]).
    reconstruction_scale: the squared error is the ``sum`` over coordinates (Eq. 3) or their ``mean``, as in the
        released code for images, where the regulariser, a square of means, would else be nothing beside it.
    autoencoder_moves: ``both`` encoder and generator (Alg. 1), or the ``encoder`` alone, as in the code of Dist-GAN.
    distance_from: the regulariser's data distance starts at ``data`` (Eq. 6) or at ``reconstruction`` (code).
    discriminator_updates: per iteration.
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
        """|x - G(E(x))|^2 + lambda_r (f - lambda_w g)^2 (Eqs. 3, 5 and 6), f and g differences of means over the batch
        and all coordinates: f of data and samples, or of their features, g of codes and latents."""
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
        """Logistic loss on data, reconstructions and samples, plus the penalty between data and samples (Eq. 4 with
        the penalty's sign turned, as the printed one would reward violations)."""
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
        """-E log D(G(z)) (Alg. 1, line 10), or |E D(x) - E D(G(z))| (code)."""
        logits = self.discriminator.logits(self.generator(z))
        if self.generator_objective == "log":
            return bce_real(logits)
        return all_reduce_mean(per_seed(self.discriminator.logits(x).sigmoid()) - per_seed(logits.sigmoid())).abs()
