"""Ordinary PyTorch modules on the seeds axis: S copies of one network, each with its own weights.

Every parameter and buffer of the network gets a leading seeds axis in place, so that checkpoints, optimizers and
devices treat it like any other. All copies are computed at once with ``torch.func.vmap`` where the network allows it.
Otherwise they are computed one after another: networks with buffers (batch norm writes to them), with random numbers
(dropout), or with operations that ``vmap`` does not support.
"""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from modules.networks import to_float32
from modules.ranks import batch_norm, num_shards


class Replicated(nn.Module):
    """S independent copies of a network.

    ``forward`` takes the arguments of the network. Copy ``s`` gets slice ``s`` of every tensor ``[S, B, ...]``; other
    arguments are passed on unchanged. The result has the structure that the network returns (a tensor, or tuples, lists
    and dictionaries of tensors), with a leading seeds axis in each tensor, ``[S, B, ...]``.

    Args:
        make: Function that builds one copy. It is called once per seed. During the call the global random generators of
            PyTorch, NumPy and Python are seeded with ``role`` and that seed; their states are restored afterwards.
        role: Name of the network. Equal networks of equal role start with equal weights in every method.
        seeds: One integer per copy.
        moment: Function that returns numbers which differ from call to call and repeat in a resumed run. Random numbers
            of the network (dropout) depend on its role, the copy's seed and these numbers.
        weights: File with initial weights for every copy: the state dict of one network, written by safetensors or
            ``torch.save``.

    Raises:
        TypeError: ``make`` does not build networks.
        ValueError: The copies differ in shape or share parameters, or the weights do not fit.
        FileNotFoundError: The file of weights does not exist.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        role: str,
        seeds: Sequence[int],
        moment: Callable[[], tuple[int, ...]],
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        if isinstance(make, nn.Module) or not callable(make):
            said = f"a {type(make).__name__}" if isinstance(make, nn.Module) else repr(make)
            raise TypeError(
                f"replicate() of role {role!r} got {said}: give it a function that makes the network, as in"
                f" replicate(lambda: Net(), role={role!r}); weights from a file are weights=PATH"
            )
        self.role, self.seeds, self._moment = role, tuple(seeds), moment
        copies = [_make_one(make, role, seed) for seed in seeds]
        #: Hash of the file of initial weights, for the record; empty without a file.
        self.weights_hash = ""
        if weights is not None:
            state = read_weights(weights)
            self.weights_hash = hashlib.sha256(Path(weights).read_bytes()).hexdigest()[:16]
            for copy in copies:
                _load(copy, state, role, weights)
        self.network = _stack(copies, role)
        #: Whether the output for a sample depends on the other samples of its batch.
        self.mixes_batch = any(isinstance(part, _BatchNorm) for part in self.network.modules())
        #: Whether ``vmap`` works, by training mode. Each mode is tried once.
        self._at_once: dict[bool, bool] = {}

    def forward(self, *inputs: Any, **named: Any) -> Any:
        for value in (*inputs, *named.values()):
            if isinstance(value, Tensor) and (value.ndim < 2 or len(value) != len(self.seeds)):
                raise ValueError(
                    f"network {self.role!r} got {list(value.shape)} and takes [{len(self.seeds)}, B, ...]:"
                    " seeds first, then the batch"
                )
        if self.training not in self._at_once:
            return self._first(inputs, named)
        return (self._together if self._at_once[self.training] else self._one_by_one)(inputs, named)

    def extra_repr(self) -> str:
        return f"role={self.role}, seeds={len(self.seeds)}"

    def _first(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Run the first call in this mode and find out whether ``vmap`` works."""
        # A failed attempt must have no effect. Buffers would keep their changes, and batch norm communicates between
        # devices.
        tries = not self.mixes_batch and not any(True for _ in self.network.buffers())
        if tries:
            try:
                with _strict_vmap():
                    found = self._together(inputs, named)
            except Exception:  # Whatever it is: if it is the network's own fault, the next call says so plainly.
                tries = False
        if not tries:
            found = self._one_by_one(inputs, named)
        self._at_once[self.training] = tries
        return found

    def _together(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        def one(state: dict[str, Tensor], inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
            return functional_call(self.network, state, inputs, named)

        axes = (0, tuple(map(_axis, inputs)), {name: _axis(value) for name, value in named.items()})
        return _each(to_float32, vmap(one, in_dims=axes)(dict(self.network.named_parameters()), inputs, named))

    def _one_by_one(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        parameters = {name: value.unbind() for name, value in self.network.named_parameters()}
        # Slices by index are views; batch norm writes to them in place.
        buffers = {name: [value[s] for s in range(len(self.seeds))] for name, value in self.network.named_buffers()}
        moment = self._moment() if self.training else (0,)
        outputs = []
        for slot, seed in enumerate(self.seeds):
            state = {name: values[slot] for name, values in [*parameters.items(), *buffers.items()]}
            arguments = [value[slot] if isinstance(value, Tensor) else value for value in inputs]
            words = {name: value[slot] if isinstance(value, Tensor) else value for name, value in named.items()}
            number = _number(b"forward", self.role, seed, *moment)
            with _own_random_numbers(self._generators(arguments), number, self.role), _whole_batch():
                outputs.append(functional_call(self.network, state, tuple(arguments), words))
            for name, values in buffers.items():
                # The network assigned a new tensor instead of writing to the buffer.
                if state[name] is not values[slot]:
                    values[slot].copy_(state[name].detach())
        return _join(outputs, self.role)

    def _generators(self, arguments: Sequence[Any]) -> list[torch.Generator]:
        """PyTorch's global generators that a copy can draw from; none on the meta device."""
        devices = {value.device for value in (*self.network.parameters(), *arguments) if isinstance(value, Tensor)}
        kinds = {device.type for device in devices}
        if "meta" in kinds:
            return []
        gpus = [torch.cuda.default_generators[d.index or 0] for d in devices if d.type == "cuda"]
        return [torch.default_generator, *gpus]


def _axis(value: Any) -> int | None:
    return 0 if isinstance(value, Tensor) else None


def _number(purpose: bytes, role: str, seed: int, *moment: int) -> int:
    """A seed for PyTorch that depends on the arguments alone."""
    return int(np.random.default_rng((*purpose, *role.encode(), seed, *moment)).integers(2**63))


def _make_one(make: Callable[[], nn.Module], role: str, seed: int) -> nn.Module:
    """Build the copy of one seed."""
    number = _number(b"initialisation", role, seed)
    before = np.random.get_state(), random.getstate()
    generator = torch.default_generator
    held = generator.get_state()
    try:
        generator.manual_seed(number)
        np.random.seed(number % 2**32)
        random.seed(number)
        made = make()
    finally:
        generator.set_state(held)
        np.random.set_state(before[0])
        random.setstate(before[1])
    if not isinstance(made, nn.Module):
        raise TypeError(f"replicate() of role {role!r}: the function returns a {type(made).__name__}, no nn.Module")
    if any(is_lazy(value) for value in (*made.parameters(), *made.buffers())):
        raise ValueError(f"network {role!r} has lazy layers, whose sizes are not known: give their sizes")
    return made


def _stack(copies: Sequence[nn.Module], role: str) -> nn.Module:
    """Turn the first copy into the network of all copies, with parameters and buffers ``[S, ...]``."""
    held = [dict([*copy.named_parameters(), *copy.named_buffers()]) for copy in copies]
    for other, named in zip(copies[1:], held[1:], strict=True):
        if {n: v.shape for n, v in named.items()} != {n: v.shape for n, v in held[0].items()}:
            raise ValueError(f"network {role!r} has other shapes for one seed than for another: make() must not vary")
        if other is copies[0] or {id(v) for v in named.values()} & {id(v) for v in held[0].values()}:
            raise ValueError(
                f"network {role!r} is the same for several seeds: make() must build it anew, as lambda: Net() does"
            )
    network = copies[0]
    trained = {name: value.requires_grad for name, value in network.named_parameters()}
    parameters, buffers = stack_module_state(list(copies))
    stacked: dict[int, Tensor] = {
        id(held[0][name]): nn.Parameter(value.detach(), requires_grad=trained[name])
        for name, value in parameters.items()
    }
    stacked |= {id(held[0][name]): value for name, value in buffers.items()}
    for part in network.modules():
        for place in (part._parameters, part._buffers):
            for name, value in list(place.items()):
                if value is not None:
                    # Recurrent layers hold further references to their parameters; ``setattr`` updates these, too.
                    setattr(part, name, stacked[id(value)])
        if isinstance(part, nn.RNNBase):
            part.register_forward_pre_hook(_refresh)
    return network


def _refresh(layer: nn.Module, inputs: Any) -> None:
    """Point a recurrent layer's list of weights to its current parameters."""
    assert isinstance(layer, nn.RNNBase)
    layer._flat_weights = [getattr(layer, name) for name in layer._flat_weights_names]


def _join(outputs: Sequence[Any], role: str) -> Any:
    """Stack the outputs of the copies, with a leading seeds axis in every tensor."""
    first = outputs[0]
    if isinstance(first, Tensor):
        return to_float32(torch.stack(list(outputs)))
    if isinstance(first, (tuple, list)):
        joined = [_join(each, role) for each in zip(*outputs, strict=True)]
        return type(first)(*joined) if hasattr(first, "_fields") else type(first)(joined)
    if isinstance(first, Mapping):
        return {key: _join([output[key] for output in outputs], role) for key in first}
    raise TypeError(f"network {role!r} returns a {type(first).__name__}, no tensor")


def _each(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Apply ``change`` to every tensor inside ``value``."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (tuple, list)):
        changed = [_each(change, each) for each in value]
        return type(value)(*changed) if hasattr(value, "_fields") else type(value)(changed)
    return {key: _each(change, each) for key, each in value.items()}


# Random numbers and batch norm ----------------------------------------------------------------------------------------


@contextmanager
def _strict_vmap() -> Iterator[None]:
    """Raise an error where ``vmap`` would only warn that it computes an operation copy by copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="There is a performance drop")
        yield


@contextmanager
def _own_random_numbers(generators: Sequence[torch.Generator], number: int, role: str) -> Iterator[None]:
    """Seed PyTorch's global generators with ``number`` inside the ``with`` block and restore them afterwards.

    Raises:
        ValueError: Random numbers were drawn while several processes share a batch. Each process would draw its own.
    """
    before = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(number)
        fresh = [generator.get_state() for generator in generators] if num_shards() > 1 else []
        yield
        for generator, state in zip(generators, fresh, strict=False):
            if not torch.equal(generator.get_state(), state):
                raise ValueError(
                    f"network {role!r} draws random numbers (dropout), which several devices cannot share:"
                    " leave --strategy ddp out"
                )
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


class _WholeBatch(TorchFunctionMode):
    """Replaces PyTorch's batch norm by one over the whole batch, of which this process holds a shard."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        called = _batch_norm if func is functional.batch_norm else func
        return called(*args, **(kwargs or {}))


def _whole_batch() -> Any:
    return _WholeBatch() if num_shards() > 1 else nullcontext()


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    # Separate tensors, because the running statistics are written to.
    means, shift = (x.new_zeros(x.shape[1]) if given is None else given for given in (running_mean, bias))
    variances, scale = (x.new_ones(x.shape[1]) if given is None else given for given in (running_var, weight))
    return batch_norm(x, means, variances, scale, shift, training, momentum, eps)


# Weights from a file --------------------------------------------------------------------------------------------------


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict of one network.

    Args:
        path: A safetensors file (``.safetensors``), or a file written by ``torch.save(network.state_dict(), path)``.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file holds no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights {path}")
    way_out = "write it by torch.save(network.state_dict(), PATH) or safetensors.torch.save_file"
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"weights {path} cannot be read ({said}); {way_out}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        inside = ", ".join(map(str, state)) if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise ValueError(f"weights {path} are no state dict of one network (inside: {inside}); {way_out}")
    return dict(state)


def _load(network: nn.Module, state: Mapping[str, Tensor], role: str, path: str | Path) -> None:
    own = network.state_dict()
    for name in [name for name in own if name not in state]:
        there = next((f" and have {other}" for other in state if other not in own), "")
        raise ValueError(f"weights {path} lack {name} of network {role!r}{there}")
    for name in [name for name in state if name not in own]:
        raise ValueError(f"weights {path} have {name}, which network {role!r} lacks")
    for name, value in own.items():
        if value.shape != state[name].shape:
            shapes = f"{list(state[name].shape)}, and network {role!r} has {list(value.shape)}"
            raise ValueError(f"weights {path} hold {name} of shape {shapes}")
    network.load_state_dict(dict(state))
