"""Distributional adversarial network, two-sample variant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from modules.base import AdversarialModule, Update
from modules.losses import bce_fake, bce_real
from modules.options import Training
from modules.ranks import all_gather


class DAN2S(AdversarialModule):
    """DAN-2S (Li et al. 2017, arXiv:1706.09549, section 3.2): a GAN whose discriminator compares two sets of samples.

    The discriminator gets the halves of two batches and decides whether both come from one distribution. One network
    embeds the samples of both halves, the embeddings are averaged, and the absolute difference of the means is
    classified. Two hidden layers come before the average and one after it, so that the network is as deep as the
    discriminators of other methods.

    The released generator loss labels one of the two mixed pairs "different", which looks like a slip. Here both have
    the label "same".

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
    """

    name = "dan-2s"
    version = 1
    batch_coupled_losses = ("discriminator_loss", "generator_loss")

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__(training, data_shape, seeds)
        self.generator = self.build("generator", training.latent_dim, self.data_dim, self.output)
        whole = self.build("discriminator", self.data_dim, 1)
        self.discriminator = nn.ModuleDict({"point": whole.layers[:-2], "pair": whole.layers[-2:]})

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.generator,))

    def halves(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Mean embeddings ``[S, 1, width]`` of the first and the second half of a batch."""
        samples = self.add_instance_noise(samples)
        for layer in self.discriminator["point"]:  # type: ignore[attr-defined]
            samples = layer(samples).relu_()
        samples = all_gather(samples)
        half = samples.shape[1] // 2
        return samples[:, :half].mean(1, keepdim=True), samples[:, half:].mean(1, keepdim=True)

    def same(self, *pairs: tuple[Tensor, Tensor]) -> Tensor:
        """Logits ``[S, pairs, 1]`` that the two means of each pair come from one distribution."""
        hidden = torch.cat([(a - b).abs() for a, b in pairs], 1)
        first, last = self.discriminator["pair"]  # type: ignore[misc]
        return last(first(hidden).relu_())  # type: ignore[has-type]

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Logistic loss of four pairs of halves (Eq. 8).

        (real, real) and (fake, fake) have the label "same", the two mixed pairs "different".
        """
        (real_1, real_2), (fake_1, fake_2) = self.halves(x), self.halves(self.fake(z))
        logits = self.same((real_1, real_2), (fake_1, fake_2), (real_1, fake_2), (fake_1, real_2))
        return bce_real(logits[:, :2]) + bce_fake(logits[:, 2:])

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Logistic loss of the two mixed pairs with the label "same"."""
        (real_1, real_2), (fake_1, fake_2) = self.halves(x), self.halves(self.generator(z))
        return bce_real(self.same((real_1, fake_2), (fake_1, real_2)))
