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
    """Discriminator with minibatch discrimination (Salimans et al. 2016, section 3.2).

    It sees how close each sample is to the others of its batch.

    Args:
        network: Network with ``1 + kernels * kernel_dim`` outputs. The first is the features' share of the logit. The
            others are the paper's M = f(x) T. The biases of M cancel.
        kernels: The paper's B.
        kernel_dim: The paper's C.
        seeds: One integer per copy.
    """

    #: Whether the output for a sample depends on its batch: real and generated batches must not be joined.
    mixes_batch = True

    def __init__(self, network: Any, kernels: int, kernel_dim: int, seeds: Sequence[int]) -> None:
        super().__init__()
        generators = [np.random.default_rng((*b"initialisation minibatch", seed)) for seed in seeds]
        self.network, self.kernels, self.kernel_dim = network, kernels, kernel_dim
        self.closeness = SeedLinear(kernels, 1, generators)

    def logits(self, x: Tensor) -> Tensor:
        """Logits ``[S, B, 1]``: the output layer applied to features and closeness."""
        # Gradients of M sum to 0 over a batch. 16 bits are too coarse for that.
        with autocast_disabled(x):
            own, projected = self.network.logits(x).split([1, self.kernels * self.kernel_dim], 2)
            return own + self.closeness(closeness(projected.unflatten(2, (self.kernels, self.kernel_dim))))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x)


def closeness(projected: Tensor) -> Tensor:
    """Mean of exp(-|M_ib - M_jb|_1) over the samples ``j`` of the batch, ``i`` itself included.

    The paper has the sum, whose weights its code normalises. The mean has the scale of other activations at the start
    and does not depend on the batch size.

    Args:
        projected: M, ``[S, B, kernels, kernel_dim]``.

    Returns:
        Closeness ``[S, B, kernels]``.
    """
    points, others = projected.transpose(1, 2), all_gather(projected).transpose(1, 2)
    return (-torch.cdist(points, others, p=1)).exp().mean(3).transpose(1, 2)


class GANMB(GAN):
    """GAN with minibatch discrimination, GAN + MB (Salimans et al. 2016, arXiv:1606.03498, section 3.2).

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        kernels: The paper's B, as in its released code.
        kernel_dim: The paper's C, as in its released code.

    Raises:
        ValueError: ``kernels`` or ``kernel_dim`` is below 1.
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
