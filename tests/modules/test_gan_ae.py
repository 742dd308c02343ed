"""Methods of the poster "GANs powered by autoencoding": discrepancy, closeness, alpha, free samples, instance noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from benchmark.spec.registry import methods
from modules.base import AdversarialModule
from modules.density import optimal_partners
from modules.gan import GAN
from modules.gan_ae import EQUILIBRIUM, GANAE
from modules.gan_mb import GANMB, closeness
from modules.gan_mmd import GANMMD
from modules.gmmn import GMMN
from modules.losses import gaussian_bandwidths, squared_mmd
from modules.networks import InstanceNoise, forward_batched
from modules.options import Training
from tests.modules.steps import batches, build, run_iterations

WIDTHS = [0.02, 0.3]
RNG = np.random.default_rng(0)


def ae(seeds: tuple[int, ...] = (0, 3), **fields: Any) -> GANAE:
    return GANAE(Training(prior="normal", beta1=0.8), (2,), seeds, **fields)


# Discrepancy ----------------------------------------------------------------------------------------------------------


def double_loop(a: np.ndarray, b: np.ndarray, unbiased: bool) -> float:
    def k(u: np.ndarray, v: np.ndarray) -> float:
        return sum(math.exp(-((u - v) ** 2).sum() / (2 * w)) for w in WIDTHS)

    def within(x: np.ndarray) -> float:
        n = len(x)
        pairs = [(i, j) for i in range(n) for j in range(n) if not (unbiased and i == j)]
        return sum(k(x[i], x[j]) for i, j in pairs) / len(pairs)

    across = sum(k(u, v) for u in a for v in b) / (len(a) * len(b))
    return within(a) + within(b) - 2 * across


@pytest.mark.parametrize("unbiased", [False, True])
def test_discrepancy_is_the_double_loop(unbiased: bool) -> None:
    a, b = RNG.random((3, 12, 1, 2, 2)), RNG.random((3, 9, 1, 2, 2)) + 0.2
    found = squared_mmd(torch.from_numpy(a), torch.from_numpy(b), WIDTHS, unbiased=unbiased)
    expected = [double_loop(u.reshape(12, 4), v.reshape(9, 4), unbiased) for u, v in zip(a, b, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_equal_samples_have_no_discrepancy_and_equal_distributions_none_on_average() -> None:
    same = torch.rand(2, 50, 3)
    torch.testing.assert_close(
        squared_mmd(same, same[:, torch.randperm(50)], WIDTHS), torch.zeros(2), atol=1e-6, rtol=0
    )
    a, b = torch.from_numpy(RNG.random((2, 4_000, 10, 2), dtype=np.float32))
    found = squared_mmd(a, b, WIDTHS, unbiased=True)
    assert abs(found.mean()) < 4 * found.std() / math.sqrt(len(found))
    assert squared_mmd(a, b, WIDTHS).min() > 0


def test_the_generator_of_equal_batches_has_a_finite_gradient() -> None:
    module = GMMN(Training(), (2,), (0,))
    z = torch.rand(1, 16, 2)
    module.generator_loss(module.generator(z).detach(), z).sum().backward()
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_bandwidths_grow_with_the_dimension_and_the_range() -> None:
    assert gaussian_bandwidths(784, "unit") == [2, 5, 10, 20, 40, 80], "MNIST in [0, 1]: the released code's"
    assert GMMN(Training(), (2,), (0,)).bandwidths[0] == pytest.approx(4 / 784)
    assert GMMN(Training(scaling="symmetric"), (2,), (0,)).bandwidths[0] == pytest.approx(16 / 784)
    assert GANMMD(Training(), (2,), (0,), bandwidth_scale=3.0).bandwidths[-1] == 240


# Minibatch discrimination ---------------------------------------------------------------------------------------------


def test_closeness_is_the_formula() -> None:
    m = torch.randn(2, 7, 3, 5)
    found = closeness(m)
    for s, i, b in np.ndindex(2, 7, 3):
        expected = sum(math.exp(-float((m[s, i, b] - m[s, j, b]).abs().sum())) for j in range(7)) / 7
        assert float(found[s, i, b]) == pytest.approx(expected, rel=1e-5)


def test_a_batch_that_is_one_point_looks_closer_and_batches_are_not_joined() -> None:
    module = GANMB(Training(), (2,), (0, 3))
    x, point = torch.rand(2, 16, 2), torch.full((2, 16, 2), 0.3)
    width = module.discriminator.kernels, module.discriminator.kernel_dim
    near, far = (closeness(module.discriminator.network.logits(b)[..., 1:].unflatten(2, width)) for b in (point, x))
    torch.testing.assert_close(near, torch.ones_like(near))
    assert (far < 1).all()
    apart = forward_batched(module.discriminator.logits, x, point)
    torch.testing.assert_close(apart[0], module.discriminator.logits(x))
    assert not torch.allclose(apart[0], module.discriminator.logits(torch.cat([x, point], 1))[:, :16])


# Matching -------------------------------------------------------------------------------------------------------------


def test_partners_are_the_best_of_each_seed_and_a_broken_seed_leaves_the_others_alone() -> None:
    a, b = torch.rand(3, 20, 2), torch.rand(3, 20, 2)
    a[1, 0] = torch.nan
    found = optimal_partners(a, b)
    for seed in (0, 2):
        _, expected = linear_sum_assignment(torch.cdist(a[seed], b[seed]).numpy())
        np.testing.assert_array_equal(found[seed], expected)
    assert found[1].tolist() == list(range(20))


# Alpha ----------------------------------------------------------------------------------------------------------------


def test_adaptive_alpha_is_one_in_equilibrium_and_falls_as_the_discriminator_wins() -> None:
    module = ae(decay="adaptive")
    for p in module.discriminator.parameters():
        torch.nn.init.zeros_(p)
    x, z = torch.rand(2, 32, 2), torch.zeros(2, 32, 2)
    for _ in range(50):
        loss = module.discriminator_loss(x, z)
    torch.testing.assert_close(loss, torch.full((2,), EQUILIBRIUM))
    torch.testing.assert_close(module.alpha(), torch.ones(2))
    # Data stand before their reconstructions.
    module.discriminator.logits = lambda seen: (
        torch.tensor([20.0, -20.0]).repeat_interleave(32).expand(2, 64)[..., None]
    )
    for expected in (0.9, 0.81, 0.729):
        assert module.discriminator_loss(x, z).max() < 1e-6
        torch.testing.assert_close(module.alpha(), torch.full((2,), expected))
    module.mean_discriminator_loss.fill_(9.0)
    assert module.alpha().tolist() == [1, 1]


@pytest.mark.parametrize("decays", ["adversarial", "reconstruction"])
@pytest.mark.parametrize("reconstruction", ["l1", "squared-error"])
def test_alpha_multiplies_one_of_the_two_errors(decays: Any, reconstruction: Any) -> None:
    module = ae(
        decay="exponential",
        gamma=0.5,
        decays=decays,
        reconstruction=reconstruction,
        reconstruction_weight=3.0,
        adversarial_weight=2.0,
    )
    module.iteration = 2
    x, z = torch.rand(2, 32, 2), torch.zeros(2, 32, 2)
    rebuilt = module.generator(module.encoder(x))
    adversarial = 2 * torch.nn.functional.softplus(-module.discriminator(rebuilt)).mean((1, 2))
    error = (x - rebuilt).abs() if reconstruction == "l1" else (x - rebuilt) ** 2
    parts = {"adversarial": adversarial, "reconstruction": 3 * error.mean((1, 2))}
    parts[decays] = parts[decays] * 0.25
    torch.testing.assert_close(module.autoencoder_loss(x, z), sum(parts.values()))


def test_traces_are_alpha_and_the_gradient_that_the_discriminator_sends_back() -> None:
    module = ae(decay="exponential", gamma=0.5)
    module.iteration = 1
    x, z = torch.rand(2, 32, 2), torch.zeros(2, 32, 2)
    module.autoencoder_loss(x, z).sum().backward()
    rebuilt = module.generator(module.encoder(x)).detach().requires_grad_()
    per_sample = torch.nn.functional.softplus(-module.discriminator(rebuilt)).sum()
    (gradient,) = torch.autograd.grad(0.5 * 0.01 * per_sample, rebuilt)
    traces = module.take_traces()
    assert traces["alpha"].tolist() == [[0.5, 0.5]]
    torch.testing.assert_close(traces["gradient"][0], gradient.abs().mean((1, 2)))
    assert module.take_traces() == {}


# Free samples ---------------------------------------------------------------------------------------------------------


def test_free_samples_of_one_gaussian_have_codes_with_the_mean_and_covariance_of_the_datas() -> None:
    module = ae((0, 3, 5), components=1)
    x = torch.rand(3_000, 2) ** 2
    module.calibrate(x)
    z = torch.randn(3, 200_000, 3, generator=torch.Generator().manual_seed(0))
    for codes, data in zip(seen_codes(module, z), module.encoder(x.expand(3, *x.shape)).detach(), strict=True):
        torch.testing.assert_close(codes.mean(0), data.mean(0), rtol=0.02, atol=0.02)
        torch.testing.assert_close(torch.cov(codes.T), torch.cov(data.T), rtol=0.02, atol=0.01)


def seen_codes(module: GANAE, z: Tensor) -> Tensor:
    """The codes ``[S, n, latent]`` that samples are made from."""
    seen: list[Tensor] = []
    hook = module.generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    module.generate(z)
    hook.remove()
    return seen[0]


def test_free_samples_of_several_gaussians_come_from_where_the_codes_are() -> None:
    """Codes at three places with shares of 1/2, 1/3 and 1/6, against the places themselves."""
    module = ae(components=3)
    module.encoder = torch.nn.Identity()
    places = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]])
    noise = torch.randn(6_000, 2, generator=torch.Generator().manual_seed(0))
    x = places[torch.tensor([0, 0, 0, 1, 1, 2]).repeat(1_000)] + noise * torch.tensor([0.1, 0.3])
    module.calibrate(x)
    codes = seen_codes(module, torch.randn(2, 60_000, 3, generator=torch.Generator().manual_seed(1)))
    nearest = torch.cdist(codes, places).argmin(2)
    for own, label in zip(codes, nearest, strict=True):
        shares = torch.bincount(label, minlength=3) / len(own)
        torch.testing.assert_close(shares, torch.tensor([1 / 2, 1 / 3, 1 / 6]), atol=0.01, rtol=0)
        for place in range(3):
            around = own[label == place] - places[place]
            torch.testing.assert_close(around.std(0), torch.tensor([0.1, 0.3]), atol=0.02, rtol=0)
    uncalibrated = seen_codes(ae(), z := torch.randn(2, 50, 3))
    assert torch.equal(uncalibrated, z[..., :2]), "N(0, I) before codes were looked at"


def test_calibration_leaves_training_and_other_seeds_alone() -> None:
    calm, looked = ae(), ae()
    data = batches(4, seeds=2)
    first = run_iterations(calm, data)
    for batch, expected in zip(data, first, strict=True):
        looked.calibrate(torch.rand(64, 2))
        optimizers = looked.optimizers if looked.iteration else None
        losses = run_iterations(looked, [batch]) if optimizers is None else step(looked, batch)
        np.testing.assert_array_equal(losses[0], expected)
    x = torch.rand(64, 2)
    looked.calibrate(x)
    before = looked.code_factors[1].clone()
    with torch.no_grad():
        next(looked.encoder.parameters())[0] = torch.nan
    looked.calibrate(x)
    assert torch.equal(looked.code_factors[1], before)
    assert not looked.code_factors[0].isfinite().all()


def step(module: AdversarialModule, batch: Tensor) -> np.ndarray:
    """One more iteration with the optimizers that are in place."""
    module.iterate(batch)
    return torch.stack(list(module.take_losses().values()), 1).numpy()


def test_a_uniform_prior_is_refused() -> None:
    with pytest.raises(ValueError, match=r"protocol\.prior=normal"):
        GANAE(Training(), (2,), (0,))


def test_a_critic_draws_codes_to_the_prior_which_free_samples_come_from() -> None:
    module = GANAE(Training(beta1=0.8), (2,), (0, 3), code_critic=True)
    assert module.calibration == 0
    x, z = torch.rand(2, 32, 2), torch.rand(2, 32, 2)
    assert torch.equal(module.generate(z), module.generator(z))
    code, bce = module.encoder(x), torch.nn.functional.binary_cross_entropy_with_logits
    ones = torch.ones(32, 1)
    for seed in (0, 1):
        prior, found = module.code_critic(z)[seed], module.code_critic(code)[seed]
        torch.testing.assert_close(module.code_critic_loss(x, z)[seed], bce(prior, ones) + bce(found, 0 * ones))
        rebuilt = module.generator(code)
        adversarial = bce(module.discriminator(rebuilt)[seed], ones) + bce(found, ones)
        expected = (x - rebuilt).square()[seed].mean() + 0.01 * adversarial
        torch.testing.assert_close(module.autoencoder_loss(x, z)[seed], expected)
    losses = run_iterations(module, batches(3, seeds=2))
    assert losses.shape == (3, 3, 2)


# Instance noise -------------------------------------------------------------------------------------------------------

DISCRIMINATING = {name: m for name, m in methods().items() if name not in ("gmmn", "gan-hungarian")}


@pytest.mark.parametrize("method", DISCRIMINATING.values(), ids=DISCRIMINATING)
def test_every_discriminator_sees_data_and_samples_through_the_noise(method: type[AdversarialModule]) -> None:
    """The noise has its std, it changes losses, and seeds stay apart."""
    quiet, noisy = build(method), build(method, instance_noise=0.3)
    data = batches(1, seeds=2, size=16)
    looks: list[Tensor] = []
    add_noise = noisy.add_instance_noise

    def spy(x: Tensor) -> Tensor:
        seen = add_noise(x)
        looks.append((seen - x).detach())
        return seen

    noisy.add_instance_noise = spy
    for network in noisy.modules():
        if isinstance(network, InstanceNoise):
            network.add_noise = spy
    expected, found = run_iterations(quiet, data), run_iterations(noisy, data)
    assert (found[0] != expected[0]).any(0).all()
    noise = torch.cat([look.flatten() for look in looks])
    assert len(looks) >= len(quiet.steps) - 1
    assert float(noise.std()) == pytest.approx(0.3, rel=0.15)
    other = build(method, instance_noise=0.3)
    changed = [draws.clone() for draws in data]
    changed[0][:, 0] = 0.1
    np.testing.assert_array_equal(run_iterations(other, changed)[:, :, 1], found[:, :, 1])


def test_noise_is_new_at_every_look_and_iteration_and_falls_to_zero() -> None:
    module = build(GAN, instance_noise=0.5, instance_noise_schedule="linear")
    x = torch.zeros(2, 40, 2)
    with pytest.raises(ValueError, match="how long"):
        module.add_instance_noise(x)
    module.planned_iterations = 4
    first, second = module.add_instance_noise(x), module.add_instance_noise(x)
    assert not torch.equal(first, second)
    assert not torch.equal(first[:, :16], first[:, 16:32]), "batches that are looked at together differ"
    stds = []
    for module.iteration in range(5):
        module._noise_calls = 0
        stds.append(float(module.add_instance_noise(x).std()))
    np.testing.assert_allclose(stds, [0.5, 0.375, 0.25, 0.125, 0.0], rtol=0.2)
    again = build(GAN, instance_noise=0.5)
    assert torch.equal(again.add_instance_noise(x), first), "the same wherever a training begins"


def test_without_noise_networks_are_the_bare_ones() -> None:
    assert not any(isinstance(network, InstanceNoise) for network in build(GAN).modules())
    noisy = build(GAN, instance_noise=0.1)
    assert isinstance(noisy.discriminator, InstanceNoise)
    assert not isinstance(noisy.generator, InstanceNoise)
