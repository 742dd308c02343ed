"""Ordinary modules as S copies: each is what it is alone, and trains, saves and draws for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm

from modules import ranks
from modules.base import AdversarialModule, Update
from modules.gan import GAN
from modules.losses import bce_fake, bce_real, gradient_penalty, per_seed
from modules.networks import MLP
from modules.options import Training
from modules.replicate import Replicated
from tests.modules.steps import batches, run_iterations, same, state

SEEDS = (0, 3, 5)


class Recurrent(nn.Module):
    """Keeps a list of its parameters besides."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x.unsqueeze(1))[0][:, -1])


class Sets(nn.Module):
    """Sets a buffer anew at every call, and reads it."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.register_buffer("count", torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        self.count = self.count + x.detach().sum()
        return self.layer(x) + self.count


class Branches(nn.Module):
    """Looks at its numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if x.sum() > 0 else -self.layer(x)


class Tied(nn.Module):
    """One weight in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def mlp(*middle: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 32), *middle, nn.LeakyReLU(0.2), nn.Linear(32, 1))


def conv(*middle: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1), *middle, nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(128, 1))


#: Networks, and whether their copies are computed at once.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "linear": (mlp, True),
    "layer norm": (lambda: mlp(nn.LayerNorm(32)), True),
    "batch norm": (lambda: mlp(nn.BatchNorm1d(32)), False),
    "batch norm without statistics": (lambda: mlp(nn.BatchNorm1d(32, track_running_stats=False)), False),
    "convolution": (conv, True),
    "convolution, batch norm": (lambda: conv(nn.BatchNorm2d(8)), False),
    "spectral norm": (lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(2, 8)), nn.Linear(8, 1)), False),
    "old spectral norm": (lambda: nn.Sequential(spectral_norm(nn.Linear(2, 8)), nn.Linear(8, 1)), False),
    "recurrent": (Recurrent, False),
    "sets a buffer": (Sets, False),
    "branches": (Branches, False),
    "tied": (Tied, True),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def clock() -> Callable[[], tuple[int, ...]]:
    """A new moment at every call."""
    counts = iter(range(1_000))
    return lambda: (next(counts),)


def replicated(make: Callable[[], nn.Module], seeds: Sequence[int] = SEEDS, **words: Any) -> Replicated:
    return Replicated(make, "discriminator", seeds, clock(), **words)


def alone(make: Callable[[], nn.Module], network: Replicated, slot: int) -> nn.Module:
    """The plain module with the weights of one copy."""
    plain = make()
    plain.load_state_dict({name.removeprefix("network."): v[slot] for name, v in network.state_dict().items()})
    return plain


def inputs(name: str, seeds: int = 3, seed: int = 0) -> Tensor:
    shape = (1, 8, 8) if "convolution" in name else (2,)
    return torch.rand(seeds, 16, *shape, generator=torch.Generator().manual_seed(seed))


@every_network
def test_each_copy_is_the_network_alone(name: str) -> None:
    make, at_once = NETWORKS[name]
    network = replicated(make)
    plain = [alone(make, network, slot) for slot in range(3)]
    for number in range(2):
        x = inputs(name, seed=number)
        expected = torch.stack([each(part) for each, part in zip(plain, x, strict=True)])
        torch.testing.assert_close(network(x), expected)
    assert network._at_once == {True: at_once}
    for slot, each in enumerate(plain):
        for key, value in each.state_dict().items():
            torch.testing.assert_close(network.state_dict()[f"network.{key}"][slot], value)
    network.eval(), [each.eval() for each in plain]
    expected = torch.stack([each(part) for each, part in zip(plain, x, strict=True)])
    torch.testing.assert_close(network(x), expected)


@every_network
def test_gradients_are_those_of_the_network_alone_and_reach_no_other(name: str) -> None:
    make, _ = NETWORKS[name]
    network, x = replicated(make), inputs(name).requires_grad_()
    plain = alone(make, network, 1)
    loss = network(x)[1].square().sum()
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    assert not slope[[0, 2]].any()
    penalty = loss + slope.square().sum() + network(2 * x)[1].sum()
    found = torch.autograd.grad(penalty, list(network.parameters()), allow_unused=True)
    one = x[1].detach().requires_grad_()
    loss = plain(one).square().sum()
    (slope,) = torch.autograd.grad(loss, one, create_graph=True)
    expected = torch.autograd.grad(
        loss + slope.square().sum() + plain(2 * one).sum(), list(plain.parameters()), allow_unused=True
    )
    for gradient, single in zip(found, expected, strict=True):
        assert gradient is not None and single is not None and not gradient[[0, 2]].any()
        torch.testing.assert_close(gradient[1], single, rtol=1e-4, atol=1e-5)


@every_network
def test_a_copy_depends_on_its_seed_alone(name: str) -> None:
    make, _ = NETWORKS[name]
    among, beside, same_width = (replicated(make, seeds) for seeds in ((0, 3, 5), (3, 9, 0), (3, 3, 3)))
    for key, value in among.state_dict().items():
        assert torch.equal(value[1], beside.state_dict()[key][0])
        assert torch.equal(value[1], same_width.state_dict()[key][2])
    x = inputs(name)
    found = among(x)[1]
    assert torch.equal(found, beside(torch.stack([x[1], x[0] * 7, x[2]]))[0])
    assert torch.equal(found, same_width(x[1].expand(3, *x.shape[1:]))[2])
    torch.testing.assert_close(found, replicated(make, (3,))(x[1:2])[0])
    assert not torch.equal(among(x[:1].expand(3, *x.shape[1:]))[0], among(x[:1].expand(3, *x.shape[1:]))[1])


@every_network
def test_nan_in_one_copy_stays_there(name: str) -> None:
    make, _ = NETWORKS[name]
    sick, sound = replicated(make), replicated(make)
    for x in (inputs(name), inputs(name, seed=1)):
        dirty = x.clone()
        dirty[1] = torch.nan
        assert torch.equal(sick(dirty)[[0, 2]], sound(x)[[0, 2]])
    for key, value in sick.state_dict().items():
        assert torch.equal(value[[0, 2]], sound.state_dict()[key][[0, 2]])


class Drops(nn.Module):
    """Random numbers that no layer announces."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 32)

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.dropout(self.layer(x), 0.5, self.training)
        return hidden + torch.randn_like(hidden) if self.training else hidden


@pytest.mark.parametrize("make", [lambda: mlp(nn.Dropout(0.5)), Drops])
def test_random_numbers_are_a_copys_own(make: Callable[[], nn.Module]) -> None:
    before = torch.get_rng_state()
    among, beside = replicated(make), replicated(make, (7, 3))
    x = inputs("")
    x = x[:1].expand(3, *x.shape[1:])
    first, second = among(x), among(x)
    assert torch.equal(first[1], beside(x[:2])[1])
    assert torch.equal(second[1], beside(x[:2])[1]), "the second call repeats, too"
    assert not torch.equal(first, second)
    zeros = [replicated(lambda: nn.Dropout(0.5))(torch.ones(3, 50, 4)) == 0 for _ in range(2)]
    assert torch.equal(*zeros) and not torch.equal(zeros[0][0], zeros[0][1])
    among.eval()
    assert torch.equal(among(x), among(x))
    assert torch.equal(torch.get_rng_state(), before), "nobody else's numbers move"


def test_making_copies_moves_nobodys_random_numbers_and_repeats() -> None:
    def make() -> nn.Module:
        made = nn.Linear(2, 2)
        made.scale = nn.Parameter(torch.tensor(np.random.standard_normal(3)).float())  # type: ignore[assignment]
        return made

    before = torch.get_rng_state(), np.random.get_state(legacy=False)
    first, again = replicated(make), replicated(make)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state(legacy=False)) == repr(before[1])
    assert same(dict(first.state_dict()), dict(again.state_dict()))
    scale = first.state_dict()["network.scale"]
    assert not torch.equal(scale[0], scale[1])
    other = Replicated(make, "encoder", SEEDS, clock())
    assert not torch.equal(other.state_dict()["network.weight"], first.state_dict()["network.weight"])


def test_what_a_network_takes_and_returns_beside_a_tensor() -> None:
    class Pair(nn.Module):
        def __init__(self, at_once: bool) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)
            if not at_once:
                self.register_buffer("zero", torch.zeros(()))

        def forward(self, x: Tensor, factor: float, *, beside: Tensor | None = None) -> Any:
            y = self.layer(x if beside is None else torch.cat([x, beside], 1)) * factor
            return {"halves": y.chunk(2, 1), "all": [y]}

    x, beside = torch.rand(3, 5, 2), torch.rand(3, 5, 1)
    for at_once in (True, False):
        network = replicated(lambda at_once=at_once: Pair(at_once))
        found = network(x, 2.0, beside=beside)
        assert network._at_once == {True: at_once}
        assert found["halves"][1].shape == (3, 5, 2) and found["all"][0].shape == (3, 5, 4)
        plain = nn.Linear(3, 4)
        plain.load_state_dict(
            {k.removeprefix("network.layer."): v[2] for k, v in network.state_dict().items() if "layer" in k}
        )
        torch.testing.assert_close(found["all"][0][2], 2 * plain(torch.cat([x, beside], 2)[2]))


class Shared(nn.Module):
    whole = nn.Linear(2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.inside = self.whole


@pytest.mark.parametrize(
    ("make", "error", "line"),
    [
        (
            "g.safetensors",
            TypeError,
            r"replicate\(lambda: Net\(\), role='discriminator'\); weights from a file are weights=PATH",
        ),
        (mlp(), TypeError, "got a Sequential: give it a function"),
        (lambda: 3, TypeError, "returns a int, no nn.Module"),
        (lambda net=mlp(): net, ValueError, "is the same for several seeds"),  # noqa: B008
        (Shared, ValueError, "is the same for several seeds"),
        (lambda: nn.LazyLinear(2), ValueError, "lazy layers"),
        (lambda: nn.Linear(2, int(torch.randint(1, 99, ()))), ValueError, "other shapes"),
    ],
)
def test_what_makes_no_networks_is_refused_in_words(make: Any, error: type[Exception], line: str) -> None:
    with pytest.raises(error, match=line):
        replicated(make)


@pytest.mark.parametrize("shape", [(16, 2), (2, 16, 2), (3,)])
def test_inputs_without_seeds_are_refused_in_words(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes \[3, B, \.\.\.\]: seeds first"):
        replicated(mlp)(torch.rand(shape))


def test_a_networks_own_error_is_its_own() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        replicated(mlp)(torch.rand(3, 16, 5))


# Weights from a file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["g.safetensors", "g.pt"])
def test_every_copy_starts_from_the_weights_of_a_file(name: str, tmp_path: Path) -> None:
    plain = mlp(nn.BatchNorm1d(32))
    plain(torch.rand(9, 2))
    if name.endswith("pt"):
        torch.save(plain.state_dict(), tmp_path / name)
    else:
        safetensors.torch.save_file(plain.state_dict(), tmp_path / name)
    network = replicated(lambda: mlp(nn.BatchNorm1d(32)), weights=tmp_path / name)
    for key, value in plain.state_dict().items():
        assert all(torch.equal(copy, value) for copy in network.state_dict()[f"network.{key}"])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (lambda: {"epoch": 3, "model": {}}, r"inside: epoch, model\); write it by torch.save\(network.state_dict"),
        (lambda: mlp(), "cannot be read"),
        (
            lambda: {f"module.{k}": v for k, v in mlp().state_dict().items()},
            "lack 0.weight of network 'discriminator' and have module.0.weight",
        ),
        (lambda: mlp().state_dict() | {"9.bias": torch.zeros(7)}, "have 9.bias, which network 'discriminator' lacks"),
        (lambda: mlp().state_dict() | {"0.bias": torch.zeros(7)}, r"0.bias of shape \[7\], and .* has \[32\]"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_words(content: Any, line: str, tmp_path: Path) -> None:
    torch.save(content(), tmp_path / "g.pt")
    with pytest.raises(ValueError, match=line):
        replicated(mlp, weights=tmp_path / "g.pt")
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        replicated(mlp, weights=tmp_path / "h.pt")


# In a method ----------------------------------------------------------------------------------------------------------


class Plain(AdversarialModule):
    """A GAN of ordinary modules with a penalty, batch norm and dropout."""

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__(training, data_shape, seeds)
        self.generator = self.replicate(
            lambda: nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2), nn.Sigmoid()),
            role="generator",
        )
        self.discriminator = self.replicate(
            lambda: nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 1)), role="discriminator"
        )

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,), n_steps=2)
        yield Update(self.generator_loss, params=(self.generator,))

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        fake = self.fake(z)
        epsilon = (self.random("penalty", x, "uniform", 1) + 1) / 2
        penalty = gradient_penalty(self.discriminator, x, fake, epsilon)
        return bce_real(self.discriminator(x)) + bce_fake(self.discriminator(fake)) + penalty

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return bce_real(self.discriminator(self.generator(z)))


def build(seeds: Sequence[int] = SEEDS, **fields: Any) -> Plain:
    return Plain(Training(**{"batch_size": 16, **fields}), (2,), seeds)


def test_a_seed_trains_to_the_same_bits_beside_others() -> None:
    # A width whose kernels treat all slots alike.
    wide = [draws.expand(1, 4, 16, 2) for draws in batches(4, seeds=1, size=16)]
    among, alone = build((0, 3, 5, 6)), build((3, 3, 3, 3))
    losses, others = run_iterations(among, wide), run_iterations(alone, wide)
    for slot in range(4):
        np.testing.assert_array_equal(losses[:, :, 1], others[:, :, slot])
        assert all(torch.equal(value[1], state(alone)[name][slot]) for name, value in state(among).items())


def test_dropout_goes_on_where_a_run_is_resumed() -> None:
    x = [draws.expand(1, 3, 16, 2) for draws in batches(4, seeds=1, size=16)]
    straight, begun, resumed = build(), build(), build()
    run_iterations(straight, x[:2]), run_iterations(begun, x[:2])
    resumed.load_state_dict(begun.state_dict())
    resumed.iteration = begun.iteration
    resumed.eval(), resumed.sample(5, [np.random.default_rng(s) for s in SEEDS]), resumed.train()
    np.testing.assert_array_equal(run_iterations(straight, x[2:]), run_iterations(resumed, x[2:]))


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_sampling_uses_the_batch_norm_that_is_asked_for_and_changes_none(statistics: str) -> None:
    module = build(norm_at_evaluation=statistics)
    run_iterations(module, [draws.expand(1, 3, 16, 2) for draws in batches(3, seeds=1, size=16)])
    before = {name: value.clone() for name, value in module.state_dict().items()}
    made = module.sample(40, [np.random.default_rng(s) for s in SEEDS])
    assert same(dict(module.state_dict()), before)
    z = torch.from_numpy(np.random.default_rng(3).random((40, 2), dtype=np.float32) * 2 - 1)
    plain = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2), nn.Sigmoid())
    kept = module.weights_of(1)
    plain.load_state_dict({n.removeprefix("generator.network."): v[0] for n, v in kept.items()})
    with torch.no_grad():
        torch.testing.assert_close(made[1], plain.train(statistics == "batch")(z))
    norm = module.generator.network[1]
    assert norm.track_running_stats and norm.training and kept["generator.network.1.num_batches_tracked"] == 6 + 3


def test_weights_of_one_copy_are_those_of_a_module_of_one_seed() -> None:
    module, single = build(), build((8,))
    run_iterations(module, [draws.expand(1, 3, 16, 2) for draws in batches(2, seeds=1, size=16)])
    single.load_weights(module.weights_of(2))
    z = torch.rand(3, 9, 2)
    torch.testing.assert_close(module.eval().generator(z)[2], single.eval().generator(z[2:])[0])


def test_a_discriminator_of_yours_sees_data_through_instance_noise() -> None:
    noisy, clear = build(instance_noise=0.5), build()
    x = torch.rand(3, 16, 2)
    noisy.eval(), clear.eval()
    expected = clear.discriminator(x + 0.5 * noisy.noise("instance 1 of 1/0", 0, "normal", (16, 2)))
    torch.testing.assert_close(noisy.discriminator(x), expected)


def test_frozen_parameters_stay() -> None:
    class Frozen(Plain):
        def __init__(self, *words: Any) -> None:
            super().__init__(*words)
            self.generator.network[0].requires_grad_(False)

    module = Frozen(Training(batch_size=16), (2,), SEEDS)
    before = state(module)
    run_iterations(module, [draws.expand(1, 3, 16, 2) for draws in batches(2, seeds=1, size=16)])
    moved = {name for name, value in state(module).items() if not torch.equal(value, before[name])}
    assert {name for name in before if name.startswith("generator.network.0")}.isdisjoint(moved)
    assert "generator.network.3.weight" in moved


def test_a_batch_norm_network_takes_batches_one_after_another() -> None:
    assert build().generator.mixes_batch and not build().discriminator.mixes_batch
    assert per_seed(build().generator(torch.rand(3, 4, 2))).shape == (3,)


def test_devices_that_share_a_batch_refuse_dropout_and_take_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = replicated(lambda: mlp(nn.Dropout(0.5))).eval()(inputs(""))
    monkeypatch.setattr(ranks, "_num_shards", 2)
    with pytest.raises(ValueError, match=r"dropout.*leave --strategy ddp out"):
        replicated(lambda: mlp(nn.Dropout(0.5)))(inputs(""))
    torch.testing.assert_close(replicated(lambda: mlp(nn.Dropout(0.5))).eval()(inputs("")), expected)


# Beside our own layers ------------------------------------------------------------------------------------------------


class OfOurLayers(GAN):
    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return bce_real(self.discriminator(x)) + bce_fake(self.discriminator(self.fake(z)))

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return bce_real(self.discriminator(self.generator(z)))


class OfOrdinaryLayers(OfOurLayers):
    """The same networks with the same weights."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        ours: dict[str, MLP] = {"generator": self.generator, "discriminator": self.discriminator}
        for role, network in ours.items():
            end = nn.Sigmoid() if role == "generator" else nn.Identity()
            copies = self.replicate(lambda end=end: self.plain(2, 2 if isinstance(end, nn.Sigmoid) else 1, end), role)
            for number, layer in enumerate(network.layers):
                linear = copies.network[2 * number]
                linear.weight.data = layer.weight.data.transpose(1, 2).contiguous()
                linear.bias.data = layer.bias.data[:, 0]
            setattr(self, role, copies)

    @staticmethod
    def plain(inputs: int, outputs: int, end: nn.Module) -> nn.Sequential:
        sizes = [inputs, 128, 128, 128]
        hidden = [part for i, o in pairwise(sizes) for part in (nn.Linear(i, o), nn.ReLU())]
        return nn.Sequential(*hidden, nn.Linear(128, outputs), end)


def test_ordinary_layers_train_as_ours_do() -> None:
    ours, ordinary = (kind(Training(batch_size=16), (2,), SEEDS) for kind in (OfOurLayers, OfOrdinaryLayers))
    x = batches(25, seeds=3, size=16)
    expected, found = run_iterations(ours, x), run_iterations(ordinary, x)
    assert np.ptp(expected, 0).min() > 0.01, "they move"
    np.testing.assert_allclose(found, expected, rtol=1e-3)
