"""How fast seeds train side by side, against one seed in a plain Lightning loop and against the machine's peak.

Everything runs on the CPU, whatever else the machine has: times and peak must be those of one device.
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

#: Matrix products ``[batch, n, n] x [batch, n, n]`` whose best rate is the peak: large ones, and eight of the size of
#: the tables' hidden layers.
PEAK_SHAPES = ((1, 512), (1, 1024), (1, 2048), (8, 128))
#: Seconds for each of them; long enough to meet a quiet moment of a shared machine.
PEAK_SECONDS = 0.2
#: Batches of data that the plain loop goes through again and again.
PLAIN_BATCHES = 64


@dataclass(frozen=True)
class Timing:
    """Milliseconds per iteration: of the plain loop, and of a block by its number of seeds (all seeds together)."""

    plain: float
    blocks: dict[int, float]


def measure_throughput(
    selection: Selection,
    counts: Sequence[int] = (1, 4, 8, 16),
    iterations: int = 60,
    repeats: int = 3,
    report: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """One line per row of the table and number of seeds in ``counts``.

    ms_per_iteration_and_seed: steady state of the training that ``run`` does, without evaluation and checkpoints.
    ratio_to_plain_loop: the plain loop's milliseconds over these; above 1 the seeds axis is faster.
    share_of_peak: rate of the matrix products alone over the peak; the rest is overhead and everything else.

    ``attrs`` holds ``peak_gflops`` (measured, float32), ``threads``, ``processor`` and ``plain_ms`` (the plain loop's
    milliseconds per iteration, by row). ``iterations`` are timed in each of ``repeats`` runs, the median counts.
    """
    runs = {row.id: selection.run(row, seed=0) for row in selection.rows}
    flops = {name: matrix_flops(make_module(run, (0,))) for name, run in runs.items()}
    before = peak_gflops()
    report(f"peak of matrix products: {before:.0f} GFLOP/s on {torch.get_num_threads()} threads")
    timings = {row.id: _time_row(row, runs[row.id], counts, iterations, repeats, report) for row in selection.rows}
    # Whatever slows the machine down hides the peak, nothing makes it appear higher.
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
    """Medians over repeats. Plain loop and blocks take turns, there and back, so that a machine whose speed drifts
    favours none of them."""
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
    """Milliseconds per iteration of a block of so many seeds, trained as ``run`` trains it."""
    module = make_module(run, tuple(range(seeds)))
    data = make_data(run, module.seeds, module)
    skip_pretraining(module)
    stopwatch = Stopwatch(iterations)
    with quiet():
        make_trainer(run, [stopwatch], "cpu", max_epochs=-1).fit(module, data)
    return stopwatch.milliseconds


def time_plain_loop(run: Run, iterations: int) -> float:
    """Milliseconds per iteration of one seed in the Lightning loop that a newcomer would write."""
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
    """A method as one would write it without a seeds axis: ordinary layers, fresh noise for every update, one batch of
    Lightning's loop after another, Lightning's own manual optimization, Adam as it comes.

    The losses are the method's, on a seeds axis of length 1: a step of GAN takes a tenth longer than with losses for
    ``[B, ...]``, and the ratio to this loop flatters by as much.

    method: of one seed; it is changed and should not be used elsewhere.
    """

    def __init__(self, method: AdversarialModule) -> None:
        super().__init__()
        self.automatic_optimization = False
        use_ordinary_layers(method)
        method.noise = FreshNoise(method.seeds)
        self.method = method
        # The method asks for the optimizers of whoever trains it.
        method.optimizers = self.optimizers  # type: ignore[method-assign]
        # method.steps would hold the parameters of the old layers if someone asked for it before.
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
        """A whole iteration, or its next update where every update reads a batch of its own."""
        x = batch[0].unsqueeze(0)
        if self.iteration < 0:
            for index, update in enumerate(self.pretraining):
                self._step(self._optimizers()[index], update, x)
            self.method.iteration += 1
            return
        for _ in range(len(self._calls) // self.method.draws_per_iteration):
            self._move(x)

    def loss(self, update: Update, x: Tensor) -> Tensor:
        """Loss ``[1]`` of an update on data ``[1, B, ...]`` and new latents."""
        t = self.method.training_setup
        return update.loss(x, self.method.random("z", x, t.prior, t.latent_dim))

    def _optimizers(self) -> list[Any]:
        found: Any = self.optimizers()
        return found if isinstance(found, list) else [found]

    def _step(self, optimizer: Any, update: Update, x: Tensor) -> None:
        """Gradients of an update's loss, and the step unless all players move at once."""
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
    """New numbers from PyTorch's global generator at every call, in place of streams that can be asked for again."""

    def __call__(self, name: str, iteration: int, distribution: Distribution, shape: Sequence[int]) -> Tensor:
        size = (len(self.seeds), *shape)
        return torch.randn(size) if distribution == "normal" else torch.rand(size) * 2 - 1


class Linear(nn.Linear):
    """``nn.Linear`` for ``[1, B, in]``.

    Its own forward pass returns a view for three dimensions, and the in-place ReLU of the networks is slow on views:
    with it a step of GAN takes 8 % longer, which would speak for the seeds axis without being its merit.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight.t().unsqueeze(0))


def use_ordinary_layers(module: nn.Module) -> None:
    """Put an ``nn.Linear`` of equal weights in place of every ``SeedLinear`` of one seed.

    A layer that hangs in several places stays one layer.
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
    """Counts the operations of all matrix products inside it, backward passes and gradients of gradients included.

    By the formulas of PyTorch's ``FlopCounterMode``, which itself keeps account of modules with hooks that raise on the
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
    """Floating-point operations of the matrix products of one iteration on full batches, all seeds of ``module``.

    A multiplication and its addition are two. Optimizers have none.
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
    """Best float32 rate of matrix products of ``PEAK_SHAPES`` with the current number of threads, in GFLOP/s."""
    return max(_rate(*shape) for shape in PEAK_SHAPES)


def _rate(batch: int, size: int) -> float:
    """GFLOP/s of the fastest call within ``PEAK_SECONDS``, or of the second call if that takes longer."""
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
