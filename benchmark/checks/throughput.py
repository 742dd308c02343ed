"""Measure how fast blocks of several seeds train, against a plain Lightning loop and the machine's peak rate.

Everything runs on the CPU, even if there is a GPU: times and peak must refer to the same device.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import flop_registry

from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.spec.table import Row
from benchmark.store.environment import processor
from benchmark.training.estimate import PRETRAINING, Stopwatch, skip_pretraining
from benchmark.training.surroundings import IsolatedTrainer
from benchmark.training.trainer import make_data, make_module, make_trainer, quiet
from modules.base import AdversarialModule, Update
from modules.networks import SeedLinear
from modules.noise import Noise
from modules.options import Distribution

COLUMNS = ("method", "seeds", "ms_per_iteration_and_seed", "ratio_to_plain_loop", "share_of_peak")

#: Pairs ``(batch, n)`` of the matrix products ``[batch, n, n] x [batch, n, n]`` whose best rate is the peak: large
#: ones, and a batch of eight in the size of the tables' hidden layers.
PEAK_SHAPES = ((1, 512), (1, 1024), (1, 2048), (8, 128))
#: Seconds for each of them, long enough to include an idle moment of a shared machine.
PEAK_SECONDS = 0.2
#: Batches of data that the plain loop cycles through.
PLAIN_BATCHES = 64


@dataclass(frozen=True)
class Timing:
    """Milliseconds per iteration.

    Attributes:
        plain: Of the plain loop.
        blocks: Of blocks, by number of seeds; for all seeds together.
    """

    plain: float
    blocks: dict[int, float]


def measure_throughput(
    selection: Selection,
    counts: Sequence[int] = (1, 4, 8, 16),
    iterations: int = 60,
    repeats: int = 3,
    report: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Measure the throughput of each row of a table for each number of seeds.

    Args:
        selection: The rows.
        counts: Numbers of seeds.
        iterations: Iterations to time in each repeat.
        repeats: Repeats; the median is used.
        report: Receives one line per repeat.

    Returns:
        A frame with the columns ``COLUMNS``. ``ms_per_iteration_and_seed`` is the steady state of the training of
        ``run``, without evaluation and checkpoints. ``ratio_to_plain_loop`` is the plain loop's time divided by it;
        above 1 the seeds axis is faster. ``share_of_peak`` is the rate of the matrix products divided by the peak;
        everything else counts as overhead. ``attrs`` holds ``peak_gflops`` (measured, float32), ``threads``,
        ``processor`` and ``plain_ms`` (the plain loop's milliseconds per iteration, by row).
    """
    runs = {row.id: selection.run(row, seed=0) for row in selection.rows}
    flops = {name: matrix_flops(make_module(run, (0,))) for name, run in runs.items()}
    before = peak_gflops()
    report(f"peak of matrix products: {before:.0f} GFLOP/s on {torch.get_num_threads()} threads")
    timings = {row.id: _time_row(row, runs[row.id], counts, iterations, repeats, report) for row in selection.rows}
    # Other load can only lower a measured peak, so the higher one is right.
    peak = max(before, peak_gflops())
    lines = []
    for name, timing in timings.items():
        for seeds, block in timing.blocks.items():
            milliseconds = block / seeds
            gflops = flops[name] / milliseconds / 1e6
            lines.append((name, seeds, milliseconds, timing.plain / milliseconds, gflops / peak))
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    frame.attrs = {
        "peak_gflops": peak,
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "plain_ms": {name: timing.plain for name, timing in timings.items()},
    }
    return frame


# Timing ---------------------------------------------------------------------------------------------------------------


def _time_row(
    row: Row, run: Run, counts: Sequence[int], iterations: int, repeats: int, report: Callable[[str], None]
) -> Timing:
    """Time one row and return medians over repeats.

    Plain loop and blocks alternate in order, forth and back, so that a drift of the machine's speed favours none of
    them.
    """
    plain: list[float] = []
    blocks: dict[int, list[float]] = {seeds: [] for seeds in counts}
    for repeat in range(repeats):
        turns = [None, *blocks]
        for seeds in turns if repeat % 2 == 0 else reversed(turns):
            if seeds is None:
                plain.append(time_plain_loop(run, iterations))
            else:
                blocks[seeds].append(time_block(run, seeds, iterations))
        shown = ", ".join(f"{seeds} seeds {times[-1] / seeds:.2f}" for seeds, times in blocks.items())
        report(f"{row.id}, repeat {repeat + 1} of {repeats}: plain loop {plain[-1]:.2f} ms per iteration, {shown}")
    return Timing(median(plain), {seeds: median(times) for seeds, times in blocks.items()})


def time_block(run: Run, seeds: int, iterations: int) -> float:
    """Return the milliseconds per iteration of a block with ``seeds`` seeds, trained as by ``run``."""
    module = make_module(run, tuple(range(seeds)))
    data = make_data(run, module.seeds, module)
    skip_pretraining(module)
    stopwatch = Stopwatch(iterations)
    with quiet():
        make_trainer(run, [stopwatch], "cpu", max_epochs=-1).fit(module, data)
    return stopwatch.milliseconds


def time_plain_loop(run: Run, iterations: int) -> float:
    """Return the milliseconds per iteration of one seed in a plain Lightning loop."""
    module = PlainLoop(make_module(run, (0,)))
    data = make_data(run, (0,), module.method)
    batches = (batch[0, 0] for group in data.train_dataloader() for batch in group)
    points = torch.cat(list(itertools.islice(batches, PLAIN_BATCHES)))
    skip_pretraining(module.method)
    loader = DataLoader(TensorDataset(points), batch_size=run.protocol.batch_size, shuffle=True)
    stopwatch = Stopwatch(iterations)
    with quiet():
        IsolatedTrainer(max_epochs=-1, accelerator="cpu", devices=1, callbacks=[stopwatch]).fit(module, loader)
    return stopwatch.milliseconds


# The plain loop -------------------------------------------------------------------------------------------------------


class PlainLoop(LightningModule):
    """A method without a seeds axis, as a newcomer would write it.

    It uses ordinary layers, new noise for every update, single batches in Lightning's loop, Lightning's manual
    optimization and Adam with default settings. The losses are the method's own, on a seeds axis of length 1. This
    makes a step of GAN a tenth slower than losses for ``[B, ...]``, so the ratio to this loop is too favourable by as
    much.

    Args:
        method: A method with one seed. It is modified and must not be used elsewhere.
    """

    def __init__(self, method: AdversarialModule) -> None:
        super().__init__()
        self.automatic_optimization = False
        use_ordinary_layers(method)
        method.noise = FreshNoise(method.seeds)
        self.method = method
        # The method reads its own ``optimizers``, which Lightning sets only on this module.
        method.optimizers = self.optimizers  # type: ignore[method-assign]
        # Not method.steps: it may have cached the parameters of the old layers.
        self.pretraining = list(method.pretraining())
        self.updates = list(method.updates())
        self._calls = [i for i, update in enumerate(self.updates) for _ in range(update.n_steps)]
        self._done = 0

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        t = self.method.training_setup
        moved = [
            (u.lr_scale * t.lr, [p for network in u.params for p in network.parameters()])
            for u in self.pretraining + self.updates
        ]
        return [torch.optim.Adam(parameters, lr=rate, betas=(t.beta1, t.beta2)) for rate, parameters in moved]

    @property
    def iteration(self) -> int:
        return self.method.iteration

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Run a whole iteration, or its next update if every update uses a batch of its own."""
        x = batch[0].unsqueeze(0)
        if self.iteration < 0:
            for index, update in enumerate(self.pretraining):
                self._step(self._optimizers()[index], update, x)
            self.method.iteration += 1
            return
        for _ in range(len(self._calls) // self.method.draws_per_iteration):
            self._move(x)

    def loss(self, update: Update, x: Tensor) -> Tensor:
        """Return the loss ``[1]`` of an update on data ``[1, B, ...]`` and new latents."""
        t = self.method.training_setup
        return update.loss(x, self.method.random("z", x, t.prior, t.latent_dim))

    def _optimizers(self) -> list[Any]:
        found: Any = self.optimizers()
        return found if isinstance(found, list) else [found]

    def _step(self, optimizer: Any, update: Update, x: Tensor) -> None:
        """Compute the gradients of an update's loss, and step unless the updates are simultaneous."""
        self.toggle_optimizer(optimizer)
        loss = self.loss(update, x)
        optimizer.zero_grad()
        self.manual_backward(loss.sum())
        if not self.method.simultaneous:
            optimizer.step()
        self.untoggle_optimizer(optimizer)

    def _move(self, x: Tensor) -> None:
        optimizers = self._optimizers()[len(self.pretraining) :]
        index = self._calls[self._done]
        self._step(optimizers[index], self.updates[index], x)
        self._done += 1
        if self._done == len(self._calls):
            if self.method.simultaneous:
                for waiting in self._calls:
                    optimizers[waiting].step()
            self._done = 0
            self.method.iteration += 1


class FreshNoise(Noise):
    """New numbers from PyTorch's global generator at every call, instead of reproducible streams."""

    def __call__(self, name: str, iteration: int, distribution: Distribution, shape: Sequence[int]) -> Tensor:
        size = (len(self.seeds), *shape)
        return torch.randn(size) if distribution == "normal" else torch.rand(size) * 2 - 1


class Linear(nn.Linear):
    """``nn.Linear`` for inputs ``[1, B, in]``.

    For three dimensions, the forward pass of ``nn.Linear`` returns a view, on which the networks' in-place ReLU is
    slow. A step of GAN would take 8 % longer, which would favour the seeds axis unfairly.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight.t().unsqueeze(0))


def use_ordinary_layers(module: nn.Module) -> None:
    """Replace every ``SeedLinear`` of one seed by an ``nn.Linear`` with the same weights.

    A layer that is shared between several places stays shared.
    """
    ordinary: dict[nn.Module, Linear] = {}
    for path, layer in list(module.named_modules(remove_duplicate=False)):
        if isinstance(layer, SeedLinear):
            if layer not in ordinary:
                ordinary[layer] = _ordinary(layer)
            module.set_submodule(path, ordinary[layer])


def _ordinary(layer: SeedLinear) -> Linear:
    _, inputs, outputs = layer.weight.shape
    linear = Linear(inputs, outputs)
    with torch.no_grad():
        linear.weight.copy_(layer.weight.squeeze(0).T)
        linear.bias.copy_(layer.bias.flatten())
    return linear


# The peak -------------------------------------------------------------------------------------------------------------


class MatrixProducts(TorchDispatchMode):
    """Count the floating-point operations of all matrix products, including backward passes and second-order gradients.

    It uses the formulas of PyTorch's ``FlopCounterMode``. That class itself tracks modules with hooks that raise on the
    ``autograd.grad`` inside a gradient penalty.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula: Any = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        return out


def matrix_flops(module: AdversarialModule) -> int:
    """Return the floating-point operations of the matrix products of one iteration on full batches, for all seeds.

    A multiplication and its addition count as two. Optimizers have no matrix products.
    """
    t = module.training_setup
    x = torch.rand(len(module.seeds), t.batch_size, *module.data_shape)
    optimizers = module.configure_optimizers()
    module.optimizers = lambda *_: optimizers  # type: ignore[method-assign, assignment]
    for module.iteration in range(-PRETRAINING, 0):
        for update in module.pretraining():
            update.loss(x, x)
    module.iteration = 0
    with MatrixProducts() as products:
        for update, parameters in module.steps:
            for _ in range(update.n_steps):
                loss = update.loss(x, module.random("z", x, t.prior, t.latent_dim))
                loss.sum().backward(inputs=parameters)
    return products.flops


def peak_gflops() -> float:
    """Return the best float32 rate of matrix products of ``PEAK_SHAPES`` at the current thread count, in GFLOP/s."""
    return max(_rate(*shape) for shape in PEAK_SHAPES)


def _rate(batch: int, size: int) -> float:
    """Return the GFLOP/s of the fastest call within ``PEAK_SECONDS``, or of the second call if that takes longer."""
    shape = (size, size) if batch == 1 else (batch, size, size)
    a, b, out = torch.rand(shape), torch.rand(shape), torch.empty(shape)
    multiply = torch.mm if batch == 1 else torch.bmm
    multiply(a, b, out=out)
    fastest = float("inf")
    end = time.perf_counter() + PEAK_SECONDS
    while (start := time.perf_counter()) < end:
        multiply(a, b, out=out)
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * batch * size**3 / fastest / 1e9
