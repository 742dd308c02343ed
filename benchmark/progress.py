"""What a user sees while a table is trained."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from benchmark.cells import Block
from benchmark.estimate import Estimate
from benchmark.sheet import seeds_text
from benchmark.training import Progress as Step
from benchmark.training import Watch

#: Seconds between lines where there is no terminal to redraw.
_QUIET_SECONDS = 60.0


def duration(seconds: float) -> str:
    """``2 h 05 min``, ``3 min 20 s`` or ``12 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


class Watcher:
    """One bar for the block that trains, one for the table; time left from measured speeds.

    estimates: of each block by id. The speed that is really seen replaces them, for other blocks of the method too.
    """

    def __init__(self, blocks: Sequence[Block], estimates: Mapping[str, Estimate], console: Console) -> None:
        self.blocks, self.estimates, self.console = blocks, estimates, console
        self.rates = {key: value.seconds_per_iteration for key, value in estimates.items()}
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
        self.bar: TaskID | None = None
        self.current = ""

    def __call__(self, step: Step) -> None:
        now = time.monotonic()
        began, first = self.started.setdefault(step.block.id, (now, step.iteration))
        if step.iteration > first:
            self._learn(step.block, (now - began) / (step.iteration - first))
        place = [block.id for block in self.blocks].index(step.block.id)
        left = self.rates[step.block.id] * (step.iterations - step.iteration)
        left += sum(self.rates[block.id] * self.estimates[block.id].iterations for block in self.blocks[place + 1 :])
        name, note = self._name(step.block), self._note(step)
        if self.bar is None or self.current != step.block.id:
            if self.bar is not None:
                self.bars.remove_task(self.bar)
            self.bar, self.current = self.bars.add_task(name, total=step.iterations, note=""), step.block.id
        self.bars.update(self.bar, completed=step.iteration, note=note)
        self.bars.update(self.table, completed=place, note=f"{duration(left)} left")
        if not self.console.is_terminal and now - self.said > _QUIET_SECONDS:
            self.said = now
            line = f"{name}: {step.iteration}/{step.iterations}  {note}  table: {duration(left)} left"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _learn(self, block: Block, rate: float) -> None:
        before = self.rates[block.id]
        for other in self.blocks:
            if other.first.method == block.first.method:
                self.rates[other.id] *= rate / before if before > 0 else 1.0
        self.rates[block.id] = rate

    @staticmethod
    def _name(block: Block) -> str:
        return f"{block.label} seeds {seeds_text([cell.seed for cell in block.pending])}"

    @staticmethod
    def _note(step: Step) -> str:
        parts = [f"epoch {step.epoch}/{step.epochs}"]
        parts += [f"{name} {value:.3f}" for name, value in step.losses.items()]
        for name in {"registered_modes", "captured_modes", "modes"} & step.measures.keys():
            modes = step.measures[name][list(step.block.slots)]
            parts.append(f"modes {' '.join(f'{value:.0f}' for value in modes)}")
        return "  ".join(parts)


@contextmanager
def watching(blocks: Sequence[Block], estimates: Mapping[str, Estimate], console: Console) -> Iterator[Watch]:
    """Bars on a terminal, a line a minute elsewhere."""
    watcher = Watcher(blocks, estimates, console)
    with watcher.bars:
        yield watcher
