"""For notebooks and scripts: what the command line does, with pandas frames for answers.

Names and words are those of the command line; ``benchmark.errors.UserError`` is raised where it would say one line and
stop, ``datamodules.images.MissingData`` where a data set is not there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict, Unpack

import pandas as pd
from rich.console import Console

from benchmark.analysis.comparison import compare_rows
from benchmark.analysis.curves import read_curves
from benchmark.analysis.frame import ResultTable, aggregate
from benchmark.analysis.networks import read_networks
from benchmark.errors import UserError
from benchmark.papers.discovery import find_table
from benchmark.render.progress import watching
from benchmark.spec import registry
from benchmark.spec.claims import ClaimTable
from benchmark.spec.protocol import Protocol, Setting
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import NetworkTable
from benchmark.spec.user_code import forget_files
from benchmark.store.samples import Samples, take_samples
from benchmark.store.store import Store
from benchmark.training.engines.local_engine import local_engine
from benchmark.training.engines.runner import run_blocks, to_do
from benchmark.training.evaluation import floor, measure, measure_own
from benchmark.training.loggers import check_loggers
from datamodules.images import ImageSet

Features = Literal["inception", "efficientnet-lite0", "none"]
#: Measures that count.
_COUNTS = ("registered_modes", "registered_points", "captured_modes", "captured_modes_literal", "modes")


def evaluate(
    samples: Samples | Callable[[int], Samples] | str | Path,
    *,
    dataset: str,
    n: int | None = None,
    measures: Sequence[str] = (),
    features: Features = "inception",
) -> pd.DataFrame:
    """Every measure of a data set on samples of a model that was trained anywhere: a frame of one line, a column per
    measure and ``n``, the number of samples.

    samples: ``[n, d]`` in original units, or images ``[n, C, H, W]`` as uint8 or in [0, 1]; a file of them (``.npy
        .npz .pt .csv``) or a folder of images; or a function that makes so many.
    dataset: a name, or ``package.module:NAME``.
    n: how many samples a function is asked for; by default as many as tables take, 2,000 points or 10,000 images.
    measures: of yours, ``package.module:function``.
    features: the network that images are compared by.

    Measures without a value are NaN. Distances of images have a floor beside them, that of as many training images.
    """
    forget_files()
    data = registry.dataset(registry.full_name("datasets", dataset))
    names = [registry.full_name("measures", name) for name in measures]
    found = take_samples(samples, data, n)
    protocol = Protocol(features=features)
    compares = isinstance(data, ImageSet) and data.measures == "images"
    try:
        values = {name: float(value[0]) for name, value in measure(data, protocol, found[None]).items()}
    except ValueError as error:
        raise UserError(f"samples of {dataset}: {error}") from error
    if isinstance(data, ImageSet) and compares:
        values |= floor(data, protocol, len(found))
    values |= {name: measure_own(name, data, found) for name in names}
    line: dict[str, float | int] = {k: int(v) if k in _COUNTS and v == v else v for k, v in values.items()}
    line["n"] = len(found)
    if isinstance(data, ImageSet) and compares:
        line["n_real"] = min(protocol.real_samples, len(data.images("test")))
    return pd.DataFrame([line])


class Choice(TypedDict, total=False):
    """What of a table is meant; the options of the command line of these names.

    profile: how much was trained; ``paper`` if it is not given. reading: which reading of the paper, by default the
        table's.
    methods: rows of the table, or methods of yours as ``package.module:Class`` or ``path/to/file.py:Class``; all rows
        if empty.
    datasets: of the table's, or any others that its methods are trained on; the table's if empty.
    seeds: how many, or which; by default the profile's.
    settings: fields of methods and of the protocol, ``{"method.lambda_p": 0.2, "protocol.lr": 1e-4}``.
    measures: of yours, ``package.module:function``, taken of stored samples.
    """

    profile: str
    reading: str | None
    methods: Sequence[str]
    datasets: Sequence[str]
    seeds: int | Sequence[int] | None
    settings: Mapping[str, Setting] | None
    measures: Sequence[str]


def run(
    table: str,
    *,
    results: str | Path = "results",
    accelerator: Literal["auto", "cpu", "gpu"] = "auto",
    threads: int | None = None,
    jobs: int | None = None,
    progress: bool = False,
    loggers: Sequence[Literal["csv", "tensorboard", "wandb"]] = (),
    **choice: Unpack[Choice],
) -> pd.DataFrame:
    """Train what a table needs and is not stored yet, and give the table as ``table`` does.

    choice: as of ``table`` (``Choice``). Training stops and resumes freely, and shares a folder with other processes.

    accelerator: as in Lightning. threads: of a block; by default one for points, and all cores for images.
    jobs: blocks at a time, in processes of their own; 1 trains in this process. By default as many blocks of points as
        this process has cores and memory for, and one of images.
    progress: show bars and the time that is left, on stderr. loggers: that curves are written to, under ``logs`` in the
        results folder.

    A method that raises does not end the run: its models count as ``n_failed``, and a warning says why.
    """
    chosen = _choose(table, **choice)
    store = Store(Path(results))
    store.prepare()
    if isinstance(chosen, NetworkTable):
        return _frame(read_networks(chosen))
    chosen.check_data(judged=True)
    check_loggers(loggers)
    blocks = to_do(store, [run for row in chosen.rows for run in chosen.runs(row)])
    engine = local_engine(blocks, accelerator=accelerator, threads=threads, jobs=jobs, loggers=loggers)
    if progress and blocks:
        console = Console(stderr=True)
        estimates = engine.estimate(blocks, store, accelerator)
        with watching(blocks, estimates, console, engine.workers) as watcher:
            outcome = run_blocks(blocks, store, watcher, accelerator, engine, watcher.on_result)
    else:
        outcome = run_blocks(blocks, store, lambda step: None, accelerator, engine)
    for block, reason in outcome.failed:
        warnings.warn(f"{block.label} failed: {reason}", stacklevel=2)
    return _frame(aggregate(chosen, store))


def table(table: str, *, results: str | Path = "results", last: bool = False, **choice: Unpack[Choice]) -> pd.DataFrame:
    """A table from stored results: a tidy frame, one line per method and measure, with mean, standard deviation,
    interval, printed value and verdict (``benchmark.analysis.frame.Entry``); title, citation, header and notes in
    ``attrs``.

    table: an id or a number, as in ``list``. results: the results folder. choice: what of it (``Choice``).
    last: whether values are means over the last tenth of a model's evaluations, not those of its last epoch.
    """
    chosen = _choose(table, **choice)
    if isinstance(chosen, NetworkTable):
        return _frame(read_networks(chosen))
    chosen.check_data(judged=False)
    return _frame(aggregate(chosen, Store(Path(results)), last))


def compare(
    table: str, rows: Sequence[str], *, results: str | Path = "results", last: bool = False, **choice: Unpack[Choice]
) -> pd.DataFrame:
    """Rows of a table against one another, from stored results: a tidy frame, one line per pair and measure, paired by
    seed and corrected over all of them (``benchmark.analysis.comparison.Contrast``); ``attrs`` as of ``table``.

    rows: ids of two rows or more; the verdicts are about the first of each pair. The others: as of ``table``.
    """
    chosen = _choose(table, **choice)
    if isinstance(chosen, NetworkTable):
        raise UserError(f"table {chosen.id} trains nothing: its rows have no seeds to be paired by")
    return _frame(compare_rows(chosen, Store(Path(results)), rows, last))


def curves(table: str, *, results: str | Path = "results", **choice: Unpack[Choice]) -> pd.DataFrame:
    """Learning curves of a table's stored models: a tidy frame, one line per model, curve and epoch
    (``benchmark.analysis.curves.Point``).

    table, results, choice: as of ``table``.
    """
    return read_curves(_choose(table, **choice), Store(Path(results)))


def _choose(
    name: str,
    profile: str = "paper",
    reading: str | None = None,
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
    seeds: int | Sequence[int] | None = None,
    settings: Mapping[str, Setting] | None = None,
    measures: Sequence[str] = (),
) -> Selection | NetworkTable:
    forget_files()
    found = find_table(name)
    if isinstance(found, NetworkTable):
        return found
    if isinstance(found, ClaimTable):
        raise UserError(f"table {found.id} holds claims about models of other tables; python -m benchmark shows it")
    rows = [row.id for row in found.rows]
    own = [name for name in methods if name not in rows and registry.is_from_outside("methods", name)]
    return select(
        found,
        profile=profile,
        reading=reading,
        methods=[method for method in methods if method not in own],
        own=own,
        seeds=range(seeds) if isinstance(seeds, int) else seeds,
        datasets=datasets,
        assignments=[f"{field}={value}" for field, value in (settings or {}).items()],
        measures=measures,
        all_rows=not methods,
    )


def _frame(sheet: ResultTable) -> pd.DataFrame:
    frame = sheet.frame.copy()
    frame.attrs = {"title": sheet.title, "citation": sheet.citation, "header": sheet.header, "notes": sheet.footer}
    return frame
