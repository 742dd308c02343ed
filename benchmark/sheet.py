"""A table filled in: records become a tidy frame, one line per entry, and what stands above and below it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark import registry
from benchmark.cells import Cell, Protocol, digest
from benchmark.coverage import value_of
from benchmark.errors import UserError
from benchmark.evaluation import measure, measure_nearest, measure_own
from benchmark.records import Record, Store
from benchmark.registry import Target
from benchmark.schema import Column, NetworkTable, Printed, Row, Selection, select
from benchmark.sources import sources_of_measures
from benchmark.statistics import Summary, order_agreement, summarise, verdict
from benchmark.training import as_trained, make_module, sources_of_cell
from benchmark.user_code import path_name
from datamodules.images import ImageSet
from datamodules.mixture import GaussianMixture
from modules.networks import MLP

#: Rows of known samples.
KNOWN = ("real", "collapsed", "spread")


def collapsed_modes(target: Target) -> int:
    """Modes of the sampler behind the row "collapsed"."""
    return target.modes // 2


@dataclass(frozen=True)
class Entry:
    """One line of ``--format csv``: one measure of one row. Numbers are NaN where there is none."""

    table: str
    row: str
    column: str
    profile: str
    reading: str
    budget: float
    n: int
    n_diverged: int
    n_failed: int
    mean: float
    std: float
    ci_low: float
    ci_high: float
    paper_mean: float
    paper_std: float
    verdict: str


@dataclass(frozen=True)
class Sheet:
    """What every rendering shows.

    name: of files made from it. header: profile, reading, budget, seeds. rows: titles by id; known: ids of the rows of
    known samples. footer: agreement of orders, choices, errata, and what is wrong with the records. worded: what people
    are shown where that is no grid of entries.
    """

    name: str
    title: str
    citation: str
    header: str
    columns: tuple[Column, ...]
    rows: Mapping[str, str]
    known: tuple[str, ...]
    frame: pd.DataFrame
    footer: tuple[str, ...]
    worded: pd.DataFrame | None = None


def seeds_text(seeds: Sequence[int]) -> str:
    """``0-3,7`` for 0, 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def header(selection: Selection) -> str:
    """Profile, reading, share of the paper's training, seeds, and what ``--set`` changed."""
    table = selection.table
    budgets = {name: f"{100 * selection.budget(name):.3g} %" for name in _trained_on(selection)}
    shares = [f"{share} on {name}" for name, share in budgets.items()] if len(set(budgets.values())) > 1 else []
    reading = table.readings[selection.reading].title
    if table.selected and selection.reading == table.reading:
        reading += f"; {table.selected}"
    parts = [
        f"profile {selection.profile}",
        f"reading {selection.reading} ({reading})",
        f"{', '.join(shares) or next(iter(budgets.values()))} of the paper's training",
        f"seeds {seeds_text(selection.seeds)} ({len(selection.seeds)})",
    ]
    if selection.datasets != table.datasets:
        parts.append(f"only {', '.join(selection.datasets)}")
    if text := str(selection.settings):
        parts.append(f"set {text}")
    return "; ".join(parts)


def usual_of(selection: Selection, rows: Sequence[str] = (), datasets: Sequence[str] = ()) -> Selection:
    """What the same profile and reading choose where nothing else is said, of some rows and data sets if given."""
    return select(
        selection.table, profile=selection.profile, reading=selection.reading, methods=rows, datasets=datasets
    )


def run_command(what: str, selection: Selection, store: Store, usual: Selection | None = None) -> str:
    """The command that trains a selection for ``what`` (``--table ID``); what is the usual is not said."""
    usual = usual or usual_of(selection)
    words = ["python", "-m", "benchmark", "run", *what.split()]
    if selection.profile != "paper":
        words += ["--profile", selection.profile]
    if selection.reading != selection.table.reading:
        words += ["--reading", selection.reading]
    of_table = {row.id for row in selection.table.rows}
    named = [row.id for row in selection.rows if row.id in of_table]
    others = [path_name(row.id) for row in selection.rows if row.id not in of_table]
    if named == [row.id for row in usual.rows]:
        words += [word for name in others for word in ("--method", name)]
    else:
        words += ["--methods", ",".join([*named, *others])]
    for name in selection.measures:
        words += ["--measure", path_name(name)]
    if selection.datasets != usual.datasets:
        words += ["--datasets", ",".join(map(path_name, selection.datasets))]
    if selection.seeds != usual.seeds:
        text = seeds_text(selection.seeds)
        # One number alone is a count of seeds on the command line.
        words += ["--seeds", f"{text}-{text}" if text.isdigit() else text]
    for group, fields in (("protocol", selection.settings.protocol), ("method", selection.settings.method)):
        for name, value in fields.items():
            words += ["--set", f"{group}.{name}={value}"]
    if store.folder != Path("results"):
        words += ["--results", str(store.folder)]
    return shlex.join(words)


def file_name(selection: Selection, stem: str, usual: Selection | None = None) -> str:
    """Name of files made from a selection; one that is not the usual has a file of its own."""
    name = f"{stem}-{selection.profile}-{selection.reading}"
    if selection == (usual or usual_of(selection)):
        return name
    content = [cell.id for row in selection.rows for cell in selection.cells(row)]
    return f"{name}-{digest([*content, *selection.measures])[:6]}"


def whole(selection: Selection) -> Selection:
    """All rows and seeds of the table where the selection is a part of them, else the selection itself."""
    default = usual_of(selection)
    part = set(selection.seeds) <= set(default.seeds) and {r.id for r in selection.rows} <= {r.id for r in default.rows}
    part = part and set(selection.datasets) <= set(default.datasets) and not selection.measures
    return default if part and selection.settings == default.settings else selection


def fill(selection: Selection, store: Store) -> Sheet:
    """The sheet of a selection from stored records. Raises ``UserError`` where nothing is stored."""
    table = selection.table
    found = {row.id: _records(selection, row, store) for row in selection.rows}
    if not any(found.values()):
        command = run_command(f"--table {table.id}", selection, store)
        raise UserError(f"nothing is stored for this in {store.folder}; first: {command}")
    entries = [e for row in selection.rows for e in _row_entries(selection, row, found[row.id], store)]
    known = {
        dataset: known_samples(
            as_trained(table.target(dataset), protocol := _any_protocol(selection, dataset)),
            protocol,
            selection.seeds,
            store,
            selection.measures,
        )
        for dataset in _trained_on(selection)
    }
    for name in KNOWN:
        for column in selection.columns:
            values = known[selection.dataset_of(column)][name].get(column.measure)
            entries += [] if values is None else [_entry(selection, name, column, values, None)]
    titles = {row.id: row.title for row in selection.rows}
    half = sorted({collapsed_modes(table.target(dataset)) for dataset in known})
    collapsed = f"collapsed ({half[0] if len(half) == 1 else 'half the'} modes)"
    titles |= {"real": "real", "collapsed": collapsed, "spread": "spread"}
    return Sheet(
        name=file_name(selection, table.id),
        title=_title(selection),
        citation=table.citation,
        header=header(selection),
        columns=selection.columns,
        rows=titles,
        known=KNOWN,
        frame=pd.DataFrame([asdict(entry) for entry in entries]),
        footer=tuple(_footer(selection, entries, found)),
    )


def _title(selection: Selection) -> str:
    """The table's, or where its methods are trained on other data, that."""
    table = selection.table
    if set(selection.datasets) <= set(table.datasets):
        return table.title
    return f"Methods of {table.id} by its protocol on {', '.join(selection.datasets)}"


def _trained_on(selection: Selection) -> list[str]:
    """Chosen data sets that any chosen row is trained on."""
    return [name for name in selection.datasets if any(name in selection.datasets_of(row) for row in selection.rows)]


def _any_protocol(selection: Selection, dataset: str) -> Protocol:
    """For what all rows have in common: how their samples are judged."""
    return next(selection.protocol(row, dataset) for row in selection.rows if dataset in selection.datasets_of(row))


def _records(selection: Selection, row: Row, store: Store) -> dict[Cell, Record]:
    found = ((cell, store.read(cell)) for cell in selection.cells(row))
    return {cell: record for cell, record in found if record is not None}


def _row_entries(selection: Selection, row: Row, records: Mapping[Cell, Record], store: Store) -> list[Entry]:
    entries = []
    for column in selection.columns:
        dataset = selection.dataset_of(column)
        if dataset not in selection.datasets_of(row):
            continue
        here = {cell: records[cell] for cell in selection.cells(row, dataset) if cell in records}
        counts = [sum(record.status == status for record in here.values()) for status in ("diverged", "failed")]
        done = {cell: record for cell, record in here.items() if record.status == "done"}
        if column.measure in selection.measures:
            target = selection.table.target(dataset)
            found = [measure_own(column.measure, target, store.samples(*pair)) for pair in done.items()]
            values = [value for value in found if math.isfinite(value)]
        else:
            values = [v for pair in done.items() if (v := value_of(*pair, column.measure)) is not None]
        entries.append(_entry(selection, row.id, column, values, _printed(row, column), *counts))
    return entries


def _printed(row: Row, column: Column) -> Printed | None:
    """The printed value is that of the usual counts."""
    return row.printed.get(column.id.removesuffix(f"_{column.counts}"))


def _entry(
    selection: Selection,
    row: str,
    column: Column,
    values: Sequence[float],
    printed: Printed | None,
    diverged: int = 0,
    failed: int = 0,
) -> Entry:
    ours = summarise(values)
    mean, std = (printed.mean, printed.std) if printed else (None, None)
    budget = selection.budget(selection.dataset_of(column))
    said = verdict(ours, mean, std, selection.table.printed_runs, budget) if column.comparable else "-"
    return Entry(
        selection.table.id,
        row,
        column.id,
        selection.profile,
        selection.reading,
        budget,
        ours.n,
        diverged,
        failed,
        ours.mean,
        ours.std,
        ours.ci_low,
        ours.ci_high,
        math.nan if mean is None else mean,
        math.nan if std is None else std,
        said,
    )


def known_samples(
    target: Target, protocol: Protocol, seeds: Sequence[int], store: Store, own: Sequence[str] = ()
) -> dict[str, dict[str, list[float]]]:
    """The measures on samples of known quality, a set per seed: what a perfect, a collapsed, a careless model get.

    Those of images take a while and are kept in the store.
    own: measures of the user beside them.
    """
    if own:
        found = known_samples(target, protocol, seeds, store)
        for name, samples in _known(target, protocol, seeds):
            values = {key: [measure_own(key, target, part) for part in samples] for key in own}
            found[name] = found[name] | {k: [v for v in part if math.isfinite(v)] for k, part in values.items()}
        return found
    if isinstance(target, GaussianMixture):
        return _measure_known(target, protocol, seeds)
    code = sources_of_measures(target, _known, measure_nearest)
    key: list[object] = [target.name, target.edition, protocol.samples, list(seeds), code]
    if target.measures == "images":
        key += [protocol.features, protocol.real_samples, protocol.inverted]
    return store.remember("known", key, lambda: _measure_known(target, protocol, seeds))


def _measure_known(target: Target, protocol: Protocol, seeds: Sequence[int]) -> dict[str, dict[str, list[float]]]:
    found = {}
    for name, samples in _known(target, protocol, seeds):
        values = measure(target, protocol, samples)
        if isinstance(target, ImageSet):
            values |= measure_nearest(target, protocol, samples)
        found[name] = {key: [float(v) for v in value if np.isfinite(v)] for key, value in values.items()}
    return found


def _known(target: Target, protocol: Protocol, seeds: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
    """Samples of known quality, ``[S, n, ...]``, by name."""
    # Of images no more than there are different ones: copies would not be as far from the data as others.
    real = min(protocol.samples, target.training_size) if target.measures == "images" else protocol.samples
    samplers = (
        lambda rng: target.real(real, rng),
        lambda rng: target.collapsed(protocol.samples, rng, collapsed_modes(target)),
        lambda rng: target.spread(protocol.samples, rng),
    )
    for name, sampler in zip(KNOWN, samplers, strict=True):
        generators = [np.random.default_rng((*f"known {name} {target.name} ".encode(), seed)) for seed in seeds]
        yield name, np.stack([_as_drawn(sampler(g)) for g in generators])


def _as_drawn(samples: np.ndarray) -> np.ndarray:
    """Samples with the precision that a model's have."""
    return samples if samples.dtype == np.uint8 else samples.astype(np.float32)


def _footer(selection: Selection, entries: Sequence[Entry], found: Mapping[str, Mapping[Cell, Record]]) -> list[str]:
    table = selection.table
    lines = []
    taus, few = [], False
    for column in selection.columns:
        pairs = [(e.mean, e.paper_mean) for e in entries if e.column == column.id]
        both = [pair for pair in pairs if not any(map(math.isnan, pair))]
        if not (column.printed_title and column.comparable):
            continue
        few |= 0 < len(both) < 3
        if len(both) >= 3:
            tau = order_agreement(*zip(*both, strict=True))
            said = "undefined (all tie)" if math.isnan(tau) else f"{tau:+.2f}"
            taus.append(f"{column_title(column)} {said} ({len(both)} methods)")
    if taus:
        lines.append(f"Kendall's tau between our order of methods and the paper's: {'; '.join(taus)}.")
    elif few:
        lines.append("Kendall's tau between our order of methods and the paper's wants three methods or more.")
    printed = dict.fromkeys(f"{c.title} beside {c.printed_title}" for c in selection.columns if c.printed_title)
    if printed:
        lines.append(f"Printed values ({table.printed_runs} runs): {'; '.join(printed)}.")
    missing = {r.title: len(selection.cells(r)) - len(found[r.id]) for r in selection.rows}
    if any(missing.values()):
        lines.append(f"Not run: {', '.join(f'{name} {n}' for name, n in missing.items() if n)} models.")
    for status in ("diverged", "failed"):
        hit = {r.title: sum(rec.status == status for rec in found[r.id].values()) for r in selection.rows}
        if any(hit.values()):
            lines.append(
                f"{status.capitalize()} models, not in the means: {', '.join(f'{k} {v}' for k, v in hit.items() if v)}."
            )
    stale = [r.title for r in selection.rows if any(is_stale(cell, record) for cell, record in found[r.id].items())]
    if stale:
        lines.append(f"Stale, older than the code they depend on (rerun with --redo-stale): {', '.join(stale)}.")
    if elsewhere := [row.title for row in selection.rows if any(_of_other_edition(*p) for p in found[row.id].items())]:
        lines.append(f"Trained and judged on other images than those that lie here: {', '.join(elsewhere)}.")
    lines += [f"{row.title}: {row.picked}." for row in selection.rows if row.picked]
    return [*lines, *table.notes]


def column_title(column: Column) -> str:
    """The title, after the data set's name in a table of several."""
    return f"{column.dataset} {column.title}".lstrip()


def _of_other_edition(cell: Cell, record: Record) -> bool:
    """Whether the images that a model was made from are not those that are here."""
    target, then = registry.dataset(cell.dataset), record.environment.get("images")
    return isinstance(target, ImageSet) and then is not None and then != target.edition


def is_stale(cell: Cell, record: Record) -> bool:
    """Whether a cell's record was made by other code than today's."""
    return record.sources != sources_of_cell(cell)


def read_networks(table: NetworkTable) -> Sheet:
    """The sheet of a table of networks, read off those that a method really builds."""
    selection = select(table.of)
    row = table.of.row(table.method)
    module = make_module(selection.cell(row, 0), (0,))
    entries = []
    for role, printed in table.printed.items():
        network = getattr(module, role)
        for column in table.columns:
            ours = Summary(1, float(network_size(network)[column.measure]), 0.0, math.nan, math.nan)
            paper = printed[column.measure]
            same = "agrees" if ours.mean == paper else "higher" if ours.mean > paper else "lower"
            labels = (table.id, role, column.measure, "-", "-", 1.0, 1, 0, 0)
            entries.append(Entry(*labels, ours.mean, math.nan, math.nan, math.nan, paper, math.nan, same))
    return Sheet(
        name=table.id,
        title=table.title,
        citation=table.citation,
        header=f"read off the networks that {row.title} of table {table.of.id} builds; nothing is trained",
        columns=table.columns,
        rows={role: role.capitalize() for role in table.printed},
        known=(),
        frame=pd.DataFrame([asdict(entry) for entry in entries]),
        footer=table.notes,
    )


def network_size(network: MLP) -> dict[str, int]:
    """Inputs, outputs, hidden layers and their width, from the weights themselves."""
    shapes = [tuple(parameter.shape) for name, parameter in network.named_parameters() if name.endswith("weight")]
    widths = {shape[2] for shape in shapes[:-1]}
    if len(widths) != 1:
        raise ValueError(f"hidden layers of different widths: {sorted(widths)}")
    return {
        "d_in": shapes[0][1],
        "d_out": shapes[-1][2],
        "hidden_layers": len(shapes) - 1,
        "hidden_width": widths.pop(),
    }
