"""Commands beside the tables: ``list``, ``evaluate``, ``throughput``, ``check``, ``data``, ``classifier``."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark import registry
from benchmark.cli.choice import chosen_table, set_data, set_threads
from benchmark.cli.output import write
from benchmark.cli.parser import SECTIONS
from benchmark.errors import UserError, unknown
from benchmark.schema import NetworkTable
from datamodules.image_sets import MNIST
from datamodules.images import READERS, MissingData, download, read_images, set_aside


def list_all(args: argparse.Namespace) -> int:
    """Print what there is, all of it or one section."""
    from benchmark.listing import entries
    from benchmark.records import Store

    if args.section and args.section not in SECTIONS:
        raise unknown("section", args.section, SECTIONS)
    console = Console()
    for name in [args.section] if args.section else SECTIONS:
        for title, lines in entries(name, Store(args.results)):
            console.print(title, style="bold", highlight=False, markup=False, soft_wrap=True)
            for word, text in lines.items():
                console.print(f"  {word:<31}{text}".rstrip(), highlight=False, markup=False, soft_wrap=True)
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Print every measure of a data set on the samples of a file, a folder or a function."""
    from benchmark import api

    set_data(args)
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
    found = api.evaluate(source, dataset=args.dataset, n=args.n, measures=args.measure, features=features)
    result = {name: None if math.isnan(value) else value for name, value in found.to_dict("records")[0].items()}
    if args.format == "json":
        print(json.dumps(result, indent=1, allow_nan=False))
    else:
        for name, value in result.items():
            print(f"{name:<30} {'no value' if value is None else f'{value:.6g}'}")
    return 0


def throughput(args: argparse.Namespace) -> int:
    """Print what an iteration of each method costs here."""
    from benchmark.throughput import throughput as measure

    chosen = chosen_table(args)
    if isinstance(chosen, NetworkTable):
        raise UserError(f"table {chosen.id} trains nothing; throughput --table {chosen.of.id} measures its networks")
    set_threads(args)
    try:
        frame = measure(chosen, report=lambda line: print(line, file=sys.stderr))
    except Exception as error:
        said = " ".join(str(error).split())
        raise UserError(f"a method cannot be timed, as it raises {type(error).__name__}: {said}") from error
    facts = frame.attrs
    if args.format == "csv":
        write(frame.to_csv(index=False, lineterminator="\n"))
    elif args.format == "json":
        write(json.dumps(facts | {"entries": frame.to_dict("records")}, indent=1) + "\n")
    else:
        write(f"{facts['processor']}, {facts['threads']} threads, peak {facts['peak_gflops']:.0f} GFLOP/s\n")
        plain = ", ".join(f"{name} {value:.2f} ms" for name, value in facts["plain_ms"].items())
        write(f"plain loop, one seed, per iteration: {plain}\n")
        write(frame.to_string(index=False, float_format="%.3f") + "\n")
    return 0


def check(args: argparse.Namespace) -> int:
    """Print which promises a method keeps; 1 if it breaks any."""
    from benchmark.conformance import CHECKS, DATASET, Case, examine

    tried = found = 0
    for check, wrong in examine(Case.of(args.method, args.set, args.dataset or DATASET)):
        said = " ".join((check.__doc__ or "").split()).rstrip(".")
        print(f"{'failed' if wrong else 'ok':<8}{said}" + (f": {wrong}" if wrong else ""), flush=True)
        tried, found = tried + 1, found + bool(wrong)
    if tried < len(CHECKS):
        print(f"{args.method} breaks the first of {len(CHECKS)} promises; mend it and check again, for the others")
    else:
        print(f"{args.method} keeps {tried - found} of {len(CHECKS)} promises")
    return 1 if found else 0


def data(args: argparse.Namespace) -> int:
    """Download an image set that is missing, and print what is there."""
    set_data(args)
    if args.name not in READERS and not args.name.startswith("folder:"):
        raise unknown("image set", args.name, READERS)
    try:
        read_images(args.name, "train")
    except MissingData:
        if args.name not in READERS:
            raise
        for moved in set_aside(args.name):
            print(f"moved aside, as it cannot be read: {moved}", file=sys.stderr)
        download(args.name)
    for part in ("train", "test"):
        pixels, labels = read_images(args.name, part)
        classes = f", {len(set(labels.tolist()))} classes" if labels[0] >= 0 else ""
        print(f"{args.name} {part}: {len(pixels)} images of {'x'.join(map(str, pixels.shape[1:]))}{classes}")
    return 0


def classifier(args: argparse.Namespace) -> int:
    """Train the classifier of digits and write its weights."""
    from benchmark.classifier import train_classifier
    from evaluators.digits import WEIGHTS

    set_data(args)
    set_threads(args)
    path = args.output or Path(WEIGHTS.name)
    accuracy = train_classifier(MNIST, path, args.epochs, report=lambda line: print(line, file=sys.stderr))
    print(f"{100 * accuracy.test:.2f} % of the test digits right ({100 * accuracy.validation:.2f} % in validation)")
    print(f"written: {path}")
    return 0
