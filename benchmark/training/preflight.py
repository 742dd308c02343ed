"""Test a user's method on tiny inputs before it trains.

A method that fails one of these tests would give wrong results silently, or raise an error only after minutes.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import UserError, first_line, own_place
from benchmark.spec import registry
from benchmark.spec.protocol import Setting
from benchmark.spec.run import Run
from modules.base import AdversarialModule, Update
from modules.options import Training

#: Images of a batch, at most; points cost nothing, and a method may want many.
IMAGES = 16
#: Seeds of the two modules that are compared.
PAIR, TRIO = (7, 4), (2, 4, 7)
_OWN_WEIGHTS = (
    'make networks by self.replicate(lambda: Net(), role="ROLE"), build_generator() or build_encoder(), which draw from'
    " streams of each seed"
)
_OWN_NOISE = (
    'take self.random(NAME, x, "normal", ...), or dropout in a network of self.replicate(), which draw from streams of'
    " each seed and resume"
)
_NO_SUPER = "its __init__ begins without super().__init__(training, data_shape, seeds): that is its first line"

Make = Callable[[tuple[int, ...]], AdversarialModule]


class Broken(Exception):
    """A promise that a method does not keep; the message says why and how to mend it."""


def check_methods(runs: Iterable[Run]) -> None:
    """Test the user-defined methods of these runs, each once per set of fields and protocol.

    Raises:
        UserError: A method breaks a promise; the message names it and the way out.
    """
    tried = set()
    for run in runs:
        method = registry.method(run.method)
        if method in registry.methods().values() or (key := dataclasses.replace(run, seed=0)) in tried:
            continue
        tried.add(key)
        shape = registry.dataset(run.dataset).data_shape
        size = run.protocol.batch_size if len(shape) == 1 else min(IMAGES, run.protocol.batch_size)
        protocol = dataclasses.replace(run.protocol, batch_size=size)
        try:
            inspect_method(partial(build, method, protocol, shape, run.overrides))
        except Broken as broken:
            line = " ".join(str(broken).split())
            raise UserError(f"{run.method} is not trained: {line}") from broken


def build(
    method: type[AdversarialModule],
    training: Training,
    shape: tuple[int, ...],
    fields: Iterable[tuple[str, Setting]],
    seeds: tuple[int, ...],
) -> AdversarialModule:
    """Create a module and translate errors of its constructor.

    Args:
        method: The class of the method.
        training: The protocol.
        shape: Shape of one sample of the data.
        fields: Fields of the method that differ from the defaults.
        seeds: Seeds of the copies.

    Raises:
        Broken: The constructor raises, or does not call ``super().__init__``.
    """
    module = method.__new__(method)
    try:
        module.__init__(training, shape, seeds, **dict(fields))  # type: ignore[misc]
    except Exception as error:
        begun = "training_setup" in vars(module)
        if not begun and isinstance(error, AttributeError):
            raise Broken(_NO_SUPER) from error
        if isinstance(error, TypeError) and "__init__()" in str(error):
            said = f"{first_line(error)}: it is called as __init__(training, data_shape, seeds, *, FIELDS)"
            raise Broken(said) from error
        raise Broken(explain(error)) from error
    if "training_setup" not in vars(module):
        raise Broken(_NO_SUPER)
    return module


def inspect_method(make: Make) -> None:
    """Test the promises that are cheap to test.

    Args:
        make: Creates the untrained module for a tuple of seeds.

    Raises:
        Broken: The first promise that is not kept.
    """
    with _global_numbers() as drawn:
        trio, pair = make(TRIO), make(PAIR)
    # First, as networks that all seeds share draw from global numbers, too.
    _has_seeds(trio, pair)
    steps = _steps(trio)
    _every_network_is_trained(trio, steps)
    _ask_unmoved(drawn, "making its networks", _OWN_WEIGHTS)
    _starts_by_its_seed(trio, pair)
    # A loss may look at its optimizer.
    iterate_alone(trio, trio.configure_optimizers())
    _makes_samples(trio)
    for update, parameters in trio.pretraining_steps:
        _losses_stay_apart(trio, update, parameters, -1)
    if trio.pretraining_epochs:
        _pretrain(trio)
    for update, parameters in trio.steps:
        _losses_stay_apart(trio, update, parameters, 0)


def iterate_alone(module: AdversarialModule, optimizers: list[torch.optim.Optimizer]) -> None:
    """Prepare a module to run iterations without a trainer."""
    bare: Any = module
    bare.optimizers = lambda: optimizers
    bare.manual_backward = lambda loss, **words: loss.backward(**words)


def _pretrain(module: AdversarialModule) -> None:
    """Run two iterations of pre-training, as adversarial training may need the state that they create."""
    module.iteration = -2
    for _ in range(2):
        module.iterate(torch.stack([_data(module, module.training_setup.batch_size)] * module.draws_per_iteration))
    module.take_losses()


def _has_seeds(trio: AdversarialModule, pair: AdversarialModule) -> None:
    """Test that every parameter and every buffer of the samplers has a leading axis of seeds."""
    shapes = {name: value.shape for name, value in pair.named_parameters()}
    for name, parameter in trio.named_parameters():
        part = name.partition(".")[0]
        if _is_list(trio, part, TRIO) and _is_list(pair, part, PAIR):
            raise Broken(f"{part} is a list of networks, one per seed: write self.{part} = {_replicate(part)}")
        if name not in shapes:
            raise Broken(f"{name} is there for some seeds only: make the same networks for every number of seeds")
        if _lead(parameter.shape) != len(TRIO) or _lead(shapes[name]) != len(PAIR):
            shared = f"{part} is one network that all seeds share (its {name} is {list(parameter.shape)})"
            if "." not in name:
                shared = f"parameter {name} {list(parameter.shape)} is one that all seeds share"
                raise Broken(f"{shared}: give it a leading axis of seeds, [{len(TRIO)}, ...] for {len(TRIO)} seeds")
            raise Broken(f"{shared}: write self.{part} = {_replicate(part)}")
    for name, value in trio.state_dict().items():
        if name.partition(".")[0] in trio.samplers and (value.ndim == 0 or value.shape[0] % len(TRIO)):
            raise Broken(f"buffer {name} {list(value.shape)} has no leading axis of seeds")


def _is_list(module: AdversarialModule, name: str, seeds: tuple[int, ...]) -> bool:
    found = getattr(module, name)
    return isinstance(found, nn.ModuleList) and len(found) == len(seeds)


def _replicate(name: str) -> str:
    return f'self.replicate(lambda: Net(), role="{name}"), with Net() one ordinary network'


def _lead(shape: torch.Size) -> int:
    return shape[0] if shape else 0


def _steps(module: AdversarialModule) -> list[tuple[Update, list[nn.Parameter]]]:
    """Return the steps of pre-training and of adversarial training. An error means that ``updates`` is not written
    correctly.
    """
    try:
        before, steps = module.pretraining_steps, module.steps
    except Exception as error:
        raise Broken(explain(error)) from error
    if not steps:
        raise Broken("updates() yields no Update: yield Update(self.LOSS, params=(self.NETWORK,)) for every step")
    return before + steps


def _every_network_is_trained(module: AdversarialModule, steps: list[tuple[Update, list[nn.Parameter]]]) -> None:
    moved = {id(parameter) for _, parameters in steps for parameter in parameters}
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    for update, parameters in steps:
        if any(id(parameter) not in names for parameter in parameters):
            raise Broken(
                f"{update.loss_name} trains a network that is no attribute of the method, as those in a list are not: "
                f"write self.NAME = {_replicate('NAME')}"
            )
    own = {name.partition(".")[0]: False for name, p in module.named_parameters() if p.requires_grad}
    for name, parameter in module.named_parameters():
        if id(parameter) in moved:
            own[name.partition(".")[0]] = True
    idle = [name for name, trained in own.items() if not trained]
    if idle:
        trained = "; ".join(f"{u.loss_name} trains {', '.join(_owners(module, p))}" for u, p in steps)
        raise Broken(f"no update trains {', '.join(idle)}, so that it is never trained ({trained}): name it in params")


def _owners(module: AdversarialModule, parameters: Iterable[nn.Parameter]) -> list[str]:
    wanted = {id(parameter) for parameter in parameters}
    return list(dict.fromkeys(n.partition(".")[0] for n, p in module.named_parameters() if id(p) in wanted))


def _starts_by_its_seed(trio: AdversarialModule, pair: AdversarialModule) -> None:
    """Test that the initial weights of a seed do not depend on the other seeds."""
    other = dict(pair.named_parameters())
    for name, value in trio.named_parameters():
        for seed in PAIR:
            if not torch.equal(value[TRIO.index(seed)], other[name][PAIR.index(seed)]):
                raise Broken(f"{name} of a seed starts otherwise beside other seeds: {_OWN_WEIGHTS}")


def _makes_samples(module: AdversarialModule) -> None:
    """Test that samples have the shape of the data."""
    count, shape = 5, list(module.data_shape)
    numbers = [np.random.default_rng(seed) for seed in TRIO]
    try:
        with _global_numbers() as drawn:
            if module.calibration:
                module.calibrate(_data(module, module.calibration, seeds=1)[0])
            samples = module.sample(count, numbers)
    except Exception as error:
        hint = ""
        if isinstance(error, AttributeError) and "'generator'" in str(error):
            hint = "; call the network that makes samples self.generator, or write generate(z)"
        raise Broken(f"it makes no samples: {explain(error)}{hint}") from error
    _ask_unmoved(drawn, "generate()", "samples are made of the latents z alone")
    if not isinstance(samples, Tensor) or list(samples.shape) != [len(TRIO), count, *shape]:
        found = list(samples.shape) if isinstance(samples, Tensor) else type(samples).__name__
        raise Broken(
            f"the generator's samples have shape {found} and must have [{len(TRIO)}, {count}, {_list(shape)}]:"
            f" seeds, samples, and the data's {shape}"
        )
    if not samples.is_floating_point():
        raise Broken(f"the generator's samples are {samples.dtype}: they must be torch.float32")


def _list(shape: Iterable[int]) -> str:
    return ", ".join(map(str, shape))


def _data(module: AdversarialModule, size: int, seeds: int = len(TRIO)) -> Tensor:
    """Return random data ``[seeds, size, *data_shape]`` in [0, 1]."""
    shape = (seeds, size, *module.data_shape)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _losses_stay_apart(
    module: AdversarialModule, update: Update, parameters: list[nn.Parameter], iteration: int
) -> None:
    """Test the loss of an update.

    It must be finite, one number per seed. Its gradient must reach the networks that the update trains. The loss of one
    seed must have no gradient in the parameters of another.
    """
    x = _data(module, module.training_setup.batch_size)
    module.iteration, module._noise_calls, name = iteration, 0, update.loss_name
    # A schedule of instance noise asks.
    module.planned_iterations = 1
    try:
        with _global_numbers() as drawn:
            loss = update.loss(x, module._latents(x))
    except Exception as error:
        raise Broken(f"{name} fails: {explain(error)}") from error
    _ask_unmoved(drawn, name, _OWN_NOISE)
    wanted = f"one number per seed, [{len(TRIO)}] for {len(TRIO)} seeds"
    mean = "losses.per_seed(values) takes the mean over everything else"
    if loss is None:
        raise Broken(f"{name} returns None: its last line is return LOSS, {wanted}")
    if not isinstance(loss, Tensor):
        raise Broken(f"{name} returns a {type(loss).__name__}, no tensor: a loss is {wanted}")
    if loss.ndim == 0:
        raise Broken(f"{name} returns one number for all seeds: a loss is {wanted}; {mean}")
    if list(loss.shape) != [len(TRIO)]:
        raise Broken(f"{name} returns {list(loss.shape)}: a loss is {wanted}; {mean}")
    names = [n for n, _ in module.named_parameters()]
    tensors = [p for _, p in module.named_parameters()]
    trained = [(n, p) for n, p in zip(names, tensors, strict=True) if p.requires_grad]
    cut = "something in between cuts the gradient: detach(), .data, NumPy, no_grad, self.fake()"
    if not loss.requires_grad:
        raise Broken(f"{name} depends on no parameter: {cut}")
    if not loss.isfinite().all():
        bad = loss[~loss.isfinite()][0].item()
        raise Broken(f"{name} is {bad} in its first iteration, on data in [0, 1] and untrained networks")
    try:
        gradients = torch.autograd.grad(loss[1], [p for _, p in trained], allow_unused=True)
    except RuntimeError as error:
        raise Broken(f"{name} has no gradient: {explain(error)}") from error
    found = {n: g for (n, _), g in zip(trained, gradients, strict=True) if g is not None}
    for parameter_name, gradient in found.items():
        if gradient[[0, 2]].any():
            raise Broken(
                f"{name} of one seed has a gradient in {parameter_name} of another: something takes a mean, a sum or a"
                " norm over the axis of seeds, which is the first"
            )
    reached = {n.partition(".")[0] for n, g in found.items() if g[1].any()}
    for owner in _owners(module, parameters):
        if owner not in reached:
            instead = f"it reaches {', '.join(sorted(reached))}" if reached else "it reaches none"
            raise Broken(
                f"{name} trains {owner}, and its gradient does not reach it ({instead}): params names another network"
                f" than meant, or {cut}"
            )


# Errors in words ------------------------------------------------------------------------------------------------------


_FLOATS = "data, latents, parameters and losses are torch.float32, no integers"
#: What PyTorch says, and what it means here.
_HINTS = {
    "same dtype": _FLOATS,
    "expected scalar type": _FLOATS,
    "floating point": _FLOATS,
    "not attached to a `Trainer`": "self.iteration and self.planned_iterations say where training is",
    "Can't call numpy()": "a loss is computed by torch from end to end, or it has no gradient",
}


def explain(error: BaseException) -> str:
    """Describe an exception: its message, the place in the user's file and the usual cause."""
    said = first_line(error)
    text = said if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: {said}"
    text += next((f"; {hint}" for word, hint in _HINTS.items() if word in said), "")
    place = own_place(error)
    return f"{text} ({place})" if place else text


@contextmanager
def _global_numbers() -> Iterator[list[str]]:
    """Detect draws from the global random generators, and restore their state at the end.

    Yields:
        A list that receives, at the end, the name of each library whose generator was used.
    """
    torchs, numpys, pythons = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()
    drawn: list[str] = []
    try:
        yield drawn
        drawn += ["PyTorch"] * (not torch.equal(torch.get_rng_state(), torchs))
        drawn += ["NumPy"] * (repr(np.random.get_state(legacy=False)) != repr(numpys))
        drawn += ["Python"] * (random.getstate() != pythons)
    finally:
        torch.set_rng_state(torchs)
        np.random.set_state(numpys)
        random.setstate(pythons)


def _ask_unmoved(drawn: list[str], where: str, way_out: str) -> None:
    if drawn:
        raise Broken(f"{where} draws from the global random numbers of {' and '.join(drawn)}: {way_out}")
