"""The command ``plan``: show what is done, what is left, and how long it will take."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.cli.options import (
    AcceleratorOptions,
    DataOptions,
    FeatureOptions,
    FigureOptions,
    PrecisionOptions,
    ResultsOptions,
    SeedOptions,
    SelectionOptions,
    StaleOptions,
    TableOptions,
    ThreadOptions,
    option,
    seconds,
    words,
)

if TYPE_CHECKING:
    from benchmark.cli.select import Choice, TableChoice
    from benchmark.spec.block import Block
    from benchmark.spec.demonstration import Experiment
    from benchmark.spec.run import Run
    from benchmark.store.store import Store
    from benchmark.training.engines.local_engine import LocalEngine
    from benchmark.training.estimate import Device, Estimate

    Estimates = Mapping[Device, Mapping[str, Estimate]]


def worker_counts(value: Any) -> list[int]:
    """Return numbers of machines, from ``1,8,64`` or in an options file from a list or a number."""
    parts = words(value).split(",")
    if not all(re.fullmatch(r"[1-9][0-9]{0,5}", part) for part in parts):
        raise ValueError(f"{value}: write counts from 1 on with commas between, as in 1,8,64")
    return [int(part) for part in parts]


@dataclass(kw_only=True)
class PlanOptions(
    DataOptions,
    ResultsOptions,
    ThreadOptions,
    AcceleratorOptions,
    StaleOptions,
    FeatureOptions,
    PrecisionOptions,
    SeedOptions,
    SelectionOptions,
    FigureOptions,
    TableOptions,
):
    """Say what run would train, what is done, and how long the rest takes on this machine, by GPU and processor.

    plan --table 2
    plan --table gaan-4 --profile short --workers 1,8,64      on so many machines like this one
    """

    verb = "plan"

    workers: list[int] | None = option(
        "how long so many machines like this one would take, as 1,8,64", metavar="N,M", read=worker_counts
    )
    overhead: float | None = option(
        "with --workers: what a worker loses with every block; default: 0", metavar="SECONDS", read=seconds
    )


@dataclass(frozen=True)
class Work:
    """The models and demonstrations that were chosen.

    Attributes:
        header: Description of the selection.
        lines: Models, by the name that is printed for them.
        paper: Models of the same selection at the paper's budget, if that is a different one.
        experiments: Demonstrations of the selection.
    """

    header: str
    lines: Mapping[str, Sequence[Run]]
    paper: Sequence[Run] = ()
    experiments: Sequence[Experiment] = ()

    @property
    def cells(self) -> list[Run]:
        """All models."""
        return [run for line in self.lines.values() for run in line]


def run(options: PlanOptions) -> int:
    """Print what is done, what is left, and how long it will take."""
    from benchmark.analysis.power import seeds_lines
    from benchmark.cli.select import TableChoice, blocks_of, choose
    from benchmark.errors import UserError
    from benchmark.spec.demonstration import Experiment
    from benchmark.spec.table import NetworkTable
    from benchmark.training.engines.local_engine import local_engine
    from benchmark.training.estimate import crowd, devices

    workers = options.workers or []
    if options.overhead is not None and not workers:
        raise UserError("--overhead is what a worker loses with a block: say how many --workers there are, too")
    chosen = choose(options)
    if isinstance(chosen, Experiment):
        print(_state_of(chosen, options))
        return 0
    if isinstance(chosen, NetworkTable):
        print(f"table {chosen.id}: nothing to train")
        return 0
    work = _work(chosen, options)
    store = options.store()
    blocks, blocks_of_paper = blocks_of(work.cells, store, options), blocks_of(work.paper, store, options)
    timed, crowded = [*blocks, *blocks_of_paper], crowd()
    engines = {
        device: local_engine(timed, accelerator=device.accelerator, threads=options.threads)
        for device in devices(options.accelerator)
    }
    estimates = {device: engine.estimate(timed, store, device.accelerator) for device, engine in engines.items()}
    print(work.header + (f", part {options.shard}" if options.shard else ""))
    for line in _rows(work, blocks, estimates, store, options):
        print(line)
    for experiment in work.experiments:
        print(_state_of(experiment, options))
    print(_total("", blocks, estimates, engines))
    if blocks_of_paper:
        print(_total("at profile paper: ", blocks_of_paper, estimates, engines))
    for line in _remarks(estimates, crowded, options) if timed else ():
        print(line)
    for line in _shared(workers, blocks, estimates, options.overhead or 0.0):
        print(line)
    if isinstance(chosen, TableChoice):
        for line in seeds_lines(chosen.selection, store):
            print(line)
    return 0


def _work(chosen: Choice, options: PlanOptions) -> Work:
    from benchmark.cli.select import TableChoice
    from benchmark.spec import commands
    from benchmark.spec.claims import ClaimSelection

    if isinstance(chosen, ClaimSelection):
        return Work(chosen.header, chosen.trained, experiments=chosen.all_experiments)
    assert isinstance(chosen, TableChoice)
    rows = {row.id: chosen.selection.runs(row) for row in chosen.selection.rows}
    return Work(commands.header(chosen.selection), rows, _at_paper(chosen, options))


def _rows(
    work: Work, blocks: Sequence[Block], estimates: Estimates, store: Store, options: PlanOptions
) -> Iterator[str]:
    """Yield a line for each row, and the errors of blocks that will fail."""
    from benchmark.cli.select import shard_of
    from benchmark.render.progress import many
    from benchmark.spec.block import make_blocks

    part = {run for block in shard_of(options).of(make_blocks(work.cells)) for run in block.runs}
    for name, line in work.lines.items():
        runs = [run for run in line if run in part]
        mine = [block for block in blocks if block.pending[0] in runs]
        said = f"  {name:<12} {', '.join(_counts(runs, mine, store)):<24}"
        yield f"{said} {many(len(mine), 'block')}, {_cost(estimates, mine)}" if mine else said.rstrip()
        problems = dict.fromkeys(found[block.id].problem for found in estimates.values() for block in mine)
        yield from (f"    will fail: {problem}" for problem in problems if problem)


def _counts(runs: Sequence[Run], blocks: Sequence[Block], store: Store) -> Iterator[str]:
    """Yield how many models of a row are done, left, diverged, failed and stale, without zeros."""
    from benchmark.analysis.frame import is_stale
    from benchmark.store.store import read_records

    if not runs:
        yield "in other parts"
    records = read_records(store, runs)
    left = sum(len(block.pending) for block in blocks)
    status = [record.status for record in records.values()]
    counts = {"done": len(runs) - left, "to do": left}
    counts |= {word: status.count(word) for word in ("diverged", "failed")}
    counts["stale"] = sum(is_stale(run, records[run.id]) for run in runs if run.id in records)
    yield from (f"{count} {word}" for word, count in counts.items() if count)


def _total(where: str, blocks: Sequence[Block], estimates: Estimates, engines: Mapping[Device, LocalEngine]) -> str:
    from benchmark.render.progress import many

    size = many(sum(len(block.pending) for block in blocks), "run")
    return f"{where}{size} to do in {many(len(blocks), 'block')}, {_cost(estimates, blocks, engines)}"


def _remarks(estimates: Estimates, crowded: str, options: PlanOptions) -> Iterator[str]:
    if options.accelerator == "auto" and len(estimates) == 1:
        yield "no GPU is found here: that is the processor's time; where PyTorch finds one, this command says both"
    if crowded:
        yield f"this machine was busy before blocks were timed ({crowded}): idle, it takes less than that"


def _shared(workers: Sequence[int], blocks: Sequence[Block], estimates: Estimates, overhead: float) -> Iterator[str]:
    """Yield the time that each number of workers needs."""
    from benchmark.render.progress import duration, many
    from benchmark.training.schedule import make_span

    usual = next(iter(estimates.values()))
    costs = [usual[block.id].seconds_left + overhead for block in blocks]
    for count in workers:
        span = make_span(costs, count)
        busy = f", {100 * sum(costs) / (count * span):.0f} % busy" if span else ""
        yield f"{many(count, 'worker')} like this machine: {duration(span)}{busy}"


def _state_of(experiment: Experiment, options: PlanOptions) -> str:
    """Return whether a demonstration is done."""
    from benchmark.analysis.experiments import is_experiment_stale

    record = options.store().read(experiment)
    stale = record is not None and is_experiment_stale(experiment, record)
    done = record is not None and not (stale and options.redo_stale)
    said = ("done" if done else "to do") + (", stale" if stale else "")
    return f"{experiment.demonstration.id}: {said} ({experiment.header})"


def _cost(estimates: Estimates, blocks: Sequence[Block], engines: Mapping[Device, LocalEngine] | None = None) -> str:
    """Return the time that the blocks take on each device.

    With engines, it is the time of ``run`` and the device has its full name. Without, the blocks run one after another
    and the device has the name of its kind, or none if it is the only one.
    """
    from benchmark.render.progress import duration
    from benchmark.training.schedule import make_span

    words = []
    for device, found in estimates.items():
        name, count = device.accelerator if len(estimates) > 1 else "", 1
        if engines:
            threads, count = engines[device].threads, engines[device].workers
            several = "s" if threads > 1 else ""
            name = device.name + (f" ({threads} thread{several})" if device.accelerator == "cpu" else "")
        taken = duration(make_span([found[block.id].seconds_left for block in blocks], count))
        at_once = f", {count} blocks at a time" if count > 1 and len(blocks) > 1 else ""
        words.append(f"about {taken}" + (f" on {name}" if name else "") + at_once)
    return ", ".join(words)


def _at_paper(chosen: TableChoice, options: PlanOptions) -> list[Run]:
    """Return the models of the same selection at the paper's budget, for tables of images at another profile.

    That budget mostly exceeds one machine, so a plan for a part of it shows the total, too. The seeds are the paper's
    unless the user chose them.
    """
    from benchmark.spec.selection import select
    from datamodules.images import ImageSet

    selection = chosen.selection
    images = any(isinstance(selection.table.dataset(name), ImageSet) for name in selection.datasets)
    if selection.profile == "paper" or not images:
        return []
    seeds = selection.seeds if options.seeds is not None else select(selection.table).seeds
    paper = dataclasses.replace(selection, profile="paper", seeds=seeds)
    return [run for row in paper.rows for run in paper.runs(row)]
