"""Methods against plain versions: ordinary layers, one seed, losses written out with PyTorch's own functions."""

from __future__ import annotations

import copy
import functools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from modules.ali import ALI
from modules.base import AdversarialModule
from modules.began import BEGAN
from modules.dan_2s import DAN2S
from modules.gaan import GAAN
from modules.gan import GAN
from modules.gan_ae import GANAE
from modules.gan_hungarian import GANHungarian
from modules.gan_mb import GANMB
from modules.gan_mmd import GANMMD
from modules.gmmn import GMMN
from modules.lsgan import LSGAN
from modules.mdgan import MDGAN
from modules.networks import MLP
from modules.options import Training
from modules.unrolled import UnrolledGAN
from modules.vae_gan import VAEGAN
from modules.veegan import VEEGAN
from modules.wgan import WGAN
from modules.wgan_gp import WGANGP
from tests.modules.steps import EPS, NORMAL, batches, run_iterations

ITERATIONS = 6
SEED = 3


def plain(network: MLP, slot: int) -> nn.Sequential:
    """Copy ``slot`` of a network as ordinary PyTorch layers that end in logits."""
    layers: list[nn.Module] = []
    for layer in network.layers:
        inputs, outputs = layer.weight.shape[1:]
        linear = nn.Linear(inputs, outputs)
        linear.weight.data = layer.weight.data[slot].T.clone()
        linear.bias.data = layer.bias.data[slot, 0].clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def adam(*networks: nn.Module, beta1: float = 0.8) -> torch.optim.Adam:
    return torch.optim.Adam([p for n in networks for p in n.parameters()], lr=1e-3, betas=(beta1, 0.999), eps=EPS)


def step(optimizer: torch.optim.Optimizer, loss: torch.Tensor, *others: nn.Module) -> float:
    for network in others:
        network.zero_grad()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def bce(logits: torch.Tensor, label: float) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def latents(name: str, iteration: int, slot: int = 0, distribution: str = "uniform", dim: int = 2) -> torch.Tensor:
    """The noise that the base class promises: chunks of 64 iterations from (name, seed, chunk)."""
    rng = np.random.default_rng((*f"{name}/{slot}".encode(), SEED, iteration // 64))
    shape = (64, 128, dim)
    if distribution == "normal":
        values = rng.standard_normal(shape, dtype=np.float32)
    else:
        values = rng.random(shape, dtype=np.float32) * 2 - 1
    return torch.from_numpy(values[iteration % 64])


def plain_gan(module: GAN, data: list[torch.Tensor]) -> list[list[float]]:
    g, d = plain(module.generator, 1), plain(module.discriminator, 1)
    opt_d, opt_g = adam(d), adam(g)
    rows = []
    for i, x in enumerate(data):
        z = latents("z", i)
        fake = g(z).sigmoid()
        row = [step(opt_d, bce(d(x), 1) + bce(d(fake.detach()), 0), g)]
        row.append(step(opt_g, bce(d(g(z).sigmoid()), 1), d))
        rows.append(row)
    return rows


def plain_gaan(module: GAAN, data: list[torch.Tensor]) -> list[list[float]]:
    e, g, d = plain(module.encoder, 1), plain(module.generator, 1), plain(module.discriminator, 1)
    opt_r, opt_d, opt_g = adam(e, g), adam(d), adam(g)
    rows = []
    for i, x in enumerate(data):
        z = latents("z", i)
        rebuilt, sample = g(e(x)).sigmoid(), g(z).sigmoid()
        distance = (x.mean() - sample.mean()) - 1.0 * (e(x).mean() - z.mean())
        row = [step(opt_r, ((x - rebuilt) ** 2).sum(1).mean() + 0.1 * distance**2)]
        rebuilt, sample = g(e(x)).sigmoid().detach(), g(z).sigmoid().detach()
        epsilon = (latents("penalty", i, dim=1) + 1) / 2
        between = (epsilon * x + (1 - epsilon) * sample).requires_grad_()
        (gradient,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
        penalty = ((gradient.norm(dim=1) - 1) ** 2).mean()
        loss = 0.5 * bce(d(x), 1) + 0.5 * bce(d(rebuilt), 1) + bce(d(sample), 0) + 0.1 * penalty
        row.append(step(opt_d, loss))
        row.append(step(opt_g, bce(d(g(z).sigmoid()), 1)))
        rows.append(row)
    return rows


def plain_wgan_gp(module: WGANGP, data: list[torch.Tensor]) -> list[list[float]]:
    g, d = plain(module.generator, 1), plain(module.critic, 1)
    opt_d, opt_g = adam(d), adam(g)
    rows = []
    for i, x in enumerate(data):
        z = latents("z", i)
        for _ in range(5):
            sample = g(z).sigmoid().detach()
            epsilon = (latents("penalty", i, dim=1) + 1) / 2
            between = (epsilon * x + (1 - epsilon) * sample).requires_grad_()
            (gradient,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
            critic = step(opt_d, d(sample).mean() - d(x).mean() + 0.1 * ((gradient.norm(dim=1) - 1) ** 2).mean())
        rows.append([critic, step(opt_g, -d(g(z).sigmoid()).mean())])
    return rows


def plain_ali(module: ALI, data: list[torch.Tensor]) -> list[list[float]]:
    e, g, d = plain(module.encoder, 1), plain(module.generator, 1), plain(module.discriminator, 1)
    opt_d, opt_g = adam(d), adam(g, e)
    rows = []
    for i, x in enumerate(data):
        z, noise = latents("z", i), latents("encoder", i, distribution="normal")
        inferred = torch.cat([x, e(torch.cat([x, noise], 1))], 1)
        generated = torch.cat([g(z).sigmoid(), z], 1)
        loss_g = bce(d(inferred), 0) + bce(d(generated), 1)
        loss_d = bce(d(inferred.detach()), 1) + bce(d(generated.detach()), 0)
        grads_d = torch.autograd.grad(loss_d, list(d.parameters()))
        grads_g = torch.autograd.grad(loss_g, [*g.parameters(), *e.parameters()])
        for p, grad in zip([*d.parameters(), *g.parameters(), *e.parameters()], [*grads_d, *grads_g], strict=True):
            p.grad = grad
        opt_d.step()
        opt_g.step()
        rows.append([loss_d.item(), loss_g.item()])
    return rows


def plain_vae_gan(module: VAEGAN, data: list[torch.Tensor]) -> list[list[float]]:
    e, g, d = plain(module.encoder, 1), plain(module.generator, 1), plain(module.discriminator, 1)
    features = d[:-1]
    opt_e, opt_d, opt_g = adam(e), adam(d), adam(g)
    rows = []
    for i, x in enumerate(data):
        z, noise = latents("z", i, distribution="normal"), latents("encoder", i, distribution="normal")
        mean, log_variance = e(x).chunk(2, 1)
        posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
        rebuilt = g(mean + noise * posterior.stddev).sigmoid()
        nll = 0.5 * ((features(x) - features(rebuilt)) ** 2).sum(1).mean()
        row = [step(opt_e, kl + nll, d, g)]
        mean, log_variance = e(x).chunk(2, 1)
        code = (mean + noise * (0.5 * log_variance).exp()).detach()
        rebuilt, sample = g(code).sigmoid().detach(), g(z).sigmoid().detach()
        row.append(step(opt_d, bce(d(x), 1) + bce(d(rebuilt), 0) + bce(d(sample), 0)))
        rebuilt, sample = g(code).sigmoid(), g(z).sigmoid()
        nll = 0.5 * ((features(x) - features(rebuilt)) ** 2).sum(1).mean()
        row.append(step(opt_g, bce(d(rebuilt), 1) + bce(d(sample), 1) + 1e-6 * nll))
        rows.append(row)
    return rows


def plain_dan(module: DAN2S, data: list[torch.Tensor]) -> list[list[float]]:
    g = plain(module.generator, 1)
    whole = MLP("discriminator", 2, 1, seeds=module.seeds, hidden=3, width=128)
    whole.layers = nn.ModuleList([*module.discriminator["point"], *module.discriminator["pair"]])
    d = plain(whole, 1)
    point, pair = d[:4], d[4:]

    def differ(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return pair((point(a).mean(0) - point(b).mean(0)).abs())

    opt_d, opt_g = adam(d), adam(g)
    rows = []
    for i, x in enumerate(data):
        z = latents("z", i)
        r1, r2 = x.chunk(2)
        f1, f2 = g(z).sigmoid().detach().chunk(2)
        same, mixed = [differ(r1, r2), differ(f1, f2)], [differ(r1, f2), differ(f1, r2)]
        row = [step(opt_d, bce(torch.cat(same), 1) + bce(torch.cat(mixed), 0))]
        f1, f2 = g(z).sigmoid().chunk(2)
        row.append(step(opt_g, bce(torch.cat([differ(r1, f2), differ(f1, r2)]), 1)))
        rows.append(row)
    return rows


def plain_veegan(module: VEEGAN, data: list[torch.Tensor]) -> list[list[float]]:
    g, f, d = plain(module.generator, 1), plain(module.reconstructor, 1), plain(module.discriminator, 1)
    opt_d, opt_g = adam(d), adam(g, f)
    rows = []
    for i, x in enumerate(data):
        z, extra = latents("z", i, distribution="normal"), latents("extra", i, distribution="normal", dim=1)
        made = g(torch.cat([z, extra], 1)).sigmoid()
        code = torch.distributions.Normal(f(x), 1.0).mean + latents("code", i, distribution="normal", dim=z.shape[1])
        pair, data_pair = torch.cat([made, z], 1), torch.cat([x, code], 1)
        loss_d = bce(d(pair.detach()), 1) + bce(d(data_pair.detach()), 0)
        # Constants of the Gaussian's likelihood have no gradient: it is 0.5 |z - F(G(z))|^2 that is reported.
        likelihood = torch.distributions.Normal(f(made), 1.0).log_prob(z).sum(1).mean() + math.log(2 * math.pi)
        loss_g = d(pair).mean() - likelihood
        grads_d = torch.autograd.grad(loss_d, list(d.parameters()), retain_graph=True)
        grads_g = torch.autograd.grad(loss_g, [*g.parameters(), *f.parameters()])
        for p, grad in zip([*d.parameters(), *g.parameters(), *f.parameters()], [*grads_d, *grads_g], strict=True):
            p.grad = grad
        opt_d.step()
        opt_g.step()
        rows.append([loss_d.item(), loss_g.item()])
    return rows


def plain_unrolled(module: UnrolledGAN, data: list[torch.Tensor]) -> list[list[float]]:
    """The inner steps are taken by PyTorch's own Adam on a copy, which gives the loss; the generator then follows the
    method's gradient, which another test checks."""
    rows = []
    g, d = plain(module.generator, 1), plain(module.discriminator, 1)
    opt_d, opt_g = adam(d), adam(g)
    for i, x in enumerate(data):
        z = latents("z", i)
        copy_d = copy.deepcopy(d)
        copy_opt = adam(copy_d)
        copy_opt.load_state_dict(copy.deepcopy(opt_d.state_dict()))
        copy_opt.param_groups[0]["eps"] = 1e-8
        fake = g(z).sigmoid().detach()
        for _ in range(5):
            step(copy_opt, bce(copy_d(x), 1) + bce(copy_d(fake), 0))
        row = [bce(copy_d(fake), 1).item()]
        opt_g.zero_grad()
        for p, gradient in zip(g.parameters(), unrolled_gradient(g, d, opt_d, x, z), strict=True):
            p.grad = gradient
        opt_g.step()
        fake = g(z).sigmoid().detach()
        row.append(step(opt_d, bce(d(x), 1) + bce(d(fake), 0)))
        rows.append(row)
    return rows


def unrolled_gradient(
    g: nn.Sequential, d: nn.Sequential, optimizer: torch.optim.Adam, x: torch.Tensor, z: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Gradient of the generator's loss after 5 of the discriminator's Adam steps, through these steps."""
    names, values = zip(*((name, p.detach().clone().requires_grad_()) for name, p in d.named_parameters()), strict=True)
    states = [optimizer.state.get(p, {}) for p in d.parameters()]
    m = [s.get("exp_avg", torch.zeros(())).clone() for s in states]
    v = [s.get("exp_avg_sq", torch.zeros(())).clone() for s in states]
    count = int(states[0].get("step", 0))
    fake = g(z).sigmoid()
    for _ in range(5):
        moved = dict(zip(names, values, strict=True))
        loss = bce(functional_call(d, moved, (x,)), 1) + bce(functional_call(d, moved, (fake,)), 0)
        gradients = torch.autograd.grad(loss, values, create_graph=True)
        count += 1
        m = [0.8 * a + 0.2 * b for a, b in zip(m, gradients, strict=True)]
        v = [0.999 * a + 0.001 * b**2 for a, b in zip(v, gradients, strict=True)]
        hats = [(a / (1 - 0.8**count), b / (1 - 0.999**count)) for a, b in zip(m, v, strict=True)]
        # Where a second moment is 0 its square root has no derivative, and the step is 0.
        values = [
            p - 1e-3 * a / (torch.where(b > 0, b, 1.0).sqrt() * (b > 0) + 1e-8)
            for p, (a, b) in zip(values, hats, strict=True)
        ]
    return torch.autograd.grad(
        bce(functional_call(d, dict(zip(names, values, strict=True)), (fake,)), 1), g.parameters()
    )


def plain_lsgan(module: LSGAN, data: list[torch.Tensor]) -> list[list[float]]:
    g, d = plain(module.generator, 1), plain(module.discriminator, 1)
    opt_d, opt_g = adam(d), adam(g)
    rows = []
    for i, x in enumerate(data):
        z = latents("z", i)
        fake = g(z).sigmoid().detach()
        row = [step(opt_d, 0.5 * ((d(x) - 1) ** 2).mean() + 0.5 * (d(fake) ** 2).mean())]
        row.append(step(opt_g, 0.5 * ((d(g(z).sigmoid()) - 1) ** 2).mean(), d))
        rows.append(row)
    return rows


def plain_wgan(module: WGAN, data: list[torch.Tensor]) -> list[list[float]]:
    g, d = plain(module.generator, 1), plain(module.critic, 1)
    opt_d, opt_g = adam(d), adam(g)
    clip_weights(d)
    rows = []
    for i, x in enumerate(data):
        z = latents("z", i)
        for _ in range(5):
            critic = step(opt_d, d(g(z).sigmoid().detach()).mean() - d(x).mean())
            clip_weights(d)
        rows.append([critic, step(opt_g, -d(g(z).sigmoid()).mean(), d)])
    return rows


def clip_weights(network: nn.Module) -> None:
    for weight in network.parameters():
        weight.data = weight.data.clip(-0.01, 0.01)


def plain_began(module: BEGAN, data: list[torch.Tensor]) -> list[list[float]]:
    g, d = plain(module.generator, 1), plain(module.discriminator, 1)
    d = nn.Sequential(d, plain(module.decoder, 1), nn.Sigmoid())
    opt_d, opt_g = adam(d), adam(g)
    rows, k = [], 0.0
    for i, x in enumerate(data):
        z = latents("z", i)
        fake = g(z).sigmoid()
        real_error, fake_error = (x - d(x)).abs().mean(), (fake - d(fake)).abs().mean()
        loss_d = real_error - k * (fake.detach() - d(fake.detach())).abs().mean()
        grads_d = torch.autograd.grad(loss_d, list(d.parameters()), retain_graph=True)
        grads_g = torch.autograd.grad(fake_error, list(g.parameters()))
        for p, grad in zip([*d.parameters(), *g.parameters()], [*grads_d, *grads_g], strict=True):
            p.grad = grad
        opt_d.step()
        opt_g.step()
        k = min(1.0, max(0.0, k + 1e-3 * (0.75 * real_error.item() - fake_error.item())))
        rows.append([loss_d.item(), fake_error.item()])
    return rows


def plain_mdgan(module: MDGAN, data: list[torch.Tensor]) -> list[list[float]]:
    e, g = plain(module.encoder, 1), plain(module.generator, 1)
    d1, d2 = plain(module.manifold_discriminator, 1), plain(module.diffusion_discriminator, 1)
    opt_1, opt_r, opt_2, opt_g = adam(d1), adam(e, g), adam(d2), adam(g)
    rows = []
    for i, x in enumerate(data):
        z = latents("z", i)
        row = [step(opt_1, bce(d1(x), 1) + bce(d1(g(e(x)).sigmoid().detach()), 0))]
        rebuilt = g(e(x)).sigmoid()
        row.append(step(opt_r, ((x - rebuilt) ** 2).sum(1).mean() + 0.01 * bce(d1(rebuilt), 1)))
        rebuilt, sample = g(e(x)).sigmoid().detach(), g(z).sigmoid().detach()
        row.append(step(opt_2, bce(d2(rebuilt), 1) + bce(d2(sample), 0)))
        row.append(step(opt_g, bce(d2(g(z).sigmoid()), 1), d2))
        rows.append(row)
    return rows


def mmd(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared MMD in the form of one weighted sum over the joined batch, GMMN's bandwidths for 2 numbers in [0, 1]."""
    joined = torch.cat([a, b])
    weights = torch.cat([torch.full((len(a),), 1 / len(a)), torch.full((len(b),), -1 / len(b))])
    squares = ((joined[:, None] - joined) ** 2).sum(2)
    kernels = [torch.exp(-squares / (2 * s * 2 / 784)) for s in (2, 5, 10, 20, 40, 80)]
    return weights @ sum(kernels) @ weights


def plain_gmmn(module: GMMN, data: list[torch.Tensor]) -> list[list[float]]:
    g = plain(module.generator, 1)
    optimizer = adam(g)
    return [[step(optimizer, mmd(x, g(latents("z", i)).sigmoid()).sqrt())] for i, x in enumerate(data)]


def plain_gan_mmd(module: GANMMD, data: list[torch.Tensor]) -> list[list[float]]:
    g, d = plain(module.generator, 1), plain(module.discriminator, 1)
    opt_d, opt_g = adam(d), adam(g)
    rows = []
    for i, x in enumerate(data):
        z = latents("z", i)
        row = [step(opt_d, bce(d(x), 1) + bce(d(g(z).sigmoid().detach()), 0))]
        fake = g(z).sigmoid()
        row.append(step(opt_g, bce(d(fake), 1) + mmd(x, fake), d))
        rows.append(row)
    return rows


def plain_gan_mb(module: GANMB, data: list[torch.Tensor]) -> list[list[float]]:
    """Features and closeness joined, read by one output layer, as the paper draws it."""
    g, encoder = plain(module.generator, 1), plain(module.discriminator.network, 1)
    body, whole, close = encoder[:-1], encoder[-1], module.discriminator.closeness
    tensor = nn.Linear(128, 500, bias=False)
    last = nn.Linear(128 + 100, 1)
    tensor.weight.data = whole.weight.data[1:].clone()
    last.weight.data = torch.cat([whole.weight.data[:1], close.weight.data[1].T], 1)
    last.bias.data = whole.bias.data[:1].clone()

    def d(x: torch.Tensor) -> torch.Tensor:
        f = body(x)
        m = tensor(f).view(len(x), 100, 5)
        o = torch.stack([torch.exp(-(m[i] - m).abs().sum(2)).mean(0) for i in range(len(x))])
        return last(torch.cat([f, o], 1))

    opt_d, opt_g = adam(body, tensor, last), adam(g)
    rows = []
    for i, x in enumerate(data):
        z = latents("z", i)
        row = [step(opt_d, bce(d(x), 1) + bce(d(g(z).sigmoid().detach()), 0))]
        row.append(step(opt_g, bce(d(g(z).sigmoid()), 1), body, tensor, last))
        rows.append(row)
    return rows


def plain_gan_ae(module: GANAE, data: list[torch.Tensor]) -> list[list[float]]:
    e, g, d = plain(module.encoder, 1), plain(module.generator, 1), plain(module.discriminator, 1)
    opt_d, opt_r = adam(d), adam(e, g)
    rows, mean = [], 2 * math.log(2)
    for x in data:
        loss_d = step(opt_d, bce(d(x), 1) + bce(d(g(e(x)).sigmoid().detach()), 0))
        mean = 0.9 * mean + 0.1 * loss_d
        alpha = min(1.0, mean / (2 * math.log(2))) if module.decay == "adaptive" else 1.0
        rebuilt = g(e(x)).sigmoid()
        loss = functional.mse_loss(rebuilt, x) + alpha * 0.01 * bce(d(rebuilt), 1)
        rows.append([loss_d, step(opt_r, loss, d)])
    return rows


def plain_hungarian(module: GANHungarian, data: list[torch.Tensor]) -> list[list[float]]:
    g = plain(module.generator, 1)
    optimizer = adam(g)
    rows = []
    for i, x in enumerate(data):
        distances = torch.cdist(x, g(latents("z", i)).sigmoid())
        one, other = linear_sum_assignment(distances.detach())
        rows.append([step(optimizer, distances[one, other].mean())])
    return rows


CASES = [
    (GMMN, plain_gmmn),
    (GANMMD, plain_gan_mmd),
    (GANMB, plain_gan_mb),
    (GANAE, plain_gan_ae),
    (functools.partial(GANAE, decay="adaptive"), plain_gan_ae),
    (GANHungarian, plain_hungarian),
    (LSGAN, plain_lsgan),
    (WGAN, plain_wgan),
    (BEGAN, plain_began),
    (MDGAN, plain_mdgan),
    (VEEGAN, plain_veegan),
    (UnrolledGAN, plain_unrolled),
    (GAN, plain_gan),
    (GAAN, plain_gaan),
    (WGANGP, plain_wgan_gp),
    (ALI, plain_ali),
    (VAEGAN, plain_vae_gan),
    (DAN2S, plain_dan),
]


@pytest.mark.parametrize(("method", "reference"), CASES, ids=lambda case: getattr(case, "name", ""))
def test_losses_follow_the_plain_version(method: type[AdversarialModule], reference) -> None:
    normal = getattr(method, "func", method).name in NORMAL
    training = Training(beta1=0.8, prior="normal" if normal else "uniform")
    module = method(training, (2,), (0, SEED))
    data = batches(ITERATIONS, draws=1, seeds=2)
    expected = reference(module, [x[0, 1] for x in data])
    losses = run_iterations(module, data)
    np.testing.assert_allclose(losses[:, :, 1], expected, rtol=1e-3, atol=1e-5)


def test_began_keeps_its_balance_between_zero_and_one() -> None:
    module = BEGAN(Training(), (2,), (0, SEED), lambda_k=10.0)
    seen = []
    for x in batches(ITERATIONS, seeds=2):
        run_iterations(module, [x])
        seen.append(module.balance.tolist())
    assert min(map(min, seen)) >= 0
    assert max(map(max, seen)) <= 1
    assert len({value for row in seen for value in row}) > 1


def test_wgan_ends_with_a_clipped_critic() -> None:
    module = WGAN(Training(optimizer="rmsprop", lr=5e-5), (2,), (0,), clip=0.003)
    run_iterations(module, batches(2))
    # The last step that moved the critic was followed by one that used it.
    assert max(weight.abs().max().item() for weight in module.critic.parameters()) == pytest.approx(0.003)
