"""Test the promises of a method: properties without which its numbers mean nothing. One function tests one promise."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode

from benchmark.errors import Stopped, UserError, first_line, own_place
from benchmark.papers.discovery import all_tables
from benchmark.spec import registry
from benchmark.spec.block import Block
from benchmark.spec.overrides import Settings
from benchmark.spec.protocol import Protocol, Setting
from benchmark.spec.run import Run
from benchmark.spec.selection import select
from benchmark.spec.table import Table
from benchmark.training.callback import Evaluation
from benchmark.training.preflight import Broken, build, inspect_method, iterate_alone
from benchmark.training.trainer import fit
from datamodules.mixture import GaussianMixture
from modules.base import AdversarialModule, Update

#: Training data, so small that all checks take seconds.
POINTS = GaussianMixture(
    name="conformance",
    centres=((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)),
    std=0.1,
    per_mode=20,
    limit=1.5,
    radius=0.3,
    source="80 points to check methods with",
)
DATASET = f"{__name__}:POINTS"
SIZE = 16
#: Iterations per epoch.
ITERATIONS = 5
State = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A method with the settings of its test.

    Attributes:
        method: A name, or ``package.module:Class``.
        overrides: Fields of the method that differ from the defaults.
        protocol: Fields of the protocol that differ from the defaults.
        dataset: Data set to train on, a name or ``package.module:NAME``.
    """

    method: str
    overrides: tuple[tuple[str, Setting], ...] = ()
    protocol: tuple[tuple[str, Setting], ...] = ()
    dataset: str = DATASET

    @staticmethod
    def of(name: str, assignments: Sequence[str] = (), dataset: str = DATASET) -> Case:
        """Create the case of a method.

        The prior, and for images the networks, come from the first table with such data that contains the method, or
        else from the first table with such data. Pre-training lasts one epoch.

        Args:
            name: A method, as on the command line.
            assignments: ``--set`` assignments.
            dataset: A data set, as on the command line.

        Raises:
            UserError: A name is unknown, an assignment is wrong, or no table has networks for such data.
        """
        name, dataset = registry.full_name("methods", name), registry.full_name("datasets", dataset)
        method = registry.describe_method(name)
        settings = Settings.parse(assignments, [method])
        overrides = {"pretraining_epochs": 1} if "pretraining_epochs" in method.defaults else {}
        protocol = {**_usual_protocol(name, registry.dataset(dataset).data_shape), **settings.protocol}
        return Case(
            name,
            tuple(sorted({**overrides, **settings.for_method(method)}.items())),
            tuple(sorted(protocol.items())),
            dataset,
        )

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of one sample of the data."""
        return registry.dataset(self.dataset).data_shape

    def training(self, **fields: Any) -> Protocol:
        """Return the protocol, with other fields if given."""
        usual = {"profile": "check", "epochs": 3, "width": 2, "samples": 50, "batch_size": SIZE, "beta1": 0.8}
        usual |= {"fresh_iterations": ITERATIONS, "features": "none"}
        return Protocol(**{**usual, **dict(self.protocol), **fields})

    def untouched(self, seeds: Sequence[int], **fields: Any) -> AdversarialModule:
        """Return the module as its class creates it."""
        method = registry.method(self.method)
        return method(self.training(**fields), self.data_shape, tuple(seeds), **dict(self.overrides))

    def build(self, seeds: Sequence[int] = (0, 3), **fields: Any) -> AdversarialModule:
        """Return the module with its optimizers at the start of adversarial training, after two iterations of
        pre-training.
        """
        module = self.untouched(seeds, **fields)
        iterate_alone(module, module.configure_optimizers())
        if module.pretraining_epochs:
            module.iteration = -2
            for draws in self.data(module, 2):
                module.iterate(draws)
            module.take_losses()
        return module

    def data(self, module: AdversarialModule, iterations: int, size: int = SIZE) -> list[Tensor]:
        """Return random data in [0, 1] for each iteration: ``[draws, S, size, ...]``. The data of a seed depend on it
        alone.
        """
        shape = (iterations, module.draws_per_iteration, size, *self.data_shape)
        parts = [torch.rand(shape, generator=torch.Generator().manual_seed(seed)) for seed in module.seeds]
        return list(torch.stack(parts, 2))

    def block(self, *seeds: int) -> Block:
        """Return a block of these seeds, which trains like a table's."""
        runs = tuple(Run(self.dataset, self.method, self.training(), s, self.overrides) for s in seeds)
        return Block(runs, runs)


@cache
def _usual_protocol(name: str, shape: tuple[int, ...]) -> dict[str, Setting]:
    """Return the protocol fields of the first table with such data (points, or images of this shape).

    A table that contains the method is preferred.

    Raises:
        UserError: No table has networks for such data.
    """
    points = len(shape) == 1
    fields = ("prior",) if points else ("prior", "networks", "latent_dim", "scaling", "norm_at_evaluation")
    found: dict[bool, dict[str, Setting]] = {}
    for table in (table for table in all_tables().values() if isinstance(table, Table)):
        for row in table.rows:
            for dataset in row.datasets or table.datasets:
                other = table.dataset(dataset).data_shape
                if (len(other) == 1) if points else (other == shape):
                    protocol = select(table, methods=[row.id]).protocol(row, dataset)
                    found.setdefault(row.method == name, {field: getattr(protocol, field) for field in fields})
    if not found:
        raise UserError(f"no table has networks for data of shape {list(shape)}; digits and digits-1k have some")
    return found.get(True) or found[False]


# Without a trainer ----------------------------------------------------------------------------------------------------


def descend(module: AdversarialModule, rate: float = 0.1) -> None:
    """Use plain gradient descent, so that the steps show the gradients."""
    module.training_setup = dataclasses.replace(module.training_setup, lr=rate)
    steps = module.pretraining_steps + module.steps
    iterate_alone(module, [torch.optim.SGD(p, lr=rate, foreach=False) for _, p in steps])


class _MadeUp(TorchFunctionMode):
    """Return random numbers for copies to the host, such as SciPy's inputs, as fake tensors hold no values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = func in (Tensor.numpy, Tensor.__float__, Tensor.item)
        if leaves or (func is Tensor.cpu and args[0].device.type == "meta"):
            with unset_fake_temporarily():
                made = torch.rand(args[0].shape).to(args[0].dtype)
                return func(made)
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def elsewhere(module: AdversarialModule) -> Iterator[None]:
    """Move a module to a device other than the CPU. Inside the ``with`` block nothing is computed.

    ``meta`` replaces ``cuda``, whose fake tensors support backward passes only with a driver.
    """
    module.to("meta")
    module._steps = module._pretraining_steps = None
    descend(module)
    # Random copies of related tensors do not agree with one another, so a division by 0 can occur.
    with FakeTensorMode(allow_non_fake_inputs=True), _MadeUp(), np.errstate(divide="ignore", invalid="ignore"):
        yield


def run_batches(module: AdversarialModule, data: Sequence[Tensor]) -> np.ndarray:
    """Run an iteration on each of ``data``, and return the losses ``[iterations, updates, S]``."""
    for draws in data:
        module.iterate(draws)
    return torch.stack(list(module.take_losses().values()), 1).numpy()


def state(module: nn.Module) -> State:
    """Return a copy of the parameters, with a leading axis of seeds."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def same(a: State, b: State, slots: Any = slice(None)) -> bool:
    """Return whether two states are bit-identical in some of their slots."""
    return a.keys() == b.keys() and all(
        np.array_equal(a[name][slots].numpy(), b[name][slots].numpy(), equal_nan=True) for name in a
    )


def generators(*seeds: int) -> list[np.random.Generator]:
    """Create one random generator per seed."""
    return [np.random.default_rng(seed) for seed in seeds]


def _ask(kept: Any, why: str) -> None:
    if not kept:
        raise Broken(why)


# Promises ------------------------------------------------------------------------------------------------------------


def one_of_everything_per_seed(case: Case) -> None:
    """It can be built; networks, samples and losses are per seed; losses have a gradient in the networks they train."""
    inspect_method(partial(build, registry.method(case.method), case.training(), case.data_shape, case.overrides))


def starts_apart(case: Case) -> None:
    """The initial weights of a seed depend on the seed alone."""
    pair, alone, three = (state(case.untouched(seeds)) for seeds in ((0, 3), (3,), (3, 7, 3)))
    for name, value in alone.items():
        where = f"{name}: draw weights per seed, as build_generator() and build_discriminator() do"
        _ask(len(value) == 1 and len(pair[name]) == 2, f"{name} {list(value.shape)} has no leading axis of seeds")
        _ask(torch.equal(pair[name][1], value[0]), f"seed 3 starts otherwise beside seed 0, in {where}")
        _ask(torch.equal(three[name][0], value[0]), f"seed 3 starts otherwise in another slot, in {where}")
        _ask(torch.equal(three[name][2], value[0]), f"seed 3 starts otherwise in another slot, in {where}")
        if name.endswith("weight") and value.ndim > 2:
            _ask((pair[name][0] != pair[name][1]).any(), f"seeds 0 and 3 start equal, in {where}")


def gradients_stay_apart(case: Case) -> None:
    """Losses have one value per seed, with a gradient in that seed's parameters alone."""
    module = case.build((0, 3, 5))
    x = case.data(module, 1)[0][0]
    names, parameters = zip(*module.named_parameters(), strict=True)
    for update, moved in module.steps:
        loss = update.loss(x, module._latents(x))
        _ask(
            loss.shape == (3,), f"{update.loss_name} gives {list(loss.shape)} for 3 seeds, not [3]: use losses.per_seed"
        )
        for name, gradient in zip(names, torch.autograd.grad(loss[1], parameters, allow_unused=True), strict=True):
            apart = gradient is None or not gradient[[0, 2]].any()
            _ask(apart, f"{update.loss_name} of one seed has a gradient in {name} of another")
        own = torch.autograd.grad(update.loss(x, module._latents(x))[1], moved, allow_unused=True)
        for parameter, gradient in zip(moved, own, strict=True):
            unused = gradient is None or (parameter.ndim > 2 and parameter.shape[1] > 1 and not gradient[1].any())
            name = next(name for name, p in module.named_parameters() if p is parameter)
            _ask(not unused, f"{update.loss_name} trains {name} and has no gradient there")


def neighbours_do_not_matter(case: Case) -> None:
    """A seed trains to the same bits beside any other seeds of its block."""
    for width in (3, 4):
        one, other = case.build((0, 3, 5, 6)[:width]), case.build((8, 3, 0, 0)[:width])
        x = case.data(one, 3)
        changed = [draws.clone() for draws in x]
        for draws in changed:
            draws[:, 0], draws[:, 2:] = 0.1, 0.9
        first, second = run_batches(one, x), run_batches(other, changed)
        _ask((first[:, :, 0] != second[:, :, 0]).any(), "other data give the same losses: nothing is learned from them")
        equal = np.array_equal(first[:, :, 1], second[:, :, 1]) and same(state(one), state(other), [1])
        _ask(
            equal, f"seed 3 trains otherwise beside other seeds, {width} side by side: something mixes the seeds' axis"
        )


def nan_stays_alone(case: Case) -> None:
    """A seed whose losses are NaN does not change the other seeds, to the last bit."""
    sound, sick = case.build((0, 3, 5)), case.build((0, 3, 5))
    clean = case.data(sound, 4)
    dirty = [x.clone() for x in clean]
    dirty[1][:, 1] = torch.nan
    losses, expected = run_batches(sick, dirty), run_batches(sound, clean)
    _ask(np.isfinite(losses[0]).all(), "losses are not finite from the start")
    _ask(
        np.isnan(losses[1:, :, 1]).any(1).all(),
        "losses are finite on data that are NaN: the seed does not count as diverged",
    )
    equal = np.array_equal(losses[:, :, [0, 2]], expected[:, :, [0, 2]]) and same(state(sick), state(sound), [0, 2])
    _ask(equal, "the NaN of one seed changes the others")


def moves_what_it_says(case: Case) -> None:
    """Each update changes the networks that it names and no others, and every network is changed by some update."""
    module = case.build()
    names = {id(p): name.partition(".")[0] for name, p in module.named_parameters()}
    step = module._step
    seen: list[set[str]] = []

    def stepped(optimizer: Any, update: Update) -> None:
        before = state(module)
        step(optimizer, update)
        after = state(module)
        seen.append({name.partition(".")[0] for name in after if not torch.equal(before[name], after[name])})

    module._step = stepped  # type: ignore[method-assign]
    module.iterate(case.data(module, 1)[0])
    updates = [update for update, _ in module.steps]
    named = [{names[id(p)] for network in update.params for p in network.parameters()} for update in updates]
    turns = [(update, here) for update, here in zip(updates, named, strict=True) for _ in range(update.n_steps)]
    for (update, here), moved in zip(turns, seen, strict=True):
        _ask(here == moved, f"{update.loss_name} names {_words(here)} and trains {_words(moved)}")
    before = {names[id(p)] for _, parameters in module.pretraining_steps for p in parameters}
    idle = set(names.values()) - before.union(*named)
    _ask(not idle, f"no update trains {_words(idle)}")


def _words(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def counts_updates(case: Case) -> None:
    """Iterations are counted one by one, and each of them records one loss of every update."""
    module = case.build((0, 3, 5))
    _ask(module.take_losses() == {}, "there are losses before the first iteration")
    data = case.data(module, 4)
    module.training_step(data[:3], 0)
    module.training_step(data[3:], 1)
    losses = module.take_losses()
    _ask(module.iteration == 4, f"{module.iteration} iterations are counted where there were 4")
    names = [update.name for update, _ in module.steps]
    _ask(
        list(losses) == names,
        f"losses of {', '.join(losses)} are kept for updates {', '.join(names)}: name each its own",
    )
    for name, values in losses.items():
        _ask(values.shape == (4, 3), f"{name} has {list(values.shape)} losses for 4 iterations of 3 seeds")
    _ask(module.take_losses() == {}, "losses are handed over twice")


def samples_have_their_shape(case: Case) -> None:
    """There are n finite samples per seed, with the shape and the scale of the data, and without a gradient."""
    module = case.build((0, 3, 5))
    _calibrate(module, case)
    for n in (1, 33):
        samples = module.sample(n, generators(1, 2, 3))
        wanted = [3, n, *case.data_shape]
        _ask(list(samples.shape) == wanted, f"{n} samples have shape {list(samples.shape)}, not {wanted}")
        _ask(samples.dtype == torch.float32, f"samples are {samples.dtype}, not torch.float32")
        _ask(not samples.requires_grad, "samples carry a gradient")
        _ask(samples.isfinite().all(), "samples are not finite")
        if case.training().scaling == "unit":
            _ask(
                samples.min() >= 0 and samples.max() <= 1,
                "samples leave [0, 1], the scale of the data: end in self.output",
            )


def samples_repeat(case: Case) -> None:
    """Samples of a seed depend on its random numbers alone."""
    module = case.build()
    _calibrate(module, case)
    first, again = module.sample(20, generators(1, 2)), module.sample(20, generators(1, 2))
    _ask(torch.equal(first, again), "the same random numbers give other samples: draw nothing else in generate()")
    other = module.sample(20, generators(1, 9))
    _ask(torch.equal(first[0], other[0]), "samples of a seed depend on another seed's random numbers")
    _ask(not torch.equal(first[1], other[1]), "samples do not depend on their random numbers")


def sampling_changes_nothing(case: Case) -> None:
    """Sampling between iterations changes neither the module nor global random numbers."""
    watched, alone = case.build(), case.build()
    x = case.data(watched, 3)
    with torch.random.fork_rng():
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
        modes = [m.training for m in watched.modules()]
        for draws in x:
            _calibrate(watched, case)
            watched.sample(50, generators(1, 2))
            kept = {name: value.clone() for name, value in watched.state_dict().items()}
            watched.sample(7, generators(3, 4))
            _ask(same(dict(watched.state_dict()), kept), "sampling changes parameters or buffers")
            watched.iterate(draws)
        _ask([m.training for m in watched.modules()] == modes, "sampling leaves networks in another mode")
        after = torch.get_rng_state(), np.random.get_state()[1]  # type: ignore[index]
        untouched = torch.equal(before[0], after[0]) and np.array_equal(before[1], after[1])
        _ask(untouched, "global random numbers are used: use random(), and the latents that generate() gets")
    for draws in x:
        alone.iterate(draws)
    equal = same(state(watched), state(alone)) and same(watched.take_losses(), alone.take_losses())
    _ask(equal and watched.iteration == 3, "a model that is sampled between iterations trains otherwise")


def _calibrate(module: AdversarialModule, case: Case) -> None:
    if module.calibration:
        module.calibrate(torch.rand(100, *case.data_shape, generator=torch.Generator().manual_seed(1)))


def runs_where_its_data_are(case: Case) -> None:
    """Everything is computed on the device of the data; nothing is left on the CPU."""
    for draws in ("iteration", "update"):
        module = case.build(draws=draws)
        # Run one iteration on the CPU first, for what a method prepares once.
        module.iterate(case.data(module, 1)[0])
        module.take_losses()
        try:
            with elsewhere(module):
                for size in (SIZE, 6):
                    x = torch.rand(module.draws_per_iteration, 2, size, *case.data_shape, device="meta")
                    module.iterate(x)
                samples = module.sample(5, generators(1, 2))
                found = {p.device.type for p in module.parameters()} | {samples.device.type}
                found |= {losses.device.type for losses in module.take_losses().values()}
        except RuntimeError as error:
            place = own_place(error) or _place(error)
            raise Broken(f"{first_line(error)}; make tensors with device=x.device ({place})") from error
        _ask(found == {"meta"}, "parameters, losses or samples are left on another device")


def resumes_exactly(case: Case) -> None:
    """Training that is stopped and resumed from its checkpoint gives the same bits as undisturbed training."""
    with _folder() as folder:
        straight = _undisturbed(case)
        path = folder / "stopped.ckpt"
        with contextlib.suppress(Stopped):
            fit(case.block(0, 1), path, lambda progress: None, "cpu", [StopEarly()])
        _ask(path.exists(), "no checkpoint was written")
        resumed = fit(case.block(0, 1), path, lambda progress: None, "cpu")
    for name, curve in straight.curves.items():
        equal = np.array_equal(np.array(curve), np.array(resumed.curves[name]), equal_nan=True)
        _ask(equal, f"{name} goes on otherwise: keep what training depends on in parameters, buffers or the checkpoint")
    assert straight.samples is not None and resumed.samples is not None
    _ask(np.array_equal(straight.samples, resumed.samples, equal_nan=True), "its final samples are others")


def diverges_cleanly(case: Case) -> None:
    """A seed that diverges is reported with its iteration, and the other seed ends as usual."""
    straight = _undisturbed(case)
    with _folder() as folder:
        found = fit(case.block(0, 1), folder / "none.ckpt", lambda progress: None, "cpu", [_Poison()])
    _ask(straight.diverged_at == [None, None], "it diverges on good data")
    at = ITERATIONS + _Poison.after + 1
    _ask(
        found.diverged_at[0] == at, f"data that are NaN in iteration {at} count as divergence in {found.diverged_at[0]}"
    )
    _ask(found.diverged_at[1] is None, "the seed beside it counts as diverged, too")
    assert straight.samples is not None and found.samples is not None
    _ask(np.array_equal(straight.samples[1], found.samples[1]), "the seed beside it ends otherwise")


class StopEarly(Callback):
    """Stop as after Ctrl-C, after the first epoch of adversarial training."""

    def on_train_batch_end(self, trainer: Trainer, module: Any, *_: Any) -> None:
        (evaluation,) = (c for c in trainer.callbacks if isinstance(c, Evaluation))  # type: ignore[attr-defined]
        evaluation.stop = evaluation.stop or module.iteration > 0


class _Poison(Callback):
    """Set the first seed's data to NaN in one iteration of the second epoch of adversarial training."""

    after = 2

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: list[Tensor], batch_idx: int) -> None:
        if module.iteration == ITERATIONS:
            batch[self.after][:, 0] = torch.nan


@cache
def _undisturbed(case: Case) -> Evaluation:
    with _folder() as folder:
        return fit(case.block(0, 1), folder / "none.ckpt", lambda progress: None, "cpu")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="modecov-check-") as name:
        yield Path(name)


Check = Callable[[Case], None]
CHECKS: tuple[Check, ...] = (
    one_of_everything_per_seed,
    starts_apart,
    gradients_stay_apart,
    neighbours_do_not_matter,
    nan_stays_alone,
    moves_what_it_says,
    counts_updates,
    samples_have_their_shape,
    samples_repeat,
    sampling_changes_nothing,
    runs_where_its_data_are,
    resumes_exactly,
    diverges_cleanly,
)


def check_method(case: Case) -> Iterator[tuple[Check, str]]:
    """Run the checks on a method.

    If the first check fails, the others are not run, as they would fail for the same reason. A reason that was given
    before is replaced by ``as above``.

    Yields:
        Each check with the reason of its failure in one line; empty if it passes.
    """
    given = set()
    for check in CHECKS:
        wrong = ""
        try:
            check(case)
        except Broken as broken:
            wrong = " ".join(str(broken).split())
        except UserError:
            raise
        except Exception as error:
            place = own_place(error) or _place(error)
            wrong = f"{type(error).__name__}: {first_line(error)}" + (f" ({place})" if place else "")
        yield check, "as above" if wrong and wrong in given else wrong
        if wrong and check is one_of_everything_per_seed:
            return
        given.add(wrong)


def _place(error: BaseException) -> str:
    """Return the place in this repository where an error was raised; empty if there is none."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
