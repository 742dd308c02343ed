"""Two processes, each on its part of every batch, train as one on the whole batch does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, distributed, nn

from benchmark.spec.registry import methods
from modules import ranks
from modules.base import AdversarialModule
from modules.gan import GAN
from modules.losses import bce_fake, bce_real
from modules.options import Training
from tests.modules.steps import EPS, batches, use
from tests.processes import start

pytestmark = pytest.mark.slow


class Ordinary(GAN):
    """Of ordinary modules with batch norm."""

    name = ""
    batch_coupled_losses = ()

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.generator = self.replicate(
            lambda: nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2), nn.Sigmoid()),
            role="generator",
        )
        norm = nn.BatchNorm1d(16, eps=1e-3, affine=False, track_running_stats=False)
        self.discriminator = self.replicate(
            lambda: nn.Sequential(nn.Linear(2, 16), norm, nn.Tanh(), nn.Linear(16, 1)), role="discriminator"
        )

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return bce_real(self.discriminator(x)) + bce_fake(self.discriminator(self.fake(z)))

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return bce_real(self.discriminator(self.generator(z)))


METHODS = {**methods(), "ordinary": Ordinary}
SEEDS = (0, 3)


class Case(NamedTuple):
    """A method with fields of its own and of its training, and the sizes of its batches: the last has no halves.

    Batch norm makes differences in last bits grow tenfold in every iteration.
    """

    method: str
    fields: Mapping[str, Any] = MappingProxyType({})
    training: Mapping[str, Any] = MappingProxyType({})
    sizes: tuple[int, ...] = (16, 16, 12, 7)


CASES = {name: Case(name) for name in methods()} | {
    "gaan, as released": Case(
        "gaan", {"generator_loss": "mean-difference", "discriminator_updates": 2}, {"draws": "update"}
    ),
    "gan-mmd, unbiased": Case("gan-mmd", {"estimator": "unbiased"}),
    "gan-ae, adaptive": Case("gan-ae", {"decay": "adaptive", "code_critic": True}),
    "unrolled, sgd": Case("unrolled", {"inner_optimizer": "sgd"}),
    "began, fast balance": Case("began", {"lambda_k": 0.5}),
    "gan, instance noise": Case("gan", {}, {"instance_noise": 0.1}),
    "gan-mb, instance noise": Case("gan-mb", {}, {"instance_noise": 0.1}),
    "wgan, rmsprop": Case("wgan", {}, {"optimizer": "rmsprop", "lr": 1e-4}),
    "wgan-gp, batch norm": Case("wgan-gp", {}, {"networks": "ali"}, (16,)),
    "ordinary modules, batch norm": Case("ordinary", sizes=(16,)),
    "gaan, batch norm": Case("gaan", {}, {"networks": "ali"}, (16,)),
}


class Trained(NamedTuple):
    """Parameters and buffers by name, losses and traces by name, and the losses that asked other processes."""

    state: dict[str, Tensor]
    curves: dict[str, Tensor]
    coupled: set[str]


@contextmanager
def noted(module: AdversarialModule) -> Iterator[set[str]]:
    """The losses that use ``all_gather`` or ``all_reduce_mean`` for more than what the record keeps."""
    coupled: set[str] = set()
    inside: list[str] = []
    all_reduce = distributed.all_reduce
    for steps in (module.steps, module.pretraining_steps):
        for place, (update, parameters) in enumerate(steps):

            def loss(x: Tensor, z: Tensor, update: Any = update) -> Tensor:
                inside.append(update.loss.__name__)
                try:
                    return update.loss(x, z)
                finally:
                    inside.pop()

            loss.__name__ = update.name
            steps[place] = update._replace(loss=loss), parameters

    def note(tensor: Tensor) -> None:
        coupled.update(inside)
        all_reduce(tensor)

    trace = module.trace

    def trace_unnoted(name: str, values: Tensor) -> None:
        losses, inside[:] = inside[:], []
        trace(name, values)
        inside[:] = losses

    module.trace = trace_unnoted
    distributed.all_reduce = note
    try:
        yield coupled
    finally:
        distributed.all_reduce = all_reduce


def train(case: Case) -> Trained:
    """A few iterations of a method, the last of them on a batch that has no halves."""
    fields = {"pretraining_epochs": 1, "reference": 20} if case.method == "aeis" else {}
    setup = Training(**({"batch_size": 16, "prior": "normal", "beta1": 0.8} | dict(case.training)))
    module = METHODS[case.method](setup, (2,), SEEDS, **(fields | dict(case.fields)))
    module.iteration = -2 if module.pretraining_epochs else 0
    optimizers = module.configure_optimizers()
    for optimizer in optimizers:
        optimizer.param_groups[0]["eps"] = EPS
    use(module, optimizers)
    sizes = (16, 16)[: module.pretraining_epochs * 2] + case.sizes
    with noted(module) as coupled:
        for size, draws in zip(sizes, batches(len(sizes), module.draws_per_iteration, len(SEEDS), 16), strict=True):
            module.iterate(draws[:, :, :size])
    return Trained(dict(module.state_dict()), module.take_losses() | module.take_traces(), coupled)


def train_all(rank: int, folder: Path) -> dict[str, Trained]:
    """Every case as one of two processes."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder / 'group'}", rank=rank, world_size=2)
    try:
        found = {name: train(case) for name, case in CASES.items()}
        if rank == 1:
            torch.save({name: trained.state for name, trained in found.items()}, folder / "other.pt")
        distributed.barrier()
        return found
    finally:
        distributed.destroy_process_group()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Trained], dict[str, dict[str, Tensor]]]:
    """What the first of two processes has of every case, and the parameters of the second."""
    folder = tmp_path_factory.mktemp("ranks")
    other = start(train_all, 1, folder)
    threads = torch.get_num_threads()
    try:
        found = train_all(0, folder)
        other.join(60)
        return found, torch.load(folder / "other.pt", weights_only=True)
    finally:
        torch.set_num_threads(threads)
        other.kill()


@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_as_one_does(name: str, trained: Any) -> None:
    shared, other = trained[0][name], trained[1][name]
    alone = train(CASES[name])
    assert shared.state.keys() == alone.state.keys()
    for key, value in alone.state.items():
        assert torch.equal(shared.state[key].nan_to_num(9), other[key].nan_to_num(9)), key
        torch.testing.assert_close(shared.state[key], value, rtol=1e-4, atol=5e-6, equal_nan=True, msg=key)
    for key, value in alone.curves.items():
        torch.testing.assert_close(shared.curves[key], value, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_which_losses_couple_the_batch(name: str, trained: Any) -> None:
    method = METHODS[name]
    found = set().union(
        *(trained[0][case].coupled for case in CASES if CASES[case].method == name and "norm" not in case)
    )
    assert found == set(vars(method)["batch_coupled_losses"])


def test_the_parts_of_batches_side_by_side_make_up_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_num_shards", 3)
    monkeypatch.setattr(ranks, "_batch_size", 6)
    x = torch.arange(2 * 12).view(2, 12)
    seen = []
    for rank in range(3):
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        seen.append(ranks.local_shard(x))
    assert seen[1][0].tolist() == [2, 3, 8, 9]
    assert torch.cat(seen, 1).sort(1).values.equal(x)
