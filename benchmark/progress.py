"""What a user sees while a table is trained."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from benchmark.cells import Block
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

    seconds: estimate for each block by id. What a block really takes replaces it, and scales those of the same method.
    """

    def __init__(self, blocks: Sequence[Block], seconds: Mapping[str, float], console: Console) -> None:
        self.blocks, self.seconds, self.console = blocks, dict(seconds), console
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
        self.table: TaskID = self.bars.add_task("table", total=len(blocks), note="")
        self.block: TaskID | None = None
        self.current = ""

    def __call__(self, step: Step) -> None:
        now = time.monotonic()
        began, at = self.started.setdefault(step.block.id, (now, step.iteration))
        if step.iteration > at:
            rate = (now - began) / (step.iteration - at)
            self._learn(step.block, rate * step.iterations)
        place = [block.id for block in self.blocks].index(step.block.id)
        share = step.iteration / step.iterations
        left = self.seconds[step.block.id] * (1 - share) + sum(self.seconds[b.id] for b in self.blocks[place + 1 :])
        name = f"{step.block.first.method} seeds {seeds_text([cell.seed for cell in step.block.pending])}"
        note = f"epoch {step.epoch}/{step.block.first.protocol.epochs}"
        note += "".join(f"  {key} {value:.3f}" for key, value in step.losses.items())
        if "registered_modes" in step.measures:
            modes = step.measures["registered_modes"][: len(step.block.pending)]
            note += f"  modes {' '.join(f'{value:.0f}' for value in modes)}"
        if self.block is None or self.current != step.block.id:
            if self.block is not None:
                self.bars.remove_task(self.block)
            self.block, self.current = self.bars.add_task(name, total=step.iterations, note=""), step.block.id
        self.bars.update(self.block, completed=step.iteration, note=note)
        self.bars.update(self.table, completed=place, note=f"{duration(left)} left")
        if not self.console.is_terminal and now - self.said > _QUIET_SECONDS:
            self.said = now
            self.console.print(
                f"{name}: {step.iteration}/{step.iterations} {note}  [table: {duration(left)} left]",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    def _learn(self, block: Block, seconds: float) -> None:
        factor = seconds / self.seconds[block.id]
        for other in self.blocks:
            if other.first.method == block.first.method:
                self.seconds[other.id] *= factor


@contextmanager
def watching(blocks: Sequence[Block], seconds: Mapping[str, float], console: Console) -> Iterator[Watch]:
    """Bars on a terminal, a line a minute elsewhere."""
    watcher = Watcher(blocks, seconds, console)
    with watcher.bars:
        yield watcher
