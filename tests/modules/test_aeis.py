"""GAN with autoencoder and importance sampling: pre-training, weights and pairs against plain versions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from modules.aeis import _BANDWIDTHS, AEIS
from modules.density import held_out_bandwidth
from modules.options import Training

pytestmark = pytest.mark.slow

BATCH = 32


def build(seeds: tuple[int, ...] = (0, 1), **fields: Any) -> AEIS:
    """A method with optimizers, 20 iterations of pre-training before it."""
    module = AEIS(Training(batch_size=BATCH, beta1=0.8), (2,), seeds, **({"reference": 320} | fields))
    optimizers = module.configure_optimizers()
    module.optimizers = lambda: optimizers
    module.manual_backward = lambda loss, **words: loss.backward(**words)
    module.iteration = -20
    return module


def batches(count: int, seeds: int = 2) -> list[Tensor]:
    """Four modes at the corners of a square."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 2, (count, 1, seeds, BATCH, 2), generator=generator) * 0.6 + 0.2
    return list(corners + 0.01 * torch.randn(corners.shape, generator=generator))


def trained(iterations: int = 3, **fields: Any) -> AEIS:
    module = build(**fields)
    for draws in batches(20 + iterations):
        module.iterate(draws)
    return module


def test_pretraining_moves_the_autoencoder_alone_and_the_game_leaves_it_frozen() -> None:
    module = build()
    data = batches(24)
    start = {name: p.detach().clone() for name, p in module.named_parameters()}

    def moved() -> set[str]:
        return {name.partition(".")[0] for name, p in module.named_parameters() if not torch.equal(p, start[name])}

    for draws in data[:20]:
        module.iterate(draws)
    assert module.iteration == 0
    assert moved() == {"encoder", "decoder"}
    losses = module.take_losses()
    assert list(losses) == ["autoencoder"]
    assert losses["autoencoder"][-1].mean() < losses["autoencoder"][0].mean()
    start = {name: p.detach().clone() for name, p in module.named_parameters()}
    for draws in data[20:]:
        module.iterate(draws)
    assert moved() == {"generator", "discriminator"}
    assert list(module.take_losses()) == ["discriminator", "generator"]


def test_the_reference_is_what_pretraining_saw_last_and_codes_are_standardised() -> None:
    module = build()
    data = batches(20)
    for draws in data:
        module.iterate(draws)
    expected = torch.stack([draws[0] for draws in data[10:]], 1)
    assert torch.equal(module.reference_points, expected)
    module.prepare()
    codes = module.codes(expected.flatten(1, 2))
    torch.testing.assert_close(codes.mean(1), torch.zeros(2, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(codes.std(1), torch.ones(2, 2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("real_weights", ["missing", "covered", "none"])
@pytest.mark.parametrize("fake_weights", ["typical", "none"])
def test_weights_and_pairs_are_the_formulas(real_weights: str, fake_weights: str) -> None:
    """W_ir = 2 p_r / (p_r + p_g), W_if = p_g over its mean from 0.1 to 10, pairs of least total distance."""
    module = trained(real_weights=real_weights, fake_weights=fake_weights, bandwidth=0.3)
    with torch.no_grad():
        real, fake = module.codes(batches(1)[0][0]), module.codes(torch.rand(2, BATCH, 2))
        references = module.codes(module.reference_points.flatten(1, 2))
    module.fake_codes[:, 3] = fake
    partners, weights = module.pairs(real, fake)
    for seed in range(2):
        a, b = real[seed].double().numpy(), fake[seed].double().numpy()
        distance = np.sqrt(((a[:, None] - b) ** 2).sum(2))
        np.testing.assert_array_equal(partners[seed], linear_sum_assignment(distance)[1])

        def density(queries: np.ndarray, points: Tensor) -> np.ndarray:
            squares = ((queries[:, None] - points.double().numpy()) ** 2).sum(2)
            return np.exp(-squares / (2 * 0.3**2)).mean(1)

        stored = module.fake_codes[seed, :4].flatten(0, 1)
        p_r, p_g = density(a, references[seed]), density(a, stored)
        w_r = {"missing": 2 * p_r / (p_r + p_g), "covered": 2 * p_g / (p_r + p_g), "none": np.ones(BATCH)}[real_weights]
        p_f = density(b, stored)
        w_f = np.clip(p_f / p_f.mean(), 0.1, 10) if fake_weights == "typical" else np.ones(BATCH)
        np.testing.assert_allclose(weights[seed], w_r * w_f[partners[seed]], rtol=1e-4)


def test_a_mode_without_fakes_weighs_twice_and_a_crowded_one_little() -> None:
    module = trained(fake_weights="none", bandwidth=0.05)
    real = module.codes(batches(1)[0][0]).detach()
    module.fake_codes[:] = real[:, :1].unsqueeze(1)
    _, weights = module.pairs(real, real)
    crowded = (real - real[:, :1]).norm(dim=2) < 0.02
    missing = (real - real[:, :1]).norm(dim=2) > 1
    assert (weights[missing] == 2).all()
    assert (weights[crowded] < 0.5).all()


def test_the_store_keeps_the_last_iterations() -> None:
    module = build(store_iterations=2)
    seen: list[Tensor] = []
    pairs = module.pairs
    module.pairs = lambda real, fake: (seen.append(fake.clone()), pairs(real, fake))[1]
    for draws in batches(25):
        module.iterate(draws)
    assert torch.equal(module.fake_codes, torch.stack([seen[4], seen[3]], 1))


def test_the_generators_loss_is_the_adversarial_one_plus_the_weighted_pairs() -> None:
    module = trained(pair_weight=3.0)
    x, z = batches(1)[0][0], torch.rand(2, BATCH, 2)
    weights, partners = torch.rand(2, BATCH), torch.stack([torch.randperm(BATCH) for _ in range(2)])
    module.pairs = lambda real, fake: (partners, weights)
    real, fake = module.codes(x), module.codes(module.generator(z))
    adversarial = torch.nn.functional.softplus(-module.discriminator(module.generator(z))).mean((1, 2))
    for seed in range(2):
        terms = [
            weights[seed, i] * (real[seed, i] - fake[seed, partners[seed, i]]).square().sum() for i in range(BATCH)
        ]
        expected = adversarial[seed] + 3 * torch.stack(terms).mean()
        torch.testing.assert_close(module.generator_loss(x, z)[seed], expected, rtol=1e-5, atol=1e-6)


def test_a_resumed_module_has_the_density_that_it_had() -> None:
    module = trained()
    again = build()
    again.load_state_dict(module.state_dict())
    x, z = batches(1)[0][0], torch.rand(2, BATCH, 2)
    module.iteration = again.iteration = 3
    assert torch.equal(module.generator_loss(x, z), again.generator_loss(x, z))


def test_without_pretraining_it_says_what_is_missing() -> None:
    module = build()
    module.iteration = 0
    with pytest.raises(ValueError, match=r"pretraining_epochs"):
        module.iterate(batches(1)[0])
    with pytest.raises(ValueError, match="1 epoch of pre-training"):
        build(pretraining_epochs=0)


def test_a_code_is_of_one_image_also_where_networks_have_batch_norm() -> None:
    """Normalised apart, batches of real and of fake images would differ less than the images do."""
    module = AEIS(Training(networks="dcgan-28", scaling="unit", batch_size=8), (1, 28, 28), (0, 1), code_dim=4)
    assert module.training
    assert module.discriminator.mixes_batch
    assert module.generator.mixes_batch
    x = torch.rand(2, 8, 1, 28, 28)
    torch.testing.assert_close(module.codes(x)[:, :3], module.codes(x[:, :3]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("code_dim", [2, 8, 32])
def test_the_search_for_a_bandwidth_ends_within_its_bounds(code_dim: int) -> None:
    codes = np.random.default_rng(0).standard_normal((5_000, code_dim))
    best = held_out_bandwidth(codes, _BANDWIDTHS)
    assert _BANDWIDTHS[0] < best < _BANDWIDTHS[-1]
