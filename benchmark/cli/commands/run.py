"""The command ``run``: train what is missing, then show the result."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmark.cli.options import (
    DataOptions,
    FeatureOptions,
    FigureOptions,
    Format,
    MeasureOptions,
    PrecisionOptions,
    ResultsOptions,
    SeedOptions,
    SelectionOptions,
    StaleOptions,
    TableOptions,
    TrainOptions,
    option,
)

if TYPE_CHECKING:
    from benchmark.cli.select import TableChoice
    from benchmark.spec.claims import ClaimSelection
    from benchmark.spec.demonstration import Experiment
    from benchmark.spec.table import NetworkTable
    from benchmark.store.store import Store


@dataclass(kw_only=True)
class RunOptions(
    DataOptions,
    ResultsOptions,
    TrainOptions,
    StaleOptions,
    FeatureOptions,
    PrecisionOptions,
    MeasureOptions,
    SeedOptions,
    SelectionOptions,
    FigureOptions,
    TableOptions,
):
    """Train what a table, a figure or claims need and is not stored yet, then show it.

    It can be stopped and started again at any time, and any number of processes may share a results folder.

      run --table 2 --profile smoke                             a look, in seconds
      run --table 2 --profile short --methods gan,gaan_2        two rows, a fifth of the paper's training
      run --table 2 --methods gan,./hinge.py:Hinge              a class of yours beside a row
      run --table 2 --print_config > run.yaml                   all options in a file, for run --config run.yaml
    """

    verb = "run"

    strategy: Literal["ddp"] | None = option("--devices share the batches of each block instead of the blocks")
    format: Format = option("of what is printed; default: text", "text")


def run(options: RunOptions) -> int:
    """Train and show the result; return 1 if a method failed."""
    from benchmark.cli.select import TableChoice, choose, shard_of
    from benchmark.cli.train import with_engine
    from benchmark.spec.claims import ClaimSelection
    from benchmark.spec.demonstration import Experiment

    options = _with_shared_batches(options)
    chosen = choose(options)
    if isinstance(chosen, Experiment):
        return _run_experiment(chosen, options)
    options = with_engine(options)
    shard_of(options)
    # One for the whole run, as it knows the folder that it made: another one in its place is not written to.
    store = options.store()
    store.prepare()
    if isinstance(chosen, ClaimSelection):
        return _run_claims(chosen, store, options)
    if isinstance(chosen, TableChoice):
        return _run_table(chosen, store, options)
    return _run_networks(chosen, store, options)


def _run_networks(table: NetworkTable, store: Store, options: RunOptions) -> int:
    from benchmark.analysis.networks import read_networks
    from benchmark.cli.output import finish

    finish(read_networks(table), store, options.format)
    return 0


def _run_table(chosen: TableChoice, store: Store, options: RunOptions) -> int:
    from rich.console import Console

    from benchmark.analysis.frame import aggregate
    from benchmark.cli.output import finish
    from benchmark.cli.select import blocks_of
    from benchmark.cli.train import train
    from benchmark.render.figures import draw_figure
    from benchmark.spec.commands import complete_selection

    selection, console = chosen.selection, Console(stderr=True)
    runs = [run for row in selection.rows for run in selection.runs(row)]
    failed, report = train(blocks_of(runs, store, options), store, options, console)
    store.check()
    if options.shard and not any(store.stamp(run) for run in runs):
        console.print(f"part {options.shard} of this table has no blocks", highlight=False)
        return 0
    whole = aggregate(complete_selection(selection), store)
    finish(aggregate(selection, store), store, options.format, whole)
    if chosen.figure:
        console.print(f"drawn: {draw_figure(chosen.figure, selection, store)}", highlight=False)
    for line in report:
        console.print(line, highlight=False)
    return 1 if failed else 0


def _run_experiment(experiment: Experiment, options: RunOptions) -> int:
    """Run a demonstration unless it is done; then print claim, numbers and verdict, and draw it."""
    from benchmark.analysis.experiments import experiment_report, is_experiment_stale
    from benchmark.cli.output import write
    from benchmark.cli.select import set_threads
    from benchmark.render.experiments import draw_experiment
    from benchmark.render.progress import duration
    from benchmark.training.experiments import perform

    store = options.store()
    store.prepare()
    record = store.read(experiment)
    if record is None or (options.redo_stale and is_experiment_stale(experiment, record)):
        set_threads(options.threads)
        record = perform(experiment, store)
        print(f"measured for {duration(record.cost['seconds'])}: {store.path(experiment)}", file=sys.stderr)
    else:
        print("everything was done already", file=sys.stderr)
    write("\n".join(experiment_report(experiment, record)) + "\n")
    print(f"drawn: {draw_experiment(experiment, store)}", file=sys.stderr)
    return 0


def _run_claims(selected: ClaimSelection, store: Store, options: RunOptions) -> int:
    """Train the missing models of the claims, run their demonstrations, and print the verdicts."""
    from rich.console import Console

    from benchmark.analysis.claims import aggregate_claims
    from benchmark.analysis.experiments import is_experiment_stale
    from benchmark.cli.output import finish
    from benchmark.cli.select import blocks_of, shard_of
    from benchmark.cli.train import train
    from benchmark.training.experiments import perform

    console = Console(stderr=True)
    runs = list(dict.fromkeys(run for line in selected.trained.values() for run in line))
    failed, report = train(blocks_of(runs, store, options), store, options, console)
    for experiment in selected.all_experiments if shard_of(options).index == 1 else ():
        record = store.read(experiment)
        if record is None or (options.redo_stale and is_experiment_stale(experiment, record)):
            perform(experiment, store)
    finish(aggregate_claims(selected, store), store, options.format, aggregate_claims(selected.whole, store))
    for line in report:
        console.print(line, highlight=False)
    return 1 if failed else 0


def _with_shared_batches(options: RunOptions) -> RunOptions:
    """Translate ``--devices N --strategy ddp`` to a protocol field. On CPUs, the devices share the cores."""
    import torch

    from benchmark.cli.train import ONE_DEVICE
    from benchmark.errors import UserError

    if not options.strategy:
        return options
    if options.engine == "ray":
        raise UserError(ONE_DEVICE)
    if not options.devices:
        raise UserError("--strategy ddp on how many devices? add --devices N")
    threads = options.threads
    if options.accelerator == "cpu" or not torch.cuda.is_available():
        threads = threads or max(1, torch.get_num_threads() // options.devices)
    fields = [*options.set, f"protocol.world_size={options.devices}"]
    return dataclasses.replace(options, set=fields, threads=threads, devices=None)
