"""The command line: ``python -m benchmark VERB``."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import importlib
import io
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console

from benchmark import registry
from benchmark import sheet as sheets
from benchmark.cells import Block, Cell, Shard, lay_out
from benchmark.errors import Stopped, UserError, unknown
from benchmark.records import Store, write_atomically
from benchmark.render import FORMATS, render
from benchmark.runner import ENGINES
from benchmark.schema import ClaimTable, NetworkTable, Selection, Table, all_tables, find_table, select
from datamodules.image_sets import MNIST
from datamodules.images import DATA_VARIABLE, READERS, ImageSet, MissingData, download, read_images
from evaluators.features import EXTRACTORS, WEIGHTS_VARIABLE, MissingWeights

if TYPE_CHECKING:
    from benchmark.demonstration import Experiment
    from benchmark.estimate import Device, Estimate
    from benchmark.evidence import Inquiry
    from benchmark.runner import Engine

VERBS = {
    "list": "what there is: tables, figures, methods, data sets, measures, protocols",
    "plan": "cells that are done and to do, and the time that is left on this machine, by GPU and processor",
    "run": "train what a table or figure needs, then show it; stops and resumes freely",
    "show": "a table from stored results",
    "tune": "try every reading of a table on seeds of its own: which fits the printed values best",
    "check": "whether a method, ours or yours, keeps what every table relies on",
    "verify": "train the first epochs of stored models again and compare every number",
    "reproduce": "train one stored model again, to its end, and compare the records bit for bit",
    "doctor": "check a results folder, the data, the devices and the libraries, and say what to do",
    "figure": "draw a figure from stored results",
    "report": "one HTML file to look at all that is stored: tables, models, demonstrations, figures",
    "data": "download an image set, or look whether it is there",
    "classifier": "train the classifier of digits that judges all methods",
    "evaluate": "every measure of a data set on samples of a model that was trained anywhere",
    "throughput": "what training costs on this machine, against its limits",
}
#: What ``list`` tells, in this order.
SECTIONS = (
    "tables",
    "figures",
    "demonstrations",
    "methods",
    "networks",
    "datasets",
    "measures",
    "engines",
    "loggers",
    "protocols",
)
_ONE_DEVICE = "Ray trains a block on one device; leave --engine ray or --strategy ddp out"
#: Exit status of a process that Ctrl-C ended.
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line with the nearest right word."""

    verbs: dict[str, Parser]

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        args, rest = self.parse_known_args(argv)
        if rest and args.verb:
            flags = re.findall(r"--[a-z-]+", self.verbs[args.verb].format_help())
            near = difflib.get_close_matches(rest[0].partition("=")[0], flags, n=1)
            hint = f"did you mean {near[0]}?" if near else f"see {self.prog} {args.verb} --help"
            raise UserError(f"unknown option for {args.verb}: {rest[0]}; {hint}")
        if not args.verb:
            raise UserError(f"say what to do, not {' '.join(argv)}; see {self.prog} --help")
        return args


def parse_seeds(text: str) -> tuple[int, ...]:
    """``8`` is 0 to 7, ``0-3`` and ``1,5`` and ``0-3,7`` are what they say."""
    if any(len(number) > 6 for number in re.findall(r"\d+", text)):
        raise UserError(f"--seeds {text}: seeds end at 999999")
    if re.fullmatch(r"\d+", text) and int(text) > 0:
        return tuple(range(int(text)))
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not match or (match[2] and int(match[2]) < int(match[1])) or ("," not in text and not match[2]):
            raise UserError(f"--seeds {text}: write a count (8), a range (0-3) or a list (1,5)")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text} names a seed twice")
    return tuple(seeds)


def parse_shard(text: str) -> Shard:
    """``2/8`` is the second of eight parts."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"--shard {text}: write I/N with I from 1 to N, as 2/8 for the second of eight parts")
    return Shard(int(match[1]), int(match[2]))


def make_parser() -> Parser:
    """Every command with its options."""
    parser = Parser(prog="python -m benchmark", description=__doc__, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    made = {
        verb: verbs.add_parser(verb, help=text, description=text, allow_abbrev=False) for verb, text in VERBS.items()
    }
    parser.verbs = made
    for verb in ("plan", "run", "show", "verify", "throughput"):
        made[verb].add_argument("--table", metavar="TABLE", help="2 or gaan-2; see list")
    made["list"].add_argument("section", nargs="?", metavar="SECTION", help=f"{', '.join(SECTIONS)}; default: all")
    made["tune"].add_argument("--table", metavar="TABLE", help="veegan-1 or aeis-1; see list")
    made["tune"].add_argument("--datasets", metavar="A,B", help="of a table with several; default: all")
    made["tune"].add_argument("--results", default="results", type=Path, metavar="DIR", help="default: results")
    for verb in ("plan", "run"):
        made[verb].add_argument("--figure", metavar="FIGURE", help="gaan-fig5; see list")
    made["figure"].add_argument("figure", metavar="FIGURE", help="gaan-fig5, or movie; see list")
    made["figure"].add_argument("--cell", metavar="ID", help="of a movie: the name of a file under records/")
    for verb in ("plan", "run", "show", "verify", "figure", "throughput"):
        _add_selection(made[verb])
        if verb != "throughput":
            _add_seeds_and_results(made[verb])
    for verb in ("plan", "run"):
        made[verb].add_argument("--redo-stale", action="store_true", help="train again what older code made")
        made[verb].add_argument("--shard", metavar="I/N", help="the I-th of N parts of the blocks, for job arrays")
    made["plan"].add_argument("--workers", metavar="N,M", help="how long so many machines like this would take: 1,8,64")
    made["plan"].add_argument(
        "--overhead",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="that a worker loses with every block; default: 0",
    )
    made["report"].add_argument("--output", type=Path, metavar="FILE", help="default: report/index.html of the results")
    for verb in ("reproduce", "doctor", "report"):
        made[verb].add_argument("--results", default="results", type=Path, metavar="DIR", help="default: results")
    made["check"].add_argument("method", metavar="METHOD", help="package.module:Class, or a name; see list")
    made["check"].add_argument("--dataset", metavar="NAME", help="default: 80 points; digits or digits-1k for images")
    made["check"].add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="as for run")
    made["reproduce"].add_argument("cell", metavar="CELL", help="the name of a file under records/, or its beginning")
    made["reproduce"].add_argument("--threads", type=_positive, metavar="N", help="default: as many as it had")
    for verb in ("plan", "run", "tune", "classifier", "throughput"):
        made[verb].add_argument("--threads", type=_positive, metavar="N", help="threads of one process; default: all")
    for verb in ("run", "tune"):
        add = made[verb].add_argument
        add("--logger", metavar="A,B", help="csv, tensorboard, wandb: curves beside the records, under RESULTS/logs")
        add("--engine", choices=list(ENGINES), help="one block after another (default), or each a task of Ray")
        add("--devices", type=_positive, metavar="N", help="train on N GPUs of this machine, or N cores; by Ray")
        if verb == "run":
            add("--strategy", choices=("ddp",), help="--devices share the batches of each block instead of the blocks")
        add("--address", metavar="ADDRESS", help="of a Ray cluster that runs, as 10.0.0.1:6379, or auto")
        add("--gpus-per-block", type=_share, metavar="X", help="with Ray, 0.25 for four blocks on a GPU; default: 1")
    made["verify"].add_argument("--epochs", type=_positive, default=1, metavar="N", help="to train again; default: 1")
    made["verify"].add_argument(
        "--renew", action="store_true", help="stale records that give the same numbers count as today's code's"
    )
    for verb in ("plan", "run", "tune", "verify", "reproduce"):
        made[verb].add_argument("--accelerator", choices=("auto", "cpu", "gpu"), default="auto", help="as in Lightning")
    for verb in ("run", "show"):
        made[verb].add_argument("--format", choices=FORMATS, default="text", help="default: text")
    made["show"].add_argument("--curves", action="store_true", help="learning curves of every model, as CSV")
    made["throughput"].add_argument("--format", choices=("text", "csv", "json"), default="text", help="default: text")
    made["data"].add_argument("name", metavar="NAME", help=f"{', '.join(READERS)} or folder:PATH")
    made["classifier"].add_argument("--epochs", type=_positive, default=12, metavar="N", help="default: 12")
    made["classifier"].add_argument("--output", type=Path, metavar="FILE", help="default: the weights in use")
    for verb in [verb for verb in VERBS if verb != "list"]:
        made[verb].add_argument("--data", metavar="DIR", help=f"default: ${DATA_VARIABLE}, or data")
    for verb in ("plan", "run", "show", "verify", "figure"):
        made[verb].add_argument("--precision", choices=("32-true", "bf16-mixed"), help="of training; default: 32-true")
    for verb in ("plan", "run", "show", "verify", "figure", "evaluate"):
        made[verb].add_argument("--features", choices=list(EXTRACTORS), help="what compares images; default: inception")
    for verb in ("run", "show", "evaluate"):
        made[verb].add_argument(
            "--measure", action="append", default=[], metavar="MODULE:FUNCTION", help="of yours, beside; repeatable"
        )
    for verb in ("plan", "run", "show", "verify", "reproduce", "figure", "evaluate"):
        made[verb].add_argument("--fid-weights", metavar="FILE", help=f"default: ${WEIGHTS_VARIABLE}, or a download")
    made["evaluate"].add_argument("--dataset", metavar="NAME", required=True, help="see list, or package.module:NAME")
    made["evaluate"].add_argument(
        "--samples", metavar="FILE", type=Path, help=".npy .npz .pt .csv, or a folder of images"
    )
    made["evaluate"].add_argument(
        "--sampler", metavar="MODULE:FUNCTION", help="a function of yours that makes n samples"
    )
    made["evaluate"].add_argument("--n", type=_positive, metavar="N", help="default: 2000 points or 10000 images")
    made["evaluate"].add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    return parser


def _add_selection(parser: Parser) -> None:
    add = parser.add_argument
    add("--profile", help="how much is trained: paper (default; demonstrations: short), short, smoke")
    add("--reading", help="of the paper; default: the table's, see list")
    add("--datasets", metavar="A,B", help="of a table with several, or any other; default: all")
    add("--methods", metavar="A,B", help="rows of the table; default: all")
    add(
        "--method", action="append", default=[], metavar="MODULE:CLASS", help="a class of yours beside them; repeatable"
    )
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="method.FIELD or protocol.FIELD; repeatable")


def _add_seeds_and_results(parser: Parser) -> None:
    parser.add_argument("--seeds", metavar="SEEDS", help="8, 0-3 or 1,5; default: the profile's")
    parser.add_argument("--results", default="results", type=Path, metavar="DIR", help="default: results")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no count of at least 1")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return float(text)


def parse_workers(text: str) -> list[int]:
    """``1,8,64``."""
    words = text.split(",")
    if not all(re.fullmatch(r"[1-9]\d{0,5}", word) for word in words):
        raise UserError(f"--workers {text}: write counts from 1 on with commas between, as in 1,8,64")
    return [int(word) for word in words]


def _share(text: str) -> float:
    """GPUs of a block as Ray takes them: a part of one, or several whole ones."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0 <= value <= 1 or (value.is_integer() and value < 1_000)):
        raise argparse.ArgumentTypeError(f"{text} is no share of a GPU, as 0.25")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0, 1 for methods that failed, 2 for what the user must change."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words:
            raise UserError("say what to do, for example: python -m benchmark list, or run --table 2 --profile short")
        if words[0] not in VERBS and not words[0].startswith("-"):
            raise unknown("command", words[0], VERBS)
        args = make_parser().parse(words)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal without the plus-minus sign shows a question mark instead of a traceback.
                stream.reconfigure(errors="replace")
        try:
            return COMMANDS[args.verb](args)
        except SystemExit as end:
            # Rich's answer to a closed pipe, and Lightning's to Ctrl-C.
            raise (end.__context__ if isinstance(end.__context__, BrokenPipeError) else Stopped()) from end
    except (UserError, MissingData, MissingWeights) as error:
        print(f"benchmark: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except (Stopped, KeyboardInterrupt):
        print("stopped; what is finished is kept. To go on, give the same command again.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _one_line(text: str) -> str:
    """What a user typed may hold line breaks and worse."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _selection(args: argparse.Namespace) -> Selection | NetworkTable:
    """What ``--table`` or ``--figure`` and the options beside them choose; image data must be there."""
    from benchmark.figure import Figure, find_figure

    _set_data(args)
    name = getattr(args, "table", None)
    figure = getattr(args, "figure", None)
    if name and figure:
        raise UserError("give --table or --figure, not both")
    if args.verb == "figure" and not figure:
        raise UserError("figure what? for example figure gaan-fig5; all names: python -m benchmark list")
    if not name and not figure:
        options = "--table 2" + (" or --figure gaan-fig5" if args.verb in ("run", "plan") else "")
        raise UserError(f"{args.verb} what? for example {options}; all names: python -m benchmark list")
    drawn = find_figure(figure) if figure else None
    assert drawn is None or isinstance(drawn, Figure), "an experiment has its own way"
    table = find_table(drawn.table if drawn else str(name))
    if isinstance(table, ClaimTable):
        raise UserError(f"{args.verb} means nothing to {table.id}, whose models are other tables': give one of those")
    text = getattr(args, "seeds", None)
    seeds = parse_seeds(text) if text is not None else None
    methods, datasets = _words(args, "methods"), _words(args, "datasets")
    if isinstance(table, Table) and (drawn or args.verb == "throughput"):
        for other in (name for name in datasets if name not in table.datasets):
            raise unknown(f"data set of {table.id}", other, table.datasets)
    if drawn:
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
    _check_accelerator(args)
    chosen.check_data(judged=args.verb in ("run", "verify"))
    return chosen


#: Options that say something to a demonstration.
_OF_EXPERIMENTS = {"verb", "table", "figure", "profile", "seeds", "results", "redo_stale", "threads"}


def _experiment(args: argparse.Namespace) -> Experiment | None:
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


def _inquiry(args: argparse.Namespace) -> Inquiry | None:
    """What ``--table`` chooses where it names a table of claims."""
    from benchmark.evidence import inquire

    if not args.table or getattr(args, "figure", None):
        return None
    table = find_table(args.table)
    if not isinstance(table, ClaimTable):
        return None
    _set_data(args)
    for name in _NOT_OF_CLAIMS:
        if getattr(args, name, None):
            raise UserError(f"--{name} means nothing to {table.id}, which takes --profile, --methods and --seeds")
    seeds = parse_seeds(args.seeds) if args.seeds is not None else None
    inquiry = inquire(table, "paper" if args.profile is None else args.profile, _words(args, "methods"), seeds)
    _check_accelerator(args)
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


def _words(args: argparse.Namespace, option: str) -> Sequence[str]:
    """The words of ``--methods A,B``; none where it is not given."""
    text = getattr(args, option)
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    if text is not None and not words:
        raise UserError(f"--{option} is empty; leave it out for all {option} of the table")
    return words


def _check_accelerator(args: argparse.Namespace) -> None:
    from benchmark.environment import gpu

    # A cluster may have what this machine has not.
    wanted = getattr(args, "accelerator", "auto") == "gpu" and not getattr(args, "address", None)
    if wanted and not gpu():
        raise UserError("--accelerator gpu: this machine shows no GPU to PyTorch; leave it out or say cpu")


def _set_threads(args: argparse.Namespace) -> None:
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)


def _list(args: argparse.Namespace) -> int:
    from benchmark.listing import entries

    if args.section and args.section not in SECTIONS:
        raise unknown("section", args.section, SECTIONS)
    console = Console()
    for name in [args.section] if args.section else SECTIONS:
        for title, lines in entries(name):
            console.print(f"[bold]{title}[/bold]")
            for word, text in lines.items():
                console.print(f"  {word:<31}{text}".rstrip(), highlight=False, markup=False, soft_wrap=True)
    return 0


def _shard(args: argparse.Namespace) -> Shard:
    return parse_shard(args.shard) if args.shard is not None else Shard()


def _blocks(cells: Sequence[Cell], store: Store, args: argparse.Namespace) -> list[Block]:
    from benchmark.runner import read_records, to_do

    stale = []
    if args.redo_stale:
        records = read_records(store, cells)
        stale = [c.id for c in cells if c.id in records and sheets.is_stale(c, records[c.id])]
    return to_do(store, cells, stale, _shard(args))


def _plan(args: argparse.Namespace) -> int:
    from benchmark.estimate import crowd, devices, estimate
    from benchmark.progress import duration
    from benchmark.runner import read_records
    from benchmark.schedule import make_span

    if experiment := _experiment(args):
        return _plan_experiment(experiment, args)
    workers = parse_workers(args.workers) if args.workers is not None else []
    paper: list[Cell] = []
    if inquiry := _inquiry(args):
        header, lines = inquiry.header, inquiry.trained
    else:
        chosen = _selection(args)
        if isinstance(chosen, NetworkTable):
            print(f"table {chosen.id}: nothing to train")
            return 0
        header, lines = sheets.header(chosen), {row.id: chosen.cells(row) for row in chosen.rows}
        paper = _at_paper(chosen, args)
    _set_threads(args)
    store = Store(args.results)
    cells = [cell for line in lines.values() for cell in line]
    blocks, blocks_of_paper = _blocks(cells, store, args), _blocks(paper, store, args)
    timed, crowded = [*blocks, *blocks_of_paper], crowd()
    estimates = {device: estimate(timed, store, device.accelerator) for device in devices(args.accelerator)}
    part = {cell for block in _shard(args).of(lay_out(cells)) for cell in block.cells}
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
        print(f"{said} {len(mine)} blocks, {_cost(estimates, mine)}" if mine else said.rstrip())
    for experiment in inquiry.all_experiments if inquiry else ():
        _plan_experiment(experiment, args)
    for where, waiting in (("", blocks), ("at profile paper: ", blocks_of_paper)):
        if waiting or not where:
            count = sum(len(block.pending) for block in waiting)
            print(f"{where}{count} cells to do in {len(waiting)} blocks, {_cost(estimates, waiting, in_full=True)}")
    if timed and args.accelerator == "auto" and len(estimates) == 1:
        print("no GPU is found here: that is the processor's time; where PyTorch finds one, this command says both")
    if timed and crowded:
        print(f"this machine was busy before blocks were timed ({crowded}): idle, it takes less than that")
    usual = next(iter(estimates.values()))
    costs = [usual[block.id].seconds_left + args.overhead for block in blocks]
    for count in workers:
        span = make_span(costs, count)
        busy = f", {100 * sum(costs) / (count * span):.0f} % busy" if span else ""
        print(f"{count} worker{'s' if count > 1 else ''} like this machine: {duration(span)}{busy}")
    return 0


def _cost(estimates: Mapping[Device, Mapping[str, Estimate]], blocks: Sequence[Block], *, in_full: bool = False) -> str:
    """What blocks take on each device, under its full name or its kind, one that is alone under none."""
    from benchmark.progress import duration

    words = []
    for device, found in estimates.items():
        name = device.name if in_full else device.accelerator if len(estimates) > 1 else ""
        taken = duration(sum(found[block.id].seconds_left for block in blocks))
        words.append(f"about {taken}" + (f" on {name}" if name else ""))
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


def _run(args: argparse.Namespace) -> int:
    from benchmark.figure import Figure, draw, find_figure

    if experiment := _experiment(args):
        return _run_experiment(experiment, args)
    if inquiry := _inquiry(args):
        return _run_claims(inquiry, args)
    _share_batches(args)
    chosen = _selection(args)
    _check_engine(args)
    _shard(args)
    store = Store(args.results)
    store.prepare()
    if isinstance(chosen, NetworkTable):
        return _finish(sheets.read_networks(chosen), store, args)
    console = Console(stderr=True)
    cells = [cell for row in chosen.rows for cell in chosen.cells(row)]
    blocks = _blocks(cells, store, args)
    failed, report = _train(blocks, store, args, console)
    store.check()
    if args.shard and not any(store.stamp(cell) for cell in cells):
        console.print(f"part {args.shard} of this table has no blocks", highlight=False)
        return 0
    _finish(sheets.fill(chosen, store), store, args, sheets.fill(sheets.whole(chosen), store))
    if args.figure:
        figure = find_figure(args.figure)
        assert isinstance(figure, Figure)
        for path in draw(figure, chosen, store):
            console.print(f"drawn: {path}", highlight=False)
    for line in report:
        console.print(line, highlight=False)
    return 1 if failed else 0


def _run_claims(inquiry: Inquiry, args: argparse.Namespace) -> int:
    """Train the models that claims look at and no other table has trained, measure their demonstrations, and judge."""
    from benchmark import demonstration, evidence

    _check_engine(args)
    store = Store(args.results)
    store.prepare()
    console = Console(stderr=True)
    cells = list(dict.fromkeys(cell for line in inquiry.trained.values() for cell in line))
    failed, report = _train(_blocks(cells, store, args), store, args, console)
    for experiment in inquiry.all_experiments if _shard(args).index == 1 else ():
        record = store.read(experiment)
        if record is None or (args.redo_stale and demonstration.is_stale(experiment, record)):
            demonstration.perform(experiment, store)
    _finish(evidence.fill(inquiry, store), store, args, evidence.fill(inquiry.whole, store))
    for line in report:
        console.print(line, highlight=False)
    return 1 if failed else 0


def _train(blocks: Sequence[Block], store: Store, args: argparse.Namespace, console: Console) -> tuple[bool, list[str]]:
    """Train blocks under a progress display: whether any failed, and what took how long."""
    from benchmark.devices import check_devices
    from benchmark.estimate import estimate
    from benchmark.progress import duration, watching
    from benchmark.runner import run_blocks

    if not blocks:
        return False, ["everything was done already"]
    for block in blocks:
        check_devices(block.first, args.accelerator)
        if args.engine == "ray" and block.first.protocol.world_size > 1:
            raise UserError(_ONE_DEVICE)
    _set_threads(args)
    began = time.monotonic()
    cells = sum(len(block.pending) for block in blocks)
    with _engine(args, console) as engine:
        estimates = estimate(blocks, store, args.accelerator)
        left = sum(e.seconds_left for e in estimates.values()) / min(len(blocks), engine.workers)
        line = f"{cells} cells to train, about {duration(left)} {engine.where}"
        if args.engine != "ray" and len(blocks) > 1 and (os.cpu_count() or 1) > 1:
            line += ", one block after another; --engine ray trains one on each core or GPU"
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
    by_ray = args.engine == "ray" or (args.engine is None and args.devices is not None)
    if loggers := _words(args, "logger"):
        from benchmark.loggers import check_loggers

        check_loggers(loggers)
    if by_ray:
        if loggers:
            raise UserError("--logger writes from this process; leave out --engine ray and --devices")
        importlib.import_module("benchmark.ray_engine")
        args.engine, args.threads = "ray", args.threads or 1
        if args.devices and args.address:
            raise UserError("--devices counts those of this machine, --address names a cluster; give one of them")
    elif args.devices or args.address is not None or args.gpus_per_block is not None:
        raise UserError("--devices, --address and --gpus-per-block are for --engine ray; add it or leave them out")


@contextlib.contextmanager
def _engine(args: argparse.Namespace, console: Console) -> Iterator[Engine]:
    """The engine that ``--engine`` and the options beside it choose."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if args.engine == "ray":
        from benchmark.ray_engine import ray_engine

        with ray_engine(args.address, args.devices, args.threads, args.gpus_per_block, args.accelerator, say) as engine:
            yield engine
    else:
        from benchmark.runner import Inline

        yield Inline(say, tuple(_words(args, "logger")))


def _tune(args: argparse.Namespace) -> int:
    from benchmark.runner import to_do
    from benchmark.tune import candidates, misfits

    if not args.table:
        raise UserError("tune what? for example --table veegan-1")
    table = find_table(args.table)
    if not isinstance(table, Table) or table.search is None:
        names = [t.id for t in all_tables().values() if isinstance(t, Table) and t.search]
        raise UserError(f"table {table.id} declares no search; there are: {', '.join(names)}")
    _set_data(args)
    _check_engine(args)
    store = Store(args.results)
    store.prepare()
    chosen = candidates(table, table.search, _words(args, "datasets"))
    cells = [cell for selection in chosen for row in selection.rows for cell in selection.cells(row)]
    console = Console(stderr=True)
    failed, report = _train(to_do(store, cells), store, args, console)
    found = misfits(table, table.search, chosen, store)
    name = f"{table.id}-tune" + (f"-{'-'.join(chosen[0].datasets)}" if args.datasets else "")
    path = store.folder / "tables" / f"{name}.csv"
    write_atomically(path, found.to_csv(index=False, lineterminator="\n").encode())
    _print(found.to_string(index=False, float_format="%.3f") + "\n")
    best = found["reading"][0]
    note = " (the table's default)" if best == table.reading else f" (the table's default is {table.reading})"
    _print(f"best: {best}{note}\n")
    for line in [f"written: {path}", *report]:
        console.print(line, highlight=False)
    return 1 if failed else 0


def _finish(sheet: sheets.Sheet, store: Store, args: argparse.Namespace, whole: sheets.Sheet | None = None) -> int:
    """Print the sheet, and write it, or the whole that it is a part of, as Markdown and CSV."""
    _print(render(sheet, args.format, _width()))
    whole = whole or sheet
    for style, suffix in (("markdown", "md"), ("csv", "csv")):
        path = store.folder / "tables" / f"{whole.name}.{suffix}"
        write_atomically(path, render(whole, style).encode())
        print(f"written: {path}", file=sys.stderr)
    return 0


def _show(args: argparse.Namespace) -> int:
    if args.curves:
        return _show_curves(args)
    if inquiry := _inquiry(args):
        from benchmark import evidence

        _print(render(evidence.fill(inquiry, Store(args.results)), args.format, _width()))
        return 0
    chosen = _selection(args)
    if isinstance(chosen, NetworkTable):
        sheet = sheets.read_networks(chosen)
    else:
        sheet = sheets.fill(chosen, Store(args.results))
    _print(render(sheet, args.format, _width()))
    return 0


def _show_curves(args: argparse.Namespace) -> int:
    from benchmark.learning_curves import read_curves

    if args.format not in ("text", "csv"):
        raise UserError(f"--curves gives CSV; leave --format {args.format} out")
    _print(read_curves(_selection(args), Store(args.results)).to_csv(index=False, lineterminator="\n"))
    return 0


def _verify(args: argparse.Namespace) -> int:
    from benchmark.verification import verify

    chosen = _selection(args)
    if isinstance(chosen, NetworkTable):
        raise UserError(f"table {chosen.id} stores nothing to verify")
    cells = [cell for row in chosen.rows for cell in chosen.cells(row)]
    store = Store(args.results)
    findings = verify(
        cells, store, args.epochs, args.renew, args.accelerator, lambda line: print(line, file=sys.stderr)
    )
    if not findings:
        raise UserError(f"nothing is stored for this in {store.folder}; there is nothing to verify")
    for finding in (f for f in findings if f.difference):
        where = " (made on another processor)" if finding.elsewhere else ""
        name = f"{Block((finding.cell,)).label} on {finding.cell.dataset}, seed {finding.cell.seed}"
        print(f"{name}: {finding.difference}{where}")
    same = [finding for finding in findings if not finding.difference]
    stale = sum(finding.stale for finding in same)
    done = f", {stale} of them {'renewed' if args.renew else 'stale (--renew makes them count again)'}" if stale else ""
    print(f"{len(same)} of {len(findings)} models reproduced to the last bit, epochs 1 to {args.epochs}{done}")
    return 0 if len(same) == len(findings) else 1


def _reproduce(args: argparse.Namespace) -> int:
    import torch

    from benchmark.estimate import estimate
    from benchmark.progress import watching
    from benchmark.training import target_of
    from benchmark.verification import reproduce, scratch

    _set_data(args)
    _check_accelerator(args)
    store = Store(args.results)
    cell = store.find(args.cell)
    record = store.read(cell)
    if isinstance(target := target_of(cell), ImageSet):
        target.check()
    torch.set_num_threads(args.threads or (record.environment.get("threads") if record else 0) or 1)
    block = Block((cell,), (cell,))
    estimates = estimate([block], scratch(cell, store), args.accelerator)
    with watching([block], estimates, Console(stderr=True)) as watch:
        found = reproduce(cell, store, watch, args.accelerator)
    name = f"{block.label} on {cell.dataset}, seed {cell.seed}"
    for difference in found.differences:
        print(f"{name}: {difference}")
    if not found.differences:
        print(f"{name}: reproduced to the last bit")
    for fact in found.elsewhere:
        print(fact)
    return 1 if found.differences else 0


def _check(args: argparse.Namespace) -> int:
    from benchmark.conformance import CHECKS, DATASET, Case, examine

    found = 0
    for check, wrong in examine(Case.of(args.method, args.set, args.dataset or DATASET)):
        said = " ".join((check.__doc__ or "").split()).rstrip(".")
        print(f"{'failed' if wrong else 'ok':<8}{said}" + (f": {wrong}" if wrong else ""), flush=True)
        found += bool(wrong)
    print(f"{args.method} keeps {len(CHECKS) - found} of {len(CHECKS)} promises")
    return 1 if found else 0


def _doctor(args: argparse.Namespace) -> int:
    from benchmark.doctor import examine

    _set_data(args)
    wrong = 0
    for finding in examine(Store(args.results)):
        print(f"{finding.level:<6} {finding.said}", flush=True)
        wrong += finding.level == "wrong"
    print(f"{wrong} things are wrong" if wrong else "nothing is wrong")
    return 1 if wrong else 0


def _figure(args: argparse.Namespace) -> int:
    from benchmark import demonstration
    from benchmark.figure import Figure, draw, find_figure

    if args.figure == "movie":
        from benchmark.movie import make_movie

        if not args.cell:
            raise UserError("movie of which model? figure movie --cell ID, the name of a file under records/")
        print(make_movie(Store(args.results), args.cell))
        return 0
    if args.cell:
        raise UserError("--cell belongs to figure movie; a figure of a table has --methods and --seeds")
    if experiment := _experiment(args):
        paths = demonstration.draw(experiment, Store(args.results))
    else:
        chosen, figure = _selection(args), find_figure(args.figure)
        assert isinstance(chosen, Selection) and isinstance(figure, Figure)
        paths = draw(figure, chosen, Store(args.results))
    for path in paths:
        print(path)
    return 0


def _report(args: argparse.Namespace) -> int:
    from benchmark.report.write import write_report

    _set_data(args)
    path = args.output or args.results / "report" / "index.html"
    found = write_report(Store(args.results), path)
    for line in found.left_out:
        print(f"not shown: {line}", file=sys.stderr)
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def _plan_experiment(experiment: Experiment, args: argparse.Namespace) -> int:
    from benchmark.demonstration import is_stale

    record = Store(args.results).read(experiment)
    stale = record is not None and is_stale(experiment, record)
    done = record is not None and not (stale and args.redo_stale)
    said = ("done" if done else "to do") + (", stale" if stale else "")
    print(f"{experiment.demonstration.id}: {said} ({experiment.header})")
    return 0


def _run_experiment(experiment: Experiment, args: argparse.Namespace) -> int:
    """Measure, unless that is done; then show claim, numbers and verdict, and draw."""
    from benchmark import demonstration
    from benchmark.progress import duration

    store = Store(args.results)
    store.prepare()
    record = store.read(experiment)
    if record is None or (args.redo_stale and demonstration.is_stale(experiment, record)):
        _set_threads(args)
        record = demonstration.perform(experiment, store)
        print(f"measured for {duration(record.cost['seconds'])}: {store.path(experiment)}", file=sys.stderr)
    else:
        print("everything was done already", file=sys.stderr)
    _print("\n".join(demonstration.report(experiment, record)) + "\n")
    for path in demonstration.draw(experiment, store):
        print(f"drawn: {path}", file=sys.stderr)
    return 0


def _set_data(args: argparse.Namespace) -> None:
    if args.data:
        os.environ[DATA_VARIABLE] = args.data
    if weights := getattr(args, "fid_weights", None):
        os.environ[WEIGHTS_VARIABLE] = weights


def _classifier(args: argparse.Namespace) -> int:
    from benchmark.classifier import train_classifier
    from evaluators.digits import WEIGHTS

    _set_data(args)
    _set_threads(args)
    path = args.output or WEIGHTS
    accuracy = train_classifier(MNIST, path, args.epochs, report=lambda line: print(line, file=sys.stderr))
    print(f"{100 * accuracy.test:.2f} % of the test digits right ({100 * accuracy.validation:.2f} % in validation)")
    print(f"written: {path}")
    return 0


def _data(args: argparse.Namespace) -> int:
    _set_data(args)
    if args.name not in READERS and not args.name.startswith("folder:"):
        raise unknown("image set", args.name, READERS)
    try:
        read_images(args.name, "train")
    except MissingData as error:
        if args.name not in READERS or "is not there" not in str(error):
            raise
        download(args.name)
    for part in ("train", "test"):
        pixels, labels = read_images(args.name, part)
        classes = f", {len(set(labels.tolist()))} classes" if labels[0] >= 0 else ""
        print(f"{args.name} {part}: {len(pixels)} images of {'x'.join(map(str, pixels.shape[1:]))}{classes}")
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from benchmark.api import evaluate

    _set_data(args)
    if (args.samples is None) == (args.sampler is None):
        raise UserError("give --samples FILE, or --sampler package.module:function")
    if args.n and not args.sampler:
        raise UserError("--n says how many samples --sampler makes; a file has as many as it has")
    source = args.samples
    if args.sampler:
        source = registry.load("--sampler", args.sampler)
        if not callable(source):
            raise UserError(f"--sampler {args.sampler} is no function of the number of samples")
    features: Any = args.features or "inception"
    found = evaluate(source, dataset=args.dataset, n=args.n, measures=args.measure, features=features)
    result = {name: None if math.isnan(value) else value for name, value in found.to_dict("records")[0].items()}
    if args.format == "json":
        print(json.dumps(result, indent=1, allow_nan=False))
    else:
        for name, value in result.items():
            print(f"{name:<30} {'no value' if value is None else f'{value:.6g}'}")
    return 0


def _throughput(args: argparse.Namespace) -> int:
    from benchmark.throughput import throughput

    chosen = _selection(args)
    if isinstance(chosen, NetworkTable):
        raise UserError(f"table {chosen.id} trains nothing; throughput --table {chosen.of.id} measures its networks")
    _set_threads(args)
    try:
        frame = throughput(chosen, report=lambda line: print(line, file=sys.stderr))
    except Exception as error:
        said = " ".join(str(error).split())
        raise UserError(f"a method cannot be timed, as it raises {type(error).__name__}: {said}") from error
    facts = frame.attrs
    if args.format == "csv":
        _print(frame.to_csv(index=False, lineterminator="\n"))
    elif args.format == "json":
        _print(json.dumps(facts | {"entries": frame.to_dict("records")}, indent=1) + "\n")
    else:
        _print(f"{facts['processor']}, {facts['threads']} threads, peak {facts['peak_gflops']:.0f} GFLOP/s\n")
        plain = ", ".join(f"{name} {value:.2f} ms" for name, value in facts["plain_ms"].items())
        _print(f"plain loop, one seed, per iteration: {plain}\n")
        _print(frame.to_string(index=False, float_format="%.3f") + "\n")
    return 0


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _width() -> int | None:
    """Columns of the terminal; None where the output goes elsewhere."""
    return Console().width if sys.stdout.isatty() else None


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "plan": _plan,
    "run": _run,
    "show": _show,
    "tune": _tune,
    "check": _check,
    "verify": _verify,
    "reproduce": _reproduce,
    "doctor": _doctor,
    "figure": _figure,
    "report": _report,
    "data": _data,
    "classifier": _classifier,
    "evaluate": _evaluate,
    "throughput": _throughput,
}
