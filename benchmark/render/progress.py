"""Show the progress of a training."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from benchmark.spec.block import Block
from benchmark.spec.commands import seeds_text
from benchmark.training.callback import Progress as Step
from benchmark.training.engines.runner import Result
from benchmark.training.estimate import Estimate

#: Seconds between lines if the output is not a terminal.
_QUIET_SECONDS = 60.0


def duration(seconds: float) -> str:
    """Format seconds as ``2 h 05 min``, ``3 min 20 s`` or ``12 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def many(count: int, noun: str) -> str:
    """Format a count with its noun: ``1 block``, ``2 blocks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class Watcher:
    """Progress bars, one per block in training and one for the table, with the time left.

    Args:
        blocks: Blocks to train.
        estimates: Estimate of each block, by block id. Measured speeds replace them, also for the method's other
            blocks.
        console: Where to draw.
        workers: Blocks at a time.
    """

    def __init__(
        self, blocks: Sequence[Block], estimates: Mapping[str, Estimate], console: Console, workers: int = 1
    ) -> None:
        # The key is ``place``, as the id changes if other processes finish a part of a block before it starts.
        self.blocks = {block.place: block for block in blocks}
        self.rates = {block.place: estimates[block.id].seconds_per_iteration for block in blocks}
        self.left = {block.place: estimates[block.id].iterations - estimates[block.id].finished for block in blocks}
        self.console, self.workers = console, workers
        self.started: dict[str, tuple[float, int]] = {}
        self.said = time.monotonic()
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.table = self.bars.add_task("table, blocks", total=len(blocks), note="")
        self.bar: dict[str, TaskID] = {}

    def __call__(self, step: Step) -> None:
        place = step.block.place
        if place not in self.left:
            return
        now = time.monotonic()
        began, first = self.started.setdefault(place, (now, step.iteration))
        if step.iteration > first:
            self._learn(step.block, (now - began) / (step.iteration - first))
        self.left[place] = step.iterations - step.iteration
        name, note = self._name(step.block), self._note(step)
        if place not in self.bar:
            self.bar[place] = self.bars.add_task(name, total=step.iterations, note="")
        self.bars.update(self.bar[place], completed=step.iteration, note=note)
        self._show_table()
        if not self.console.is_terminal and now - self.said > _QUIET_SECONDS:
            self.said = now
            line = f"{name}: {step.iteration}/{step.iterations}  {note}  table: {self._time_left()} left"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def on_result(self, result: Result) -> None:
        """Remove the bar of a block that is finished or has failed."""
        place = result.block.place
        self.left.pop(place, None)
        if place in self.bar:
            self.bars.remove_task(self.bar.pop(place))
        self._show_table()

    def _show_table(self) -> None:
        self.bars.update(self.table, completed=len(self.blocks) - len(self.left), note=f"{self._time_left()} left")

    def _time_left(self) -> str:
        seconds = [self.rates[place] * iterations for place, iterations in self.left.items()]
        return duration(sum(seconds) / max(1, min(self.workers, len(seconds))))

    def _learn(self, block: Block, rate: float) -> None:
        before = self.rates[block.place]
        for place, other in self.blocks.items():
            if other.first.method == block.first.method:
                self.rates[place] *= rate / before if before > 0 else 1.0
        self.rates[block.place] = rate

    @staticmethod
    def _name(block: Block) -> str:
        return f"{block.label} seeds {seeds_text([run.seed for run in block.pending])}"

    @staticmethod
    def _note(step: Step) -> str:
        parts = [f"epoch {step.epoch}/{step.epochs}"]
        parts += [f"{name} {value:.3f}" for name, value in step.losses.items()]
        for name in {"registered_modes", "captured_modes", "modes"} & step.measures.keys():
            modes = step.measures[name][list(step.block.slots)]
            parts.append(f"modes {' '.join(f'{value:.0f}' for value in modes)}")
        return "  ".join(parts)


@contextmanager
def watching(
    blocks: Sequence[Block], estimates: Mapping[str, Estimate], console: Console, workers: int = 1
) -> Iterator[Watcher]:
    """Show progress bars on a terminal, and elsewhere print one line per minute.

    Args:
        blocks: Blocks to train.
        estimates: Estimate of each block, by block id.
        console: Where to draw.
        workers: Blocks at a time.

    Yields:
        The watcher, which receives progress.
    """
    watcher = Watcher(blocks, estimates, console, workers)
    with watcher.bars:
        yield watcher
