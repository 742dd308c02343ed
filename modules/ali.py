"""Adversarially learned inference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modules.base import AdversarialModule, Training, Update
from modules.losses import says_fake, says_real
from modules.networks import together


class ALI(AdversarialModule):
    """ALI (Dumoulin et al. 2017, arXiv:1606.00704, Alg. 1): the discriminator tells pairs (x, E(x)) from (G(z), z),
    generator and encoder swap the labels, and both sides move from one common point.

    The encoder reads x and as many noise coordinates as the latent has, which makes its codes random.
    """

    name = "ali"
    simultaneous = True

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__(training, data_shape, seeds)
        latent = training.latent_dim
        self.encoder = self.build("encoder", self.data_dim + latent, latent)
        self.generator = self.build("generator", latent, self.data_dim, self.output)
        self.discriminator = self.build("discriminator", self.data_dim + latent, 1)

    def updates(self) -> Iterator[Update]:
        yield Update(self.discrimination, moves=(self.discriminator,))
        yield Update(self.deception, moves=(self.generator, self.encoder))

    def pairs(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """(x, E(x)) and (G(z), z), ``[S, B, data + latent]``."""
        noise = self.random("encoder", x, "normal", z.shape[2])
        code = self.encoder(torch.cat([x, noise], 2))
        return torch.cat([x, code], 2), torch.cat([self.generator(z), z], 2)

    def discrimination(self, x: Tensor, z: Tensor) -> Tensor:
        """-log D(x, E(x)) - log(1 - D(G(z), z)) (Alg. 1)."""
        with torch.no_grad():
            inferred, generated = self.pairs(x, z)
        inferred, generated = together(self.discriminator.logits, inferred, generated)
        return says_real(inferred) + says_fake(generated)

    def deception(self, x: Tensor, z: Tensor) -> Tensor:
        """-log(1 - D(x, E(x))) - log D(G(z), z) (Alg. 1)."""
        inferred, generated = together(self.discriminator.logits, *self.pairs(x, z))
        return says_fake(inferred) + says_real(generated)
