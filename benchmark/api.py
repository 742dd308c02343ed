"""Python API for notebooks and scripts: the functions of the command line, returning pandas frames.

Names and terms are those of the command line. Where it would print one line and exit, a function raises
``benchmark.errors.UserError``, or ``datamodules.images.MissingData`` for a missing data set.
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
#: Measures that are counts.
_COUNTS = ("registered_modes", "registered_points", "captured_modes", "captured_modes_literal", "modes")


def evaluate(
    samples: Samples | Callable[[int], Samples] | str | Path,
    *,
    dataset: str,
    n: int | None = None,
    measures: Sequence[str] = (),
    features: Features = "inception",
) -> pd.DataFrame:
    """Compute every measure of a data set on samples of any model.

    Args:
        samples: Points ``[n, d]`` in original units, or images ``[n, C, H, W]`` as uint8 or in [0, 1]; a file of them
            (``.npy .npz .pt .csv``) or a folder of images; or a function that returns a given number of samples.
        dataset: Name of the data set, or ``package.module:NAME``.
        n: Number of samples to request from a function; by default as many as in the tables, 2,000 points or 10,000
            images.
        measures: User-defined measures, ``package.module:function``.
        features: The network in whose features images are compared.

    Returns:
        A frame with one line and one column per measure, and ``n``, the number of samples. Measures without a value are
        NaN. Each distance between images has a column ``_floor`` with the distance of as many training images.

    Raises:
        UserError: A name is unknown, or the samples do not fit the data set.
        datamodules.images.MissingData: The data set is missing.
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
    """Selection of a part of a table. Each key is the command-line option of that name.

    Attributes:
        profile: Training budget; ``paper`` by default.
        reading: Reading of the paper; by default the table's.
        methods: Rows of the table, or user-defined methods as ``package.module:Class`` or ``path/to/file.py:Class``;
            all rows if empty.
        datasets: Data sets of the table, or any others to train its methods on; the table's if empty.
        seeds: Number of seeds, or the seeds themselves; by default the profile's.
        settings: Fields of methods and of the protocol: ``{"method.lambda_p": 0.2, "protocol.lr": 1e-4}``.
        measures: User-defined measures, ``package.module:function``, computed on stored samples.
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
    """Train the runs of a table that are not stored yet, and return the table as ``table`` does.

    Training can be stopped and resumed at any time, and several processes may share a results folder. If a method
    raises, the run continues: its models count as ``n_failed``, and a warning gives the reason.

    Args:
        table: Id or number of the table.
        results: The results folder.
        accelerator: Lightning's name of the kind of device.
        threads: Threads of a block; by default one for points and all cores for images.
        jobs: Blocks at a time, in processes of their own; 1 trains in this process. By default one block of images, or
            as many blocks of points as this process has cores and memory for.
        progress: Show progress bars and the time left on stderr.
        loggers: Loggers for the curves, which write to ``logs`` in the results folder.
        **choice: Part of the table, see ``Choice``.

    Returns:
        The frame of ``table``.

    Raises:
        UserError: A name, an option or a method is refused.
        datamodules.images.MissingData: A data set is missing.
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
    """Return a table from stored results.

    Args:
        table: Id or number of the table, as in ``list``.
        results: The results folder.
        last: Use means over the last tenth of a model's evaluations instead of the values after the last epoch.
        **choice: Part of the table, see ``Choice``.

    Returns:
        A tidy frame with one line per method and measure: mean, standard deviation, interval, reported value and
        verdict (``benchmark.analysis.frame.Entry``). ``attrs`` holds title, citation, header and notes.

    Raises:
        UserError: A name is unknown, or nothing is stored.
    """
    chosen = _choose(table, **choice)
    if isinstance(chosen, NetworkTable):
        return _frame(read_networks(chosen))
    chosen.check_data(judged=False)
    return _frame(aggregate(chosen, Store(Path(results)), last))


def compare(
    table: str, rows: Sequence[str], *, results: str | Path = "results", last: bool = False, **choice: Unpack[Choice]
) -> pd.DataFrame:
    """Compare rows of a table with one another, from stored results.

    Args:
        table: Id or number of the table.
        rows: Ids of two or more rows. A verdict is about the first row of its pair.
        results: The results folder.
        last: See ``table``.
        **choice: Part of the table, see ``Choice``.

    Returns:
        A tidy frame with one line per pair and measure, paired by seed and corrected over all of them
        (``benchmark.analysis.comparison.Contrast``); ``attrs`` as in ``table``.

    Raises:
        UserError: A name is unknown, or nothing is stored for a row.
    """
    chosen = _choose(table, **choice)
    if isinstance(chosen, NetworkTable):
        raise UserError(f"table {chosen.id} trains nothing: its rows have no seeds to be paired by")
    return _frame(compare_rows(chosen, Store(Path(results)), rows, last))


def curves(table: str, *, results: str | Path = "results", **choice: Unpack[Choice]) -> pd.DataFrame:
    """Return the learning curves of a table's stored models.

    Args:
        table: Id or number of the table.
        results: The results folder.
        **choice: Part of the table, see ``Choice``.

    Returns:
        A tidy frame with one line per model, curve and epoch (``benchmark.analysis.curves.Point``).

    Raises:
        UserError: A name is unknown, or nothing is stored.
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
