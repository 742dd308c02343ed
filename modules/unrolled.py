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

#: Where a second moment is 0 the square root has no derivative: one dead unit would turn a whole gradient into NaN.
_LEAST_MOMENT = 1e-30
_ADAM_EPS = 1e-8


class UnrolledGAN(GAN):
    """Unrolled GAN (Metz et al. 2017, arXiv:1611.02163, section 2.2): the generator is moved against the discriminator
    that ``k`` more of the discriminator's steps would give, and the gradient goes through these steps. Then the
    discriminator itself takes one step.

    k: inner steps, all on the iteration's batch and latents, as in the authors' notebook.
    inner_optimizer: ``adam`` goes on from the moments of the discriminator's own Adam (notebook); ``sgd`` is plain
        gradient descent with the same rate.
    generator_loss: ``non-saturating`` (paper) or ``minimax`` (notebook).
    discriminator_rate, generator_rate: their learning rates as multiples of the protocol's (0.1 and 1 in the notebook).
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
        """-E log D_k(G(z)) or E log(1 - D_k(G(z))), D_k the discriminator after k steps (Eqs. 7 to 9)."""
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
        """Logits of the discriminator with other weights for each of the batches; it stays as it is, the running
        statistics of its batch norm included."""
        running = {name: buffer.clone() for name, buffer in self.discriminator.named_buffers()}
        moved = partial(functional_call, self.discriminator, {**weights, **running})
        # What a partial function hides from ``forward_batched``.
        return tuple(map(moved, batches)) if self.discriminator.mixes_batch else forward_batched(moved, *batches)

    def adam_step(
        self, values: Sequence[Tensor], gradients: Sequence[Tensor], state: tuple[int, list[Tensor], list[Tensor]]
    ) -> tuple[list[Tensor], tuple[int, list[Tensor], list[Tensor]]]:
        """One step of Adam (Kingma and Ba 2015, Alg. 1) as a differentiable function."""
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
