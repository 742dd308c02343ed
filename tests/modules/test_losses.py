"""Losses on the seeds axis against closed forms, NumPy and torch.distributions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from modules.losses import (
    PenaltyNorm,
    bce_fake,
    bce_real,
    bce_with_logits,
    gaussian_kl,
    gradient_penalty,
    per_seed,
    squared_distance,
)
from modules.networks import MLP, forward_batched

SEEDS, BATCH, DIM = 3, 7, 4
NORMS: list[PenaltyNorm] = ["squared", "l2", "rms"]

#: The deviation of a gradient of Euclidean length ``r`` in ``d`` dimensions, and its derivative with respect to ``r``.
CLOSED: dict[str, tuple[Callable[[Tensor, int], Tensor], Callable[[Tensor, int], Tensor]]] = {
    "squared": (lambda r, d: r**2 - 1, lambda r, d: 2 * r),
    "l2": (lambda r, d: r - 1, lambda r, d: torch.ones_like(r)),
    "rms": (lambda r, d: r / d**0.5 - 1, lambda r, d: torch.ones_like(r) / d**0.5),
}


def values(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rows(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """Real and fake samples ``[SEEDS, BATCH, *shape]`` and a share of the real one for each pair."""
    share = values(SEEDS, BATCH, *[1] * len(shape), seed=3).sigmoid()
    return values(SEEDS, BATCH, *shape, seed=1), values(SEEDS, BATCH, *shape, seed=2), share


def test_per_seed_is_the_mean_over_everything_but_the_seeds() -> None:
    x = values(SEEDS, BATCH, 2, 5)
    np.testing.assert_allclose(per_seed(x).numpy(), x.numpy().mean((1, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_the_penalty_of_a_linear_critic_has_its_closed_form(norm: PenaltyNorm) -> None:
    deviation, slope = CLOSED[norm]
    weight = values(SEEDS, DIM).requires_grad_()
    penalty = gradient_penalty(lambda x: torch.einsum("sbd,sd->sb", x, weight), *rows(DIM), norm)
    length = weight.detach().norm(dim=1)
    np.testing.assert_allclose(penalty.detach().numpy(), deviation(length, DIM).square().numpy(), rtol=1e-12)
    penalty.sum().backward()
    factor = 2 * deviation(length, DIM) * slope(length, DIM) / length
    np.testing.assert_allclose(weight.grad.numpy(), (factor[:, None] * weight).detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", [(DIM,), (2, 3, 3)], ids=str)
def test_the_penalty_is_a_mean_over_points_between_real_and_fake(norm: PenaltyNorm, shape: tuple[int, ...]) -> None:
    real, fake, share = rows(*shape)
    scale = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    penalty = gradient_penalty(lambda x: 0.5 * scale * x.flatten(1).square().sum(1), real, fake, share, norm)
    between = share * real + (1 - share) * fake
    length = scale[:, None] * between.flatten(2).norm(dim=2)
    expected = CLOSED[norm][0](length, between[0, 0].numel()).square().mean(1)
    np.testing.assert_allclose(penalty.detach().numpy(), expected.numpy(), rtol=1e-12)


def test_epsilon_is_the_share_of_the_real_sample() -> None:
    seen: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.sum(2)

    real, fake, share = rows(DIM)
    gradient_penalty(critic, real, fake, torch.ones_like(share))
    gradient_penalty(critic, real, fake, torch.zeros_like(share))
    assert torch.equal(seen[0], real)
    assert torch.equal(seen[1], fake)


def test_the_penalty_moves_the_critic_and_not_the_samples() -> None:
    real, fake, share = rows(DIM)
    weight, fake = values(SEEDS, DIM).requires_grad_(), fake.requires_grad_()
    gradient_penalty(lambda x: (x * weight[:, None]).sum(2).square(), real, fake, share).sum().backward()
    assert fake.grad is None
    assert weight.grad.abs().min() > 0


@pytest.mark.parametrize("norm", NORMS)
def test_a_dead_critic_has_a_finite_penalty_and_finite_gradients(norm: PenaltyNorm) -> None:
    real, fake, share = (x.float() for x in rows(DIM))
    dead = values(SEEDS, DIM, dtype=torch.float32)
    dead[1] = 0
    weight = dead.requires_grad_()
    penalty = gradient_penalty(lambda x: torch.einsum("sbd,sd->sb", x, weight), real, fake, share, norm)
    assert penalty[1].item() == 1.0
    penalty.sum().backward()
    assert weight.grad.isfinite().all()
    assert weight.grad[[0, 2]].abs().min() > 0


@pytest.mark.parametrize("norm", NORMS)
def test_a_network_whose_units_are_all_dead_keeps_finite_gradients(norm: PenaltyNorm) -> None:
    network = MLP("critic", DIM, 1, seeds=(0, 1), hidden=2, width=8)
    with torch.no_grad():
        network.layers[0].bias[0] = -1e6
    real, fake, share = (x[:2].float() for x in rows(DIM))
    penalty = gradient_penalty(network, real, fake, share, norm)
    penalty.sum().backward()
    assert penalty[0].item() == 1.0
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients
    assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize(("loss", "sign"), [(bce_real, 1.0), (bce_fake, -1.0)])
def test_logistic_losses_equal_minus_log_sigmoid(loss: Callable[[Tensor], Tensor], sign: float) -> None:
    logits = 8 * values(SEEDS, BATCH, 1)
    expected = -np.log(1 / (1 + np.exp(-sign * logits.numpy()))).mean((1, 2))
    np.testing.assert_allclose(loss(logits).numpy(), expected, rtol=1e-10)
    single = loss(logits.float()).double().numpy()
    np.testing.assert_allclose(single, expected, rtol=1e-5)


@pytest.mark.parametrize(("loss", "sign"), [(bce_real, 1.0), (bce_fake, -1.0)])
def test_logistic_losses_stay_finite_where_a_sigmoid_is_0_or_1(loss: Callable[[Tensor], Tensor], sign: float) -> None:
    logits = torch.tensor([[[500.0]], [[-500.0]]], requires_grad=True)
    value = loss(sign * logits)
    value.sum().backward()
    assert value.tolist() == [0.0, 500.0]
    assert (sign * logits.grad).flatten().tolist() == [0.0, -1.0 * sign]


def test_squared_distance_is_summed_over_coordinates_and_averaged_over_the_batch() -> None:
    for shape in ((DIM,), (1, 2, 5)):
        a, b, _ = rows(*shape)
        expected = ((a.numpy() - b.numpy()) ** 2).reshape(SEEDS, BATCH, -1).sum(2).mean(1)
        np.testing.assert_allclose(squared_distance(a, b).numpy(), expected, rtol=1e-12)


def test_sigmoid_cross_entropy_equals_its_definition() -> None:
    logits, target = 3 * values(SEEDS, BATCH, DIM), values(SEEDS, BATCH, DIM, seed=1).sigmoid()
    p, t = 1 / (1 + np.exp(-logits.numpy())), target.numpy()
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean((1, 2))
    np.testing.assert_allclose(bce_with_logits(logits, target).numpy(), expected, rtol=1e-10)


def test_gaussian_kl_equals_torch_distributions() -> None:
    mean, log_variance = values(SEEDS, BATCH, DIM, seed=1), values(SEEDS, BATCH, DIM, seed=2)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    prior = Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = kl_divergence(posterior, prior).sum(2).mean(1)
    np.testing.assert_allclose(gaussian_kl(mean, log_variance).numpy(), expected.numpy(), rtol=1e-12)
    assert gaussian_kl(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "loss",
    [
        per_seed,
        bce_real,
        bce_fake,
        lambda x: squared_distance(x, torch.zeros_like(x)),
        lambda x: bce_with_logits(x, torch.full_like(x, 0.3)),
        lambda x: gaussian_kl(x, x),
        lambda x: gradient_penalty(lambda y: y.square().sum(2), x, 0.5 * x, torch.full_like(x[..., :1], 0.5)),
    ],
    ids=["per_seed", "bce_real", "bce_fake", "squared_distance", "cross_entropy", "gaussian_kl", "penalty"],
)
def test_every_loss_gives_one_value_per_seed_that_its_neighbours_do_not_touch(loss: Callable[[Tensor], Tensor]) -> None:
    x = values(SEEDS, BATCH, DIM)
    together_, poisoned = loss(x).detach(), x.clone()
    assert together_.shape == (SEEDS,)
    poisoned[1] = torch.nan
    expected = [loss(x[s : s + 1]).item() for s in range(SEEDS)]
    np.testing.assert_allclose(together_.numpy(), expected, rtol=1e-12)
    left = loss(poisoned).detach()
    assert torch.equal(left[[0, 2]], together_[[0, 2]])
    assert left[1].isnan()


def test_together_equals_separate_passes_for_batches_of_any_size() -> None:
    network = MLP("critic", DIM, 2, seeds=(0, 1), hidden=2, width=8, output="sigmoid").double()
    batches = [values(2, size, DIM, seed=size) for size in (5, 1, 8)]
    joined = forward_batched(network, *batches)
    assert [tuple(out.shape) for out in joined] == [(2, 5, 2), (2, 1, 2), (2, 8, 2)]
    for out, batch in zip(joined, batches, strict=True):
        np.testing.assert_allclose(out.detach().numpy(), network(batch).detach().numpy(), rtol=1e-12)
    parameters = list(network.parameters())
    weights = (1.0, -2.0, 0.5)
    one = torch.autograd.grad(sum(w * out.sum() for w, out in zip(weights, joined, strict=True)), parameters)
    apart = [w * network(batch).sum() for w, batch in zip(weights, batches, strict=True)]
    for a, b in zip(one, torch.autograd.grad(sum(apart), parameters), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12)


def test_the_penalty_stays_in_32_bits_in_mixed_precision() -> None:
    network = MLP("critic", DIM, 1, seeds=(0, 1), hidden=2, width=8)
    real, fake, epsilon = (values(2, 16, n, seed=i, dtype=torch.float32) for i, n in enumerate((DIM, DIM, 1)))
    exact = gradient_penalty(network, real, fake, epsilon.sigmoid())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network.layers[0](real).dtype == torch.bfloat16
        assert network(real).dtype == torch.float32
        mixed = gradient_penalty(network, real, fake.bfloat16().float(), epsilon.sigmoid())
        same = gradient_penalty(network, real, fake, epsilon.sigmoid())
    assert mixed.dtype == torch.float32
    assert torch.equal(same, exact)
