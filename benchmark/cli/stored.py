"""Commands that read what is stored: ``show``, ``figure``, ``report``, ``verify``, ``reproduce``, ``doctor``."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from benchmark import sheet as sheets
from benchmark.cells import Block
from benchmark.cli.choice import check_accelerator, chosen_claims, chosen_experiment, chosen_table, set_data
from benchmark.cli.output import width, write
from benchmark.errors import UserError, one_line
from benchmark.records import Store
from benchmark.render import render
from benchmark.schema import NetworkTable, Selection
from datamodules.images import ImageSet


def _looked_at(args: argparse.Namespace) -> Store:
    """The results folder, for commands that only look: damaged records are named and left out."""
    return Store(args.results, lambda line: print(f"left out: {one_line(line)}", file=sys.stderr))


def show(args: argparse.Namespace) -> int:
    """Print a table, that of a figure, its curves, or what a demonstration found."""
    if experiment := chosen_experiment(args):
        from benchmark import demonstration

        record = demonstration.read(experiment, _looked_at(args))
        write("\n".join(demonstration.report(experiment, record)) + "\n")
        return 0
    if args.curves:
        return _show_curves(args)
    if inquiry := chosen_claims(args):
        from benchmark import evidence

        write(render(evidence.fill(inquiry, _looked_at(args)), args.format, width()))
        return 0
    chosen = chosen_table(args)
    if isinstance(chosen, NetworkTable):
        write(render(sheets.read_networks(chosen), args.format, width()))
    else:
        write(render(sheets.fill(chosen, _looked_at(args)), args.format, width()))
    return 0


def _show_curves(args: argparse.Namespace) -> int:
    from benchmark.learning_curves import read_curves

    if args.format not in ("text", "csv"):
        raise UserError(f"--curves gives CSV; leave --format {args.format} out")
    write(read_curves(chosen_table(args), _looked_at(args)).to_csv(index=False, lineterminator="\n"))
    return 0


def figure(args: argparse.Namespace) -> int:
    """Draw a figure, or the film of one training."""
    from benchmark import demonstration
    from benchmark.figure import Figure, draw, find_figure

    if args.figure == "movie":
        from benchmark.movie import make_movie

        if not args.cell:
            raise UserError("movie of which model? figure movie --cell ID, the name of a file under records/")
        print(one_line(str(make_movie(_looked_at(args), args.cell))))
        return 0
    if args.cell:
        raise UserError("--cell belongs to figure movie; a figure of a table has --methods and --seeds")
    if experiment := chosen_experiment(args):
        paths = demonstration.draw(experiment, _looked_at(args))
    else:
        chosen, figure = chosen_table(args), find_figure(args.figure)
        assert isinstance(chosen, Selection) and isinstance(figure, Figure)
        paths = draw(figure, chosen, _looked_at(args))
    for path in paths:
        print(one_line(str(path)))
    return 0


def report(args: argparse.Namespace) -> int:
    """Write the report."""
    from benchmark.report.write import write_report

    set_data(args)
    path = args.output or args.results / "report" / "index.html"
    found = write_report(_looked_at(args), path)
    for line in found.left_out:
        print(f"not shown: {one_line(line)}", file=sys.stderr)
    print(f"{one_line(str(path))} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def verify(args: argparse.Namespace) -> int:
    """Train the first epochs again; 1 if any number differs."""
    from benchmark import verification

    chosen = chosen_table(args)
    if isinstance(chosen, NetworkTable):
        raise UserError(f"table {chosen.id} stores nothing to verify")
    cells = [cell for row in chosen.rows for cell in chosen.cells(row)]
    store = Store(args.results)
    findings = verification.verify(
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


def reproduce(args: argparse.Namespace) -> int:
    """Train one model again to its end; 1 if any number differs."""
    import torch

    from benchmark.estimate import estimate
    from benchmark.progress import watching
    from benchmark.training import target_of
    from benchmark.verification import reproduce as again
    from benchmark.verification import scratch

    set_data(args)
    check_accelerator(args)
    store = Store(args.results)
    cell = store.find(args.cell)
    record = store.read(cell)
    if isinstance(target := target_of(cell), ImageSet):
        target.check()
    torch.set_num_threads(args.threads or (record.environment.get("threads") if record else 0) or 1)
    block = Block((cell,), (cell,))
    estimates = estimate([block], scratch(cell, store), args.accelerator)
    with watching([block], estimates, Console(stderr=True)) as watch:
        found = again(cell, store, watch, args.accelerator)
    name = f"{block.label} on {cell.dataset}, seed {cell.seed}"
    for difference in found.differences:
        print(f"{name}: {difference}")
    if not found.differences:
        print(f"{name}: reproduced to the last bit")
    for fact in found.elsewhere:
        print(one_line(fact))
    return 1 if found.differences else 0


def doctor(args: argparse.Namespace) -> int:
    """Print what is wrong and what to do; 1 if anything is."""
    from benchmark.doctor import examine

    set_data(args)
    wrong = 0
    for finding in examine(Store(args.results)):
        print(f"{finding.level:<6} {one_line(finding.said)}", flush=True)
        wrong += finding.level == "wrong"
    print({0: "nothing is wrong", 1: "one thing is wrong"}.get(wrong, f"{wrong} things are wrong"))
    return 1 if wrong else 0
