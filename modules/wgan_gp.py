"""Wasserstein GAN with gradient penalty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import PenaltyNorm, gradient_penalty, per_seed
from modules.networks import forward_batched
from modules.options import Training


class WGANGP(AdversarialModule):
    """WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, Alg. 1): WGAN with a gradient penalty in place of clipped
    weights.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        lambda_p: Weight of the penalty; 10 in the paper for images, 0.1 in its released toy code.
        penalty: What the penalty pulls to 1, as in ``modules.losses.gradient_penalty``.
        critic_updates: Critic updates per generator update.
    """

    name = "wgan-gp"
    version = 1
    batch_coupled_losses = ()
    second_derivatives = True

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        lambda_p: float = 0.1,
        penalty: PenaltyNorm = "l2",
        critic_updates: int = 5,
    ) -> None:
        super().__init__(training, data_shape, seeds)
        self.generator = self.build_generator()
        self.critic = self.build_discriminator("discriminator", 1, norm=False)
        self.lambda_p, self.penalty, self.critic_updates = lambda_p, penalty, critic_updates

    def updates(self) -> Iterator[Update]:
        yield Update(self.critic_loss, params=(self.critic,), n_steps=self.critic_updates)
        yield Update(self.generator_loss, params=(self.generator,))

    def critic_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """E f(G(z)) - E f(x) + lambda_p penalty (Eq. 3; Alg. 1, lines 2 to 9)."""
        sample = self.fake(z)
        real, fake = forward_batched(self.critic, x, sample)
        epsilon = (self.random("penalty", x, "uniform", *[1] * (x.ndim - 2)) + 1) / 2
        penalty = gradient_penalty(self.critic, x, sample, epsilon, self.penalty)
        return per_seed(fake) - per_seed(real) + self.lambda_p * penalty

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E f(G(z)) (Alg. 1, line 12)."""
        return -per_seed(self.critic(self.generator(z)))
