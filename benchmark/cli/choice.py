"""What the options of a command choose: a selection of a table, a demonstration, claims, and their blocks."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark import registry
from benchmark import sheet as sheets
from benchmark.cells import Block, Cell, Shard
from benchmark.cli.parser import make_parser, parse_seeds, parse_shard
from benchmark.errors import UserError, unknown
from benchmark.records import Store
from benchmark.schema import ClaimTable, NetworkTable, Selection, Table, find_table, select
from datamodules.images import DATA_VARIABLE, ImageSet
from evaluators.features import WEIGHTS_VARIABLE

if TYPE_CHECKING:
    from benchmark.demonstration import Experiment
    from benchmark.evidence import Inquiry


def chosen_table(args: argparse.Namespace) -> Selection | NetworkTable:
    """What ``--table`` or ``--figure`` and the options beside them choose; image data must be there."""
    from benchmark.figure import Figure, find_figure

    set_data(args)
    name = getattr(args, "table", None)
    figure = getattr(args, "figure", None)
    if name and figure:
        raise UserError("give --table or --figure, not both")
    if args.verb == "figure" and not figure:
        raise UserError("figure what? for example figure gaan-fig5; all names: python -m benchmark list")
    if not name and not figure:
        options = "--table 2" + (" or --figure gaan-fig5" if args.verb in ("run", "plan", "show") else "")
        raise UserError(f"{args.verb} what? for example {options}; all names: python -m benchmark list")
    drawn = find_figure(figure) if figure else None
    assert drawn is None or isinstance(drawn, Figure), "an experiment has its own way"
    table = find_table(drawn.table if drawn else str(name))
    if isinstance(table, ClaimTable):
        raise UserError(f"{args.verb} means nothing to {table.id}, whose models are other tables': give one of those")
    text = getattr(args, "seeds", None)
    seeds = parse_seeds(text) if text is not None else None
    methods, datasets = words_of(args, "methods"), words_of(args, "datasets")
    if isinstance(table, Table) and (drawn or args.verb == "throughput"):
        for other in (name for name in datasets if name not in table.datasets):
            raise unknown(f"data set of {table.id}", other, table.datasets)
    if drawn:
        # Before anything is trained for it.
        drawn.check(datasets)
        methods, datasets = methods or drawn.rows, datasets or drawn.datasets
    if isinstance(table, NetworkTable):
        if methods or datasets or args.method or args.set or text or getattr(args, "measure", None):
            raise UserError(f"table {table.id} trains nothing: --methods, --method, --set and the like do not apply")
        select(table.of, profile="paper" if args.profile is None else args.profile, reading=args.reading)
        return table
    chosen = select(
        table,
        profile="paper" if args.profile is None else args.profile,
        reading=args.reading,
        methods=methods,
        own=args.method,
        seeds=seeds,
        datasets=datasets,
        assignments=args.set + _switches(args),
        measures=getattr(args, "measure", ()),
    )
    check_accelerator(args)
    chosen.check_data(judged=args.verb in ("run", "verify"))
    return chosen


#: Options that say something to a demonstration.
_OF_EXPERIMENTS = {"verb", "table", "figure", "profile", "seeds", "results", "redo_stale", "threads"}


def chosen_experiment(args: argparse.Namespace) -> Experiment | None:
    """What ``--figure`` chooses where it names a demonstration, which trains no cells of a table."""
    from benchmark.demonstration import USUAL_PROFILE, Demonstration, choose
    from benchmark.figure import find_figure

    if not args.figure or args.figure == "movie" or getattr(args, "table", None):
        return None
    found = find_figure(args.figure)
    if not isinstance(found, Demonstration):
        return None
    usual = make_parser().verbs[args.verb].get_default
    for name, value in vars(args).items():
        if name not in _OF_EXPERIMENTS and value != usual(name):
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} means nothing to {found.id}, which is no table; it takes --profile and --seeds")
    seeds = parse_seeds(args.seeds) if args.seeds is not None else None
    return choose(found, USUAL_PROFILE if args.profile is None else args.profile, seeds)


#: Options that say nothing to a table of claims, as every table that it looks at has its own.
_NOT_OF_CLAIMS = ("reading", "datasets", "method", "set", "precision", "features", "strategy", "measure", "logger")


def chosen_claims(args: argparse.Namespace) -> Inquiry | None:
    """What ``--table`` chooses where it names a table of claims."""
    from benchmark.evidence import inquire

    if not args.table or getattr(args, "figure", None):
        return None
    table = find_table(args.table)
    if not isinstance(table, ClaimTable):
        return None
    set_data(args)
    for name in _NOT_OF_CLAIMS:
        if getattr(args, name, None):
            raise UserError(f"--{name} means nothing to {table.id}, which takes --profile, --methods and --seeds")
    seeds = parse_seeds(args.seeds) if args.seeds is not None else None
    inquiry = inquire(table, "paper" if args.profile is None else args.profile, words_of(args, "methods"), seeds)
    check_accelerator(args)
    # What is stored can be judged without the data.
    trains = [] if args.verb == "show" else [cell for claim in inquiry.claims for cell in inquiry.cells(claim)]
    for target in {registry.dataset(cell.dataset) for cell in trains}:
        if isinstance(target, ImageSet):
            target.check()
    return inquiry


def _switches(args: argparse.Namespace) -> list[str]:
    """Fields of the protocol that have an option of their own, as ``--set`` takes them."""
    named = {name: getattr(args, name, None) for name in ("features", "precision")}
    return [f"protocol.{name}={value}" for name, value in named.items() if value]


def words_of(args: argparse.Namespace, option: str) -> Sequence[str]:
    """The words of ``--methods A,B``; none where it is not given."""
    text = getattr(args, option)
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    if text is not None and not words:
        raise UserError(f"--{option} is empty; leave it out for all {option} of the table")
    return words


def shard_of(args: argparse.Namespace) -> Shard:
    """The part of the blocks that ``--shard`` names, or all."""
    return parse_shard(args.shard) if args.shard is not None else Shard()


def blocks_of(cells: Sequence[Cell], store: Store, args: argparse.Namespace) -> list[Block]:
    """Blocks of these cells that are to do, those that ``--redo-stale`` asks for included."""
    from benchmark.runner import read_records, to_do

    stale = []
    if args.redo_stale:
        records = read_records(store, cells)
        stale = [c.id for c in cells if c.id in records and sheets.is_stale(c, records[c.id])]
    return to_do(store, cells, stale, shard_of(args))


def set_data(args: argparse.Namespace) -> None:
    """Let every part of the house find data and weights where the options say."""
    if args.data:
        os.environ[DATA_VARIABLE] = args.data
    if weights := getattr(args, "fid_weights", None):
        os.environ[WEIGHTS_VARIABLE] = weights


def set_threads(args: argparse.Namespace) -> None:
    """Give this process as many threads as ``--threads`` says."""
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)


def check_accelerator(args: argparse.Namespace) -> None:
    """Refuse a GPU that is not here."""
    from benchmark.environment import gpu

    # A cluster may have what this machine has not.
    wanted = getattr(args, "accelerator", "auto") == "gpu" and not getattr(args, "address", None)
    if wanted and not gpu():
        raise UserError("--accelerator gpu: this machine shows no GPU to PyTorch; leave it out or say cpu")
