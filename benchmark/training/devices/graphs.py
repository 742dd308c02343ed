"""Iterations on a GPU as CUDA graphs: one launch in place of hundreds.

An iteration on points is hundreds of kernels of a few microseconds, and starting one from Python takes longer than it
runs. A graph is recorded once and holds what the GPU was told, not what Python decided: it fits an iteration that
depends on nothing but its parameters, buffers, data and noise, at one learning rate. Whether it does is not believed
but seen: the first replays, and one in every epoch, start where an ordinary iteration starts, and must end in the same
bits. What does not fit is trained as ever, and its record says why.
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
from modules.noise import Distribution, Noise

#: Set to 0, nothing is recorded.
SWITCH = "MODECOV_CUDA_GRAPHS"
#: Ordinary iterations before the first recording: they make the optimizers' state and the libraries' handles.
WARM_UP = 3
#: Replays in a row that are compared before one is believed; what is kept between iterations shows in the second.
COMPARED = 3
#: What the base class keeps in Python, and ``_attempt`` puts back.
_COUNTERS = ("iteration", "noise", "_losses", "_traces", "_slot", "_noise_calls")


class Graphs(Callback):
    """Replays the iterations of a module of points that trains on one GPU.

    said: for the record, empty where nothing could be replayed.
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
    """The same numbers, drawn on the processor as ever, and kept on a device, many iterations at a time."""

    def __init__(self, device: torch.device, seeds: Sequence[int]) -> None:
        super().__init__(seeds)
        self.device = device

    def __call__(self, name: str, iteration: int, distribution: Distribution, shape: Sequence[int]) -> Tensor:
        found = super().__call__(name, iteration, distribution, shape)
        if found.device == self.device:
            return found
        index, chunk = self._chunks[name]
        if self.device.type == "cuda":
            # From pinned memory a copy waits for nothing.
            chunk = chunk.pin_memory()
        self._chunks[name] = index, chunk.to(self.device, non_blocking=True)
        return super().__call__(name, iteration, distribution, shape)


class Recorder(Protocol):
    """What records a run once and repeats it, on the same memory, as often as asked."""

    def screen(self, run: Callable[[], None]) -> None:
        """Run it. ``Unfit`` where it does what a recording cannot hold."""

    def record(self, run: Callable[[], None]) -> None:
        """Record it without computing anything. ``Unfit`` where that fails."""

    def replay(self) -> None:
        """Compute it."""


class Unfit(Exception):
    """Why an iteration is no graph."""


class CudaGraph:
    """PyTorch's graph of a whole iteration, backward passes and steps of Adam included."""

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
            # A promise that its steps are counted on the GPU, which fused ones do anyway.
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
    """What an iteration asks of the noise; ``sign`` is -1 in pre-training, which counts up to 0."""

    name: str
    sign: int
    distribution: Distribution
    shape: tuple[int, ...]


class _Buffers:
    """Stands in for the noise while an iteration is looked at and recorded: memory that the numbers of every replay are
    put into. It is taken before the recording, in which it might share a place with what the graph computes earlier."""

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
    """An iteration of a module on full batches, at the rates of now: looked at when it is made, then recorded."""

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
        """Record what was looked at. Raises ``Unfit`` where that fails."""
        self.buffers.complete = True
        self.recorder.record(self._run)

    def _run(self) -> None:
        """The iteration on memory of this recording's own; the module's counters stay as they were."""
        with _attempt(self.module):
            self.losses, self.traces = {}, {}
            self.module.noise = self.buffers  # type: ignore[assignment]
            self.module._losses, self.module._traces = self.losses, self.traces
            self._iterate(self.draws)

    def replay(self, draws: Tensor) -> None:
        """The iteration on ``draws``, all but its losses, which lie in ``losses`` until the next one."""
        self.draws.copy_(draws)
        for stream, held in self.buffers.held.items():
            held.copy_(
                self.module.noise(stream.name, stream.sign * self.module.iteration, stream.distribution, stream.shape)
            )
        self.recorder.replay()

    def keep(self) -> None:
        """Hand losses and traces over to the module, and count the iteration."""
        _hand_over(self.losses, self.module._losses)
        _hand_over(self.traces, self.module._traces)
        self.module.iteration += 1


class Replayed:
    """In place of a module's ``iterate``: the same, by a graph where there is one that fits.

    unfit: why there can be none. to_compare: replays to come that are compared with an ordinary iteration.
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
        """Give back the memory of the graph."""
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
        """Learning rates of all calls of this iteration."""
        module, found = self.module, []
        for slot in range(module.calls_per_iteration + 1):
            # Simultaneous updates are made after all calls. Every iteration begins at 0 anew.
            module._slot = slot
            found.append(module.learning_rate())
        return tuple(found)

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        found: Any = self.module.optimizers()
        # Lightning wraps them.
        bare: list[Any] = [getattr(each, "optimizer", each) for each in (found if isinstance(found, list) else [found])]
        return bare

    def _record(self, draws: Tensor) -> Recording | None:
        """A recording of this iteration, unless it does what no graph can; and the iteration, as ever."""
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
        """A replay and an ordinary iteration from the same start; the ordinary one's result is kept."""
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
        """Everything that training changes."""
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
    """Inside, whatever makes the processor wait for the GPU raises ``RuntimeError``, as far as PyTorch knows."""
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
    """Inside, an iteration can be tried: what the base class counts and keeps is put back afterwards."""
    before = {name: getattr(module, name) for name in _COUNTERS}
    module._losses, module._traces = {}, {}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


class _Attributes:
    """What the parts of a module hold in Python: an iteration that sets any of it cannot be replayed."""

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
    """Whether two tensors are equal, NaN to NaN included."""
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())
