"""Mixtures of Gaussians: the training set, its order per seed, and the known samplers."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import truncnorm

from datamodules.grid25_gaan import GRID25_GAAN
from datamodules.lightning.mixtures import MixtureDataModule, SeededBatches
from datamodules.mixture import GaussianMixture

POINTS = GRID25_GAAN.training_points()
CENTRES = np.array(GRID25_GAAN.centres)
#: Identifies each point by its value, so that an order can be read from batches.
NUMBERS = torch.arange(50_000).unsqueeze(1)


def batches_of(
    *seeds: int, draws: int = 1, epoch: int = 0, points: torch.Tensor = NUMBERS, size: int = 128, group: int = 17
) -> list[list[torch.Tensor]]:
    return list(SeededBatches("grid25-gaan", points, seeds, size, draws, epoch, group))


def visits(groups: list[list[torch.Tensor]]) -> np.ndarray:
    """Numbers of the points in the order of the batches, ``[draws, S, points]``."""
    return torch.cat([batch for group in groups for batch in group], 2).squeeze(3).numpy()


def nearest(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the nearest centre, and the offset from it."""
    mode = ((points[:, None] - CENTRES) ** 2).sum(2).argmin(1)
    return mode, points - CENTRES[mode]


def test_the_grid_has_25_distinct_centres_2_apart() -> None:
    assert CENTRES.shape == (25, 2)
    assert {tuple(c) for c in CENTRES} == {(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}


def test_every_mode_has_exactly_2000_training_points_in_the_order_of_the_centres() -> None:
    assert POINTS.shape == (50_000, 2)
    assert POINTS.dtype == np.float32
    mode, _ = nearest(POINTS)
    np.testing.assert_array_equal(mode, np.repeat(np.arange(25), 2_000))


def test_training_points_spread_by_the_std_around_their_centres() -> None:
    _, offset = nearest(POINTS)
    n = offset.size
    assert abs(offset.mean()) < 4 * 0.05 / np.sqrt(n)
    assert abs(offset.std() - 0.05) < 4 * 0.05 / np.sqrt(2 * n)
    for mode in range(25):
        here = offset[mode * 2_000 : (mode + 1) * 2_000]
        assert abs(here.std() - 0.05) < 5 * 0.05 / np.sqrt(2 * here.size)
    assert abs(np.corrcoef(offset.T)[0, 1]) < 4 / np.sqrt(50_000)
    assert len(np.unique(POINTS, axis=0)) > 49_990


def test_training_points_are_the_same_in_each_call_and_no_others_than_these() -> None:
    np.testing.assert_array_equal(GRID25_GAAN.training_points(), POINTS)
    expected = [[-4.02880, -3.95102], [-4.01738, -4.02375], [-3.95795, -3.94410]]
    np.testing.assert_allclose(POINTS[:3], expected, atol=1e-5)


def test_scaled_training_points_lie_in_the_unit_square_and_use_it() -> None:
    scaled = GRID25_GAAN.scale(POINTS)
    assert scaled.dtype == np.float32
    assert 0 <= scaled.min() < 0.002
    assert 0.998 < scaled.max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unscale_undoes_scale(dtype: type) -> None:
    x = np.random.default_rng(0).uniform(-6, 6, (1_000, 2)).astype(dtype)
    tolerance = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(GRID25_GAAN.unscale(GRID25_GAAN.scale(x)), x, atol=6 * tolerance)
    np.testing.assert_allclose(GRID25_GAAN.scale(np.array([-4.18, 0.0, 4.18])), [0, 0.5, 1], atol=1e-15)
    np.testing.assert_allclose(GRID25_GAAN.unscale(np.array([0.0, 0.5, 1.0])), [-4.18, 0, 4.18], atol=1e-15)


def test_points_beyond_the_limit_are_drawn_again_and_no_others() -> None:
    free = GaussianMixture("toy", ((0.0, 1.0), (0.5, -1.0)), 0.2, 20_000, 1e9, "")
    cut = dataclasses.replace(free, limit=1.0)
    points, before = cut.training_points(), free.training_points()
    kept = np.abs(before) <= 1.0
    np.testing.assert_array_equal(points[kept], before[kept])
    assert np.abs(points).max() <= 1.0
    # The second coordinate of the first mode is half a normal distribution.
    half = truncnorm(-np.inf, 0, loc=1.0, scale=0.2)
    assert points[:20_000, 1].mean() == pytest.approx(half.mean(), abs=0.005)
    assert points[:20_000, 1].std() == pytest.approx(half.std(), abs=0.005)


def test_mixtures_of_other_names_have_other_points() -> None:
    assert not np.array_equal(dataclasses.replace(GRID25_GAAN, name="another").training_points(), POINTS)


# Order --------------------------------------------------------------------------------------------------------------


def test_an_epoch_visits_each_point_once_per_seed_and_draw() -> None:
    order = visits(batches_of(0, 1, 7, draws=2))
    assert order.shape == (2, 3, 50_000)
    np.testing.assert_array_equal(np.sort(order, axis=2), np.broadcast_to(np.arange(50_000), order.shape))


def test_an_epoch_has_391_batches_in_groups_of_17_and_the_last_is_80_long() -> None:
    groups = batches_of(0, 1)
    assert [len(group) for group in groups] == [17] * 23
    shapes = [tuple(batch.shape) for group in groups for batch in group]
    assert shapes == [(1, 2, 128, 1)] * 390 + [(1, 2, 80, 1)]
    assert MixtureDataModule(GRID25_GAAN, (0,), 128).iterations_per_epoch == 391


@pytest.mark.parametrize(
    ("points", "group", "sizes"), [(40, 3, [3, 1]), (41, 2, [2, 2, 1]), (30, 17, [3]), (1, 1, [1])]
)
def test_groups_hold_every_batch_whatever_their_size(points: int, group: int, sizes: list[int]) -> None:
    groups = batches_of(4, points=NUMBERS[:points], size=10, group=group)
    assert [len(g) for g in groups] == sizes
    np.testing.assert_array_equal(visits(groups), visits(batches_of(4, points=NUMBERS[:points], size=10, group=99)))


def test_batches_hold_the_points_that_the_order_names() -> None:
    points = torch.from_numpy(GRID25_GAAN.scale(POINTS))
    order = SeededBatches("grid25-gaan", points, (3, 5), 128, 1, 0).order(5, 0)
    batch = batches_of(3, 5, points=points)[0][1]
    assert torch.equal(batch[0, 1], points[order[128:256]])


def test_the_order_of_a_seed_does_not_depend_on_neighbours() -> None:
    np.testing.assert_array_equal(visits(batches_of(3))[0, 0], visits(batches_of(9, 3, 0))[0, 1])
    twice = visits(batches_of(3, 3))
    np.testing.assert_array_equal(twice[0, 0], twice[0, 1])


def test_the_first_draw_does_not_depend_on_the_number_of_draws() -> None:
    np.testing.assert_array_equal(visits(batches_of(3))[0], visits(batches_of(3, draws=4))[0])


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    np.testing.assert_array_equal(visits(batches_of(3)), visits(batches_of(3, size=1_000)))


def test_orders_differ_between_epochs_seeds_draws_and_data_sets() -> None:
    orders = [
        SeededBatches(name, NUMBERS, (0,), 128, 2, epoch).order(seed, draw)
        for name in ("grid25-gaan", "another")
        for seed in (0, 1)
        for draw in (0, 1)
        for epoch in (0, 1)
    ]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            # Two independent permutations agree in one place on average.
            assert (one == other).sum() < 15


def test_the_order_of_an_epoch_is_the_same_again() -> None:
    np.testing.assert_array_equal(visits(batches_of(3, epoch=8)), visits(batches_of(3, epoch=8)))


def test_the_loader_gives_the_order_of_the_trainers_epoch() -> None:
    data = MixtureDataModule(GRID25_GAAN, (3, 5), 128, draws=2)
    for epoch in (0, 7):
        data.trainer = SimpleNamespace(current_epoch=epoch)
        got = next(iter(data.train_dataloader()))
        expected = batches_of(3, 5, draws=2, epoch=epoch, points=data.points)[0]
        assert len(got) == len(expected) == 17
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
        assert got[0].shape == (2, 2, 128, 2)
        assert got[0].dtype == torch.float32


def test_the_loader_works_without_a_trainer_and_gives_the_scaled_training_set() -> None:
    data = MixtureDataModule(GRID25_GAAN, (0,), 10_000)
    assert data.iterations_per_epoch == 5
    points = torch.cat([batch for group in data.train_dataloader() for batch in group], 2)[0, 0].numpy()
    scaled = GRID25_GAAN.scale(POINTS)
    np.testing.assert_array_equal(points[np.lexsort(points.T)], scaled[np.lexsort(scaled.T)])


# Known samplers -----------------------------------------------------------------------------------------------------


def test_real_samples_lie_on_all_modes_alike() -> None:
    samples = GRID25_GAAN.sample(50_000, np.random.default_rng(0))
    assert samples.shape == (50_000, 2)
    mode, offset = nearest(samples)
    counts = np.bincount(mode, minlength=25)
    assert np.abs(counts - 2_000).max() < 4.5 * np.sqrt(2_000)
    assert abs(offset.std() - 0.05) < 4 * 0.05 / np.sqrt(2 * offset.size)


def test_real_samples_are_not_the_training_set() -> None:
    samples = GRID25_GAAN.sample(1_000, np.random.default_rng(0)).astype(np.float32)
    seen = {tuple(p) for p in POINTS.tolist()}
    assert not any(tuple(p) in seen for p in samples.tolist())


@pytest.mark.parametrize("modes", [1, 6, 24])
def test_collapsed_samples_lie_on_the_first_modes_only(modes: int) -> None:
    samples = GRID25_GAAN.sample_modes(5_000, np.random.default_rng(0), modes)
    assert samples.shape == (5_000, 2)
    mode, offset = nearest(samples)
    assert set(mode) == set(range(modes))
    assert np.abs(offset).max() < 0.05 * 6
    assert offset.std() == pytest.approx(0.05, rel=0.05)


def test_spread_samples_are_uniform_over_the_box_of_the_data() -> None:
    samples = GRID25_GAAN.sample_uniform(20_000, np.random.default_rng(0))
    assert samples.shape == (20_000, 2)
    assert np.abs(samples).max() <= 4.18
    runs = np.histogram2d(*samples.T, bins=4, range=[[-4.18, 4.18]] * 2)[0]
    assert np.abs(runs - 1_250).max() < 4 * np.sqrt(1_250)


@pytest.mark.parametrize("kind", ["sample", "sample_modes", "sample_uniform"])
def test_known_samplers_depend_on_their_generator_alone(kind: str) -> None:
    words = {"modes": 3} if kind == "sample_modes" else {}
    first, again, other = (getattr(GRID25_GAAN, kind)(50, np.random.default_rng(seed), **words) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
