"""IvOM, inference via optimisation: how closely a generator can reproduce images that it has not seen.

See Metz et al. 2017, section 3.4.1. The measure follows Srivastava et al. 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: Steps of the optimiser after which errors are reported; the last is the measure, the others its curve.
STEPS = (5, 50, 100)
#: Starts from the prior; the best of them counts, image by image.
RESTARTS = 3


def invert(
    generate: Callable[[Tensor], Tensor], targets: Tensor, starts: Sequence[Tensor], steps: Sequence[int] = STEPS
) -> tuple[Tensor, Tensor]:
    """Find latents whose generated images are nearest to target images.

    L-BFGS with strong Wolfe line search minimises the sum of all images' squared errors, once from each starting point.
    The best start is chosen for each image and number of steps.

    Args:
        generate: Function from latents ``[n, latent]`` to images of the targets' shape. Each image must depend on its
            own latent only.
        targets: Target images ``[n, ...]``, in the scale of ``generate``'s images.
        starts: Starting latents, ``[n, latent]`` each.
        steps: Increasing numbers of optimiser steps.

    Returns:
        Mean squared error per pixel ``[len(steps), n]``, and the latents ``[n, latent]`` after the last step.
    """
    best = torch.full((len(steps), len(targets)), torch.inf)
    found = starts[0].clone()
    for start in starts:
        z = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS(
            [z], tolerance_grad=0.0, tolerance_change=0.0, max_eval=10**6, line_search_fn="strong_wolfe"
        )

        def errors(z: Tensor = z) -> Tensor:
            return (generate(z) - targets).square().flatten(1).sum(1)

        def closure(z: Tensor = z, optimizer: torch.optim.Optimizer = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = errors(z).sum()
            (z.grad,) = torch.autograd.grad(loss, z)
            return loss

        done = 0
        for row, count in enumerate(steps):
            optimizer.param_groups[0]["max_iter"] = count - done
            optimizer.step(closure)
            done = count
            with torch.no_grad():
                now = errors().cpu() / targets[0].numel()
                better = now < best[row]
                best[row][better] = now[better]
        found[better] = z.detach()[better]
    return best, found


def nearest_errors(targets: Tensor, samples: Tensor) -> Tensor:
    """Mean squared error per pixel of the sample nearest to each target.

    Args:
        targets: Target images ``[n, ...]``.
        samples: Samples ``[m, ...]`` of the same shape.

    Returns:
        Errors ``[n]``.
    """
    distances = torch.cdist(targets.flatten(1), samples.flatten(1))
    return distances.amin(1).square() / targets[0].numel()
