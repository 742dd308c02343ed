"""Generative adversarial network with minibatch discrimination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modules.gan import GAN
from modules.losses import autocast_disabled
from modules.networks import SeedLinear
from modules.options import Training
from modules.ranks import all_gather


class MinibatchDiscriminator(nn.Module):
    """A discriminator that sees how close a sample is to the others of its batch (Salimans et al. 2016, section 3.2).

    network: a network with ``1 + kernels * kernel_dim`` outputs. The first is the part of the logit that reads the
        features; the others are the paper's M = f(x) T. Biases of M cancel out.
    """

    #: Whether a sample's output depends on its batch: real and generated batches must not be joined.
    mixes_batch = True

    def __init__(self, network: Any, kernels: int, kernel_dim: int, seeds: Sequence[int]) -> None:
        super().__init__()
        generators = [np.random.default_rng((*b"initialisation minibatch", seed)) for seed in seeds]
        self.network, self.kernels, self.kernel_dim = network, kernels, kernel_dim
        self.closeness = SeedLinear(kernels, 1, generators)

    def logits(self, x: Tensor) -> Tensor:
        """``[S, B, 1]``: what the output layer makes of features and closeness, joined."""
        # Gradients of M sum to 0 over a batch, which 16 bits are too coarse for.
        with autocast_disabled(x):
            own, projected = self.network.logits(x).split([1, self.kernels * self.kernel_dim], 2)
            return own + self.closeness(closeness(projected.unflatten(2, (self.kernels, self.kernel_dim))))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x)


def closeness(projected: Tensor) -> Tensor:
    """exp(-|M_ib - M_jb|_1) for ``M [S, B, kernels, kernel_dim]``, the mean over ``j``, a sample itself included:
    ``[S, B, kernels]``.

    The paper has the sum, whose weights its code normalises. The mean starts at the scale of other activations, and a
    shorter batch looks the same.
    """
    points, others = projected.transpose(1, 2), all_gather(projected).transpose(1, 2)
    return (-torch.cdist(points, others, p=1)).exp().mean(3).transpose(1, 2)


class GANMB(GAN):
    """GAN + MB: GAN with minibatch discrimination (Salimans et al. 2016, arXiv:1606.03498, section 3.2).

    kernels, kernel_dim: the paper's B and C, as in its released code.
    """

    name = "gan-mb"
    version = 1
    batch_coupled_losses = ("discriminator_loss", "generator_loss")

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        kernels: int = 100,
        kernel_dim: int = 5,
    ) -> None:
        if min(kernels, kernel_dim) < 1:
            raise ValueError("method.kernels and method.kernel_dim must be at least 1; without kernels use gan")
        super().__init__(training, data_shape, seeds)
        network = self.build_discriminator("discriminator", 1 + kernels * kernel_dim)
        self.discriminator = MinibatchDiscriminator(network, kernels, kernel_dim, seeds)
