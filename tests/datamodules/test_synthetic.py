"""The synthetic mixtures of VEEGAN's experiment, and batches of new points."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from datamodules.lightning.mixtures import FreshBatches, MixtureDataModule
from datamodules.mixture import GaussianMixture
from datamodules.synthetic import CUBE27, GRID25, RING8, RING8_METZ, SYNTH1200


@pytest.mark.parametrize(("mixture", "radius"), [(RING8, 1.0), (RING8_METZ, 2.0)])
def test_a_ring_has_eight_different_modes_at_equal_distances(mixture: GaussianMixture, radius: float) -> None:
    """Eight angles from 0 to 2 pi with both ends are seven."""
    centres = np.array(mixture.centres)
    assert len(np.unique(centres.round(9), axis=0)) == 8
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), radius)
    gaps = np.linalg.norm(centres - np.roll(centres, 1, axis=0), axis=1)
    np.testing.assert_allclose(gaps, 2 * radius * np.sin(np.pi / 8))


@pytest.mark.parametrize(("mixture", "count", "std"), [(RING8, 8, 0.01), (GRID25, 25, 0.05), (CUBE27, 27, 0.05)])
def test_modes_are_equally_likely_and_as_wide_as_said(mixture: GaussianMixture, count: int, std: float) -> None:
    points = mixture.sample(50_000, np.random.default_rng(0))
    centres = np.array(mixture.centres)
    assert len(centres) == count
    nearest = ((points[:, None] - centres) ** 2).sum(2).argmin(1)
    share = np.bincount(nearest, minlength=count) / len(points)
    assert abs(share - 1 / count).max() < 5 * np.sqrt(1 / count / len(points))
    offset = points - centres[nearest]
    assert abs(offset.std() - std) < 4 * std / np.sqrt(2 * offset.size)


def test_in_1200_dimensions_the_first_700_are_noisy_and_the_modes_8_66_apart() -> None:
    points = SYNTH1200.sample(2_000, np.random.default_rng(0))
    assert points.shape == (2_000, 1_200)
    rest = points[:, 700:]
    assert (rest == rest[:, :1]).all()
    assert set(rest[:, 0]) <= {centre[0] for centre in SYNTH1200.centres}
    noise = points[:, :700] - rest[:, :1]
    assert abs(noise.std() - 1) < 4 / np.sqrt(2 * noise.size)
    centres = np.array(SYNTH1200.centres)
    gaps = np.linalg.norm(centres[:, None] - centres, axis=2)[~np.eye(10, dtype=bool)]
    assert gaps.min() == pytest.approx(0.25 * np.sqrt(1_200))
    assert round(gaps.min(), 2) == 8.66


def test_projected_noise_fills_a_random_subspace_of_700_dimensions() -> None:
    mixture = dataclasses.replace(SYNTH1200, projected=True)
    noise = mixture.sample_modes(900, np.random.default_rng(0), 1) - np.array(mixture.centres[0])
    values = np.linalg.svd(noise, compute_uv=False)
    assert (values > 1e-9).sum() == 700
    assert (np.abs(noise).mean(0) > 0.1).all()
    assert np.linalg.norm(noise, axis=1).mean() == pytest.approx(np.sqrt(700), rel=0.01)


def fresh(*seeds: int, draws: int = 1, epoch: int = 0, iterations: int = 5, group: int = 17) -> torch.Tensor:
    batches = FreshBatches(RING8, seeds, 32, draws, epoch, iterations, False, group)
    return torch.stack([batch for part in batches for batch in part])


def test_new_points_belong_to_data_seed_draw_and_epoch() -> None:
    pair = fresh(0, 3, draws=2)
    assert pair.shape == (5, 2, 2, 32, 2)
    assert torch.equal(fresh(3, draws=2)[:, :, 0], pair[:, :, 1])
    assert torch.equal(fresh(0, 3)[:, 0], pair[:, 0])
    flat = torch.cat([pair.reshape(-1, 2), fresh(0, 3, draws=2, epoch=1).reshape(-1, 2)])
    assert len(flat.unique(dim=0)) == len(flat), "no point comes twice"


def test_new_points_are_the_datas_and_scaled_where_wanted() -> None:
    points = fresh(0, iterations=40).reshape(-1, 2).numpy()
    distances = np.linalg.norm(points[:, None] - np.array(RING8.centres), axis=2).min(1)
    assert (distances <= RING8.radius).mean() == pytest.approx(0.9889, abs=0.015)
    batches = FreshBatches(RING8, (0,), 32, 1, 0, 40, True)
    scaled = torch.stack([batch for part in batches for batch in part]).reshape(-1, 2).numpy()
    np.testing.assert_allclose(RING8.unscale(scaled), points, atol=1e-6)
    assert ((scaled > 0) & (scaled < 1)).all()


@pytest.mark.parametrize(("iterations", "expected"), [(0, 782), (500, 500)])
def test_an_epoch_is_a_pass_or_so_many_iterations(iterations: int, expected: int) -> None:
    data = MixtureDataModule(RING8, (0,), 128, fresh_iterations=iterations)
    assert data.iterations_per_epoch == expected
    assert sum(len(part) for part in data.train_dataloader()) == expected
