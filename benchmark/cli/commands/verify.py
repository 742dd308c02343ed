"""The command ``verify``: retrain stored models and compare every number."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.cli.options import (
    AcceleratorOptions,
    DataOptions,
    FeatureOptions,
    PrecisionOptions,
    ResultsOptions,
    SeedOptions,
    SelectionOptions,
    TableOptions,
    ThreadOptions,
    count,
    option,
)
from benchmark.errors import one_line

if TYPE_CHECKING:
    from benchmark.spec.run import Run
    from benchmark.store.store import Store


@dataclass(kw_only=True)
class VerifyOptions(
    DataOptions,
    ResultsOptions,
    ThreadOptions,
    AcceleratorOptions,
    FeatureOptions,
    PrecisionOptions,
    SeedOptions,
    SelectionOptions,
    TableOptions,
):
    """Train stored models again and compare every number to the last bit; nothing that is stored changes.

    Bits can only be equal on the same kind of processor or GPU; what is different here is said.

      verify --table 2 --epochs 1       the first epochs of all its models
      verify --table 2 --sample 2       two of its models, to their end; the same two every time
      verify --cell ID                  one model, to its end
    """

    verb = "verify"

    cell: str | None = option("one model: the name of a file under records/, or its beginning", metavar="ID")
    sample: int | None = option(
        "so many of the table's finished models, chosen by their ids; each to its end unless --epochs is given",
        metavar="N",
        read=count,
    )
    epochs: int | None = option("how many epochs are trained again; default: 1", metavar="N", read=count)


def run(options: VerifyOptions) -> int:
    """Retrain and compare; return 1 if any number differs."""
    from benchmark.cli.select import TableChoice, choose_rows
    from benchmark.errors import UserError

    if options.cell:
        return _one(options)
    chosen = choose_rows(options)
    if not isinstance(chosen, TableChoice):
        raise UserError(f"table {chosen.id} stores nothing to verify")
    store = options.store()
    runs = [run for row in chosen.selection.rows for run in chosen.selection.runs(row)]
    if options.sample:
        runs = sample(runs, store, options.sample)
        if options.epochs is None:
            # Run all of them, even after one that differs.
            return max([_to_its_end(run, store, options) for run in runs])
    return _first_epochs(runs, store, options)


def sample(runs: Sequence[Run], store: Store, size: int) -> list[Run]:
    """Return ``size`` of the finished models, chosen by a hash of their ids.

    The choice depends only on which models are stored, and changes little when more are added.

    Args:
        runs: Runs to choose from.
        store: The results folder.
        size: Number of models; all if there are fewer.

    Raises:
        UserError: No run has a finished record.
    """
    from benchmark.errors import UserError
    from benchmark.spec.run import digest

    done = [run for run in runs if (record := store.read(run)) and record.status == "done"]
    if not done:
        raise UserError(_nothing_said(store))
    return sorted(done, key=lambda run: digest(["sample", run.id]))[:size]


def _nothing_said(store: Store) -> str:
    return f"nothing is stored for this in {store.folder}; there is nothing to verify"


def _first_epochs(runs: Sequence[Run], store: Store, options: VerifyOptions) -> int:
    from benchmark.checks import reproduction
    from benchmark.errors import UserError
    from benchmark.spec.block import Block

    epochs = options.epochs or 1
    findings = reproduction.verify_runs(
        runs,
        store,
        epochs,
        accelerator=options.accelerator,
        report=lambda line: print(line, file=sys.stderr),
    )
    if not findings:
        raise UserError(_nothing_said(store))
    for finding in (f for f in findings if f.difference):
        where = " (made on another processor)" if finding.elsewhere else ""
        name = f"{Block((finding.run,)).label} on {finding.run.dataset}, seed {finding.run.seed}"
        print(f"{name}: {finding.difference}{where}")
    same = [finding for finding in findings if not finding.difference]
    stale = sum(finding.stale for finding in same)
    note = f", {stale} of them stale" if stale else ""
    print(f"{len(same)} of {len(findings)} models reproduced to the last bit, epochs 1 to {epochs}{note}")
    return 0 if len(same) == len(findings) else 1


def _one(options: VerifyOptions) -> int:
    """Verify the model of ``--cell``.

    The user's code that its record names must be on the command line, as reading a record never runs code.
    """
    from benchmark.cli.select import name, prepare, words_of
    from benchmark.errors import UserError

    if options.table or options.sample:
        raise UserError("give --cell or --table, not both")
    if options.epochs is not None:
        raise UserError("--cell trains a model to its end; leave --epochs out")
    prepare(options)
    for word in (*words_of("methods", options.methods), *options.method):
        name("methods", word)
    for word in words_of("datasets", options.datasets):
        name("datasets", word)
    store = options.store()
    return _to_its_end(store.find(options.cell or ""), store, options)


def _to_its_end(run: Run, store: Store, options: VerifyOptions) -> int:
    import torch
    from rich.console import Console

    from benchmark.checks.reproduction import reproduce_run, scratch
    from benchmark.cli.select import check_accelerator
    from benchmark.render.progress import watching
    from benchmark.spec import registry
    from benchmark.spec.block import Block
    from benchmark.spec.run import dataset_of_run
    from benchmark.training.estimate import estimate
    from datamodules.images import ImageSet

    check_accelerator(options)
    registry.method(run.method)
    record = store.read(run)
    if isinstance(dataset := dataset_of_run(run), ImageSet):
        dataset.check()
    torch.set_num_threads(options.threads or (record.environment.get("threads") if record else 0) or 1)
    block = Block((run,), (run,))
    estimates = estimate([block], scratch(run, store), options.accelerator)
    with watching([block], estimates, Console(stderr=True)) as watch:
        found = reproduce_run(run, store, watch, options.accelerator)
    name = f"{block.label} on {run.dataset}, seed {run.seed}"
    for difference in found.differences:
        print(f"{name}: {difference}")
    if not found.differences:
        print(f"{name}: reproduced to the last bit")
    for fact in found.elsewhere:
        print(one_line(fact))
    return 1 if found.differences else 0
