"""``run`` and ``tune``: train what is missing, by the engine that the options choose, then show it."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from benchmark import sheet as sheets
from benchmark.cells import Block
from benchmark.cli.choice import (
    blocks_of,
    chosen_claims,
    chosen_experiment,
    chosen_table,
    set_data,
    set_threads,
    shard_of,
    words_of,
)
from benchmark.cli.output import finish, write
from benchmark.errors import UserError
from benchmark.records import Store, write_atomically
from benchmark.schema import NetworkTable, Table, all_tables, find_table

if TYPE_CHECKING:
    from benchmark.demonstration import Experiment
    from benchmark.evidence import Inquiry
    from benchmark.runner import Engine


_ONE_DEVICE = "Ray trains a block on one device; leave --engine ray or --strategy ddp out"


def run(args: argparse.Namespace) -> int:
    """Train what a table, a figure or claims need and show it; 1 if a method failed."""
    from benchmark.figure import Figure, draw, find_figure

    if experiment := chosen_experiment(args):
        return _run_experiment(experiment, args)
    if inquiry := chosen_claims(args):
        return _run_claims(inquiry, args)
    _share_batches(args)
    chosen = chosen_table(args)
    _check_engine(args)
    shard_of(args)
    store = Store(args.results)
    store.prepare()
    if isinstance(chosen, NetworkTable):
        return finish(sheets.read_networks(chosen), store, args)
    console = Console(stderr=True)
    cells = [cell for row in chosen.rows for cell in chosen.cells(row)]
    blocks = blocks_of(cells, store, args)
    failed, report = _train(blocks, store, args, console)
    store.check()
    if args.shard and not any(store.stamp(cell) for cell in cells):
        console.print(f"part {args.shard} of this table has no blocks", highlight=False)
        return 0
    finish(sheets.fill(chosen, store), store, args, sheets.fill(sheets.whole(chosen), store))
    if args.figure:
        figure = find_figure(args.figure)
        assert isinstance(figure, Figure)
        for path in draw(figure, chosen, store):
            console.print(f"drawn: {path}", highlight=False)
    for line in report:
        console.print(line, highlight=False)
    return 1 if failed else 0


def _run_experiment(experiment: Experiment, args: argparse.Namespace) -> int:
    """Measure, unless that is done; then show claim, numbers and verdict, and draw."""
    from benchmark import demonstration
    from benchmark.progress import duration

    store = Store(args.results)
    store.prepare()
    record = store.read(experiment)
    if record is None or (args.redo_stale and demonstration.is_stale(experiment, record)):
        set_threads(args)
        record = demonstration.perform(experiment, store)
        print(f"measured for {duration(record.cost['seconds'])}: {store.path(experiment)}", file=sys.stderr)
    else:
        print("everything was done already", file=sys.stderr)
    write("\n".join(demonstration.report(experiment, record)) + "\n")
    for path in demonstration.draw(experiment, store):
        print(f"drawn: {path}", file=sys.stderr)
    return 0


def _run_claims(inquiry: Inquiry, args: argparse.Namespace) -> int:
    """Train the models that claims look at and no other table has trained, measure their demonstrations, and judge."""
    from benchmark import demonstration, evidence

    _check_engine(args)
    store = Store(args.results)
    store.prepare()
    console = Console(stderr=True)
    cells = list(dict.fromkeys(cell for line in inquiry.trained.values() for cell in line))
    failed, report = _train(blocks_of(cells, store, args), store, args, console)
    for experiment in inquiry.all_experiments if shard_of(args).index == 1 else ():
        record = store.read(experiment)
        if record is None or (args.redo_stale and demonstration.is_stale(experiment, record)):
            demonstration.perform(experiment, store)
    finish(evidence.fill(inquiry, store), store, args, evidence.fill(inquiry.whole, store))
    for line in report:
        console.print(line, highlight=False)
    return 1 if failed else 0


def tune(args: argparse.Namespace) -> int:
    """Train every reading that a table declares, on seeds of its own, and rank them."""
    from benchmark.runner import to_do
    from benchmark.tune import candidates, misfits

    if not args.table:
        raise UserError("tune what? for example --table veegan-1")
    table = find_table(args.table)
    if not isinstance(table, Table) or table.search is None:
        names = [t.id for t in all_tables().values() if isinstance(t, Table) and t.search]
        raise UserError(f"table {table.id} declares no search; there are: {', '.join(names)}")
    set_data(args)
    _check_engine(args)
    store = Store(args.results)
    store.prepare()
    chosen = candidates(table, table.search, words_of(args, "datasets"))
    cells = [cell for selection in chosen for row in selection.rows for cell in selection.cells(row)]
    console = Console(stderr=True)
    failed, report = _train(to_do(store, cells), store, args, console)
    found = misfits(table, table.search, chosen, store)
    name = f"{table.id}-tune" + (f"-{'-'.join(chosen[0].datasets)}" if args.datasets else "")
    path = store.folder / "tables" / f"{name}.csv"
    write_atomically(path, found.to_csv(index=False, lineterminator="\n").encode())
    write(found.to_string(index=False, float_format="%.3f") + "\n")
    best = found["reading"][0]
    note = " (the table's default)" if best == table.reading else f" (the table's default is {table.reading})"
    write(f"best: {best}{note}\n")
    for line in [f"written: {path}", *report]:
        console.print(line, highlight=False)
    return 1 if failed else 0


def _train(blocks: Sequence[Block], store: Store, args: argparse.Namespace, console: Console) -> tuple[bool, list[str]]:
    """Train blocks under a progress display: whether any failed, and what took how long."""
    import torch

    from benchmark.devices import check_devices
    from benchmark.estimate import estimate
    from benchmark.local_engine import LocalEngine
    from benchmark.progress import duration, many, watching
    from benchmark.runner import run_blocks

    if not blocks:
        return False, ["everything was done already"]
    for block in blocks:
        check_devices(block.first, args.accelerator)
        if args.engine == "ray" and block.first.protocol.world_size > 1:
            raise UserError(_ONE_DEVICE)
    began = time.monotonic()
    cells = sum(len(block.pending) for block in blocks)
    with _engine(blocks, args, console) as engine:
        if isinstance(engine, LocalEngine):
            torch.set_num_threads(engine.threads)
            estimates = engine.estimate(blocks, store, args.accelerator)
        else:
            estimates = estimate(blocks, store, args.accelerator)
        left = sum(e.seconds_left for e in estimates.values()) / min(len(blocks), engine.workers)
        line = f"{many(cells, 'cell')} to train, about {duration(left)} {engine.where}"
        console.print(line, highlight=False, soft_wrap=True)
        if engine.workers > 1:
            # What takes longest ends last if it begins late.
            blocks = sorted(blocks, key=lambda block: -estimates[block.id].seconds_left)
        with watching(blocks, estimates, console, engine.workers) as watcher:
            outcome = run_blocks(blocks, store, watcher, args.accelerator, engine, watcher.settled)
    for block, reason in outcome.failed:
        seeds = sheets.seeds_text([cell.seed for cell in block.pending])
        console.print(f"failed: {block.label}, seeds {seeds}: {reason}", highlight=False, markup=False, soft_wrap=True)
    spent = [f"  {method}: {duration(taken)}" for method, taken in outcome.seconds.items() if taken]
    spent += [f"  {outcome.elsewhere} blocks were trained by other processes"] if outcome.elsewhere else []
    return bool(outcome.failed), [*spent, f"trained for {duration(time.monotonic() - began)}"]


def _share_batches(args: argparse.Namespace) -> None:
    """``--devices N --strategy ddp`` is a protocol of its own; on processors the devices share the cores."""
    import torch

    if not args.strategy:
        return
    if args.engine == "ray":
        raise UserError(_ONE_DEVICE)
    if not args.devices:
        raise UserError("--strategy ddp on how many devices? add --devices N")
    args.set = [*args.set, f"protocol.world_size={args.devices}"]
    if args.accelerator == "cpu" or not torch.cuda.is_available():
        args.threads = args.threads or max(1, torch.get_num_threads() // args.devices)
    args.devices = None


def _check_engine(args: argparse.Namespace) -> None:
    """Options that belong together; with Ray, a block has one thread where none are asked for."""
    if loggers := words_of(args, "logger"):
        from benchmark.loggers import check_loggers

        check_loggers(loggers)
    args.engine = args.engine or "local"
    if args.engine == "ray":
        if loggers:
            raise UserError("--logger writes on this machine; leave out --engine ray")
        importlib.import_module("benchmark.ray_engine")
        args.threads = args.threads or 1
        if args.jobs:
            raise UserError("--jobs is for this machine; Ray fills what --devices or --address gives it")
        if args.devices and args.address:
            raise UserError("--devices counts those of this machine, --address names a cluster; give one of them")
    elif args.address is not None:
        raise UserError("--address is for --engine ray; add it or leave it out")
    elif args.engine == "inline" and (args.jobs or args.devices or args.gpus_per_block is not None):
        raise UserError("--jobs, --devices and --gpus-per-block are for --engine local; leave --engine inline out")


@contextlib.contextmanager
def _engine(blocks: Sequence[Block], args: argparse.Namespace, console: Console) -> Iterator[Engine]:
    """The engine that ``--engine`` and the options beside it choose."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if args.engine == "ray":
        from benchmark.ray_engine import ray_engine

        set_threads(args)
        with ray_engine(args.address, args.devices, args.threads, args.gpus_per_block, args.accelerator, say) as engine:
            yield engine
    else:
        from benchmark.local_engine import local_engine

        yield local_engine(
            blocks,
            accelerator=args.accelerator,
            threads=args.threads,
            jobs=1 if args.engine == "inline" else args.jobs,
            devices=args.devices,
            gpus_per_block=args.gpus_per_block,
            say=say,
            loggers=words_of(args, "logger"),
        )
