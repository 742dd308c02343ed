"""Convolutional networks against PyTorch's own layers, and every method that trains on images."""

from __future__ import annotations

import copy
import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from modules.aeis import AEIS
from modules.ali import ALI
from modules.base import AdversarialModule
from modules.began import BEGAN
from modules.convolutions import (
    ConvEncoder,
    ConvGenerator,
    ImageBatchNorm,
    SeedConv,
    merge_seeds,
    set_memory_format_and_compile,
    sizes,
    split_seeds,
)
from modules.dan_2s import DAN2S
from modules.families import CONVOLUTIONS, NETWORKS, ConvFamily, find_family
from modules.gaan import GAAN
from modules.gan import GAN
from modules.gan_ae import GANAE
from modules.gan_mb import GANMB
from modules.gan_mmd import GANMMD
from modules.gmmn import GMMN
from modules.lsgan import LSGAN
from modules.mdgan import MDGAN
from modules.options import Training
from modules.unrolled import UnrolledGAN
from modules.vae_gan import VAEGAN
from modules.veegan import VEEGAN
from modules.wgan import WGAN
from modules.wgan_gp import WGANGP
from tests.modules import steps
from tests.modules.steps import elsewhere, same, use

pytestmark = pytest.mark.slow

METHODS = (
    GAN,
    WGANGP,
    GAAN,
    VAEGAN,
    ALI,
    VEEGAN,
    UnrolledGAN,
    LSGAN,
    WGAN,
    BEGAN,
    MDGAN,
    AEIS,
    GMMN,
    GANMMD,
    GANMB,
    GANAE,
)
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
SHAPE = (3, 28, 28)


def generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def build(
    method: type[AdversarialModule], *seeds: int, networks: str = "metz-k4", **fields: object
) -> AdversarialModule:
    settings = {"networks": networks, "latent_dim": 7, "scaling": "symmetric", **fields}
    overrides = {"reference": 12, "code_dim": 5} if method is AEIS else {}
    return steps.build(method, seeds, shape=SHAPE, size=6, overrides=overrides, **settings)


def images(module: AdversarialModule, iterations: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (module.draws_per_iteration, len(module.seeds), 6, *SHAPE)
    return [torch.rand(shape, generator=generator) * 2 - 1 for _ in range(iterations)]


def test_folding_keeps_copies_together() -> None:
    x = torch.rand(3, 4, 2, 5, 5)
    assert merge_seeds(x).shape == (4, 6, 5, 5)
    assert torch.equal(merge_seeds(x)[:, 2:4], x[1])
    assert torch.equal(split_seeds(merge_seeds(x), 3), x)


@pytest.mark.parametrize("transposed", [False, True])
def test_copies_are_pytorchs_own_convolutions(transposed: bool) -> None:
    layer = SeedConv(2, 5, 3, generators(0, 1, 2), stride=2, transposed=transposed, output_padding=int(transposed))
    x = torch.rand(3, 4, 2, 8, 8)
    found = split_seeds(layer(merge_seeds(x)), 3)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    extra = {"output_padding": 1} if transposed else {}
    for seed in range(3):
        plain = kind(2, 5, 3, stride=2, padding=1, **extra)
        plain.weight.data, plain.bias.data = layer.weight.data[seed], layer.bias.data[seed]
        torch.testing.assert_close(found[seed], plain(x[seed]), rtol=1e-5, atol=1e-6)


def test_batch_norm_is_pytorchs_for_each_copy() -> None:
    ours, x = ImageBatchNorm(2, 3), torch.rand(2, 5, 3, 4, 4) * 3
    plain = [nn.BatchNorm2d(3) for _ in range(2)]
    for training in (True, False):
        ours.train(training)
        found = split_seeds(ours(merge_seeds(x)), 2)
        for seed, layer in enumerate(plain):
            torch.testing.assert_close(found[seed], layer.train(training)(x[seed]), rtol=1e-5, atol=1e-6)


def test_unrolled_steps_keep_real_and_made_images_apart_in_batch_norm() -> None:
    """As the discriminator's own step does; one of plain gradient descent, taken by PyTorch on a copy."""
    training = Training(networks="metz-k4", latent_dim=7, scaling="symmetric", batch_size=6)
    module = UnrolledGAN(training, SHAPE, (0,), k=1, inner_optimizer="sgd")
    use(module, module.configure_optimizers())
    x, z = images(module, 1)[0][0], torch.rand(1, 6, 7)
    found, other = module.generator_loss(x, z), copy.deepcopy(module.discriminator)
    assert same(other.state_dict(), UnrolledGAN(training, SHAPE, (0,)).discriminator.state_dict()), "it has moved"
    sample = module.generator(z)
    loss = F.softplus(-other.logits(x)).mean() + F.softplus(other.logits(sample.detach())).mean()
    loss.backward()
    with torch.no_grad():
        for p in other.parameters():
            p -= training.lr * p.grad
    torch.testing.assert_close(found[0], F.softplus(-other.logits(sample)).mean(), rtol=1e-4, atol=1e-5)


def test_sizes_are_halved_and_rounded_up() -> None:
    assert sizes(28, 3) == [28, 14, 7, 4]
    assert sizes(64, 4) == [64, 32, 16, 8, 4]


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("side", [28, 32, 64])
def test_every_family_makes_and_reads_images_of_any_size(name: str, side: int) -> None:
    family, shape = find_family(name), (3, side, side)
    generator = family.generator("generator", 5, shape, (0,), "tanh")
    encoder = family.encoder("discriminator", shape, 1, (0,))
    made = generator(torch.rand(1, 2, 5))
    assert made.shape == (1, 2, *shape)
    assert made.abs().max() <= 1
    assert encoder(made).shape == (1, 2, 1)
    assert encoder.features(made).shape == (1, 2, encoder.feature_dim)
    joint = family.encoder("discriminator", shape, 1, (0,), extra=4)
    assert joint.logits(made, torch.rand(1, 2, 4)).shape == (1, 2, 1)


def test_metz_networks_are_as_large_as_the_paper_says() -> None:
    """K/4: 2, 4, 8 channels, 4 x 4 x 8 features; generator 64, 32, 16, 8 from 4 x 4 (PacGAN's code)."""
    generator = find_family("metz-k4").generator("generator", 256, SHAPE, (0,), "tanh")
    encoder = find_family("metz-k4").encoder("discriminator", SHAPE, 1, (0,))
    assert isinstance(generator, ConvGenerator) and isinstance(encoder, ConvEncoder)
    weights = [tuple(p.shape[1:]) for name, p in generator.named_parameters() if name.endswith("weight") and p.ndim > 2]
    assert weights == [(256, 1024), (64, 32, 3, 3), (32, 16, 3, 3), (16, 8, 3, 3), (3, 8, 3, 3)]
    assert encoder.feature_dim == 128
    assert find_family("metz-k2").encoder("discriminator", SHAPE, 1, (0,)).feature_dim == 256
    assert sum(isinstance(m, ImageBatchNorm) for m in encoder.modules()) == 3


def test_lucics_networks_are_leaky_throughout() -> None:
    """Google's compare_gan at the release of Lucic et al.: every hidden layer of both networks."""
    family = find_family("lucic")
    generator = family.generator("generator", 64, SHAPE, (0,), "tanh")
    encoder = family.encoder("discriminator", SHAPE, 1, (0,))
    leaks = [[m.negative_slope for m in net.modules() if isinstance(m, nn.LeakyReLU)] for net in (generator, encoder)]
    assert leaks == [[0.2] * 3, [0.2] * 3]
    assert not any(isinstance(m, nn.ReLU) for m in generator.modules())
    assert not any(
        isinstance(m, nn.LeakyReLU) for m in find_family("metz-k4").generator("g", 9, SHAPE, (0,), "tanh").modules()
    )


def test_a_critic_asks_for_no_batch_norm() -> None:
    module = build(WGANGP, 0)
    assert not any(isinstance(m, ImageBatchNorm) for m in module.critic.modules())
    assert any(isinstance(m, ImageBatchNorm) for m in build(GAN, 0).discriminator.modules())


@every_method
def test_methods_train_on_images_each_seed_by_itself(method: type[AdversarialModule]) -> None:
    pair, other = build(method, 0, 3), build(method, 8, 3)
    data = images(pair, 2)
    changed = [x.clone() for x in data]
    for x in changed:
        x[:, 0] = 0.3
    for ours, theirs in zip(data, changed, strict=True):
        pair.iterate(ours)
        other.iterate(theirs)
    for (name, ours), theirs in zip(pair.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(ours[1], theirs[1]), name
        assert ours.isfinite().all()
    start = dict(build(method, 0, 3).named_parameters())
    moved = {id(p) for _, parameters in pair.steps for p in parameters}
    weights = [(n, p) for n, p in pair.named_parameters() if n.endswith("weight") and id(p) in moved]
    assert all((p != start[name]).any() for name, p in weights)
    assert pair.sample(5, generators(1, 2)).shape == (2, 5, *SHAPE)


@every_method
def test_methods_train_where_their_images_are(method: type[AdversarialModule]) -> None:
    module = build(method, 0, 3)
    # What a method prepares once is prepared.
    module.iterate(images(module, 1)[0])
    module.take_losses()
    with elsewhere(module):
        module.iterate(torch.rand(module.draws_per_iteration, 2, 6, *SHAPE, device="meta"))
        assert {losses.device.type for losses in module.take_losses().values()} == {"meta"}
        assert module.sample(5, generators(1, 2)).device.type == "meta"


@every_method
def test_mixed_precision_is_close_and_its_losses_are_32_bits_wide(method: type[AdversarialModule]) -> None:
    wide, mixed = build(method, 0), build(method, 0)
    wide.iterate(images(wide, 1)[0])
    inside: list[torch.dtype] = []
    mixed.generator.layers.register_forward_hook(lambda module, x, y: inside.append(y.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed.iterate(images(mixed, 1)[0])
    assert set(inside) == {torch.bfloat16}
    exact, rounded = wide.take_losses(), mixed.take_losses()
    for name, loss in rounded.items():
        assert loss.dtype == torch.float32
        # Five of Adam's first steps, as large as a sign says, are inside the loss of Unrolled GAN.
        near = 0.15 if method in (UnrolledGAN, WGANGP) else 0.05
        assert loss.item() == pytest.approx(exact[name].item(), rel=near, abs=near)


@every_method
def test_channels_last_is_the_same_calculation(method: type[AdversarialModule]) -> None:
    plain, tuned = build(method, 0, 3), build(method, 0, 3)
    set_memory_format_and_compile(tuned, channels_last=True)
    for module in (plain, tuned):
        module.iterate(images(module, 1)[0])
    for (name, a), (_, b) in zip(plain.take_losses().items(), tuned.take_losses().items(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, err_msg=name)


@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.parametrize("method", [GAN, GAAN], ids=lambda m: m.name)
def test_compiled_layers_are_the_same_calculation(
    method: type[AdversarialModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as for a compiler, but not compiled, which takes half a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, tuned = build(method, 0), build(method, 0)
    set_memory_format_and_compile(tuned, compiled=True)
    compiled = {name for name, part in tuned.named_modules() if part._compiled_call_impl}
    readers = {"discriminator.layers"} if method is GAN else set()
    assert compiled == {"generator.layers"} | readers, "gradients of GAAN's discriminator are differentiated again"
    assert plain.state_dict().keys() == tuned.state_dict().keys()
    for module in (plain, tuned):
        module.iterate(images(module, 1)[0])
    for a, b in zip(plain.take_losses().values(), tuned.take_losses().values(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4)


def test_a_penalty_interpolates_whole_images() -> None:
    module = build(WGANGP, 0)
    seen: list[torch.Size] = []
    random = module.random

    def watched(name: str, like: torch.Tensor, distribution: str, *shape: int) -> torch.Tensor:
        seen.append(torch.Size(shape))
        return random(name, like, distribution, *shape)

    module.random = watched
    module.iterate(images(module, 1)[0])
    assert set(seen) == {torch.Size([1, 1, 1])}


@pytest.mark.parametrize("mode", ["running", "batch"])
def test_batch_norm_at_evaluation_is_the_protocols_and_leaves_no_trace(mode: str) -> None:
    module = build(GAN, 0, norm_at_evaluation=mode)
    for x in images(module, 3):
        module.iterate(x)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    small, large = (module.sample(n, generators(1)) for n in (2, 6))
    assert torch.allclose(small[:, :2], large[:, :2], atol=1e-6) == (mode == "running")
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert {m.momentum for m in module.modules() if isinstance(m, ImageBatchNorm)} == {0.1}
    assert all(m.training for m in module.modules())


def test_samples_in_parts_are_the_same_samples() -> None:
    module = build(GAN, 0)
    parts = torch.cat(list(module.sample_batches(7, generators(1), 3)), 1)
    torch.testing.assert_close(parts, module.sample(7, generators(1)), rtol=1e-5, atol=1e-6)


def test_networks_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"vectors, not images.*protocol\.networks"):
        build(GAN, 0, networks="gaan-1")
    with pytest.raises(ValueError, match=r"images, not data of shape \[2\]"):
        GAN(Training(networks="metz-k4"), (2,), (0,))
    with pytest.raises(ValueError, match="dan-2s is for vectors"):
        build(DAN2S, 0)
    assert not NETWORKS.keys() & CONVOLUTIONS.keys()
    assert AEIS.name


def test_networks_without_batch_norm_pass_on_what_comes_in() -> None:
    """N(0, 0.02^2) through three layers without norm leaves images that do not depend on their latents."""
    family = find_family("dcgan-mnist")
    assert isinstance(family, ConvFamily)
    z = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 200, 2)).astype(np.float32))
    spread = family.generator("generator", 2, (1, 28, 28), (0,), "linear").logits(z).std(1).mean().item()
    small = dataclasses.replace(family, bare_initialisation="normal")
    before = small.generator("generator", 2, (1, 28, 28), (0,), "linear").logits(z).std(1).mean().item()
    assert before < 0.01 < 0.1 < spread < 2
    for transposed, summed in ((False, 16 * 25), (True, 16 * 25 / 4)):
        layer = SeedConv(16, 64, 5, [np.random.default_rng(0)], stride=2, transposed=transposed, kind="he")
        assert layer.weight.std().item() == pytest.approx((2 / summed) ** 0.5, rel=0.02)


@pytest.mark.parametrize("scale", ["sum", "mean"])
def test_features_are_compared_by_their_sum_or_mean(scale: str) -> None:
    training = Training(networks="metz-k4", scaling="symmetric", latent_dim=8, batch_size=6)
    fields = {"compared": "features", "reconstruction_scale": scale}
    module = GAAN(training, (3, 28, 28), (0,), **fields)  # type: ignore[arg-type]
    x, z = torch.rand(1, 6, 3, 28, 28) * 2 - 1, torch.rand(1, 6, 8) * 2 - 1
    code = module.encoder(x)
    rebuilt, sample = module.generator(code), module.generator(z)
    real, back, made = (module.discriminator.features(part)[0] for part in (x, rebuilt, sample))
    error = (real - back).square()
    f, g = real.mean() - made.mean(), code.mean() - z.mean()
    expected = (error.sum(1).mean() if scale == "sum" else error.mean()) + 0.1 * (f - g).square()
    assert module.autoencoder_loss(x, z).item() == pytest.approx(expected.item(), rel=1e-4)


def test_an_autoencoder_may_move_its_encoder_alone() -> None:
    training = Training(networks="metz-k4", scaling="symmetric", latent_dim=8, batch_size=6)
    both = GAAN(training, (3, 28, 28), (0,))
    assert next(both.updates()).params == (both.encoder, both.generator)
    one = GAAN(training, (3, 28, 28), (0,), autoencoder_moves="encoder")
    assert next(one.updates()).params == (one.encoder,)
