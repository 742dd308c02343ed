"""Kernel density estimates and pairs, against dense sums, SciPy and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from modules.density import SortedPoints, greedy_pairs, held_out_bandwidth, optimal_pairs

RNG = np.random.default_rng(0)


def mixture(n: int, dim: int, std: float = 0.02) -> np.ndarray:
    centres = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=dim)))
    return (centres[RNG.integers(len(centres), size=n)] + std * RNG.standard_normal((n, dim))).astype(np.float32)


def dense(points: np.ndarray, queries: np.ndarray, bandwidth: float) -> np.ndarray:
    squares = ((queries[:, None].astype(float) - points.astype(float)) ** 2).sum(2)
    return logsumexp(-squares / (2 * bandwidth**2), axis=1) - np.log(len(points))


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("bandwidth", [0.005, 0.02, 0.3])
def test_windows_give_the_dense_sum(dim: int, bandwidth: float) -> None:
    points, queries = mixture(3_000, dim), mixture(200, dim)
    found = SortedPoints(points).log_density(queries, bandwidth)
    expected = dense(points, queries, bandwidth)
    near = expected > -4.5 - np.log(3_000)
    assert near.sum() > 100
    np.testing.assert_allclose(found[near], expected[near], atol=1e-4)


def test_far_queries_have_no_density_or_the_exact_one() -> None:
    points = mixture(500, 2)
    far = np.array([[5.0, 5.0], [0.0, 0.0], [0.5, 0.5]], dtype=np.float32)
    assert np.isneginf(SortedPoints(points).log_density(far, 0.01))[0]
    exact = SortedPoints(points).log_density(far, 0.01, exact=np.array([True, False, True]))
    np.testing.assert_allclose(exact, dense(points, far, 0.01), rtol=1e-4)


def test_no_points_in_reach_of_a_query_in_the_middle_of_a_window() -> None:
    points = np.array([[0.0], [1.0]], dtype=np.float32)
    found = SortedPoints(points).log_density(np.array([[1.0], [0.5], [0.0]], dtype=np.float32), 0.01)
    np.testing.assert_allclose(found[[0, 2]], np.log(0.5))
    assert np.isneginf(found[1])


def test_the_bandwidth_is_the_one_that_held_out_points_like_best() -> None:
    points = mixture(600, 2)
    candidates = [0.001, 0.01, 0.03, 0.3]
    fit, held = points[:480].astype(float), points[480:].astype(float)
    scores = []
    for h in candidates:
        density = np.mean([multivariate_normal(p, h**2 * np.eye(2)).pdf(held) for p in fit], axis=0)
        scores.append(np.log(np.maximum(density, 1e-300)).mean())
    assert held_out_bandwidth(points, candidates) == candidates[int(np.argmax(scores))]
    assert held_out_bandwidth(points, candidates) in (0.01, 0.03), "far below the std of the whole, 0.8"


def test_optimal_pairs_are_the_best_of_all_permutations() -> None:
    a, b = RNG.random((6, 2)), RNG.random((6, 2))
    cost = np.linalg.norm(a[:, None] - b, axis=2)
    best = min(itertools.permutations(range(6)), key=lambda p: cost[range(6), p].sum())
    np.testing.assert_array_equal(optimal_pairs(a, b), best)


def test_greedy_pairs_take_the_nearest_that_is_left() -> None:
    a, b = np.array([[0.0], [0.1], [5.0]]), np.array([[0.05], [4.0], [0.3]])
    np.testing.assert_array_equal(greedy_pairs(a, b), [0, 2, 1])
    assert sorted(greedy_pairs(RNG.random((50, 2)), RNG.random((50, 2)))) == list(range(50))
