"""Unrolled generative adversarial network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call

from modules.base import Update
from modules.gan import GAN
from modules.losses import GeneratorLoss, bce_fake, bce_real
from modules.networks import forward_batched
from modules.options import Training
from modules.ranks import all_reduce_mean

#: The square root has no derivative at 0. Without this floor one dead unit would turn the whole gradient into NaN.
_LEAST_MOMENT = 1e-30
_ADAM_EPS = 1e-8


class UnrolledGAN(GAN):
    """Unrolled GAN (Metz et al. 2017, arXiv:1611.02163, section 2.2): a GAN that looks ``k`` discriminator steps ahead.

    The generator's loss uses the discriminator after ``k`` further steps, and its gradient goes through these steps.
    Then the discriminator itself takes one step.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        k: Number of unrolled steps, at least 1. All use the iteration's batch and latents, as in the authors' notebook.
        inner_optimizer: ``adam`` continues from the moments of the discriminator's Adam (notebook). ``sgd`` is gradient
            descent with the same learning rate.
        generator_loss: ``non-saturating`` (paper) or ``minimax`` (notebook).
        discriminator_rate: The discriminator's learning rate as a multiple of the protocol's; 0.1 in the notebook.
        generator_rate: The generator's learning rate as a multiple of the protocol's; 1 in the notebook.

    Raises:
        ValueError: ``k`` is below 1.
    """

    name = "unrolled"
    version = 1
    batch_coupled_losses = ("generator_loss",)
    second_derivatives = True

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        k: int = 5,
        inner_optimizer: Literal["adam", "sgd"] = "adam",
        generator_loss: GeneratorLoss = "non-saturating",
        discriminator_rate: float = 1.0,
        generator_rate: float = 1.0,
    ) -> None:
        if k < 1:
            raise ValueError("method.k must be at least 1; without inner steps the method is gan")
        super().__init__(training, data_shape, seeds, generator_loss=generator_loss, generator_rate=generator_rate)
        self.k, self.inner_optimizer, self.discriminator_rate = k, inner_optimizer, discriminator_rate

    def updates(self) -> Iterator[Update]:
        yield Update(self.generator_loss, params=(self.generator,), lr_scale=self.generator_rate)
        yield Update(self.discriminator_loss, params=(self.discriminator,), lr_scale=self.discriminator_rate)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D_k(G(z)) or E log(1 - D_k(G(z))), with D_k the discriminator after k steps (Eqs. 7 to 9)."""
        sample = self.generator(z)
        weights = dict(self.discriminator.named_parameters())
        names, values = list(weights), [weight.detach().requires_grad_() for weight in weights.values()]
        state = self.adam_state(list(weights.values()))
        for _ in range(self.k):
            real, fake = self.judged(dict(zip(names, values, strict=True)), x, sample)
            loss = (bce_real(real) + bce_fake(fake)).sum()
            gradients = [all_reduce_mean(g) for g in torch.autograd.grad(loss, values, create_graph=True)]
            if self.inner_optimizer == "adam":
                values, state = self.adam_step(values, gradients, state)
            else:
                rate = self.learning_rate(self.discriminator_rate)
                values = [v - rate * g for v, g in zip(values, gradients, strict=True)]
        return self.adversarial_loss(*self.judged(dict(zip(names, values, strict=True)), sample))

    def judged(self, weights: Mapping[str, Tensor], *batches: Tensor) -> tuple[Tensor, ...]:
        """Logits of the discriminator with other weights, for each batch.

        The discriminator itself does not change, nor do the running statistics of its batch norm.
        """
        running = {name: buffer.clone() for name, buffer in self.discriminator.named_buffers()}
        moved = partial(functional_call, self.discriminator, {**weights, **running})
        # ``forward_batched`` cannot see ``mixes_batch`` through a partial function.
        return tuple(map(moved, batches)) if self.discriminator.mixes_batch else forward_batched(moved, *batches)

    def adam_step(
        self, values: Sequence[Tensor], gradients: Sequence[Tensor], state: tuple[int, list[Tensor], list[Tensor]]
    ) -> tuple[list[Tensor], tuple[int, list[Tensor], list[Tensor]]]:
        """One differentiable step of Adam (Kingma and Ba 2015, Alg. 1).

        Args:
            values: Parameters.
            gradients: Their gradients.
            state: Number of steps so far, first moments and second moments.

        Returns:
            The new parameters and the new state.
        """
        t = self.training_setup
        count, first, second = state
        count += 1
        first = [t.beta1 * m + (1 - t.beta1) * g for m, g in zip(first, gradients, strict=True)]
        second = [t.beta2 * v + (1 - t.beta2) * g.square() for v, g in zip(second, gradients, strict=True)]
        rate = self.learning_rate(self.discriminator_rate) / (1 - t.beta1**count)
        correction = (1 - t.beta2**count) ** 0.5
        moved = [
            p - rate * m / (v.clamp_min(_LEAST_MOMENT).sqrt() / correction + _ADAM_EPS)
            for p, m, v in zip(values, first, second, strict=True)
        ]
        return moved, (count, first, second)
