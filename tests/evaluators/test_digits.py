"""Modes of digits: counts and divergences against NumPy, and the classifier that is shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch import Tensor, nn

from datamodules.image_sets import MNIST, MNIST_1K
from evaluators.digits import (
    WEIGHTS,
    DigitModes,
    digit_measures,
    digits,
    kl_to,
    kl_to_uniform,
    load_classifier,
    modes,
    number_counts,
    weights_hash,
)
from tests.real_data import needs_data


class Brightness(nn.Module):
    """Reads a digit from the brightest tenth that an image is in."""

    def forward(self, x: Tensor) -> Tensor:
        level = (x.mean((1, 2, 3)) * 10).long().clamp(max=9)
        return nn.functional.one_hot(level, 10).float()


def painted(numbers: list[int], channels: int = 3) -> Tensor:
    """Images whose channels are as bright as the digits of a number."""
    values = torch.tensor([[int(d) for d in f"{n:0{channels}d}"] for n in numbers])
    return (values * 25.5 + 13).to(torch.uint8)[:, :, None, None].expand(-1, -1, 28, 28).contiguous()


def test_numbers_are_spelt_by_channels() -> None:
    counts = number_counts(digits(painted([7, 120, 999, 120]), Brightness()))
    assert counts.shape == (1_000,)
    assert {int(n): int(counts[n]) for n in counts.nonzero()} == {7: 1, 120: 2, 999: 1}
    assert number_counts(digits(painted([3, 3, 9], 1), Brightness())).tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0, 1]


def test_modes_and_divergence_are_numpys() -> None:
    counts = torch.from_numpy(np.random.default_rng(0).poisson(2.0, 1_000))
    p = counts.numpy() / counts.numpy().sum()
    assert int(modes(counts)) == np.count_nonzero(p)
    assert float(kl_to_uniform(counts)) == pytest.approx(entropy(p, np.full(1_000, 1e-3)), rel=1e-12)


def test_the_divergence_from_the_data_is_scipys() -> None:
    made, data = (torch.from_numpy(np.random.default_rng(seed).poisson(50.0, 10)) for seed in (0, 1))
    assert float(kl_to(made, data)) == pytest.approx(entropy(made.numpy(), data.numpy()), rel=1e-12)
    assert float(kl_to(data, data)) == pytest.approx(0, abs=1e-15)
    data[3] = 0
    assert float(kl_to(made, data)) == np.inf
    made[3] = 0
    assert np.isfinite(float(kl_to(made, data)))


def test_the_divergence_has_its_bounds() -> None:
    one, even = torch.zeros(1_000, dtype=torch.long), torch.ones(1_000, dtype=torch.long)
    one[5] = 77
    assert float(kl_to_uniform(one)) == pytest.approx(np.log(1_000))
    assert float(kl_to_uniform(even)) == pytest.approx(0, abs=1e-12)
    few = torch.zeros(1_000, dtype=torch.long)
    few[:40] = 3
    assert float(kl_to_uniform(few)) == pytest.approx(np.log(1_000 / 40))


def test_uniform_labels_have_the_noise_floor_of_their_number() -> None:
    """(K - 1) / 2n in the limit: 0.0196 of 25,600 samples over 1,000 numbers."""
    rng = np.random.default_rng(1)
    counts = [np.bincount(rng.integers(1_000, size=25_600), minlength=1_000) for _ in range(20)]
    values = [float(kl_to_uniform(torch.from_numpy(each))) for each in counts]
    assert np.mean(values) == pytest.approx(0.0196, abs=4e-4)


def test_other_sizes_are_resized_and_batches_are_one_set() -> None:
    images = painted([1, 22, 333, 4, 55])
    small = images[:, :, :14, :14].contiguous()
    assert torch.equal(digits(small, Brightness()), digits(images, Brightness()))
    metric = DigitModes(3, Brightness())
    for batch in images.split(2):
        metric.update(batch)
    expected = digit_measures(number_counts(digits(images, Brightness())))
    assert {k: float(v) for k, v in metric.compute().items()} == {k: float(v) for k, v in expected.items()}


def test_the_shipped_weights_are_small_and_hashed() -> None:
    assert WEIGHTS.stat().st_size < 2_000_000
    # A stranger can tell whether it is the one classifier of all published numbers.
    assert weights_hash() in (Path(__file__).parents[2] / "docs" / "samples.md").read_text()
    assert not load_classifier().training


@needs_data
def test_the_shipped_classifier_tells_995_of_1000_test_digits() -> None:
    images, labels = torch.from_numpy(np.array(MNIST.images("test"))), torch.from_numpy(np.array(MNIST.labels("test")))
    assert (digits(images)[:, 0] == labels).double().mean() >= 0.995


@needs_data
def test_real_stacks_cover_nearly_all_numbers() -> None:
    images = torch.from_numpy(MNIST_1K.sample(4_000, np.random.default_rng(0)))
    counts = number_counts(digits(images))
    assert int(modes(counts)) > 960
    collapsed = torch.from_numpy(MNIST_1K.sample_modes(1_000, np.random.default_rng(0), 20))
    assert 20 <= int(modes(number_counts(digits(collapsed)))) < 40
