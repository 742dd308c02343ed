"""A table filled in: records become a tidy frame, one line per entry, and what stands above and below it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark import registry
from benchmark.cells import Protocol, Run, digest
from benchmark.coverage import value_of
from benchmark.errors import UserError
from benchmark.evaluation import MEASURES, measure, measure_nearest, measure_own
from benchmark.records import Record, Store
from benchmark.registry import DataSet
from benchmark.schema import Column, NetworkTable, Reported, Row, Selection, select
from benchmark.statistics import (
    ENOUGH,
    Difference,
    against_reported,
    last_tenth,
    order_agreement,
    summarise,
    verdicts,
)
from benchmark.training import dataset_for_protocol, make_module
from benchmark.user_code import path_name
from benchmark.versions import version_of, versions_of
from datamodules.images import ImageSet
from datamodules.mixture import GaussianMixture
from evaluators.margins import MARGINS
from modules.networks import MLP

#: Rows of known samples.
KNOWN = ("real", "collapsed", "spread")


def collapsed_modes(dataset: DataSet) -> int:
    """Modes of the sampler behind the row "collapsed"."""
    return dataset.modes // 2


@dataclass(frozen=True)
class Entry:
    """One line of ``--format csv``: one measure of one row. Numbers are NaN where there is none.

    Mean, standard deviation and interval are of the ``n`` models that finished and have a value. p values and verdict
    count each of the others (``n_diverged``, ``n_failed``, ``n_no_value``) with the measure's worst value; where it has
    none there is no verdict.

    fluctuation: standard deviation of the measure over the last tenth of a model's evaluations, mean over the models.
    margin: difference that does not matter, in the unit of the measure. p: of no difference; p_holm and p_bh:
    adjusted over all entries. seeds_to_decide: of an undecided one; NaN where 1,000 would not do. verdict, lean: as in
    ``benchmark.statistics.Verdict``, with a ``~`` below the paper's training budget.
    """

    table: str
    row: str
    column: str
    profile: str
    reading: str
    budget: float
    n: int
    n_diverged: int
    n_failed: int
    n_no_value: int
    mean: float
    std: float
    ci_low: float
    ci_high: float
    fluctuation: float
    paper_mean: float
    paper_std: float
    margin: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    p_bh: float = math.nan
    seeds_to_decide: float = math.nan
    verdict: str = "-"
    lean: str = "-"


@dataclass(frozen=True)
class Measured:
    """An entry before its verdict, which depends on all others.

    counted: values of all models, the worst one for each that was lost; None where the measure has none.
    """

    entry: Entry
    counted: tuple[float, ...] | None
    difference: Difference | None = None


@dataclass(frozen=True)
class Values:
    """A measure of the models of a row: values in the order of the seeds, None for a model that was lost.

    fluctuations: of the models that have any.
    """

    of_models: tuple[float | None, ...]
    diverged: int = 0
    failed: int = 0
    fluctuations: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def found(self) -> list[float]:
        return [value for value in self.of_models if value is not None]

    @property
    def without(self) -> int:
        """Models that finished and have no value."""
        return self.of_models.count(None) - self.diverged - self.failed

    def counted(self, worst: float | None) -> tuple[float, ...] | None:
        """One value per model, ``worst`` for those that were lost; None where there is no worst."""
        if worst is None and None in self.of_models:
            return None
        return tuple(value if value is not None else worst for value in self.of_models)  # type: ignore[misc]


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
    content = [run.id for row in selection.rows for run in selection.runs(row)]
    return f"{name}-{digest([*content, *selection.measures])[:6]}"


def whole(selection: Selection) -> Selection:
    """All rows and seeds of the table where the selection is a part of them, else the selection itself."""
    default = usual_of(selection)
    part = set(selection.seeds) <= set(default.seeds) and {r.id for r in selection.rows} <= {r.id for r in default.rows}
    part = part and set(selection.datasets) <= set(default.datasets) and not selection.measures
    return default if part and selection.settings == default.settings else selection


def fill(selection: Selection, store: Store, last: bool = False) -> Sheet:
    """The sheet of a selection from stored records. Raises ``UserError`` where nothing is stored.

    last: whether a model's value is the mean over the last tenth of its evaluations, not that of its last epoch alone.
    A measure that is not evaluated along the training keeps the last epoch.
    """
    table = selection.table
    found = {row.id: records_of(selection, row, store) for row in selection.rows}
    if not any(found.values()):
        command = run_command(f"--table {table.id}", selection, store)
        raise UserError(f"nothing is stored for this in {store.folder}; first: {command}")
    measured = [m for row in selection.rows for m in _row_entries(selection, row, found[row.id], store, last)]
    entries = _judged(measured)
    known = {
        dataset: known_samples(
            dataset_for_protocol(table.dataset(dataset), protocol := _any_protocol(selection, dataset)),
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
            if values is not None:
                entries.append(_measured(selection, name, column, Values(tuple(values)), None).entry)
    titles = {row.id: row.title for row in selection.rows}
    half = sorted({collapsed_modes(table.dataset(dataset)) for dataset in known})
    collapsed = f"collapsed ({half[0] if len(half) == 1 else 'half the'} modes)"
    titles |= {"real": "real", "collapsed": collapsed, "spread": "spread"}
    return Sheet(
        name=file_name(selection, table.id) + ("-last" if last else ""),
        title=_title(selection),
        citation=table.citation,
        header="; ".join([header(selection), *_said_of_all(measured, last)]),
        columns=selection.columns,
        rows=titles,
        known=KNOWN,
        frame=pd.DataFrame([asdict(entry) for entry in entries]),
        footer=tuple(_footer(selection, measured, found)),
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


def records_of(selection: Selection, row: Row, store: Store) -> dict[Run, Record]:
    """What is stored of a row."""
    found = ((run, store.read(run)) for run in selection.runs(row))
    return {run: record for run, record in found if record is not None}


def _said_of_all(measured: Sequence[Measured], last: bool) -> Iterator[str]:
    """What the header says of all entries."""
    if last:
        yield "mean over the last tenth of the evaluations"
    if count := sum(m.difference is not None for m in measured):
        yield f"differences at 5 %, corrected over {count} entries (Holm)"


def values_of(
    selection: Selection, row: Row, column: Column, records: Mapping[Run, Record], store: Store, last: bool = False
) -> Values:
    """A column's measure of the stored models of a row, at their last epoch or over the last tenth of evaluations."""
    dataset = selection.dataset_of(column)
    here = {run: records[run] for run in selection.runs(row, dataset) if run in records}
    diverged, failed = (sum(r.status == status for r in here.values()) for status in ("diverged", "failed"))
    of_models: list[float | None] = []
    fluctuations = []
    for run, record in here.items():
        value = None
        tail = last_tenth(record.curves.get(column.measure, [])) if record.status == "done" else None
        if record.status != "done":
            pass
        elif last and tail is not None:
            value = tail.mean
        elif column.measure in selection.measures:
            found = measure_own(column.measure, selection.table.dataset(dataset), store.samples(run, record))
            value = found if math.isfinite(found) else None
        else:
            value = value_of(run, record, column.measure, store)
        of_models.append(value)
        fluctuations += [tail.std] if tail is not None and math.isfinite(tail.std) else []
    return Values(tuple(of_models), diverged, failed, tuple(fluctuations), tuple(run.seed for run in here))


def _row_entries(
    selection: Selection, row: Row, records: Mapping[Run, Record], store: Store, last: bool
) -> Iterator[Measured]:
    for column in selection.columns:
        if selection.dataset_of(column) in selection.datasets_of(row):
            values = values_of(selection, row, column, records, store, last)
            yield _measured(selection, row.id, column, values, row)


def _judged(measured: Sequence[Measured]) -> list[Entry]:
    """The entries with their verdicts, corrected over all of them."""
    entries = []
    for m, said in zip(measured, verdicts([m.difference for m in measured]), strict=True):
        mark = "~" if m.entry.budget < 1 and said.word != "-" else ""
        entries.append(
            replace(
                m.entry,
                margin=said.margin,
                p=said.p,
                p_holm=said.p_holm,
                p_bh=said.p_bh,
                seeds_to_decide=said.seeds_to_decide,
                verdict=mark + said.word,
                lean=said.lean,
            )
        )
    return entries


def reported_of(row: Row, column: Column) -> Reported | None:
    """The printed value is that of the usual counts."""
    return row.reported.get(column.id.removesuffix(f"_{column.counts}"))


def margin_of(selection: Selection, row: Row, column: Column, value: float) -> float:
    """How large a difference from ``value`` does not matter, in the unit of the measure; NaN for a measure that has no
    margin, such as one of the user's own."""
    if column.measure not in MARGINS:
        return math.nan
    dataset = selection.dataset_of(column)
    samples = selection.protocol(row, dataset).samples
    return MARGINS[column.measure].size(selection.table.dataset(dataset).modes, samples, value)


def worst_of(selection: Selection, row: Row, column: Column) -> float | None:
    """The measure's worst value, as which a lost model counts; None where it has none."""
    worst = MARGINS[column.measure].worst if column.measure in MARGINS else None
    dataset = selection.dataset_of(column)
    samples = selection.protocol(row, dataset).samples
    return None if worst is None else worst(selection.table.dataset(dataset).modes, samples)


def _measured(selection: Selection, name: str, column: Column, values: Values, row: Row | None) -> Measured:
    """An entry of a row, or of known samples where ``row`` is None."""
    ours = summarise(values.found)
    reported = reported_of(row, column) if row else None
    entry = Entry(
        table=selection.table.id,
        row=name,
        column=column.id,
        profile=selection.profile,
        reading=selection.reading,
        budget=selection.budget(selection.dataset_of(column)),
        n=ours.n,
        n_diverged=values.diverged,
        n_failed=values.failed,
        n_no_value=values.without,
        mean=ours.mean,
        std=ours.std,
        ci_low=ours.ci_low,
        ci_high=ours.ci_high,
        fluctuation=float(np.mean(values.fluctuations)) if values.fluctuations else math.nan,
        paper_mean=reported.mean if reported else math.nan,
        paper_std=reported.std if reported and reported.std is not None else math.nan,
    )
    counted = values.counted(worst_of(selection, row, column)) if row else None
    if row is None or reported is None or not column.comparable or counted is None:
        return Measured(entry, counted)
    margin = margin_of(selection, row, column, reported.mean)
    difference = against_reported(summarise(counted), reported, selection.table.reported_runs, margin)
    return Measured(entry, counted, difference)


def known_samples(
    dataset: DataSet, protocol: Protocol, seeds: Sequence[int], store: Store, own: Sequence[str] = ()
) -> dict[str, dict[str, list[float]]]:
    """The measures on samples of known quality, a set per seed: what a perfect, a collapsed, a careless model get.

    Those of images take a while and are kept in the store.
    own: measures of the user beside them.
    """
    if own:
        found = known_samples(dataset, protocol, seeds, store)
        for name, samples in _known(dataset, protocol, seeds):
            values = {key: [measure_own(key, dataset, part) for part in samples] for key in own}
            found[name] = found[name] | {k: [v for v in part if math.isfinite(v)] for k, part in values.items()}
        return found
    if isinstance(dataset, GaussianMixture):
        return _measure_known(dataset, protocol, seeds)
    versions = {"dataset": version_of(dataset), "measures": MEASURES[dataset.measures].version}
    key: list[object] = [dataset.name, dataset.fingerprint, protocol.samples, list(seeds), versions]
    if dataset.measures == "images":
        key += [protocol.features, protocol.real_samples, protocol.inverted]
    return store.cached("known", key, lambda: _measure_known(dataset, protocol, seeds))


def _measure_known(dataset: DataSet, protocol: Protocol, seeds: Sequence[int]) -> dict[str, dict[str, list[float]]]:
    found = {}
    for name, samples in _known(dataset, protocol, seeds):
        values = measure(dataset, protocol, samples)
        if isinstance(dataset, ImageSet):
            values |= measure_nearest(dataset, protocol, samples)
        found[name] = {key: [float(v) for v in value if np.isfinite(v)] for key, value in values.items()}
    return found


def _known(dataset: DataSet, protocol: Protocol, seeds: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
    """Samples of known quality, ``[S, n, ...]``, by name."""
    # Of images no more than there are different ones: copies would not be as far from the data as others.
    real = min(protocol.samples, dataset.training_size) if dataset.measures == "images" else protocol.samples
    samplers = (
        lambda rng: dataset.sample(real, rng),
        lambda rng: dataset.sample_modes(protocol.samples, rng, collapsed_modes(dataset)),
        lambda rng: dataset.sample_uniform(protocol.samples, rng),
    )
    for name, sampler in zip(KNOWN, samplers, strict=True):
        generators = [np.random.default_rng((*f"known {name} {dataset.name} ".encode(), seed)) for seed in seeds]
        yield name, np.stack([_as_drawn(sampler(g)) for g in generators])


def _as_drawn(samples: np.ndarray) -> np.ndarray:
    """Samples with the precision that a model's have."""
    return samples if samples.dtype == np.uint8 else samples.astype(np.float32)


def _footer(selection: Selection, measured: Sequence[Measured], found: Mapping[str, Mapping[Run, Record]]) -> list[str]:
    table = selection.table
    lines = [*_order_lines(selection, measured), *_margin_lines(selection, measured)]
    reported = dict.fromkeys(f"{c.title} beside {c.reported_title}" for c in selection.columns if c.reported_title)
    if reported:
        lines.append(f"Printed values ({table.reported_runs} runs): {'; '.join(reported)}.")
    missing = {r.title: len(selection.runs(r)) - len(found[r.id]) for r in selection.rows}
    if any(missing.values()):
        lines.append(f"Not run: {', '.join(f'{name} {n}' for name, n in missing.items() if n)} models.")
    for status in ("diverged", "failed"):
        hit = {r.title: sum(rec.status == status for rec in found[r.id].values()) for r in selection.rows}
        if any(hit.values()):
            lost = ", ".join(f"{name} {n}" for name, n in hit.items() if n)
            lines.append(
                f"{status.capitalize()} models, not in the means: {lost}. "
                "In verdicts they count with the measure's worst value; where it has none there is no verdict."
            )
    stale = [r.title for r in selection.rows if any(is_stale(run, record) for run, record in found[r.id].items())]
    if stale:
        lines.append(f"Stale, made with earlier versions (rerun with --redo-stale): {', '.join(stale)}.")
    if elsewhere := [row.title for row in selection.rows if any(_of_other_images(*p) for p in found[row.id].items())]:
        lines.append(f"Trained and judged on other images than those that lie here: {', '.join(elsewhere)}.")
    lines += [f"{row.title}: {row.assumptions}." for row in selection.rows if row.assumptions]
    return [*lines, *table.notes]


def _order_lines(selection: Selection, measured: Sequence[Measured]) -> Iterator[str]:
    """Kendall's tau of each column that the paper has, too."""
    taus, few = [], False
    for column in selection.columns:
        if not (column.reported_title and column.comparable):
            continue
        here = [m for m in measured if m.entry.column == column.id and not math.isnan(m.entry.paper_mean)]
        both = [(m.counted, m.entry.paper_mean) for m in here if m.counted]
        few |= 0 < len(both) < ENOUGH
        if len(both) >= ENOUGH:
            tau = order_agreement([values for values, _ in both], [paper for _, paper in both])
            said = "undefined (all tie)" if math.isnan(tau.tau) else f"{tau.tau:+.2f}"
            said += "" if math.isnan(tau.low) else f" [{tau.low:+.2f}, {tau.high:+.2f}]"
            taus.append(f"{column_title(column)} {said} ({len(both)} methods)")
    if taus:
        yield (
            f"Kendall's tau between our order of methods and the paper's, with a 95 % bootstrap interval over seeds: "
            f"{'; '.join(taus)}."
        )
    elif few:
        yield "Kendall's tau between our order of methods and the paper's wants three methods or more."


def _margin_lines(selection: Selection, measured: Sequence[Measured]) -> Iterator[str]:
    """The margins of the columns that have a verdict, and what was assumed of spreads that are not reported."""
    judged = {m.entry.column for m in measured if m.difference is not None}
    if not judged:
        return
    said = {}
    for column in selection.columns:
        if column.id in judged and column.measure not in said:
            margin = MARGINS[column.measure]
            said[column.measure] = f"{column.title} {margin.text} ({margin.reason})"
    yield f"Margins of equivalence, fixed beforehand: {'; '.join(said.values())}."
    if any(m.difference is not None and math.isnan(m.difference.other_std) for m in measured):
        yield "Where no standard deviation is reported, the paper's runs are taken to scatter like ours."


def column_title(column: Column) -> str:
    """The title, after the data set's name in a table of several."""
    return f"{column.dataset} {column.title}".lstrip()


def _of_other_images(run: Run, record: Record) -> bool:
    """Whether the images that a model was made from are not those that are here."""
    dataset, then = registry.dataset(run.dataset), record.environment.get("images")
    return isinstance(dataset, ImageSet) and then is not None and then != dataset.fingerprint


def is_stale(run: Run, record: Record) -> bool:
    """Whether a run's record was made with other versions than today's."""
    return record.versions != versions_of(run)


def read_networks(table: NetworkTable) -> Sheet:
    """The sheet of a table of networks, read off those that a method really builds."""
    selection = select(table.of)
    row = table.of.row(table.method)
    module = make_module(selection.run(row, 0), (0,))
    entries = []
    for role, reported in table.reported.items():
        network = getattr(module, role)
        for column in table.columns:
            ours, paper = float(network_size(network)[column.measure]), float(reported[column.measure])
            nan = math.nan
            entries.append(
                Entry(
                    table=table.id,
                    row=role,
                    column=column.measure,
                    profile="-",
                    reading="-",
                    budget=1.0,
                    mean=ours,
                    std=nan,
                    ci_low=nan,
                    ci_high=nan,
                    fluctuation=nan,
                    paper_mean=paper,
                    paper_std=nan,
                    # A size is the printed one or is not.
                    margin=0.0,
                    verdict="equivalent" if ours == paper else "higher" if ours > paper else "lower",
                    n=1,
                    n_diverged=0,
                    n_failed=0,
                    n_no_value=0,
                )
            )
    return Sheet(
        name=table.id,
        title=table.title,
        citation=table.citation,
        header=f"read off the networks that {row.title} of table {table.of.id} builds; nothing is trained",
        columns=table.columns,
        rows={role: role.capitalize() for role in table.reported},
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
