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
    version = 1
    couples = ()
    simultaneous = True

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__(training, data_shape, seeds)
        latent = training.latent_dim
        self.encoder = self.build_reader("encoder", latent, extra=latent)
        self.generator = self.build_generator()
        self.discriminator = self.build_reader("discriminator", 1, extra=latent)

    def updates(self) -> Iterator[Update]:
        yield Update(self.discrimination, moves=(self.discriminator,))
        yield Update(self.deception, moves=(self.generator, self.encoder))

    def pairs(self, x: Tensor, z: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """(x, E(x)) and (G(z), z)."""
        code = self.encoder(x, self.random("encoder", x, "normal", z.shape[2]))
        return (x, code), (self.generator(z), z)

    def discrimination(self, x: Tensor, z: Tensor) -> Tensor:
        """-log D(x, E(x)) - log(1 - D(G(z), z)) (Alg. 1)."""
        with torch.no_grad():
            pairs = self.pairs(x, z)
        inferred, generated = together(self.discriminator.logits, *pairs)
        return says_real(inferred) + says_fake(generated)

    def deception(self, x: Tensor, z: Tensor) -> Tensor:
        """-log(1 - D(x, E(x))) - log D(G(z), z) (Alg. 1)."""
        inferred, generated = together(self.discriminator.logits, *self.pairs(x, z))
        return says_fake(inferred) + says_real(generated)
