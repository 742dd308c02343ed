"""Mean intensities of images: shares and their divergence against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from evaluators.intensity import BINS, intensity_kl, intensity_shares, mean_intensities


def test_the_mean_is_over_all_numbers_of_an_image() -> None:
    images = torch.randint(256, (5_000, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(mean_intensities(images).numpy(), images.numpy().mean((1, 2, 3)) / 255, rtol=1e-12)


def test_shares_are_those_of_a_histogram_and_of_what_lies_outside() -> None:
    means = np.random.default_rng(0).normal(0.5, 0.3, 3_000)
    shares = intensity_shares(torch.from_numpy(means), 0.2, 0.8).numpy() * len(means)
    inside, _ = np.histogram(means, bins=BINS, range=(0.2, 0.8))
    np.testing.assert_allclose(shares, [(means < 0.2).sum(), *inside, (means > 0.8).sum()])


def test_ends_of_the_range_are_inside() -> None:
    shares = intensity_shares(torch.tensor([0.25, 0.75], dtype=torch.float64), 0.25, 0.75)
    assert (shares[1], shares[-2], shares[0], shares[-1]) == (0.5, 0.5, 0, 0)


def test_the_divergence_is_that_of_the_shares() -> None:
    rng = np.random.default_rng(1)
    made, real = rng.beta(3, 5, 4_000), rng.beta(2, 5, 5_000)
    low, high = real.min(), real.max()
    p, q = (intensity_shares(torch.from_numpy(x), low, high).numpy() + 1e-6 for x in (made, real))
    expected = entropy(p, q) * p.sum() + p.sum() * np.log(p.sum() / q.sum())
    assert float(intensity_kl(torch.from_numpy(made), torch.from_numpy(real))) == pytest.approx(expected, rel=1e-9)
    assert float(intensity_kl(torch.from_numpy(real), torch.from_numpy(real))) == pytest.approx(0, abs=1e-12)
