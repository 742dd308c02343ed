"""Words of the command line: the verbs, their options, and what a word may be."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmark.cells import Shard
from benchmark.errors import UserError
from benchmark.render import FORMATS
from benchmark.runner import ENGINES
from datamodules.images import DATA_VARIABLE, READERS
from evaluators.features import EXTRACTORS, WEIGHTS_VARIABLE

VERBS = {
    "list": "what there is: tables, figures, methods, data sets, measures, protocols, and what of it is stored",
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


#: Of a process, where the machine has fewer cores: a cluster's nodes may have more than this one.
_MOST_THREADS = 256

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
    "stored",
)


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
    if any(len(number) > 6 for number in re.findall(r"[0-9]+", text)):
        raise UserError(f"--seeds {text}: seeds end at 999999")
    if re.fullmatch(r"[0-9]+", text) and int(text) > 0:
        return tuple(range(int(text)))
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part.strip())
        if not match or (match[2] and int(match[2]) < int(match[1])) or ("," not in text and not match[2]):
            raise UserError(f"--seeds {text}: write a count (8), a range (0-3) or a list (1,5)")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text} names a seed twice")
    return tuple(seeds)


def parse_shard(text: str) -> Shard:
    """``2/8`` is the second of eight parts."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"--shard {text}: write I/N with I from 1 to N, as 2/8 for the second of eight parts")
    return Shard(int(match[1]), int(match[2]))


def parse_workers(text: str) -> list[int]:
    """``1,8,64``."""
    words = text.split(",")
    if not all(re.fullmatch(r"[1-9][0-9]{0,5}", word) for word in words):
        raise UserError(f"--workers {text}: write counts from 1 on with commas between, as in 1,8,64")
    return [int(word) for word in words]


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
    for verb in ("plan", "run", "show"):
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
        metavar="SECONDS",
        help="with --workers: what a worker loses with every block; default: 0",
    )
    made["report"].add_argument("--output", type=Path, metavar="FILE", help="default: report/index.html of the results")
    for verb in ("list", "reproduce", "doctor", "report"):
        made[verb].add_argument("--results", default="results", type=Path, metavar="DIR", help="default: results")
    made["check"].add_argument("method", metavar="METHOD", help="package.module:Class, or a name; see list")
    made["check"].add_argument("--dataset", metavar="NAME", help="default: 80 points; digits or digits-1k for images")
    made["check"].add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="as for run")
    made["reproduce"].add_argument("cell", metavar="CELL", help="the name of a file under records/, or its beginning")
    made["reproduce"].add_argument("--threads", type=_threads, metavar="N", help="default: as many as it had")
    for verb in ("plan", "run", "tune", "classifier", "throughput"):
        made[verb].add_argument(
            "--threads", type=_threads, metavar="N", help="of one block; default: 1 for points, all cores for images"
        )
    for verb in ("run", "tune"):
        add = made[verb].add_argument
        add("--logger", metavar="A,B", help="csv, tensorboard, wandb: curves beside the records, under RESULTS/logs")
        add("--engine", choices=list(ENGINES), help="where blocks are trained; default: local; see list engines")
        add("--jobs", type=_jobs, metavar="N", help="blocks at a time; default: as many as cores and memory allow")
        add("--devices", type=_positive, metavar="N", help="train on N GPUs of this machine, or N cores")
        if verb == "run":
            add("--strategy", choices=("ddp",), help="--devices share the batches of each block instead of the blocks")
        add("--address", metavar="ADDRESS", help="of a Ray cluster that runs, as 10.0.0.1:6379, or auto")
        add("--gpus-per-block", type=_share, metavar="X", help="0.25 for four blocks on a GPU; default: 1")
    made["verify"].add_argument("--epochs", type=_positive, default=1, metavar="N", help="to train again; default: 1")
    for verb in ("plan", "run", "tune", "verify", "reproduce"):
        made[verb].add_argument("--accelerator", choices=("auto", "cpu", "gpu"), default="auto", help="as in Lightning")
    for verb in ("run", "show"):
        made[verb].add_argument("--format", choices=FORMATS, default="text", help="default: text")
    made["show"].add_argument("--curves", action="store_true", help="learning curves of every model, as CSV")
    made["throughput"].add_argument("--format", choices=("text", "csv", "json"), default="text", help="default: text")
    made["data"].add_argument("name", metavar="NAME", help=f"{', '.join(READERS)} or folder:PATH")
    made["classifier"].add_argument("--epochs", type=_positive, default=12, metavar="N", help="default: 12")
    made["classifier"].add_argument("--output", type=Path, metavar="FILE", help="default: digits.safetensors here")
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
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text} is no count of at least 1")
    return int(text)


def _threads(text: str) -> int:
    """More of them than cores only wait for one another, and thousands bring a process down."""
    count, most = _positive(text), max(_MOST_THREADS, os.cpu_count() or 1)
    if count > most:
        raise argparse.ArgumentTypeError(f"{text} threads are too many; this machine has {os.cpu_count()} cores")
    return count


def _jobs(text: str) -> int:
    """A process and about a GiB for each."""
    count, most = _positive(text), max(_MOST_THREADS, os.cpu_count() or 1)
    if count > most:
        raise argparse.ArgumentTypeError(f"{text} blocks are too many at a time; {os.cpu_count()} cores are here")
    return count


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return float(text)


def _share(text: str) -> float:
    """GPUs of a block as Ray takes them: a part of one, or several whole ones."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0 <= value <= 1 or (value.is_integer() and 1 < value < 1_000)):
        raise argparse.ArgumentTypeError(f"{text} is no share of a GPU, as 0.25")
    return value
