"""``plan``: what is done, what is to do, and what it will cost."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark import sheet as sheets
from benchmark.cells import Block, Cell, lay_out
from benchmark.cli.choice import blocks_of, chosen_claims, chosen_experiment, chosen_table, set_threads, shard_of
from benchmark.cli.parser import parse_workers
from benchmark.errors import UserError
from benchmark.records import Store
from benchmark.schema import NetworkTable, Selection, select
from datamodules.images import ImageSet

if TYPE_CHECKING:
    from benchmark.demonstration import Experiment
    from benchmark.estimate import Device, Estimate
    from benchmark.local_engine import LocalEngine


def plan(args: argparse.Namespace) -> int:
    """Print what is done, what is to do, and what that costs."""
    from benchmark.estimate import crowd, devices
    from benchmark.local_engine import local_engine
    from benchmark.progress import duration, many
    from benchmark.runner import read_records
    from benchmark.schedule import make_span

    if experiment := chosen_experiment(args):
        return plan_experiment(experiment, args)
    workers = parse_workers(args.workers) if args.workers is not None else []
    if args.overhead is not None and not workers:
        raise UserError("--overhead is what a worker loses with a block: say how many --workers there are, too")
    paper: list[Cell] = []
    if inquiry := chosen_claims(args):
        header, lines = inquiry.header, inquiry.trained
    else:
        chosen = chosen_table(args)
        if isinstance(chosen, NetworkTable):
            print(f"table {chosen.id}: nothing to train")
            return 0
        header, lines = sheets.header(chosen), {row.id: chosen.cells(row) for row in chosen.rows}
        paper = _at_paper(chosen, args)
    set_threads(args)
    store = Store(args.results)
    cells = [cell for line in lines.values() for cell in line]
    blocks, blocks_of_paper = blocks_of(cells, store, args), blocks_of(paper, store, args)
    timed, crowded = [*blocks, *blocks_of_paper], crowd()
    estimates: dict[Device, dict[str, Estimate]] = {}
    engines: dict[Device, LocalEngine] = {}
    for device in devices(args.accelerator):
        engines[device] = local_engine(timed, accelerator=device.accelerator, threads=args.threads)
        estimates[device] = engines[device].estimate(timed, store, device.accelerator)
    part = {cell for block in shard_of(args).of(lay_out(cells)) for cell in block.cells}
    print(header + (f", part {args.shard}" if args.shard else ""))
    for name, line in lines.items():
        cells = [cell for cell in line if cell in part]
        records = read_records(store, cells)
        mine = [block for block in blocks if block.pending[0] in cells]
        left = sum(len(block.pending) for block in mine)
        status = [record.status for record in records.values()]
        words = [f"{len(cells) - left} done" if left < len(cells) else "", f"{left} to do" if left else ""]
        words += [f"{status.count(s)} {s}" for s in ("diverged", "failed") if s in status]
        stale = sum(sheets.is_stale(cell, records[cell.id]) for cell in cells if cell.id in records)
        words += [f"{stale} stale"] if stale else []
        words += [] if cells else ["in other parts"]
        said = f"  {name:<12} {', '.join(w for w in words if w):<24}"
        print(f"{said} {many(len(mine), 'block')}, {_cost(estimates, mine)}" if mine else said.rstrip())
        problems = dict.fromkeys(found[block.id].problem for found in estimates.values() for block in mine)
        for problem in filter(None, problems):
            print(f"    will fail: {problem}")
    for experiment in inquiry.all_experiments if inquiry else ():
        plan_experiment(experiment, args)
    for where, waiting in (("", blocks), ("at profile paper: ", blocks_of_paper)):
        if waiting or not where:
            size = many(sum(len(block.pending) for block in waiting), "cell")
            cost = _cost(estimates, waiting, engines)
            print(f"{where}{size} to do in {many(len(waiting), 'block')}, {cost}")
    if timed and args.accelerator == "auto" and len(estimates) == 1:
        print("no GPU is found here: that is the processor's time; where PyTorch finds one, this command says both")
    if timed and crowded:
        print(f"this machine was busy before blocks were timed ({crowded}): idle, it takes less than that")
    usual = next(iter(estimates.values()))
    costs = [usual[block.id].seconds_left + (args.overhead or 0.0) for block in blocks]
    for count in workers:
        span = make_span(costs, count)
        busy = f", {100 * sum(costs) / (count * span):.0f} % busy" if span else ""
        print(f"{many(count, 'worker')} like this machine: {duration(span)}{busy}")
    return 0


def plan_experiment(experiment: Experiment, args: argparse.Namespace) -> int:
    """Print whether a demonstration is done."""
    from benchmark.demonstration import is_stale

    record = Store(args.results).read(experiment)
    stale = record is not None and is_stale(experiment, record)
    done = record is not None and not (stale and args.redo_stale)
    said = ("done" if done else "to do") + (", stale" if stale else "")
    print(f"{experiment.demonstration.id}: {said} ({experiment.header})")
    return 0


def _cost(
    estimates: Mapping[Device, Mapping[str, Estimate]],
    blocks: Sequence[Block],
    engines: Mapping[Device, LocalEngine] | None = None,
) -> str:
    """What blocks take on each device: as ``run`` trains them by these engines, under the device's full name, or one
    after another under its kind, or under none if it is alone."""
    from benchmark.progress import duration
    from benchmark.schedule import make_span

    words = []
    for device, found in estimates.items():
        name, count = device.accelerator if len(estimates) > 1 else "", 1
        if engines:
            threads, count = engines[device].threads, engines[device].workers
            name = device.name + (
                f" ({threads} thread{'s' if threads > 1 else ''})" if device.accelerator == "cpu" else ""
            )
        taken = duration(make_span([found[block.id].seconds_left for block in blocks], count))
        several = f", {count} blocks at a time" if count > 1 and len(blocks) > 1 else ""
        words.append(f"about {taken}" + (f" on {name}" if name else "") + several)
    return ", ".join(words)


def _at_paper(chosen: Selection, args: argparse.Namespace) -> list[Cell]:
    """What the paper's budget asks of a table of images that is chosen at another: mostly too much for one machine, so
    that whoever plans a part wants to know. The seeds are the paper's, too, unless they are named."""
    images = any(isinstance(chosen.table.target(name), ImageSet) for name in chosen.datasets)
    if chosen.profile == "paper" or not images:
        return []
    seeds = chosen.seeds if args.seeds is not None else select(chosen.table).seeds
    paper = dataclasses.replace(chosen, profile="paper", seeds=seeds)
    return [cell for row in paper.rows for cell in paper.cells(row)]
