"""Running a method's iterations without a trainer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmark.checks.conformance import descend, elsewhere, same, state
from benchmark.checks.conformance import iterate_alone as use
from modules.base import AdversarialModule

__all__ = ["EPS", "NORMAL", "batches", "descend", "elsewhere", "run_iterations", "same", "state", "use"]

#: A critic's last bias has gradient 0 up to rounding, which Adam's usual epsilon blows up to steps of full size.
EPS = 1e-4
#: Methods that insist on a normal prior.
NORMAL = ("gan-ae", "vae-gan", "veegan")


def batches(iterations: int, draws: int = 1, seeds: int = 1, size: int = 128) -> list[Tensor]:
    """Made-up data in [0, 1], ``[draws, seeds, size, 2]`` per iteration."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(draws, seeds, size, 2, generator=generator) for _ in range(iterations)]


def run_iterations(module: AdversarialModule, data: list[Tensor]) -> np.ndarray:
    """Train on ``data`` with the module's own optimizers; losses ``[iterations, updates, S]``."""
    optimizers = module.configure_optimizers()
    for optimizer in optimizers:
        optimizer.param_groups[0]["eps"] = EPS
    use(module, optimizers)
    for draws in data:
        module.iterate(draws)
    return torch.stack(list(module.take_losses().values()), 1).numpy()
