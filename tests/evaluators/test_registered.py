"""Registered modes and points against plain NumPy, against known samplers, and against what the protocol prints."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from evaluators.registered import (
    REGISTERED_MEASURES,
    RegisteredModes,
    cv,
    max_deficit,
    max_relative_deviation,
    registered_counts,
    registered_measures,
    registered_modes,
    registered_points,
    tv_differential,
    tv_true,
)

Array = np.ndarray

GRID = np.array([(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)], dtype=np.float64)
STD = 0.05
RADIUS = 0.1 * math.sqrt(2)
INSIDE = float(chi2.cdf((RADIUS / STD) ** 2, df=2))
N = 2_000

DIVERSITY = ("max_deficit", "cv", "tv_true", "tv_differential", "max_relative_deviation")


def sampler(modes: int, n: int, rng: np.random.Generator) -> Array:
    """``n`` samples of the first ``modes`` modes of the grid."""
    return GRID[rng.integers(modes, size=n)] + rng.standard_normal((n, 2)) * STD


def measures(samples: Array, min_points: float = 20) -> dict[str, float]:
    counts = registered_counts(torch.from_numpy(samples), torch.from_numpy(GRID), RADIUS)
    values = registered_measures(counts, len(samples), INSIDE, min_points)
    return {name: float(value) for name, value in values.items()}


def plain_counts(samples: Array, centres: Array, radius: float) -> list[int]:
    """One sample and one centre at a time."""
    counts = [0] * len(centres)
    for sample in samples:
        distances = [math.sqrt(sum((a - b) ** 2 for a, b in zip(sample, c, strict=True))) for c in centres]
        nearest = int(np.argmin(distances))
        counts[nearest] += distances[nearest] <= radius
    return counts


def plain_measures(counts: Array, n: int, inside: float, min_points: float) -> dict[str, float]:
    """One list of counts, written from the definitions of the protocol."""
    k = len(counts)
    mean = sum(counts) / k
    cells = [count / n - inside / k for count in counts] + [(n - sum(counts)) / n - (1 - inside)]
    return {
        "registered_modes": sum(count >= min_points for count in counts),
        "registered_points": sum(counts),
        "max_deficit": max((mean - count) / mean for count in counts),
        "cv": math.sqrt(sum((count - mean) ** 2 for count in counts) / k) / mean,
        "tv_true": sum(map(abs, cells)) / 2,
        "tv_differential": sum(abs(count / sum(counts) - 1 / k) for count in counts) / 2,
        "max_relative_deviation": max(abs(count - mean) for count in counts) / mean,
    }


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_counts_equal_a_loop_over_samples_and_centres(dim: int) -> None:
    rng = np.random.default_rng(dim)
    samples, centres = rng.uniform(-1, 1, (2, 3, 40, dim)), rng.uniform(-1, 1, (5, dim))
    counts = registered_counts(torch.from_numpy(samples), torch.from_numpy(centres), 0.5)
    assert counts.shape == (2, 3, 5)
    for index in np.ndindex(2, 3):
        assert counts[index].tolist() == plain_counts(samples[index], centres, 0.5)
    assert 0 < counts.sum() < 2 * 3 * 40


@pytest.mark.parametrize("leading", [(), (7,), (2, 3), (2, 1, 4)], ids=str)
def test_every_measure_equals_its_plain_definition(leading: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(leading))
    counts = rng.poisson(70 * rng.gamma(2, 0.5, (*leading, 25)))
    counts[..., 3] = 20
    n, min_points = int(counts.sum(-1).max()) + 11, 20
    values = registered_measures(torch.from_numpy(counts), n, INSIDE, min_points)
    assert tuple(values) == REGISTERED_MEASURES
    for name, value in values.items():
        assert value.shape == leading
        expected = [plain_measures(counts[i], n, INSIDE, min_points)[name] for i in np.ndindex(leading)]
        np.testing.assert_allclose(value.numpy().ravel(), expected, rtol=1e-12, err_msg=name)


def test_each_function_gives_the_measure_of_its_name() -> None:
    counts = torch.from_numpy(np.random.default_rng(0).poisson(70, (4, 25)))
    values = registered_measures(counts, N, INSIDE, 65)
    single = {
        "registered_modes": registered_modes(counts, 65),
        "registered_points": registered_points(counts),
        "max_deficit": max_deficit(counts),
        "cv": cv(counts),
        "tv_true": tv_true(counts, N, INSIDE),
        "tv_differential": tv_differential(counts),
        "max_relative_deviation": max_relative_deviation(counts),
    }
    for name in REGISTERED_MEASURES:
        np.testing.assert_array_equal(values[name].numpy(), single[name].numpy(), err_msg=name)


def test_the_exact_sampler_registers_98_17_percent() -> None:
    assert round(INSIDE, 4) == 0.9817
    n = 100_000
    samples = sampler(25, n, np.random.default_rng(0))
    share = measures(samples)["registered_points"] / n
    assert abs(share - INSIDE) < 4 * math.sqrt(INSIDE * (1 - INSIDE) / n)


@pytest.mark.parametrize(
    ("registered", "measure", "mean", "std"),
    [
        (None, "tv_true", 0.044, None),
        (None, "tv_differential", 0.044, None),
        (None, "max_relative_deviation", 0.25, 0.05),
        (1827, "max_deficit", 0.22, 0.05),
        (1827, "cv", 0.114, 0.017),
        (1963, "max_deficit", 0.22, 0.05),
        (1963, "cv", 0.11, 0.016),
    ],
)
def test_perfect_sampling_has_the_floor_that_the_protocol_prints(
    registered: int | None, measure: str, mean: float, std: float | None
) -> None:
    rng = np.random.default_rng(0)
    drawn, inside = (N, INSIDE) if registered is None else (registered, 1.0)
    counts = rng.multinomial(drawn, [inside / 25] * 25 + [1 - inside], size=800)[:, :25]
    values = registered_measures(torch.from_numpy(counts), N, INSIDE, 20)[measure].double().numpy()
    # The printed digits are rounded: half a unit of the last one, plus four standard errors of the average of 800.
    assert (
        abs(values.mean() - mean) < 0.5 * 10 ** -len(str(mean).split(".")[1]) + 4 * values.std() / math.sqrt(800) + 1e-3
    )
    if std is not None:
        assert abs(values.std() - std) < 0.1 * std


@pytest.mark.parametrize("modes", [1, 2, 7, 20, 24])
def test_a_collapsed_sampler_has_as_many_modes_as_it_was_given(modes: int) -> None:
    values = measures(sampler(modes, N, np.random.default_rng(modes)))
    assert values["registered_modes"] == modes
    assert values["max_deficit"] == 1.0
    share = values["registered_points"] / N
    assert abs(share - INSIDE) < 5 * math.sqrt(INSIDE * (1 - INSIDE) / N)
    # Even shares over ``modes`` of 25 modes, up to sampling noise, which is largest for many modes.
    assert values["cv"] == pytest.approx(math.sqrt(25 / modes - 1), abs=0.1)
    assert values["tv_differential"] == pytest.approx(1 - modes / 25, abs=0.06)


def test_a_mode_registers_at_the_threshold_and_not_below() -> None:
    samples = np.concatenate([np.repeat(GRID[:1], 19, 0), np.repeat(GRID[1:2], 20, 0), np.repeat(GRID[2:3], 21, 0)])
    assert measures(samples, min_points=20)["registered_modes"] == 2
    assert measures(samples, min_points=19)["registered_modes"] == 3


def test_with_nothing_registered_the_deficit_is_one_and_ratios_have_no_value() -> None:
    values = measures(np.full((N, 2), 1.0))
    assert (values["registered_modes"], values["registered_points"], values["max_deficit"]) == (0, 0, 1.0)
    assert values["tv_true"] == pytest.approx(INSIDE)
    assert all(math.isnan(values[name]) for name in ("cv", "tv_differential", "max_relative_deviation"))


def test_a_seed_with_nothing_registered_leaves_its_neighbours_alone() -> None:
    counts = torch.from_numpy(np.random.default_rng(0).poisson(70, (3, 25)))
    alone = registered_measures(counts[2], N, INSIDE, 20)
    counts[1] = 0
    beside = registered_measures(counts, N, INSIDE, 20)
    assert {name: float(value[2]) for name, value in beside.items()} == pytest.approx(as_floats(alone), rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("whole", [True, False], ids=["both coordinates", "one coordinate"])
def test_samples_that_are_not_finite_register_nowhere(bad: float, whole: bool) -> None:
    samples = sampler(25, 200, np.random.default_rng(0))
    expected = measures(samples)
    broken = np.full((50, 2), bad)
    if not whole:
        broken[:, 0] = 0.0
    with_broken = measures(np.concatenate([broken, samples]))
    same = [name for name in REGISTERED_MEASURES if name != "tv_true"]
    assert {name: with_broken[name] for name in same} == {name: expected[name] for name in same}
    assert measures(broken)["registered_points"] == 0


def test_a_sample_on_a_centre_registers_with_it_even_with_radius_zero() -> None:
    counts = registered_counts(torch.from_numpy(GRID), torch.from_numpy(GRID), 0.0)
    assert counts.tolist() == [1] * 25
    counts = registered_counts(torch.from_numpy(GRID).float(), torch.from_numpy(GRID), RADIUS)
    assert counts.tolist() == [1] * 25


def test_the_radius_is_euclidean_and_its_rim_counts() -> None:
    samples = torch.tensor([[0.75, 1.0], [0.75, 1.0078125], [1.25, 0.0], [1.0, 1.0]], dtype=torch.float64)
    assert registered_counts(samples, torch.zeros(1, 2, dtype=torch.float64), 1.25).tolist() == [2]


def test_a_sample_within_reach_of_two_modes_goes_to_the_nearer_one() -> None:
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    samples = torch.tensor([[0.4, 0.0], [0.6, 0.0], [0.7, 0.0]])
    assert registered_counts(samples, centres, 10.0).tolist() == [1, 2]


def test_distances_are_exact_far_from_the_origin() -> None:
    centres = torch.tensor([[1e8, 1e8], [0.0, 0.0]], dtype=torch.float64)
    offsets = torch.tensor([[0.05, 0.0], [0.15, 0.0]], dtype=torch.float64)
    samples = (centres[0] + offsets).repeat(50, 1)
    assert registered_counts(samples, centres, 0.1).tolist() == [50, 0]


def test_measures_of_diversity_rank_real_above_collapsed() -> None:
    rng = np.random.default_rng(0)
    real, collapsed = measures(sampler(25, N, rng)), measures(sampler(20, N, rng))
    assert real["registered_modes"] > collapsed["registered_modes"]
    assert all(real[name] < collapsed[name] for name in DIVERSITY)


def test_measures_of_quality_rank_real_above_spread() -> None:
    rng = np.random.default_rng(0)
    real, spread = measures(sampler(25, N, rng)), measures(rng.uniform(-4.18, 4.18, (N, 2)))
    assert real["registered_points"] > 10 * spread["registered_points"] > 0
    assert real["tv_true"] < spread["tv_true"]


def metric() -> RegisteredModes:
    return RegisteredModes(torch.from_numpy(GRID), RADIUS, INSIDE)


def as_floats(values: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize("cuts", [(), (1_000,), (1, 2, 3), (0, 17, 17, 600, 2_000)], ids=str)
def test_batches_in_any_split_equal_one_update(cuts: tuple[int, ...]) -> None:
    samples = sampler(12, N, np.random.default_rng(0))
    whole = metric()
    for batch in np.split(samples, cuts):
        whole.update(torch.from_numpy(batch))
    assert as_floats(whole.compute()) == measures(samples)


def test_the_metric_can_be_called_batch_by_batch() -> None:
    first, second = np.split(sampler(25, N, np.random.default_rng(0)), 2)
    running = metric()
    assert as_floats(running(torch.from_numpy(first))) == measures(first, min_points=10)
    assert as_floats(running(torch.from_numpy(second))) == measures(second, min_points=10)
    assert as_floats(running.compute()) == measures(np.concatenate([first, second]))


def test_reset_forgets_everything() -> None:
    rng = np.random.default_rng(0)
    reused, samples = metric(), sampler(25, N, rng)
    reused.update(torch.from_numpy(rng.uniform(-4, 4, (300, 2))))
    reused.update(torch.from_numpy(sampler(3, 500, rng)))
    reused.reset()
    reused.update(torch.from_numpy(samples))
    assert as_floats(reused.compute()) == measures(samples)


@pytest.mark.parametrize("n", [100, 700, 2_000, 2_900, 5_700, 10_000])
def test_the_threshold_is_20_of_2000_for_any_number_of_samples(n: int) -> None:
    least = n // 100
    points = [least, least - 1, least + 1]
    samples = np.concatenate([np.repeat(GRID[k : k + 1], count, 0) for k, count in enumerate(points)])
    counted = metric()
    counted.update(torch.from_numpy(samples))
    counted.update(torch.full((n - len(samples), 2), 1.0))
    assert int(counted.compute()["registered_modes"]) == 2


def test_without_samples_no_mode_is_registered() -> None:
    empty = metric()
    empty.update(torch.empty(0, 2))
    assert int(empty.compute()["registered_modes"]) == 0


def gather_from(*ranks: RegisteredModes) -> Callable[[Tensor, object], list[Tensor]]:
    """What a collective gives to the first rank: the same state of every rank, asked for in the order of the states."""
    queue = [[getattr(rank, name).clone() for rank in ranks] for name in ranks[0]._reductions]
    return lambda state, group=None: queue.pop(0)


def test_states_of_several_processes_are_summed() -> None:
    rng = np.random.default_rng(0)
    shares = [sampler(25, 900, rng), sampler(4, 600, rng), rng.uniform(-4, 4, (500, 2))]
    ranks = [metric() for _ in shares]
    for rank, share in zip(ranks, shares, strict=True):
        rank.update(torch.from_numpy(share))
    first, alone = ranks[0], measures(shares[0], min_points=9)
    first.dist_sync_fn = gather_from(*ranks)
    first.distributed_available_fn = lambda: True
    assert as_floats(first.compute()) == measures(np.concatenate(shares))
    first.distributed_available_fn = lambda: False
    first._computed = None
    assert as_floats(first.compute()) == alone, "the process's own state comes back after a sync"


def test_the_centres_follow_the_metric_and_are_no_state_to_store() -> None:
    moved = metric().to("meta")
    assert moved.centres.device.type == "meta"
    assert "centres" not in moved.state_dict()
