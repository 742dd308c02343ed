"""Replay training iterations as CUDA graphs: one launch instead of hundreds.

An iteration on points launches hundreds of kernels of a few microseconds each, and launching one from Python takes
longer than running it. A graph is recorded once. It contains the GPU's work but not Python's decisions, so it is valid
only if an iteration depends on nothing but parameters, buffers, data and noise, at one learning rate. This is verified:
the first replays, and one in every epoch, are compared with an ordinary iteration from the same state and must agree
bit for bit. A module that does not qualify trains without graphs, and its record states the reason.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from benchmark.errors import UserError, first_line
from modules.base import AdversarialModule
from modules.noise import Noise
from modules.options import Distribution

#: Environment variable; the value 0 turns CUDA graphs off.
SWITCH = "MODECOV_CUDA_GRAPHS"
#: Ordinary iterations before the first recording. They create the optimizers' state and the handles of libraries.
WARM_UP = 3
#: Consecutive replays to compare before a graph is trusted. State that an iteration hands to the next one shows from
#: the second on.
COMPARED = 3
#: Python attributes of the base class that an iteration changes and ``_attempt`` restores.
_COUNTERS = ("iteration", "noise", "_losses", "_traces", "_slot", "_noise_calls")


class Graphs(Callback):
    """Replay the iterations of a module of points that trains on one GPU.

    Attributes:
        said: Entry for the record: whether graphs were used, or why not. Empty if graphs do not apply.
    """

    def __init__(self) -> None:
        self.replayed: Replayed | None = None

    @property
    def said(self) -> dict[str, str]:
        if self.replayed is None:
            return {}
        return {"cuda_graphs": f"no: {self.replayed.unfit}" if self.replayed.unfit else "yes"}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        device = trainer.strategy.root_device
        if device.type != "cuda" or trainer.world_size > 1 or os.environ.get(SWITCH) == "0":
            return
        if not isinstance(pl_module, AdversarialModule) or len(pl_module.data_shape) > 1:
            return
        pl_module.noise = NoiseOn(device, pl_module.seeds)
        self.replayed = Replayed(pl_module, CudaGraph)
        pl_module.iterate = self.replayed  # type: ignore[method-assign]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.replayed:
            self.replayed.to_compare = max(1, self.replayed.to_compare)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.replayed:
            self.replayed.forget()
            del pl_module.iterate
            pl_module.noise = Noise(self.replayed.module.seeds)  # type: ignore[assignment]


class NoiseOn(Noise):
    """Noise with the same numbers, drawn on the CPU and copied to a device in chunks of many iterations."""

    def __init__(self, device: torch.device, seeds: Sequence[int]) -> None:
        super().__init__(seeds)
        self.device = device

    def __call__(self, name: str, iteration: int, distribution: Distribution, shape: Sequence[int]) -> Tensor:
        found = super().__call__(name, iteration, distribution, shape)
        if found.device == self.device:
            return found
        index, chunk = self._chunks[name]
        if self.device.type == "cuda":
            # Copies from pinned memory are asynchronous.
            chunk = chunk.pin_memory()
        self._chunks[name] = index, chunk.to(self.device, non_blocking=True)
        return super().__call__(name, iteration, distribution, shape)


class Recorder(Protocol):
    """An object that records a function once and replays it on the same memory."""

    def screen(self, run: Callable[[], None]) -> None:
        """Run the function once and check that it can be recorded.

        Raises:
            Unfit: The function does something that a recording cannot contain.
        """

    def record(self, run: Callable[[], None]) -> None:
        """Record the function without computing anything.

        Raises:
            Unfit: The recording fails.
        """

    def replay(self) -> None:
        """Replay the recorded function."""


class Unfit(Exception):
    """An iteration cannot be replayed as a graph; the message says why."""


class CudaGraph:
    """PyTorch's CUDA graph of a whole iteration, including backward passes and Adam steps."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        if not all(isinstance(each, torch.optim.Adam) for each in optimizers):
            raise Unfit("its optimizer is not Adam")
        self.optimizers = optimizers
        self.graph = torch.cuda.CUDAGraph()
        self.stream = torch.cuda.Stream()

    def screen(self, run: Callable[[], None]) -> None:
        self.stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(self.stream), _never_waiting():
                run()
        except RuntimeError as error:
            raise Unfit(f"it waits for the GPU, or copies from the processor ({first_line(error)})") from error
        finally:
            torch.cuda.current_stream().wait_stream(self.stream)

    def record(self, run: Callable[[], None]) -> None:
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group in groups:
            # Recording requires step counters on the GPU. Fused Adam keeps them there anyway.
            group["capturable"] = True
        try:
            with torch.cuda.graph(self.graph, stream=self.stream):
                run()
        except RuntimeError as error:
            raise Unfit(f"it cannot be recorded ({first_line(error)})") from error
        finally:
            for group in groups:
                group["capturable"] = False

    def replay(self) -> None:
        self.graph.replay()


class _Stream(NamedTuple):
    """Key of one noise tensor of an iteration.

    ``sign`` is -1 where a method asks for noise at the negated iteration, else 1: pre-training counts up to 0.
    """

    name: str
    sign: int
    distribution: Distribution
    shape: tuple[int, ...]


class _Buffers:
    """Replacement for the noise during screening and recording, with one buffer per noise tensor.

    Each replay copies its numbers into these buffers. They are allocated before the recording, so that they do not
    share memory with intermediate results of the graph.
    """

    def __init__(self, module: AdversarialModule) -> None:
        self.noise, self.iteration = module.noise, module.iteration
        self.held: dict[_Stream, Tensor] = {}
        self.complete = False

    def __call__(self, name: str, iteration: int, distribution: Distribution, shape: Sequence[int]) -> Tensor:
        if abs(iteration) != abs(self.iteration):
            raise Unfit(f"it asks for the noise of other iterations ({name})")
        stream = _Stream(name, 1 if iteration == self.iteration else -1, distribution, tuple(shape))
        if stream not in self.held:
            if self.complete:
                raise Unfit(f"it does not ask for the same noise every time ({name})")
            self.held[stream] = self.noise(name, iteration, distribution, shape).clone()
        return self.held[stream]


class Recording:
    """A recorded iteration of a module on full batches, at the current learning rates.

    The constructor screens the iteration; ``record`` records it.
    """

    def __init__(
        self, module: AdversarialModule, iterate: Callable[[Tensor], None], recorder: Recorder, draws: Tensor
    ) -> None:
        self.module, self.recorder = module, recorder
        self.draws, self.buffers = draws.clone(), _Buffers(module)
        self.losses: dict[str, list[Tensor]] = {}
        self.traces: dict[str, list[Tensor]] = {}
        self._iterate = iterate
        recorder.screen(self._run)

    def record(self) -> None:
        """Record the screened iteration.

        Raises:
            Unfit: The recording fails.
        """
        self.buffers.complete = True
        self.recorder.record(self._run)

    def _run(self) -> None:
        """Run the iteration on the buffers of this recording; the module's counters do not change."""
        with _attempt(self.module):
            self.losses, self.traces = {}, {}
            self.module.noise = self.buffers  # type: ignore[assignment]
            self.module._losses, self.module._traces = self.losses, self.traces
            self._iterate(self.draws)

    def replay(self, draws: Tensor) -> None:
        """Replay the iteration on ``draws``. Its losses stay in ``losses`` until the next replay."""
        self.draws.copy_(draws)
        for stream, held in self.buffers.held.items():
            held.copy_(
                self.module.noise(stream.name, stream.sign * self.module.iteration, stream.distribution, stream.shape)
            )
        self.recorder.replay()

    def keep(self) -> None:
        """Append losses and traces to the module's, and count the iteration."""
        _hand_over(self.losses, self.module._losses)
        _hand_over(self.traces, self.module._traces)
        self.module.iteration += 1


class Replayed:
    """Replacement for a module's ``iterate`` that replays a graph if there is a valid one.

    Attributes:
        unfit: Why no graph can be used; empty if one can.
        to_compare: Number of upcoming replays to compare with an ordinary iteration.
    """

    def __init__(
        self, module: AdversarialModule, recorder: Callable[[Sequence[torch.optim.Optimizer]], Recorder]
    ) -> None:
        self.module, self.iterate, self.make = module, module.iterate, recorder
        self.unfit = ""
        self.to_compare = 0
        self._key: Any = None
        self._recording: Recording | None = None
        self._warm, self._believed = 0, False

    def forget(self) -> None:
        """Free the memory of the graph."""
        self._recording = self._key = None

    def __call__(self, draws: Tensor) -> None:
        if self.unfit or draws.shape[2] != self.module.training_setup.batch_size:
            self.iterate(draws)
            return
        key = (draws.shape, self.module.iteration < 0, self._rates())
        if key != self._key:
            if self._key is None or key[:2] != self._key[:2]:
                self._warm = 0
            self._key, self._recording, self._believed = key, None, False
        if self._recording is None:
            self._warm += 1
            if self._warm <= WARM_UP:
                self.iterate(draws)
            else:
                self._recording, self.to_compare = self._record(draws), COMPARED
        elif self.to_compare:
            self._compare(self._recording, draws)
        else:
            self._recording.replay(draws)
            self._recording.keep()

    def _rates(self) -> tuple[float, ...]:
        """Return the learning rates of all optimizer steps of this iteration."""
        module, found = self.module, []
        for slot in range(module.calls_per_iteration + 1):
            # The extra slot is for simultaneous updates, which follow all calls. Each iteration resets ``_slot`` to 0.
            module._slot = slot
            found.append(module.learning_rate())
        return tuple(found)

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        found: Any = self.module.optimizers()
        # Unwrap Lightning's optimizers.
        bare: list[Any] = [getattr(each, "optimizer", each) for each in (found if isinstance(found, list) else [found])]
        return bare

    def _record(self, draws: Tensor) -> Recording | None:
        """Record this iteration, then run it without a graph.

        Returns:
            The recording; None if the iteration cannot be recorded.
        """
        before, attributes = self._state(), _Attributes(self.module)
        recording: Recording | None = None
        try:
            recording = Recording(self.module, self.iterate, self.make(self._optimizers()), draws)
            attributes.check()
            self._restore(before)
            recording.record()
            attributes.check()
        except Unfit as reason:
            self.unfit, recording = str(reason), None
            attributes.restore()
            self._restore(before)
        self.iterate(draws)
        return recording

    def _compare(self, recording: Recording, draws: Tensor) -> None:
        """Compare a replay with an ordinary iteration from the same state, and keep the result of the ordinary one.

        Raises:
            UserError: They differ although earlier comparisons agreed.
        """
        before = self._state()
        recording.replay(draws)
        replayed = [*self._state(), *(v.clone() for v in _values(recording.losses, recording.traces))]
        self._restore(before)
        module = self.module
        losses, traces = module._losses, module._traces
        module._losses, module._traces = {}, {}
        self.iterate(draws)
        ordinary = [*self._state(), *_values(module._losses, module._traces)]
        _hand_over(module._losses, losses)
        _hand_over(module._traces, traces)
        module._losses, module._traces = losses, traces
        self.to_compare -= 1
        if len(replayed) == len(ordinary) and all(map(_same_bits, replayed, ordinary)):
            self._believed = self._believed or self.to_compare == 0
            return
        if self._believed:
            raise UserError(
                f"iteration {module.iteration} of {module.name} is not what its CUDA graph repeats, so that the last"
                f" ones may be wrong: delete the checkpoint of this block, and train it with {SWITCH}=0"
            )
        self.unfit = "an iteration does not repeat in the same bits"
        self.forget()

    def _tensors(self) -> list[Tensor]:
        """Return all tensors that training changes."""
        states = [state for optimizer in self._optimizers() for state in optimizer.state.values()]
        moments = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        return [*self.module.parameters(), *self.module.buffers(), *moments]

    @torch.no_grad()
    def _state(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._tensors()]

    @torch.no_grad()
    def _restore(self, state: Sequence[Tensor]) -> None:
        for tensor, value in zip(self._tensors(), state, strict=True):
            tensor.copy_(value)


@contextmanager
def _never_waiting() -> Iterator[None]:
    """Let every operation that PyTorch knows to wait for the GPU raise ``RuntimeError``."""
    before = torch.cuda.get_sync_debug_mode()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Synchronization debug mode")
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


@contextmanager
def _attempt(module: AdversarialModule) -> Iterator[None]:
    """Restore the counters, losses and traces of the base class after trying an iteration."""
    before = {name: getattr(module, name) for name in _COUNTERS}
    module._losses, module._traces = {}, {}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


class _Attributes:
    """The Python attributes of all submodules. An iteration that rebinds one cannot be replayed."""

    def __init__(self, module: nn.Module) -> None:
        self.kept = [(place, dict(place)) for part in module.modules() for place in self._places(part)]

    @staticmethod
    def _places(part: nn.Module) -> tuple[dict[str, Any], ...]:
        return vars(part), part._buffers, part._parameters

    def check(self) -> None:
        for place, before in self.kept:
            for name in place.keys() | before.keys():
                if name not in _COUNTERS and place.get(name, self) is not before.get(name, self):
                    raise Unfit(f"it sets {name}")

    def restore(self) -> None:
        for place, before in self.kept:
            place.clear()
            place.update(before)


def _hand_over(made: dict[str, list[Tensor]], kept: dict[str, list[Tensor]]) -> None:
    for name, values in made.items():
        kept.setdefault(name, []).extend(value.clone() for value in values)


def _values(*made: dict[str, list[Tensor]]) -> list[Tensor]:
    return [value for each in made for values in each.values() for value in values]


def _same_bits(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are equal; NaN equals NaN."""
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())
