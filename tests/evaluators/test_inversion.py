"""Inversion of generators whose nearest image is known."""

from __future__ import annotations

import numpy as np
import torch

from evaluators.inversion import STEPS, invert, nearest_errors


def test_linear_generators_reach_the_least_squares_solution() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix, targets = torch.randn(3, 12, generator=generator), torch.randn(5, 2, 6, generator=generator)
    starts = [torch.randn(5, 3, generator=generator) for _ in range(2)]
    found, latents = invert(lambda z: (z @ matrix).view(-1, 2, 6), targets, starts)
    flat = targets.flatten(1).numpy()
    solution = np.linalg.lstsq(matrix.T.numpy(), flat.T, rcond=None)[0].T @ matrix.numpy()
    expected = ((solution - flat) ** 2).mean(1)
    assert found.shape == (len(STEPS), 5)
    np.testing.assert_allclose(found[-1], expected, rtol=1e-4)
    np.testing.assert_allclose(latents @ matrix, solution, rtol=1e-2, atol=1e-3)


def test_more_steps_and_more_starts_are_never_worse() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(4, 1, 3, 3, generator=generator)
    weight = torch.randn(2, 9, generator=generator) * 3

    def bumpy(z: torch.Tensor) -> torch.Tensor:
        return torch.sin(z @ weight).view(-1, 1, 3, 3)

    starts = [torch.randn(4, 2, generator=generator) * 2 for _ in range(3)]
    one, three = (invert(bumpy, targets, starts[:n])[0] for n in (1, 3))
    assert (three <= one + 1e-6).all()
    assert (three < one - 1e-4).any()
    assert (three[1:] <= three[:-1] + 1e-6).all()


def test_the_best_start_is_chosen_image_by_image() -> None:
    targets = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    # Double well: a start falls into the well on its own side.
    starts = [torch.full((2, 1), value) for value in (0.5, -0.5)]

    def wells(z: torch.Tensor) -> torch.Tensor:
        return torch.where(z > 0, (z - 2).square() * 0 + z.clamp(0.4, 1), z.clamp(-1, -0.4)).expand(-1, 2)

    errors, latents = invert(wells, targets, starts)
    assert errors[-1].max() < 1e-3
    assert (latents[:, 0] > 0).tolist() == [True, False]


def test_nearest_sample_by_hand() -> None:
    targets = torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]]])
    samples = torch.tensor([[[0.0, 0.5]], [[3.0, 0.0]], [[1.0, 0.1]]])
    torch.testing.assert_close(nearest_errors(targets, samples), torch.tensor([0.125, 0.005]))
