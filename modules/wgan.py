"""Wasserstein GAN with clipped weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import per_seed
from modules.networks import forward_batched
from modules.options import Training


class WGAN(AdversarialModule):
    """WGAN (Arjovsky et al. 2017, arXiv:1701.07875, Alg. 1): a critic with clipped weights estimates the Wasserstein
    distance.

    The paper trains it with RMSProp at a learning rate of 5e-5: ``protocol.optimizer=rmsprop``.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        clip: Largest absolute value of the critic's weights, c in the paper.
        critic_updates: Critic updates per generator update.
    """

    name = "wgan"
    version = 1
    batch_coupled_losses = ()

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        clip: float = 0.01,
        critic_updates: int = 5,
    ) -> None:
        super().__init__(training, data_shape, seeds)
        self.generator = self.build_generator()
        self.critic = self.build_discriminator("discriminator", 1)
        self.clip, self.critic_updates = clip, critic_updates

    def updates(self) -> Iterator[Update]:
        yield Update(self.critic_loss, params=(self.critic,), n_steps=self.critic_updates)
        yield Update(self.generator_loss, params=(self.generator,))

    @torch.no_grad()
    def _clip(self) -> None:
        """Clip the critic's weights (Alg. 1, line 7).

        It runs before each use of the critic, which is after every step that changed it.
        """
        for weight in self.critic.parameters():
            weight.clamp_(-self.clip, self.clip)

    def critic_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """E f(G(z)) - E f(x) (Alg. 1, line 5)."""
        self._clip()
        real, fake = forward_batched(self.critic, x, self.fake(z))
        return per_seed(fake) - per_seed(real)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E f(G(z)) (Alg. 1, line 10)."""
        self._clip()
        return -per_seed(self.critic(self.generator(z)))
