"""Generative adversarial network whose discriminator judges packs of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modules.base import AdversarialModule, Update
from modules.losses import bce_fake, bce_real
from modules.networks import forward_batched
from modules.options import Training


class PacGAN(AdversarialModule):
    """PacGAN (Lin et al. 2018, arXiv:1712.04086, section 2): the discriminator sees ``packing`` samples side by side,
    all real or all generated, so that a generator of few modes betrays itself by samples that are too much alike.

    Losses are the GAN's, D now a function of a pack, and only the discriminator's first layer grows. A batch of B
    samples makes B / m packs here; the paper's released code draws m B samples for B packs and moves both players at
    once.

    packing: m, the degree of packing; 1 is the GAN.
    """

    name = "pacgan"

    def __init__(
        self, training: Training, data_shape: Sequence[int], seeds: Sequence[int], *, packing: int = 2
    ) -> None:
        if packing < 1:
            raise ValueError("method.packing must be at least 1")
        super().__init__(training, data_shape, seeds)
        self.packing = packing
        self.generator = self.build_generator()
        packed = (packing * self.data_shape[0], *self.data_shape[1:])
        self.discriminator = self.family.encoder("discriminator", packed, 1, self.seeds)

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.generator,))

    def packs(self, x: Tensor) -> Tensor:
        """Samples ``[S, B, c, ...]`` as packs ``[S, ceil(B / m), m c, ...]``, along coordinates or channels; samples of
        a batch that m does not divide appear again in the last pack."""
        count = -(-x.shape[1] // self.packing)
        order = torch.arange(count * self.packing, device=x.device) % x.shape[1]
        return self.add_instance_noise(x)[:, order].unflatten(1, (count, self.packing)).flatten(2, 3)

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(x_1, ..., x_m) - E log(1 - D(G(z_1), ..., G(z_m)))."""
        real, fake = forward_batched(self.discriminator.logits, self.packs(x), self.packs(self.fake(z)))
        return bce_real(real) + bce_fake(fake)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(G(z_1), ..., G(z_m))."""
        return bce_real(self.discriminator.logits(self.packs(self.generator(z))))
