"""Recorded iterations: what CUDA graphs do, on a GPU where there is one, and all that is around them without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.spec.registry import methods
from benchmark.training.devices.graphs import COMPARED, WARM_UP, CudaGraph, NoiseOn, Recorder, Replayed, Unfit
from modules.base import AdversarialModule
from modules.gan import GAN
from modules.losses import bce_fake, bce_real
from modules.noise import Noise
from modules.wgan_gp import WGANGP
from tests.modules.steps import batches, build

pytestmark = pytest.mark.slow

SIZE, SEEDS = 16, (0, 3)
#: What no graph holds: densities and matchings on the processor, steps of Adam that are counted there.
ON_THE_PROCESSOR = {"aeis", "gan-hungarian", "unrolled"}

every_method = pytest.mark.parametrize("method", methods().values(), ids=methods())
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here, and graphs are recorded on one alone")


class Rerun:
    """Records as a graph does: what Python decided stays as it was. What it computes is computed anew."""

    def __init__(self, module: AdversarialModule) -> None:
        self.module, self.recorded = module, 0

    def screen(self, run: Callable[[], None]) -> None:
        run()

    def record(self, run: Callable[[], None]) -> None:
        self.run, self.iteration = run, self.module.iteration
        self.recorded += 1
        before = tensors(self.module)
        kept = [tensor.clone() for tensor in before]
        run()
        with torch.no_grad():
            for tensor, value in zip(before, kept, strict=True):
                tensor.copy_(value)

    def replay(self) -> None:
        now, self.module.iteration = self.module.iteration, self.iteration
        self.run()
        self.module.iteration = now


def tensors(module: AdversarialModule) -> list[Tensor]:
    found: Any = module.optimizers()
    moments = [v for optimizer in found for s in optimizer.state.values() for v in s.values()]
    return [*module.parameters(), *module.buffers(), *moments]


def data(module: AdversarialModule, iterations: int, device: str = "cpu") -> list[Tensor]:
    made = batches(iterations, draws=module.draws_per_iteration, seeds=len(SEEDS), size=SIZE)
    return [x.to(device) for x in made]


def replayed(module: AdversarialModule, recorder: Callable[..., Recorder] | None = None) -> Replayed:
    """The module with a ``Replayed`` in place."""
    rerun = Rerun(module)
    made = Replayed(module, recorder or (lambda optimizers: rerun))
    module.iterate = made  # type: ignore[method-assign]
    return made


def train(module: AdversarialModule, data: Sequence[Tensor]) -> list[Tensor]:
    """Everything that is left after iterating, losses and traces first."""
    module.training_step(list(data), 0)
    kept = [*module.take_losses().values(), *module.take_traces().values()]
    return [value.detach().cpu() for value in [*kept, *tensors(module)]]


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("draws", ["iteration", "update"])
@pytest.mark.parametrize("counter", ["iterations", "optimizer-calls"])
def test_replays_are_the_iterations_they_stand_for(draws: str, counter: str) -> None:
    fields = {"draws": draws, "lr_decay": 0.5, "lr_decay_every": 40, "lr_counter": counter}
    ordinary, other = build(WGANGP, **fields), build(WGANGP, **fields)
    graph = replayed(other)
    x = data(ordinary, 90)
    x[30] = x[30][:, :, :5]
    assert same(train(ordinary, x), train(other, x))
    assert ordinary.iteration == other.iteration == 90
    assert graph.unfit == ""
    assert graph._recording is not None, "this must not have passed by training as ever"


def test_most_iterations_are_not_computed_twice() -> None:
    module = build(GAN)
    replayed(module)
    calls = []
    ordinary = type(module).iterate
    module.iterate.iterate = lambda draws: (calls.append(len(draws)), ordinary(module, draws))  # type: ignore[union-attr]
    rerun: Any = module.iterate.make(())  # type: ignore[union-attr]
    run_inside = []
    replay = rerun.replay
    rerun.replay = lambda: (run_inside.append(len(calls)), replay())
    train(module, data(module, 50))
    # Warm-up, the watched one and its ordinary one, the recording, and those that are compared.
    assert len(run_inside) == 50 - WARM_UP - 1
    assert len(calls) - len(run_inside) == WARM_UP + 3 + COMPARED


def test_another_rate_is_another_graph() -> None:
    module = build(GAN, lr_decay=0.5, lr_decay_every=20)
    rerun = Rerun(module)
    replayed(module, lambda optimizers: rerun)
    train(module, data(module, 50))
    assert rerun.recorded == 3


class ByIteration(GAN):
    """Its loss knows what time it is."""

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return super().generator_loss(x, z) * (1 + self.iteration / 1000)


class Late(GAN):
    """The same, but only later."""

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return super().generator_loss(x, z) * (1 + self.iteration // 30)


class Remembers(GAN):
    """Keeps a tensor that no checkpoint has."""

    last: Tensor | float = 0.0

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        loss = super().generator_loss(x, z)
        loss, self.last = loss + 0.1 * self.last, loss.detach()
        return loss


@pytest.mark.parametrize(
    ("method", "why"), [(ByIteration, "does not repeat in the same bits"), (Remembers, "it sets last")]
)
def test_what_does_not_fit_is_trained_as_ever(method: type[GAN], why: str) -> None:
    ordinary, other = build(method), build(method)
    graph = replayed(other)
    x = data(ordinary, 12)
    assert same(train(ordinary, x[:1]), train(other, x[:1]))
    assert graph.unfit == ""
    expected, found = train(ordinary, x[1:]), train(other, x[1:])
    assert why in graph.unfit
    if method is ByIteration:
        assert same(expected, found)


class Ordinary(GAN):
    """Of ordinary modules."""

    middle: type[nn.Module] = nn.Identity

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)

        def plain(outputs: int) -> nn.Module:
            return nn.Sequential(nn.Linear(2, 16), self.middle(), nn.ReLU(), nn.Linear(16, outputs))

        self.generator = self.replicate(lambda: plain(2), role="generator")
        self.discriminator = self.replicate(lambda: plain(1), role="discriminator")

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return bce_real(self.discriminator(x)) + bce_fake(self.discriminator(self.fake(z)))

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return bce_real(self.discriminator(self.generator(z)))


class WithDropout(Ordinary):
    middle = nn.Dropout


class WithBatchNorm(Ordinary):
    @staticmethod
    def middle() -> nn.Module:  # type: ignore[override]
        return nn.BatchNorm1d(16)


@pytest.mark.parametrize(("method", "unfit"), [(Ordinary, ""), (WithBatchNorm, ""), (WithDropout, "does not repeat")])
def test_ordinary_modules_are_replayed_or_trained_as_ever(method: type[GAN], unfit: str) -> None:
    ordinary, other = build(method), build(method)
    graph = replayed(other)
    x = data(ordinary, 20)
    assert same(train(ordinary, x), train(other, x))
    assert unfit in graph.unfit if unfit else graph.unfit == ""


def test_a_graph_that_stops_fitting_stops_the_training() -> None:
    module = build(Late)
    graph = replayed(module)
    train(module, data(module, 40))
    graph.to_compare = 1
    with pytest.raises(UserError, match="MODECOV_CUDA_GRAPHS=0"):
        train(module, data(module, 1))


def test_only_adam_is_recorded() -> None:
    with pytest.raises(Unfit, match="not Adam"):
        CudaGraph(build(GAN, optimizer="rmsprop").configure_optimizers())


def test_noise_on_a_device_is_the_noise() -> None:
    plain, there = Noise(SEEDS), NoiseOn(torch.device("meta"), SEEDS)
    assert there("z/0", 5, "normal", (4, 2)).device.type == "meta"
    there = NoiseOn(torch.device("cpu"), SEEDS)
    for iteration in (0, 63, 64, 200):
        assert torch.equal(plain("z/0", iteration, "normal", (4,)), there("z/0", iteration, "normal", (4,)))


@on_a_gpu
@pytest.mark.parametrize("method", [Ordinary, WithBatchNorm, WithDropout])
def test_ordinary_modules_on_a_gpu_train_as_ever(method: type[GAN]) -> None:
    ordinary, other = build(method, device="cuda"), build(method, device="cuda")
    other.noise = NoiseOn(torch.device("cuda", 0), SEEDS)  # type: ignore[assignment]
    graph = replayed(other, CudaGraph)
    before = torch.cuda.get_rng_state()
    x = data(ordinary, 40, "cuda")
    assert same(train(ordinary, x), train(other, x))
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert method is not Ordinary or graph.unfit == "", graph.unfit


@on_a_gpu
@every_method
def test_a_graph_is_the_iterations_it_stands_for(method: type[AdversarialModule]) -> None:
    fields = {"lr_decay": 0.5, "lr_decay_every": 40}
    ordinary, other = build(method, device="cuda", **fields), build(method, device="cuda", **fields)
    other.noise = NoiseOn(torch.device("cuda", 0), SEEDS)  # type: ignore[assignment]
    graph = replayed(other, CudaGraph)
    x = data(ordinary, 90, "cuda")
    x[30] = x[30][:, :, :5]
    assert same(train(ordinary, x), train(other, x))
    assert (graph.unfit != "") == (method.name in ON_THE_PROCESSOR), graph.unfit
