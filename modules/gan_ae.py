"""Generative adversarial network powered by autoencoding."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import bce_fake, bce_real, per_seed
from modules.networks import MLP, forward_batched
from modules.options import Training
from modules.ranks import all_reduce_mean

#: Discriminator loss at equilibrium, where D = 1/2 everywhere.
EQUILIBRIUM = 2 * math.log(2)
#: Decay of the running mean of the discriminator loss.
_MEMORY = 0.9
#: Hidden layers and width of the code critic. Codes are vectors for every kind of data.
_CRITIC_LAYERS, _CRITIC_WIDTH = 3, 128
#: Smallest standard deviation of a Gaussian of codes in any direction, relative to that of all codes in their widest
#: coordinate. It is needed where codes fill only a subspace.
_LEAST_STD = 1e-3


class GANAE(AdversarialModule):
    """GAN + AE ("GANs powered by autoencoding", poster): a GAN whose generator reconstructs the data.

    The objective is E[log(D(x) (1 - D(H(x)))) + lambda L(x, H(x))] with the autoencoder H(x) = G(E(x)). The
    discriminator separates data from their reconstructions. Encoder and generator are trained to fool it and to
    reconstruct. The prior of the latent plays no part.

    The poster does not say how to sample from the model. Here samples are G(c). The codes c come from a mixture of
    Gaussians with full covariance matrices, fitted after training to the codes of ``calibration`` training data, as is
    done for deterministic autoencoders (Ghosh et al. 2020, arXiv:1903.12436, section 4). This needs a normal prior.
    Before calibration the mixture is N(0, I). With ``code_critic``, c comes from the prior instead.

    One Gaussian is not enough. On ``ring8`` the codes lie on a ring: 99 % of reconstructions are within 3 std of a
    mode, but only 2 % of samples from a single Gaussian.

    The poster leaves nearly everything else open, too. The fields below are our choices.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        reconstruction: The error L: the mean squared error per coordinate, or the mean absolute error (``l1``, as in
            the code of a later paper of the authors). The best constant for the absolute error is the median, which is
            black for nearly every pixel of MNIST. With ``l1``, reconstructions are black for the first 100 batches and
            faint after 300, in a plain autoencoder, too. The poster shows digits after one epoch and pictures after 10,
            50 and 100 batches.
        reconstruction_weight: Weight of L in the loss of encoder and generator. Its ratio to ``adversarial_weight`` is
            lambda.
        adversarial_weight: Weight of -log D(H(x)) in the loss of encoder and generator.
        decay: alpha, a factor in [0, 1]. ``none``: 1. ``adaptive``: the running mean of the discriminator loss over 2
            log 2, which is 1 at equilibrium and falls to 0 as the discriminator wins. ``exponential``: ``gamma`` to the
            power of the iteration.
        decays: Term that alpha multiplies: the ``adversarial`` one or the ``reconstruction``.
        gamma: Base of the exponential decay, in (0, 1].
        calibration: Number of training data that the mixture is fitted to.
        components: Number of Gaussians in the mixture; 10 in Ghosh et al.
        code_critic: Whether a second discriminator separates latents from codes and the encoder is trained to fool it,
            with weight ``adversarial_weight``, as in the code of the authors' later paper. Then no mixture is fitted.

    Raises:
        ValueError: The prior is not normal (without ``code_critic``), or a field is out of bounds.
    """

    name = "gan-ae"
    version = 1
    batch_coupled_losses = ("discriminator_loss",)
    samplers = ("generator", "encoder", "code_shares", "code_means", "code_factors")

    code_shares: Tensor
    code_means: Tensor
    code_factors: Tensor
    mean_discriminator_loss: Tensor

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        reconstruction: Literal["squared-error", "l1"] = "squared-error",
        reconstruction_weight: float = 1.0,
        adversarial_weight: float = 1e-2,
        decay: Literal["none", "adaptive", "exponential"] = "none",
        decays: Literal["adversarial", "reconstruction"] = "adversarial",
        gamma: float = 0.9999,
        calibration: int = 5_000,
        components: int = 10,
        code_critic: bool = False,
    ) -> None:
        if training.prior != "normal" and not code_critic:
            raise ValueError("gan-ae draws codes from a Gaussian and needs a normal prior: protocol.prior=normal")
        if not 0 < gamma <= 1 or not 1 <= components < calibration:
            raise ValueError("gan-ae needs 0 < method.gamma <= 1 and 1 <= method.components < method.calibration")
        super().__init__(training, data_shape, seeds)
        latent, count = training.latent_dim, len(self.seeds)
        self.encoder = self.build_encoder("encoder", latent)
        self.generator = self.build_generator()
        self.discriminator = self.build_discriminator("discriminator", 1)
        self.reconstruction, self.decay, self.decays, self.gamma = reconstruction, decay, decays, gamma
        self.reconstruction_weight, self.adversarial_weight = reconstruction_weight, adversarial_weight
        self.calibration, self.components, self.code_critic = calibration, components, None
        if code_critic:
            self.calibration = 0
            self.code_critic = MLP("code-critic", latent, 1, seeds=seeds, hidden=_CRITIC_LAYERS, width=_CRITIC_WIDTH)
        self.register_buffer("mean_discriminator_loss", torch.full((count,), EQUILIBRIUM))
        # Shares are cumulative. Before calibration the first Gaussian has the whole share.
        self.register_buffer("code_shares", torch.ones(count, components))
        self.register_buffer("code_means", torch.zeros(count, components, latent))
        self.register_buffer("code_factors", torch.eye(latent).repeat(count, components, 1, 1))

    @property
    def noise_dim(self) -> int:
        """Dimension of the noise: one more than the codes' without a code critic, because the last coordinate chooses
        the Gaussian.
        """
        return self.training_setup.latent_dim + (self.code_critic is None)

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        if self.code_critic is not None:
            yield Update(self.code_critic_loss, params=(self.code_critic,))
        yield Update(self.autoencoder_loss, params=(self.encoder, self.generator))

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(x) - E log(1 - D(H(x))), and update the running mean that alpha depends on."""
        with torch.no_grad():
            rebuilt = self.generator(self.encoder(x))
        real, fake = forward_batched(self.discriminator.logits, x, rebuilt)
        loss = bce_real(real) + bce_fake(fake)
        self.mean_discriminator_loss.lerp_(all_reduce_mean(loss.detach().float()), 1 - _MEMORY)
        return loss

    def code_critic_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log C(z) - E log(1 - C(E(x))), with C the code critic."""
        assert self.code_critic is not None
        with torch.no_grad():
            code = self.encoder(x)
        prior, found = forward_batched(self.code_critic.logits, z, code)
        return bce_real(prior) + bce_fake(found)

    def autoencoder_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """lambda L(x, H(x)) - E log D(H(x)), one of the terms times alpha.

        With a code critic C the loss has the further term -E log C(E(x)).
        """
        code, alpha = self.encoder(x), self.alpha()
        rebuilt = self.generator(code)
        seen = self.traced("gradient", rebuilt)
        adversarial = self.adversarial_weight * bce_real(self.discriminator.logits(seen))
        error = (x - rebuilt).abs() if self.reconstruction == "l1" else (x - rebuilt).square()
        reconstruction = self.reconstruction_weight * per_seed(error)
        if self.code_critic is not None:
            adversarial = adversarial + self.adversarial_weight * bce_real(self.code_critic.logits(code))
        self.trace("alpha", alpha)
        if self.decays == "adversarial":
            return reconstruction + alpha * adversarial
        return alpha * reconstruction + adversarial

    def alpha(self) -> Tensor:
        """The decay factor of this iteration, ``[S]``."""
        if self.decay == "adaptive":
            return (self.mean_discriminator_loss / EQUILIBRIUM).clamp(0, 1)
        return torch.full_like(
            self.mean_discriminator_loss, self.gamma**self.iteration if self.decay != "none" else 1.0
        )

    # Free samples -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Fit the mixture to the codes of training data ``[n, *data_shape]``."""
        parts = x.to(self.device).split(self.training_setup.batch_size)
        with self.evaluating(self.training_setup.norm_at_evaluation):
            codes = torch.cat([self.encoder(part.expand(len(self.seeds), *part.shape)) for part in parts], 1)
        for seed, own in enumerate(codes.cpu().double().numpy()):
            # If codes are not finite, NaN factors make the seed's samples NaN, which shows it.
            fitted = fit_gaussians(own, self.components) if np.isfinite(own).all() else (1.0, 0.0, np.nan)
            for buffer, value in zip((self.code_shares, self.code_means, self.code_factors), fitted, strict=True):
                buffer[seed] = torch.as_tensor(value)

    def generate(self, z: Tensor) -> Tensor:
        """G(m_k + F_k z) for the mixture's Gaussians N(m_k, F_k F_k'); the last coordinate of z chooses k."""
        if self.code_critic is not None:
            return self.generator(z)
        z, place = z[..., :-1], torch.special.ndtr(z[..., -1:])
        # The comparison leaves out the last share: a place that rounds to 1 belongs to the last Gaussian.
        chosen = (place > self.code_shares[:, None, :-1]).sum(2)
        seeds = torch.arange(len(z), device=z.device)[:, None]
        shift = (self.code_factors[seeds, chosen] @ z.unsqueeze(3)).squeeze(3)
        return self.generator(self.code_means[seeds, chosen] + shift)


def fit_gaussians(codes: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a mixture of Gaussians to codes by expectation maximisation.

    Args:
        codes: Codes ``[n, d]``.
        components: Number of Gaussians, K.

    Returns:
        Cumulative shares ``[K]``, means ``[K, d]`` and lower Cholesky factors of the covariances ``[K, d, d]``.
    """
    centre, spread = codes.mean(0), max(float(codes.std(0).max()), np.finfo(float).tiny)
    mixture = GaussianMixture(components, reg_covar=_LEAST_STD**2, random_state=0)
    with warnings.catch_warnings():
        # A mixture that has not quite converged is good enough to sample from.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit((codes - centre) / spread)
    factors = np.linalg.cholesky(mixture.covariances_)
    return mixture.weights_.cumsum(), mixture.means_ * spread + centre, factors * spread
