"""Build result tables: records become a tidy frame with one line per entry, and a footer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from benchmark.analysis.coverage import column_value
from benchmark.analysis.known_samples import KNOWN, collapsed_modes, known_samples
from benchmark.analysis.statistics import (
    ENOUGH,
    Difference,
    against_reported,
    last_tenth,
    order_agreement,
    summarise,
    verdicts,
)
from benchmark.errors import UserError
from benchmark.spec import registry
from benchmark.spec.commands import column_title, file_name, header, run_command, trained_on
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run, dataset_for_protocol
from benchmark.spec.selection import Selection
from benchmark.spec.table import Column, Reported, Row
from benchmark.spec.versions import versions_of
from benchmark.store.record import Record
from benchmark.store.store import Store
from datamodules.images import ImageSet


@dataclass(frozen=True)
class Entry:
    """One measure of one row: one line of ``--format csv``.

    Mean, standard deviation and interval cover the ``n`` models that finished and have a value. The p values and the
    verdict also count the other models, each with the measure's worst value; if the measure has none, there is no
    verdict. Numbers that do not exist are NaN.

    Attributes:
        table: Id of the table.
        row: Id of the row.
        column: Id of the column.
        profile: Profile of the runs.
        reading: Reading of the runs.
        budget: Training budget as a fraction of the paper's.
        n: Models that finished and have a value.
        n_diverged: Models that diverged.
        n_failed: Models that failed.
        n_no_value: Models that finished without a value.
        mean: Mean over the ``n`` models.
        std: Their standard deviation.
        ci_low: Lower end of the 95 % interval of the mean.
        ci_high: Upper end of that interval.
        fluctuation: Standard deviation over the last tenth of a model's evaluations, averaged over models.
        paper_mean: Reported mean.
        paper_std: Reported standard deviation.
        paper_se: Reported standard error; only in tables that have one.
        margin: Largest difference that does not matter, in the unit of the measure.
        p: p value of no difference.
        p_holm: ``p``, adjusted by Holm over all entries of the table.
        p_bh: ``p``, adjusted by Benjamini and Hochberg over all entries of the table.
        seeds_to_decide: Seeds that an undecided entry needs; NaN if 1,000 are not enough.
        verdict: See ``benchmark.analysis.statistics.Verdict``. A ``~`` marks a training budget below the paper's.
        lean: See ``benchmark.analysis.statistics.Verdict``.
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
    paper_se: float = math.nan
    margin: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    p_bh: float = math.nan
    seeds_to_decide: float = math.nan
    verdict: str = "-"
    lean: str = "-"


@dataclass(frozen=True)
class Measured:
    """An entry before its verdict, which depends on all other entries.

    Attributes:
        entry: The entry without a verdict.
        counted: Values of all models, with the worst value for lost ones; None if models are lost and the measure has
            no worst value.
        difference: Difference from the reported value; None if there is nothing to compare.
    """

    entry: Entry
    counted: tuple[float, ...] | None
    difference: Difference | None = None


@dataclass(frozen=True)
class Values:
    """Values of one measure for the models of a row.

    Attributes:
        of_models: One value per model in the order of the seeds; None for a lost model.
        diverged: Models that diverged.
        failed: Models that failed.
        fluctuations: Fluctuation of each model that has one.
        seeds: Seeds of the models.
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
        """Number of models that finished without a value."""
        return self.of_models.count(None) - self.diverged - self.failed

    def counted(self, worst: float | None) -> tuple[float, ...] | None:
        """Return one value per model, with ``worst`` for lost models; None if models are lost and ``worst`` is None."""
        if worst is None and None in self.of_models:
            return None
        return tuple(value if value is not None else worst for value in self.of_models)  # type: ignore[misc]


@dataclass(frozen=True)
class ResultTable:
    """A table of results as data; the renderers turn it into text.

    Attributes:
        name: Base name of files that are made from it.
        title: Title of the table.
        citation: Source of the table.
        header: Profile, reading, budget and seeds.
        columns: Columns of the grid.
        rows: Titles of the rows, by id.
        known: Ids of the rows of known samples.
        frame: One line per entry, with the fields of ``Entry``, ``Contrast`` or ``EvidenceLine``.
        footer: Lines below the table: agreement of orders, margins, assumptions, errata and problems of records.
        worded: Cells as text if the table is not a grid of entries; None if it is.
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


def aggregate(selection: Selection, store: Store, last: bool = False) -> ResultTable:
    """Build the result table of a selection from stored records.

    Args:
        selection: The rows, columns and runs.
        store: The results folder.
        last: Use the mean over the last tenth of a model's evaluations instead of the value after the last epoch.
            Measures that are not evaluated during training keep the latter.

    Raises:
        UserError: Nothing is stored.
    """
    table = selection.table
    found = {row.id: records_of(selection, row, store) for row in selection.rows}
    if not any(found.values()):
        command = run_command(f"--table {table.id}", selection, store.folder)
        raise UserError(f"nothing is stored for this in {store.folder}; first: {command}")
    measured = [m for row in selection.rows for m in _row_entries(selection, row, found[row.id], store, last)]
    entries = _judged(measured)
    known = {
        dataset: known_samples(
            dataset_for_protocol(table.dataset(dataset), protocol := _any_protocol(selection, dataset)),
            protocol,
            selection.seeds,
            store,
            [c.measure for c in selection.columns if _measured_here(c) and selection.dataset_of(c) == dataset],
        )
        for dataset in trained_on(selection)
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
    return ResultTable(
        name=file_name(selection, table.id) + ("-last" if last else ""),
        title=_title(selection),
        citation=table.citation,
        header="; ".join([header(selection), *_said_of_all(measured, last)]),
        columns=selection.columns,
        rows=titles,
        known=KNOWN,
        frame=entries_frame(entries),
        footer=tuple(_footer(selection, measured, found)),
    )


def entries_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """Entries as a frame, one line each; without ``paper_se`` where no standard error is printed."""
    found = pd.DataFrame([asdict(entry) for entry in entries])
    return found if found["paper_se"].notna().any() else found.drop(columns="paper_se")


def _title(selection: Selection) -> str:
    """Return the title: the table's own, or another one if its methods are trained on other data."""
    table = selection.table
    if set(selection.datasets) <= set(table.datasets):
        return table.title
    return f"Methods of {table.id} by its protocol on {', '.join(selection.datasets)}"


def _any_protocol(selection: Selection, dataset: str) -> Protocol:
    """Return the protocol of any row, for the evaluation settings that all rows share."""
    return next(selection.protocol(row, dataset) for row in selection.rows if dataset in selection.datasets_of(row))


def records_of(selection: Selection, row: Row, store: Store) -> dict[Run, Record]:
    """Return the stored records of a row, by run."""
    found = ((run, store.read(run)) for run in selection.runs(row))
    return {run: record for run, record in found if record is not None}


def _said_of_all(measured: Sequence[Measured], last: bool) -> Iterator[str]:
    """List the parts of the header that hold for all entries."""
    if last:
        yield "mean over the last tenth of the evaluations"
    if count := sum(m.difference is not None for m in measured):
        yield f"differences at 5 %, corrected over {count} entries (Holm)"


def _measured_here(column: Column) -> bool:
    """Whether a column's measure is from outside: no record holds it, and it is taken of stored samples."""
    return registry.is_user_measure(column.measure)


def values_of(
    selection: Selection, row: Row, column: Column, records: Mapping[Run, Record], store: Store, last: bool = False
) -> Values:
    """Return the values of a column for the stored models of a row.

    Args:
        selection: The selection with the row and the column.
        row: The row.
        column: The column.
        records: Records of the row, by run.
        store: The results folder, for measures that are computed from stored samples.
        last: Use means over the last tenth of the evaluations instead of the values after the last epoch.
    """
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
        elif _measured_here(column):
            from benchmark.training.evaluation import measure_own

            found = measure_own(column.measure, selection.table.dataset(dataset), store.samples(run, record))
            value = found if math.isfinite(found) else None
        else:
            value = column_value(run, record, column.measure, store)
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
    """Return the entries with their verdicts, corrected over all of them."""
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
    """Return the reported value of an entry, under the id of the column without its variant of counting."""
    return row.reported.get(column.id.removesuffix(f"_{column.counts}"))


def margin_of(selection: Selection, row: Row, column: Column, value: float) -> float:
    """Return the largest difference from ``value`` that does not matter, in the unit of the measure.

    Returns:
        The margin; NaN if the measure states none.
    """
    margin = registry.margin_of_measure(column.measure)
    if margin is None:
        return math.nan
    dataset = selection.dataset_of(column)
    samples = selection.protocol(row, dataset).samples
    return margin.size(selection.table.dataset(dataset).modes, samples, value)


def worst_of(selection: Selection, row: Row, column: Column) -> float | None:
    """Return the measure's worst value, which replaces the value of a lost model; None if there is none."""
    margin = registry.margin_of_measure(column.measure)
    if margin is None or margin.worst is None:
        return None
    dataset = selection.dataset_of(column)
    samples = selection.protocol(row, dataset).samples
    return margin.worst(selection.table.dataset(dataset).modes, samples)


def _measured(selection: Selection, name: str, column: Column, values: Values, row: Row | None) -> Measured:
    """Build an entry of a row, or of known samples if ``row`` is None."""
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
        paper_std=_printed(reported, "std"),
        paper_se=_printed(reported, "se"),
    )
    counted = values.counted(worst_of(selection, row, column)) if row else None
    if row is None or reported is None or not column.comparable or counted is None:
        return Measured(entry, counted)
    margin = margin_of(selection, row, column, reported.mean)
    difference = against_reported(summarise(counted), reported, selection.table.reported_runs, margin)
    return Measured(entry, counted, difference)


def _printed(reported: Reported | None, error: str) -> float:
    """What is printed behind the ±, if it is that kind of error."""
    return math.nan if reported is None or reported.std is None or reported.error != error else reported.std


def _footer(selection: Selection, measured: Sequence[Measured], found: Mapping[str, Mapping[Run, Record]]) -> list[str]:
    table = selection.table
    lines = [*_order_lines(selection, measured), *_margin_lines(selection, measured)]
    reported = dict.fromkeys(f"{c.title} beside {c.reported_title}" for c in selection.columns if c.reported_title)
    if reported:
        errors = "; s.e.: standard error" if any(not math.isnan(m.entry.paper_se) for m in measured) else ""
        lines.append(f"Printed values ({table.reported_runs} runs{errors}): {'; '.join(reported)}.")
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
    """Report Kendall's tau for each column that the paper has, too."""
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
    """Report the margins of the judged columns, and the assumption on spreads that are not reported."""
    judged = {m.entry.column for m in measured if m.difference is not None}
    if not judged:
        return
    said = {}
    for column in selection.columns:
        if column.id in judged and column.measure not in said:
            margin = registry.margin_of_measure(column.measure)
            assert margin is not None, "without one there is no difference"
            said[column.measure] = f"{column.title} {margin.text} ({margin.reason})"
    yield f"Margins of equivalence, the same in every table: {'; '.join(said.values())}."
    if any(m.difference is not None and math.isnan(m.difference.other_std) for m in measured):
        yield "Where no standard deviation is reported, the paper's runs are taken to scatter like ours."


def _of_other_images(run: Run, record: Record) -> bool:
    """Return whether a model was trained on other images than the installed ones."""
    dataset, then = registry.dataset(run.dataset), record.environment.get("images")
    return isinstance(dataset, ImageSet) and then is not None and then != dataset.fingerprint


def is_stale(run: Run, record: Record) -> bool:
    """Return whether a record was made with other versions than today's."""
    return record.versions != versions_of(run)
