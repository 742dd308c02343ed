"""Running a method's iterations without a trainer."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from modules.aeis import AEIS
from modules.base import AdversarialModule
from modules.gan_hungarian import GANHungarian

#: A critic's last bias has gradient 0 up to rounding, which Adam's usual epsilon blows up to steps of full size.
EPS = 1e-4


def batches(iterations: int, draws: int = 1, seeds: int = 1, size: int = 128) -> list[Tensor]:
    """Made-up data in [0, 1], ``[draws, seeds, size, 2]`` per iteration."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(draws, seeds, size, 2, generator=generator) for _ in range(iterations)]


def run_iterations(module: AdversarialModule, data: list[Tensor]) -> np.ndarray:
    """Train on ``data`` with the module's own optimizers; losses ``[iterations, updates, S]``."""
    optimizers = module.configure_optimizers()
    for optimizer in optimizers:
        optimizer.param_groups[0]["eps"] = EPS
    module.optimizers = lambda: optimizers
    module.manual_backward = lambda loss, **words: loss.backward(**words)
    for draws in data:
        module.iterate(draws)
    return torch.stack(list(module.take_losses().values()), 1).numpy()


def use(module: AdversarialModule, optimizers: list[torch.optim.Optimizer]) -> None:
    """Iterate without a trainer."""
    module.optimizers = lambda: optimizers
    module.manual_backward = lambda loss, **words: loss.backward(**words)


def descend(module: AdversarialModule, rate: float = 0.1) -> None:
    """Plain gradient descent, whose steps are the gradients."""
    module.training_setup = dataclasses.replace(module.training_setup, lr=rate)
    steps = module.pretraining_steps + module.steps
    use(module, [torch.optim.SGD(p, lr=rate, foreach=False) for _, p in steps])


def go_elsewhere(module: AdversarialModule) -> FakeTensorMode:
    """Put a module on a device that is told apart from the CPU; inside the mode that is returned, nothing is computed.

    ``meta`` stands for ``cuda``, whose fake tensors go backward only where there is a driver.
    """
    if isinstance(module, AEIS):
        # What goes through SciPy is left out.
        module.prepare()
        module.pairs = lambda real, fake: (torch.zeros_like(real[..., 0]).long(), torch.ones_like(real[..., 0]))
    if isinstance(module, GANHungarian):
        module.partners = lambda x, sample: torch.zeros_like(x[..., 0]).long()
    module.to("meta")
    module._steps = module._pretraining_steps = None
    descend(module)
    return FakeTensorMode(allow_non_fake_inputs=True)
