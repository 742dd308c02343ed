"""Generative adversarial network powered by autoencoding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from modules.base import AdversarialModule, Training, Update
from modules.losses import per_seed, says_fake, says_real
from modules.networks import MLP, together
from modules.ranks import across

#: Summed logistic loss of a discriminator that cannot tell: D = 1/2 everywhere.
EQUILIBRIUM = 2 * math.log(2)
#: Share of the old value in the running mean of the discriminator's loss.
_MEMORY = 0.9
#: The critic of codes, which reads a vector whatever the data are.
_CRITIC_LAYERS, _CRITIC_WIDTH = 3, 128
#: Least standard deviation of a code's coordinate, as a share of all of them: where codes fill a subspace.
_LEAST_STD = 1e-3


class GANAE(AdversarialModule):
    """GAN + AE ("GANs powered by autoencoding", poster): E[log(D(x) (1 - D(H(x)))) + lambda L(x, H(x))] with
    H(x) = G(E(x)). The discriminator tells data from their reconstructions, encoder and generator deceive it and
    reconstruct; the latent's prior plays no part.

    So the poster leaves open what free samples are made from. Here they are G(c) with c from a Gaussian of full
    covariance fitted to the codes of ``calibration`` training data, for which latents must be normal (N(0, I) before it
    has been calibrated); or, with ``code_critic``, from the prior.

    It leaves nearly everything else open, too. Our choices, each a field:

    reconstruction: L, the mean absolute (``l1``, as in the code of a later paper of its authors) or squared error per
        coordinate.
    reconstruction_weight, adversarial_weight: of L and of -log D(H(x)) in the loss of encoder and generator; lambda is
        their ratio.
    decay: alpha, a factor between 0 and 1: 1 (``none``), the running mean of the discriminator's summed logistic loss
        over 2 log 2 (``adaptive``: 1 in equilibrium, to 0 as the discriminator wins), or ``gamma`` to the power of the
        iteration (``exponential``).
    decays: what alpha multiplies, the ``adversarial`` error or the ``reconstruction``.
    code_critic: a second discriminator tells latents from codes, and the encoder deceives it, with the weight of the
        other, as in the code of the authors' later paper. Nothing is calibrated then.
    """

    name = "gan-ae"
    couples = ("discrimination",)
    samplers = ("generator", "encoder", "code_mean", "code_factor")

    code_mean: Tensor
    code_factor: Tensor
    discriminator_loss: Tensor

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        reconstruction: Literal["l1", "squared-error"] = "l1",
        reconstruction_weight: float = 1.0,
        adversarial_weight: float = 1e-2,
        decay: Literal["none", "adaptive", "exponential"] = "none",
        decays: Literal["adversarial", "reconstruction"] = "adversarial",
        gamma: float = 0.9999,
        calibration: int = 5_000,
        code_critic: bool = False,
    ) -> None:
        if training.prior != "normal" and not code_critic:
            raise ValueError("gan-ae draws codes from a Gaussian and needs a normal prior: protocol.prior=normal")
        if not 0 < gamma <= 1 or calibration < 2:
            raise ValueError("gan-ae needs 0 < method.gamma <= 1 and method.calibration of 2 or more")
        super().__init__(training, data_shape, seeds)
        latent, count = training.latent_dim, len(self.seeds)
        self.encoder = self.build_reader("encoder", latent)
        self.generator = self.build_generator()
        self.discriminator = self.build_reader("discriminator", 1)
        self.reconstruction, self.decay, self.decays, self.gamma = reconstruction, decay, decays, gamma
        self.reconstruction_weight, self.adversarial_weight = reconstruction_weight, adversarial_weight
        self.calibration, self.code_critic = calibration, None
        if code_critic:
            self.calibration = 0
            self.code_critic = MLP("code-critic", latent, 1, seeds=seeds, hidden=_CRITIC_LAYERS, width=_CRITIC_WIDTH)
        self.register_buffer("discriminator_loss", torch.full((count,), EQUILIBRIUM))
        self.register_buffer("code_mean", torch.zeros(count, 1, latent))
        self.register_buffer("code_factor", torch.eye(latent).repeat(count, 1, 1))

    def updates(self) -> Iterator[Update]:
        yield Update(self.discrimination, moves=(self.discriminator,))
        if self.code_critic is not None:
            yield Update(self.code_criticism, moves=(self.code_critic,))
        yield Update(self.autoencoding, moves=(self.encoder, self.generator))

    def discrimination(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(x) - E log(1 - D(H(x))); also moves the running mean that alpha follows."""
        with torch.no_grad():
            rebuilt = self.generator(self.encoder(x))
        real, fake = together(self.discriminator.logits, x, rebuilt)
        loss = says_real(real) + says_fake(fake)
        self.discriminator_loss.lerp_(across(loss.detach().float()), 1 - _MEMORY)
        return loss

    def code_criticism(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log C(z) - E log(1 - C(E(x))), C the critic of codes."""
        assert self.code_critic is not None
        with torch.no_grad():
            code = self.encoder(x)
        prior, found = together(self.code_critic.logits, z, code)
        return says_real(prior) + says_fake(found)

    def autoencoding(self, x: Tensor, z: Tensor) -> Tensor:
        """lambda L(x, H(x)) - E log D(H(x)), one of them times alpha, and -E log C(E(x)) of a critic of codes."""
        code, alpha = self.encoder(x), self.alpha()
        rebuilt = self.generator(code)
        seen = self.traced("gradient", rebuilt)
        adversarial = self.adversarial_weight * says_real(self.discriminator.logits(seen))
        error = (x - rebuilt).abs() if self.reconstruction == "l1" else (x - rebuilt).square()
        reconstruction = self.reconstruction_weight * per_seed(error)
        if self.code_critic is not None:
            adversarial = adversarial + self.adversarial_weight * says_real(self.code_critic.logits(code))
        self.trace("alpha", alpha)
        if self.decays == "adversarial":
            return reconstruction + alpha * adversarial
        return alpha * reconstruction + adversarial

    def alpha(self) -> Tensor:
        """The decay of this iteration, ``[S]``."""
        if self.decay == "adaptive":
            return (self.discriminator_loss / EQUILIBRIUM).clamp(0, 1)
        return torch.full_like(self.discriminator_loss, self.gamma**self.iteration if self.decay != "none" else 1.0)

    # Free samples -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Fit mean and covariance of the codes of ``x [n, *data_shape]``."""
        parts = x.to(self.device).split(self.training_setup.batch_size)
        with self.evaluating(self.training_setup.norm_at_evaluation):
            codes = torch.cat([self.encoder(part.expand(len(self.seeds), *part.shape)) for part in parts], 1)
        codes = codes.cpu().double()
        centred = codes - codes.mean(1, keepdim=True)
        covariance = centred.transpose(1, 2) @ centred / (len(x) - 1)
        spread = covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
        ridge = _LEAST_STD**2 * spread * torch.eye(codes.shape[2], dtype=torch.float64)
        self.code_mean.copy_(codes.mean(1, keepdim=True))
        # Of codes that are not finite the factor is not finite either, and the seed's samples say so.
        self.code_factor.copy_(torch.linalg.cholesky_ex(covariance + ridge).L)

    def generate(self, z: Tensor) -> Tensor:
        """G(m + F z), m and F F' the mean and covariance of the codes."""
        return self.generator(self.code_mean + z @ self.code_factor.transpose(1, 2))
