"""The base class: seeds, updates, noise, learning rates, sampling. What every method must keep is in
``benchmark.checks.conformance``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from benchmark.spec.registry import methods
from modules import noise
from modules.ali import ALI
from modules.base import AdversarialModule, Update
from modules.families import NETWORKS, MLPFamily
from modules.gan import GAN
from modules.noise import Noise
from modules.options import Training
from modules.wgan_gp import WGANGP
from tests.modules.steps import NORMAL, batches, build, descend, run_iterations, same, state, use

METHODS = methods()
SIZE = 16

every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def data(module: AdversarialModule, iterations: int = 3, size: int = SIZE) -> list[Tensor]:
    return batches(iterations, draws=module.draws_per_iteration, seeds=len(module.seeds), size=size)


class Event(NamedTuple):
    """One loss taken (with what it saw and gave) or one step made (with the rate)."""

    kind: str
    update: int
    x: Tensor | None = None
    z: Tensor | None = None
    loss: Tensor | None = None
    rate: float | None = None


def watch(module: AdversarialModule) -> list[Event]:
    """Record what an iteration does, in order. Optimizers must be in place."""
    events: list[Event] = []

    def spied(number: int, update: Update) -> Update:
        def loss(x: Tensor, z: Tensor) -> Tensor:
            value = update.loss(x, z)
            events.append(Event("loss", number, x.clone(), z.clone(), value.detach().clone()))
            return value

        return update._replace(loss=loss)

    def counted(number: int, optimizer: torch.optim.Optimizer) -> None:
        step = optimizer.step

        def stepped(*args: Any, **words: Any) -> Any:
            events.append(Event("step", number, rate=optimizer.param_groups[0]["lr"]))
            return step(*args, **words)

        optimizer.step = stepped

    module._steps = [(spied(i, update), parameters) for i, (update, parameters) in enumerate(module.steps)]
    for i, optimizer in enumerate(module.optimizers()[len(module.pretraining_steps) :]):
        counted(i, optimizer)
    return events


# The seeds axis -----------------------------------------------------------------------------------------------------


def test_networks_of_one_role_and_size_start_equal_in_every_method() -> None:
    built = [build(method) for method in METHODS.values()]
    generators = [state(module.generator) for module in built if module.noise_dim == 2]
    assert len(generators) > 3
    assert all(same(generators[0], other) for other in generators[1:])
    gan, wgan = build(GAN), build(WGANGP)
    assert same(state(gan.discriminator), state(wgan.critic))


@every_method
def test_networks_of_different_roles_start_different(method: type[AdversarialModule]) -> None:
    weights = [p for name, p in build(method).named_parameters() if name.endswith("weight")]
    for i, one in enumerate(weights):
        for other in weights[:i]:
            assert one.shape != other.shape or (one != other).any(0).all()


@pytest.mark.parametrize("inputs", [2, 50])
def test_weights_start_with_the_std_of_he_and_biases_at_zero(inputs: int) -> None:
    network = build(GAN, tuple(range(40))).build("some role", inputs, 3)
    for layer in network.layers:
        std, weight = (2 / layer.weight.shape[1]) ** 0.5, layer.weight.detach().numpy()
        assert abs(weight.std() - std) < 4 * std / np.sqrt(2 * weight.size)
        assert abs(weight.mean()) < 4 * std / np.sqrt(weight.size)
        assert kstest(weight.ravel()[:5_000] / std, "norm").pvalue > 1e-3
        assert not layer.bias.any()


@every_method
@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.slow
def test_training_a_seed_is_the_same_in_any_slot(method: type[AdversarialModule], width: int) -> None:
    """At widths that are powers of two: at others, slots fall on different lanes of a processor's vectors."""
    seeds = tuple(range(width))
    one, other = build(method, seeds), build(method, seeds[::-1])
    x = data(one, 2)
    first, second = run_iterations(one, x), run_iterations(other, [draws.flip(1) for draws in x])
    np.testing.assert_array_equal(first, second[:, :, ::-1])
    a, b = state(one), state(other)
    assert all(torch.equal(a[name], b[name].flip(0)) for name in a)


# Updates ------------------------------------------------------------------------------------------------------------


@every_method
def test_each_step_follows_the_gradient_of_its_own_loss_alone(method: type[AdversarialModule]) -> None:
    """Losses of other updates leave gradients behind in networks that several updates move or that they run through."""
    module = build(method)
    descend(module)
    step, expected, first = module._step, [], len(module.pretraining_steps)

    def stepped(optimizer: torch.optim.Optimizer, update: Update) -> None:
        (number,) = [i for i, o in enumerate(module.optimizers()[first:]) if o is optimizer]
        parameters = module.steps[number][1]
        if not module.simultaneous:
            expected[:] = gradients(number)
        before = [p.detach().clone() for p in parameters]
        step(optimizer, update)
        here = expected if not module.simultaneous else common[number]
        for p, old, gradient in zip(parameters, before, here, strict=True):
            np.testing.assert_allclose((old - p).detach().numpy(), 0.1 * gradient.numpy(), rtol=1e-3, atol=1e-6)

    def gradients(number: int) -> list[Tensor]:
        update, parameters = module.steps[number]
        return list(torch.autograd.grad(update.loss(x, module._latents(x)).sum(), parameters))

    for draws in data(module, 2):
        x = draws[0]
        common = [gradients(i) for i in range(len(module.steps))]
        module._step = stepped
        module.iterate(draws)


@every_method
def test_simultaneous_methods_take_every_loss_before_any_step_and_others_take_turns(
    method: type[AdversarialModule],
) -> None:
    module = build(method)
    use(module, module.configure_optimizers())
    events = watch(module)
    module.iterate(data(module, 1)[0])
    turns = [i for i, (update, _) in enumerate(module.steps) for _ in range(update.n_steps)]
    if method.simultaneous:
        expected = [("loss", i) for i in turns] + [("step", i) for i in turns]
    else:
        expected = [(kind, i) for i in turns for kind in ("loss", "step")]
    assert [(event.kind, event.update) for event in events] == expected


@pytest.mark.parametrize("method", [ALI, GAN], ids=["ali", "gan"])
def test_the_second_loss_sees_the_first_step_unless_both_move_at_once(method: type[AdversarialModule]) -> None:
    seconds = {}
    for at_once in (True, False):
        module = build(type("Variant", (method,), {"simultaneous": at_once}))
        x = data(module, 1)[0]
        start = module.steps[1][0].loss(x[0], module._latents(x[0])).detach().numpy()
        first = module.steps[0][0].loss(x[0], module._latents(x[0])).detach().numpy()
        losses = run_iterations(module, [x])
        np.testing.assert_array_equal(losses[0, 0], first)
        seconds[at_once] = losses[0, 1]
    np.testing.assert_array_equal(seconds[True], start)
    assert (seconds[False] != start).all()


def test_ali_moves_both_sides_at_once() -> None:
    assert ALI.simultaneous
    assert not GAN.simultaneous


def test_of_a_repeated_update_the_last_loss_is_recorded() -> None:
    module = build(WGANGP)
    use(module, module.configure_optimizers())
    events = watch(module)
    module.iterate(data(module, 1)[0])
    losses = [event.loss for event in events if event.kind == "loss"]
    (recorded,) = module.take_losses().values()
    assert torch.equal(recorded, torch.stack([losses[-2], losses[-1]]))
    assert not torch.equal(losses[0], losses[-2])


def test_a_batch_of_lightning_is_several_iterations() -> None:
    together, apart = build(GAN), build(GAN)
    x = data(together, 3)
    use(together, together.configure_optimizers())
    together.training_step(x, 0)
    use(apart, apart.configure_optimizers())
    for draws in x:
        apart.training_step([draws], 0)
    assert together.iteration == apart.iteration == 3
    assert same(state(together), state(apart))


def test_a_method_without_updates_says_what_is_missing() -> None:
    with pytest.raises(TypeError, match="updates"):
        _ = build(type("Nothing", (AdversarialModule,), {})).steps


@pytest.mark.parametrize("name", NORMAL)
def test_a_method_whose_likelihood_is_normal_refuses_another_prior(name: str) -> None:
    with pytest.raises(ValueError, match=r"protocol\.prior=normal"):
        METHODS[name](Training(prior="uniform"), (2,), (0,))


# Learning rates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 3, 7])
@pytest.mark.parametrize(
    ("method", "counter"),
    [
        (GAN, "iterations"),
        (GAN, "optimizer-calls"),
        (WGANGP, "iterations"),
        (WGANGP, "optimizer-calls"),
        (ALI, "iterations"),
        (ALI, "optimizer-calls"),
    ],
)
def test_the_rate_decays_with_its_counter(method: type[AdversarialModule], counter: str, every: int) -> None:
    module = build(method, lr=0.01, lr_decay=0.9, lr_decay_every=every, lr_counter=counter)
    use(module, module.configure_optimizers())
    events = watch(module)
    for draws in data(module, 9):
        module.iterate(draws)
    rates = [event.rate for event in events if event.kind == "step"]
    per_iteration = module.calls_per_iteration
    counts = [call if counter == "optimizer-calls" else call // per_iteration for call in range(9 * per_iteration)]
    if method.simultaneous and counter == "optimizer-calls":
        counts = [(call // per_iteration + 1) * per_iteration for call in range(9 * per_iteration)]
    assert rates == pytest.approx([0.01 * 0.9 ** (count // every) for count in counts], rel=1e-12)
    assert len(set(rates)) > 1


def test_the_rate_depends_on_the_iteration_alone_so_that_a_resumed_run_goes_on() -> None:
    module = build(WGANGP, lr=0.01, lr_decay=0.9, lr_decay_every=100, lr_counter="optimizer-calls")
    use(module, module.configure_optimizers())
    events = watch(module)
    checkpoint: dict[str, Any] = {}
    module.iteration = 49
    module.on_save_checkpoint(checkpoint)
    module.iteration = 0
    module.on_load_checkpoint(checkpoint)
    module.iterate(data(module, 1)[0])
    rates = [event.rate for event in events if event.kind == "step"]
    assert rates == pytest.approx([0.01 * 0.9 ** ((49 * 6 + call) // 100) for call in range(6)], rel=1e-12)


@every_method
def test_without_decay_the_rate_stays_and_adam_gets_the_betas(method: type[AdversarialModule]) -> None:
    module = build(method, lr=0.02, beta1=0.3, beta2=0.7)
    optimizers = module.configure_optimizers()
    assert len(optimizers) == len(module.pretraining_steps) + len(module.steps)
    for optimizer in optimizers:
        assert isinstance(optimizer, torch.optim.Adam)
        assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"]) == (0.02, (0.3, 0.7))
    use(module, optimizers)
    events = watch(module)
    for draws in data(module, 2):
        module.iterate(draws)
    assert {event.rate for event in events if event.kind == "step"} == {0.02}


# Draws --------------------------------------------------------------------------------------------------------------


def losses_seen(module: AdversarialModule, draws: list[Tensor]) -> list[Event]:
    use(module, module.configure_optimizers())
    events = watch(module)
    for each in draws:
        module.iterate(each)
    return [event for event in events if event.kind == "loss"]


@every_method
def test_draws_per_iteration_give_one_x_and_z_to_all_updates(method: type[AdversarialModule]) -> None:
    module = build(method, draws="iteration")
    assert module.draws_per_iteration == 1
    (x,) = data(module, 1)
    seen = losses_seen(module, [x])
    assert len(seen) == module.calls_per_iteration
    assert all(torch.equal(event.x, x[0]) and torch.equal(event.z, seen[0].z) for event in seen)


@every_method
def test_draws_per_update_give_fresh_x_and_z_to_each(method: type[AdversarialModule]) -> None:
    module = build(method, draws="update")
    assert module.draws_per_iteration == module.calls_per_iteration
    (x,) = data(module, 1)
    seen = losses_seen(module, [x])
    assert len(seen) == len(x)
    for i, event in enumerate(seen):
        assert torch.equal(event.x, x[i])
        assert all((event.z != other.z).all() for other in seen[:i])


@every_method
def test_the_first_latents_are_the_same_with_either_kind_of_draws(method: type[AdversarialModule]) -> None:
    one, other = build(method, draws="iteration"), build(method, draws="update")
    z = [losses_seen(module, data(module, 2)) for module in (one, other)]
    assert torch.equal(z[0][0].z, z[1][0].z)


@every_method
def test_latents_are_fresh_in_each_iteration_and_for_each_seed(method: type[AdversarialModule]) -> None:
    module = build(method)
    seen = losses_seen(module, data(module, 3))[:: module.calls_per_iteration]
    z = [event.z[seed] for event in seen for seed in range(2)]
    assert len(z) == 6
    for i, one in enumerate(z):
        assert one.shape == (SIZE, 2)
        assert all((one != other).all() for other in z[:i])


@pytest.mark.parametrize("prior", ["uniform", "normal"])
def test_latents_have_the_distribution_and_size_of_the_prior(prior: str) -> None:
    module = build(GAN, tuple(range(10)), size=500, prior=prior, latent_dim=3)
    z = losses_seen(module, data(module, 1, size=500))[0].z
    assert z.shape == (10, 500, 3)
    reference = ("uniform", (-1, 2)) if prior == "uniform" else ("norm", ())
    assert kstest(z.numpy().ravel(), *reference).pvalue > 1e-3


def test_a_shorter_batch_gets_the_first_latents_of_a_full_one() -> None:
    full, short = build(GAN), build(GAN)
    x = data(full, 2)
    whole = losses_seen(full, x)
    cut = losses_seen(short, [draws[:, :, :5] for draws in x])
    for a, b in zip(whole, cut, strict=True):
        assert b.z.shape == (2, 5, 2)
        assert torch.equal(a.z[:, :5], b.z)


@pytest.mark.parametrize(("draws", "slots"), [("iteration", [0] * 6), ("update", [0, 1, 2, 3, 4, 5])])
def test_extra_noise_is_drawn_as_often_as_latents(draws: str, slots: list[int]) -> None:
    module = build(WGANGP, draws=draws)
    names: list[str] = []
    ask = module.noise

    def asked(name: str, *rest: Any) -> Tensor:
        names.append(name)
        return ask(name, *rest)

    module.noise = asked
    losses_seen(module, data(module, 1))
    assert [name for name in names if name.startswith("z/")] == [f"z/{slot}" for slot in slots]
    assert [name for name in names if name.startswith("penalty/")] == [f"penalty/{slot}" for slot in slots[:5]]


# Noise --------------------------------------------------------------------------------------------------------------


def test_noise_depends_on_name_seed_and_iteration_only() -> None:
    pair, alone = Noise((0, 3)), Noise((3,))
    here = pair("z/0", 10, "uniform", (4, 2))
    assert torch.equal(here[1], alone("z/0", 10, "uniform", (4, 2))[0])
    pair("other", 500, "normal", (4,))
    pair("z/0", 90, "uniform", (4, 2))
    assert torch.equal(pair("z/0", 10, "uniform", (4, 2)), here), "neither other streams nor what came before count"
    different = [
        pair("z/1", 10, "uniform", (4, 2))[1],
        pair("z/0", 11, "uniform", (4, 2))[1],
        pair("z/0", 74, "uniform", (4, 2))[1],
        here[0],
    ]
    assert all((value != here[1]).all() for value in different)


@pytest.mark.parametrize("start", [0, 1, 63, 64, 65, 127, 128])
def test_resumed_noise_equals_straight_noise_across_chunk_borders(start: int) -> None:
    straight, resumed = Noise((0, 3)), Noise((0, 3))
    values = [straight("z/0", i, "normal", (3, 2)).clone() for i in range(131)]
    for i in range(start, 131):
        assert torch.equal(resumed("z/0", i, "normal", (3, 2)), values[i])
    flat = torch.stack(values).flatten()
    assert len(flat.unique()) == len(flat), "no value comes twice"


def test_noise_too_large_for_a_chunk_is_drawn_an_iteration_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "_CHUNK_VALUES", 50)
    stream = Noise((0, 3))
    values = [stream("z/0", i, "normal", (30, 2)) for i in range(3)]
    assert values[0].shape == (2, 30, 2)
    assert len(torch.stack(values).unique()) == 3 * 2 * 30 * 2
    assert torch.equal(Noise((3,))("z/0", 2, "normal", (30, 2))[0], values[2][1])


@pytest.mark.parametrize(("distribution", "variance", "fourth"), [("uniform", 1 / 3, 1 / 5), ("normal", 1.0, 3.0)])
def test_noise_has_the_moments_of_its_distribution(distribution: Any, variance: float, fourth: float) -> None:
    stream = Noise(range(10))
    values = torch.cat([stream("z/0", i, distribution, (100, 2)) for i in (0, 63, 64, 70)], 1).double().numpy()
    n = values.size
    assert stream("z/0", 0, distribution, (100, 2)).dtype == torch.float32
    assert abs(values.mean()) < 4 * np.sqrt(variance / n)
    assert abs(values.var() - variance) < 4 * np.sqrt((fourth - variance**2) / n)
    reference = ("uniform", (-1, 2)) if distribution == "uniform" else ("norm", ())
    assert kstest(values.ravel(), *reference).pvalue > 1e-3
    correlation = np.corrcoef(values.reshape(10, -1))
    assert np.abs(correlation - np.eye(10)).max() < 5 / np.sqrt(n / 10)
    if distribution == "uniform":
        assert values.min() >= -1
        assert values.max() <= 1


# Sampling -----------------------------------------------------------------------------------------------------------


def generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


@pytest.mark.parametrize("prior", ["uniform", "normal"])
def test_samples_are_images_of_the_prior(prior: str) -> None:
    module = build(GAN, prior=prior)
    module.generate = lambda z: z
    z = module.sample(3_000, generators(1, 2)).numpy().ravel()
    reference = ("uniform", (-1, 2)) if prior == "uniform" else ("norm", ())
    assert kstest(z, *reference).pvalue > 1e-3


def test_sampling_is_in_evaluation_mode_and_leaves_every_module_in_its_own() -> None:
    module = build(GAN)
    module.train()
    module.discriminator.eval()
    modes = [m.training for m in module.modules()]
    assert len(set(modes)) == 2
    inside: list[bool] = []
    generate = module.generate

    def generated(z: Tensor) -> Tensor:
        inside.extend(m.training for m in module.modules())
        return generate(z)

    module.generate = generated
    module.sample(3, generators(1, 2))
    assert inside
    assert not any(inside)
    assert [m.training for m in module.modules()] == modes

    def broken(z: Tensor) -> Tensor:
        raise ValueError("no such luck")

    module.generate = broken
    with pytest.raises(ValueError, match="no such luck"):
        module.sample(3, generators(1, 2))
    assert [m.training for m in module.modules()] == modes


# Networks -----------------------------------------------------------------------------------------------------------


def test_networks_are_picked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "tiny", MLPFamily(hidden=1, width=5, source="this test"))
    module = build(GAN, networks="tiny")
    assert [tuple(layer.weight.shape) for layer in module.generator.layers] == [(2, 2, 5), (2, 5, 2)]
    assert [tuple(layer.weight.shape) for layer in build(GAN).generator.layers] == [
        (2, 2, 128),
        (2, 128, 128),
        (2, 128, 128),
        (2, 128, 2),
    ]
