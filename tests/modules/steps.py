"""Running a method's iterations without a trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.checks.conformance import descend, elsewhere, same, state
from benchmark.checks.conformance import iterate_alone as use
from modules.aeis import AEIS
from modules.base import AdversarialModule
from modules.options import Training

__all__ = ["EPS", "NORMAL", "batches", "build", "descend", "elsewhere", "run_iterations", "same", "state", "use"]

#: A critic's last bias has gradient 0 up to rounding, which Adam's usual epsilon blows up to steps of full size.
EPS = 1e-4
#: Methods that insist on a normal prior.
NORMAL = ("gan-ae", "vae-gan", "veegan")


def batches(iterations: int, draws: int = 1, seeds: int = 1, size: int = 128) -> list[Tensor]:
    """Made-up data in [0, 1], ``[draws, seeds, size, 2]`` per iteration."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(draws, seeds, size, 2, generator=generator) for _ in range(iterations)]


def build(
    method: type[AdversarialModule],
    seeds: Sequence[int] = (0, 3),
    *,
    shape: tuple[int, ...] = (2,),
    size: int = 16,
    device: str = "cpu",
    overrides: Mapping[str, Any] | None = None,
    **training: Any,
) -> AdversarialModule:
    """An untrained method with its optimizers, at the start of adversarial training.

    Some methods need a normal prior, and AEIS needs data that it has seen before.

    Args:
        method: Class of the method.
        seeds: Seeds of the copies.
        shape: Shape of one data point.
        size: Size of a batch.
        device: Device of the networks.
        overrides: Fields of the method.
        training: Fields of ``Training``.
    """
    prior = {"prior": "normal"} if method.name in NORMAL else {}
    setup = Training(**{"batch_size": size, "beta1": 0.8, **prior, **training})
    module = method(setup, shape, seeds, **(overrides or {}))
    if isinstance(module, AEIS):
        for points, seed in zip(module.reference_points, seeds, strict=True):
            points.copy_(torch.rand(points.shape, generator=torch.Generator().manual_seed(seed)))
    module.to(device)
    use(module, module.configure_optimizers())
    return module


def run_iterations(module: AdversarialModule, data: list[Tensor]) -> np.ndarray:
    """Train on ``data`` with the module's own optimizers; losses ``[iterations, updates, S]``."""
    optimizers = module.configure_optimizers()
    for optimizer in optimizers:
        optimizer.param_groups[0]["eps"] = EPS
    use(module, optimizers)
    for draws in data:
        module.iterate(draws)
    return torch.stack(list(module.take_losses().values()), 1).numpy()
