"""A table filled in: records become a tidy frame, one line per entry, and what stands above and below it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark import registry
from benchmark.cells import Cell, Protocol, digest
from benchmark.errors import UserError
from benchmark.evaluation import measure
from benchmark.records import Record, Store
from benchmark.statistics import Summary, order_agreement, summarise, verdict
from benchmark.table import Column, NetworkTable, Printed, Row, Selection, select
from benchmark.training import make_module, sources_of_cell
from datamodules.mixture import GaussianMixture
from modules.networks import MLP

#: Modes of the sampler behind the row "collapsed".
COLLAPSED_MODES = 12


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
    known samples. footer: agreement of orders, choices, errata, and what is wrong with the records.
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
    parts = [
        f"profile {selection.profile}",
        f"reading {selection.reading} ({table.readings[selection.reading].title})",
        f"{100 * selection.budget:.3g} % of the paper's training",
        f"seeds {seeds_text(selection.seeds)} ({len(selection.seeds)})",
    ]
    if text := str(selection.settings):
        parts.append(f"set {text}")
    return "; ".join(parts)


def run_command(what: str, selection: Selection, store: Store) -> str:
    """The command that trains a selection for ``what`` (``--table ID``); what is the usual is not said."""
    usual = select(selection.table, profile=selection.profile, reading=selection.reading)
    words = ["python", "-m", "benchmark", "run", *what.split()]
    if selection.profile != "paper":
        words += ["--profile", selection.profile]
    if selection.reading != "corrected":
        words += ["--reading", selection.reading]
    known = [row.id for row in usual.rows]
    chosen = [row.id for row in selection.rows if row.id in known]
    if chosen != known:
        words += ["--methods", ",".join(chosen)] if chosen else []
    for row in selection.rows:
        words += ["--method", row.id] if row.id not in known else []
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


def file_name(selection: Selection, stem: str) -> str:
    """Name of files made from a selection; one that is not a table's own has a file of its own."""
    name = f"{stem}-{selection.profile}-{selection.reading}"
    if selection == select(selection.table, profile=selection.profile, reading=selection.reading):
        return name
    return f"{name}-{digest([cell.id for row in selection.rows for cell in selection.cells(row)])[:6]}"


def whole(selection: Selection) -> Selection:
    """All rows and seeds of the table where the selection is a part of them, else the selection itself."""
    default = select(selection.table, profile=selection.profile, reading=selection.reading)
    part = set(selection.seeds) <= set(default.seeds) and {r.id for r in selection.rows} <= {r.id for r in default.rows}
    return default if part and selection.settings == default.settings else selection


def fill(selection: Selection, store: Store) -> Sheet:
    """The sheet of a selection from stored records. Raises ``UserError`` where nothing is stored."""
    table = selection.table
    found = {row.id: _records(selection, row, store) for row in selection.rows}
    if not any(found.values()):
        command = run_command(f"--table {table.id}", selection, store)
        raise UserError(f"nothing is stored for this in {store.folder}; first: {command}")
    entries = [e for row in selection.rows for e in _row_entries(selection, row, list(found[row.id].values()))]
    mixture = registry.dataset(table.dataset)
    known = known_samples(mixture, selection.protocol(table.rows[0]), selection.seeds)
    for name, values in known.items():
        entries += [_entry(selection, name, column, values[column.measure], None) for column in table.columns]
    titles = {row.id: row.title for row in selection.rows}
    titles |= {"real": "real", "collapsed": f"collapsed ({COLLAPSED_MODES} modes)", "spread": "spread"}
    return Sheet(
        name=file_name(selection, table.id),
        title=table.title,
        citation=table.citation,
        header=header(selection),
        columns=table.columns,
        rows=titles,
        known=tuple(known),
        frame=pd.DataFrame([asdict(entry) for entry in entries]),
        footer=tuple(_footer(selection, entries, found)),
    )


def _records(selection: Selection, row: Row, store: Store) -> dict[int, Record]:
    found = ((cell.seed, store.read(cell)) for cell in selection.cells(row))
    return {seed: record for seed, record in found if record is not None}


def _row_entries(selection: Selection, row: Row, records: Sequence[Record]) -> list[Entry]:
    done = [record for record in records if record.status == "done"]
    counts = [sum(record.status == status for record in records) for status in ("diverged", "failed")]
    entries = []
    for column in selection.table.columns:
        values = [value for record in done if (value := record.measures.get(column.measure)) is not None]
        entries.append(_entry(selection, row.id, column, values, row.printed.get(column.measure), *counts))
    return entries


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
    return Entry(
        selection.table.id,
        row,
        column.measure,
        selection.profile,
        selection.reading,
        selection.budget,
        ours.n,
        diverged,
        failed,
        ours.mean,
        ours.std,
        ours.ci_low,
        ours.ci_high,
        math.nan if mean is None else mean,
        math.nan if std is None else std,
        verdict(ours, mean, std, selection.table.printed_runs, selection.budget),
    )


def known_samples(
    mixture: GaussianMixture, protocol: Protocol, seeds: Sequence[int]
) -> dict[str, dict[str, list[float]]]:
    """The measures on samples of known quality, a set per seed: what a perfect, a collapsed, a careless model get."""
    samplers = {
        "real": lambda rng: mixture.real(protocol.samples, rng),
        "collapsed": lambda rng: mixture.collapsed(protocol.samples, rng, COLLAPSED_MODES),
        "spread": lambda rng: mixture.spread(protocol.samples, rng),
    }
    found = {}
    for name, sampler in samplers.items():
        generators = [np.random.default_rng((*f"known {name} {mixture.name} ".encode(), seed)) for seed in seeds]
        values = measure(mixture, protocol, np.stack([sampler(g) for g in generators]).astype(np.float32))
        found[name] = {key: [float(v) for v in value if np.isfinite(v)] for key, value in values.items()}
    return found


def _footer(selection: Selection, entries: Sequence[Entry], found: Mapping[str, Mapping[int, Record]]) -> list[str]:
    table = selection.table
    lines = []
    taus = []
    for column in table.columns:
        pairs = [(e.mean, e.paper_mean) for e in entries if e.column == column.measure]
        both = [pair for pair in pairs if not any(map(math.isnan, pair))]
        if column.printed_title and len(both) >= 3:
            tau = order_agreement(*zip(*both, strict=True))
            said = "undefined (all tie)" if math.isnan(tau) else f"{tau:+.2f}"
            taus.append(f"{column.title} {said} ({len(both)} methods)")
    if taus:
        lines.append(f"Kendall's tau between our order of methods and the paper's: {'; '.join(taus)}.")
    printed = [f"{c.title} beside {c.printed_title}" for c in table.columns if c.printed_title]
    lines.append(f"Printed values ({table.printed_runs} runs): {'; '.join(printed)}.")
    missing = {r.title: len(selection.seeds) - len(found[r.id]) for r in selection.rows}
    if any(missing.values()):
        lines.append(f"Not run: {', '.join(f'{name} {n}' for name, n in missing.items() if n)} seeds.")
    for status in ("diverged", "failed"):
        hit = {r.title: sum(rec.status == status for rec in found[r.id].values()) for r in selection.rows}
        if any(hit.values()):
            lines.append(
                f"{status.capitalize()} seeds, not in the means: {', '.join(f'{k} {v}' for k, v in hit.items() if v)}."
            )
    stale = [r.title for r in selection.rows if is_stale(selection.cell(r, 0), found[r.id].values())]
    if stale:
        lines.append(f"Stale, older than the code they depend on (rerun with --redo-stale): {', '.join(stale)}.")
    lines += [f"{row.title}: {row.picked}." for row in selection.rows if row.picked]
    return [*lines, *table.notes]


def is_stale(cell: Cell, records: Iterable[Record]) -> bool:
    """Whether any of the records was made by other code than today's."""
    today = sources_of_cell(cell)
    return any(record.sources != today for record in records)


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
