"""Throughput: what is compared and what is counted. How fast it is, no test can say."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from benchmark.checks import throughput as throughput_module
from benchmark.checks.throughput import (
    COLUMNS,
    FreshNoise,
    MatrixProducts,
    PlainLoop,
    Timing,
    matrix_flops,
    measure_throughput,
    peak_gflops,
)
from benchmark.papers.gaan.tables import TABLE_2
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.spec.selection import select
from benchmark.training import estimate
from benchmark.training.trainer import make_module, make_trainer, quiet
from modules.base import AdversarialModule
from modules.gan import GAN
from modules.networks import SeedLinear
from modules.noise import Noise
from modules.options import Distribution
from modules.wgan_gp import WGANGP
from tests.modules.steps import EPS

pytestmark = pytest.mark.slow

ROWS = [row.id for row in TABLE_2.rows]
BATCH = 128


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other make tests on a busy machine very slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class SameNoise(Noise):
    """The same numbers for a name, whichever update of whichever iteration asks."""

    def __call__(self, name: str, iteration: int, distribution: Distribution, shape: Sequence[int]) -> Tensor:
        generator = torch.Generator().manual_seed(len(name.partition("/")[0]))
        return torch.rand(len(self.seeds), *shape, generator=generator) * 2 - 1


def run(row: str) -> Run:
    selection = select(TABLE_2, profile="smoke", methods=[row])
    return selection.run(selection.rows[0], 0)


def pair(row: str) -> tuple[AdversarialModule, PlainLoop]:
    """A block of one seed and its plain loop: equal weights, equal noise."""
    block = make_module(run(row), (0,))
    plain = PlainLoop(copy.deepcopy(block))
    block.noise = plain.method.noise = SameNoise((0,))
    return block, plain


def weights(module: nn.Module) -> list[Tensor]:
    """Of all layers of one seed, ``[in, out]``, as they are now."""
    with torch.no_grad():
        found = [
            layer.weight.T if isinstance(layer, nn.Linear) else layer.weight[0]
            for layer in module.modules()
            if isinstance(layer, (SeedLinear, nn.Linear))
        ]
        return [weight.clone() for weight in found]


def with_larger_epsilon(module: AdversarialModule | PlainLoop) -> None:
    optimizers = module.configure_optimizers()
    for optimizer in optimizers:
        optimizer.param_groups[0]["eps"] = EPS
    cast(Any, module).configure_optimizers = lambda: optimizers


def one_epoch() -> Trainer:
    return make_trainer(run("gan"), [], "cpu", max_epochs=1)


def test_one_line_per_row_and_number_of_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput_module, "PEAK_SHAPES", ((1, 128), (2, 64)))
    monkeypatch.setattr(throughput_module, "PEAK_SECONDS", 0.01)
    monkeypatch.setattr(estimate, "WARM_UP", 1)
    selection = select(TABLE_2, profile="smoke", methods=["gan"])
    told: list[str] = []
    frame = measure_throughput(selection, counts=(1, 2), iterations=1, repeats=2, report=told.append)
    assert tuple(frame.columns) == COLUMNS
    assert list(zip(frame["method"], frame["seeds"], strict=True)) == [("gan", 1), ("gan", 2)]
    assert list(frame.attrs["plain_ms"]) == ["gan"]
    assert len(told) == 3
    assert "repeat 2 of 2" in told[-1]


def test_numbers_of_known_times_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain iteration takes 3 ms, one of a block 4 ms for one seed and 6 ms for two; the faster peak counts."""
    peaks = iter((2.0, 5.0))
    monkeypatch.setattr(throughput_module, "peak_gflops", lambda: next(peaks))
    monkeypatch.setattr(throughput_module, "matrix_flops", lambda module: 3e6)
    monkeypatch.setattr(throughput_module, "_time_row", lambda *_: Timing(3.0, {1: 4.0, 2: 6.0}))
    frame = measure_throughput(select(TABLE_2, profile="smoke", methods=["gan"]), counts=(1, 2))
    assert frame["ms_per_iteration_and_seed"].tolist() == [4.0, 3.0]
    assert frame["ratio_to_plain_loop"].tolist() == [0.75, 1.0]
    # 3 million operations in 4 and 3 ms are 0.75 and 1 GFLOP/s.
    assert frame["share_of_peak"].tolist() == pytest.approx([0.15, 0.2])
    assert frame.attrs["peak_gflops"] == 5.0
    assert frame.attrs["plain_ms"] == {"gan": 3.0}
    assert frame.attrs["threads"] == torch.get_num_threads()


def test_flops_of_gan_by_hand() -> None:
    hidden = 2 * 128 * 128
    generator, discriminator, first = 2 * 128 + hidden + 128 * 2, 2 * 128 + hidden + 128 * 1, 2 * 128
    # Forward; gradients of the weights; gradients of the inputs, which the first layer of the moved network needs not.
    discriminator_flops = BATCH * generator + 2 * BATCH * (2 * discriminator + discriminator - first)
    generator_flops = BATCH * (generator + discriminator) + BATCH * (discriminator + generator + generator - first)
    by_hand = 2 * (discriminator_flops + generator_flops)
    for seeds in (1, 3):
        module = GAN(Protocol(), (2,), tuple(range(seeds)))
        assert matrix_flops(module) == seeds * by_hand
    with FlopCounterMode(display=False) as counter:
        for update, parameters in module.steps:
            x = torch.rand(3, BATCH, 2)
            update.loss(x, x).sum().backward(inputs=parameters)
    assert counter.get_total_flops() == 3 * by_hand


def test_flops_of_a_gradient_penalty_by_hand() -> None:
    hidden = 2 * 128 * 128
    generator, critic, first, last = 2 * 128 + hidden + 128 * 2, 2 * 128 + hidden + 128 * 1, 2 * 128, 128 * 1
    critic_flops = BATCH * generator + 2 * BATCH * (2 * critic + critic - first)
    # A forward pass and a backward pass to the input give the gradient. Going back through that backward pass gives
    # every weight's gradient, and an incoming gradient for every layer but the last.
    penalty = BATCH * (critic + critic) + BATCH * (critic + critic - last)
    # ReLU has no second derivative, but PyTorch sends zeros where there is nothing to send: from the hidden layers back
    # through the forward pass.
    zeros = BATCH * (critic - last + critic - last - first)
    generator_flops = BATCH * (generator + critic) + BATCH * (critic + generator + generator - first)
    module = WGANGP(Protocol(), (2,), (0,), critic_updates=1)
    assert matrix_flops(module) == 2 * (critic_flops + penalty + zeros + generator_flops)


def test_products_are_counted_once_whatever_makes_them() -> None:
    a, b = torch.rand(3, 4), torch.rand(4, 5)
    with MatrixProducts() as products:
        _ = a @ b + nn.functional.linear(a, b.T, torch.rand(5)) + torch.bmm(a[None], b[None])[0]
    assert products.flops == 3 * 2 * 3 * 4 * 5


def test_peak_is_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput_module, "PEAK_SHAPES", ((1, 256), (8, 128)))
    monkeypatch.setattr(throughput_module, "PEAK_SECONDS", 0.02)
    assert 0.01 < peak_gflops() < 100_000


@pytest.mark.parametrize("row", ROWS)
def test_plain_loop_has_ordinary_layers_and_plain_adam(row: str) -> None:
    block, plain = pair(row)
    layers = [layer for layer in plain.modules() if isinstance(layer, nn.Linear)]
    assert not any(isinstance(layer, SeedLinear) for layer in plain.modules())
    assert len(layers) == sum(isinstance(layer, SeedLinear) for layer in block.modules())
    optimizers = plain.configure_optimizers()
    moved = {id(p) for o in optimizers for group in o.param_groups for p in group["params"]}
    assert moved == {id(p) for layer in layers for p in layer.parameters()}
    for optimizer, fused in zip(optimizers, block.configure_optimizers(), strict=True):
        assert type(optimizer) is torch.optim.Adam
        assert not optimizer.defaults["fused"]
        assert all(optimizer.defaults[key] == fused.defaults[key] for key in ("lr", "betas"))


@pytest.mark.parametrize("row", ROWS)
def test_plain_losses_are_the_blocks(row: str) -> None:
    block, plain = pair(row)
    t = block.training_setup
    x = torch.rand(1, BATCH, 2)
    for (update, _), same in zip(block.steps, plain.updates, strict=True):
        loss = update.loss(x, block.random("z", x, t.prior, t.latent_dim))
        torch.testing.assert_close(plain.loss(same, x), loss, rtol=1e-5, atol=1e-6)


@pytest.fixture
def double_precision() -> Iterator[None]:
    """What float32 rounds differs between processors, and Adam makes it larger with every step."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("row", ["gan", "ali", "wgan-gp"])
def test_plain_loop_takes_the_blocks_steps(row: str) -> None:
    """In turn, all at once, and on one batch per update."""
    iterations = 3
    block, plain = pair(row)
    block.double()
    plain.double()
    draws = block.draws_per_iteration
    x = torch.rand(iterations, draws, 1, BATCH, 2)
    before = weights(plain)
    with_larger_epsilon(block)
    with_larger_epsilon(plain)
    with quiet():
        one_epoch().fit(block, DataLoader(cast(Any, [list(x)]), batch_size=None))
        one_epoch().fit(plain, DataLoader(TensorDataset(x.reshape(-1, 2)), batch_size=BATCH))
    assert plain.iteration == block.iteration == iterations
    for start, ours, theirs in zip(before, weights(plain), weights(block), strict=True):
        assert not torch.equal(start, ours)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_noise_of_the_plain_loop_is_new_every_time() -> None:
    noise = FreshNoise((0,))
    first, second = noise("z", 0, "uniform", (100, 2)), noise("z", 0, "uniform", (100, 2))
    assert first.shape == (1, 100, 2)
    assert not torch.equal(first, second)
    assert -1 <= first.min() < -0.5
    assert 0.5 < first.max() <= 1
    assert noise("z", 0, "normal", (10_000,)).std() == pytest.approx(1, abs=0.05)
