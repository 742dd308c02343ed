"""Compare rows of a table with one another, paired by seed and corrected over all pairs and measures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from benchmark.analysis.frame import ResultTable, margin_of, records_of, values_of, worst_of
from benchmark.analysis.statistics import ENOUGH, Difference, Verdict, paired, summarise, verdict_text, verdicts
from benchmark.errors import UserError, unknown
from benchmark.spec.commands import column_title, file_name, header, run_command
from benchmark.spec.selection import Selection
from benchmark.spec.table import Column, Row
from benchmark.store.store import Store
from evaluators.margins import MARGINS


@dataclass(frozen=True)
class Contrast:
    """Comparison of two rows on one measure: one line of ``--format csv``.

    The verdict is about the left row. Lost models count with the measure's worst value in the means and the difference;
    if the measure has none, these are NaN, as are all numbers that do not exist.

    Attributes:
        table: Id of the table.
        left: Id of the left row.
        right: Id of the right row.
        column: Id of the column.
        profile: Profile of the runs.
        reading: Reading of the runs.
        n: Number of pairs.
        n_lost: Models of either row that diverged, failed or have no value.
        left_mean: Mean of the left row over the pairs.
        right_mean: Mean of the right row over the pairs.
        difference: ``left_mean - right_mean``.
        ci_low: Lower end of the 95 % interval of the difference (Student's t of the pairs).
        ci_high: Upper end of that interval.
        margin: See ``benchmark.analysis.frame.Entry``, also for the fields below.
        p: p value of no difference.
        p_holm: ``p``, adjusted by Holm.
        p_bh: ``p``, adjusted by Benjamini and Hochberg.
        seeds_to_decide: Seeds that an undecided comparison needs.
        verdict: The verdict.
        lean: Direction of a significant difference inside the margin.
    """

    table: str
    left: str
    right: str
    column: str
    profile: str
    reading: str
    n: int
    n_lost: int
    left_mean: float = math.nan
    right_mean: float = math.nan
    difference: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    margin: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    p_bh: float = math.nan
    seeds_to_decide: float = math.nan
    verdict: str = "-"
    lean: str = "-"


def compare_rows(selection: Selection, store: Store, names: Sequence[str], last: bool = False) -> ResultTable:
    """Compare every pair of the named rows of a selection on every column.

    The methods share streams of data and evaluation for each seed, so differences are paired by seed.

    Args:
        selection: Selection of a table that contains the rows.
        store: The results folder.
        names: Ids of two or more rows.
        last: See ``benchmark.analysis.frame.aggregate``.

    Raises:
        UserError: A row is unknown or named twice, there are fewer than two rows, two rows share no data set, or a row
            has no record.
    """
    by_id = {row.id: row for row in selection.rows}
    for name in names:
        if name not in by_id:
            raise unknown("row of the comparison", name, by_id)
    if len(names) < 2 or len(set(names)) < len(names):
        raise UserError("--compare wants two rows or more, each once: --compare gaan_2,gan")
    for name in names:
        if not records_of(selection, by_id[name], store):
            command = run_command(
                f"--table {selection.table.id}", replace(selection, rows=(by_id[name],)), store.folder
            )
            raise UserError(f"nothing is stored for {name} in {store.folder}; first: {command}")
    pairs = [
        _pair(selection, store, by_id[left], by_id[right], column, last)
        for left, right in itertools.combinations(names, 2)
        for column in selection.columns
        if all(selection.dataset_of(column) in selection.datasets_of(by_id[name]) for name in (left, right))
    ]
    if not pairs:
        raise UserError(f"{', '.join(names)} are trained on no data set together")
    found = [_with(contrast, said) for (contrast, _), said in zip(pairs, verdicts([d for _, d in pairs]), strict=True)]
    tested = sum(d is not None for _, d in pairs)
    told = [header(selection), *(["mean over the last tenth of the evaluations"] if last else [])]
    told += [f"paired by seed; differences at 5 %, corrected over {tested} comparisons (Holm)"] if tested else []
    titles = {name: by_id[name].title for name in names}
    return ResultTable(
        name=f"{file_name(selection, selection.table.id)}-{'-'.join(names)}" + ("-last" if last else ""),
        title=f"{selection.table.title}: {', '.join(titles.values())} against one another",
        citation=selection.table.citation,
        header="; ".join(told),
        columns=(),
        rows=titles,
        known=(),
        frame=pd.DataFrame([asdict(contrast) for contrast in found]),
        footer=tuple(_footer(selection, found)),
        worded=_worded(selection, titles, found),
    )


def _with(contrast: Contrast, said: Verdict) -> Contrast:
    return replace(
        contrast,
        margin=said.margin,
        p=said.p,
        p_holm=said.p_holm,
        p_bh=said.p_bh,
        seeds_to_decide=said.seeds_to_decide,
        verdict=said.word,
        lean=said.lean,
    )


def _pair(
    selection: Selection, store: Store, left: Row, right: Row, column: Column, last: bool
) -> tuple[Contrast, Difference | None]:
    """Compare two rows on a column, over the seeds that both have."""
    sides: list[dict[int, float | None]] = []
    for row in (left, right):
        values = values_of(selection, row, column, records_of(selection, row, store), store, last)
        sides.append(dict(zip(values.seeds, values.of_models, strict=True)))
    seeds = [seed for seed in sides[0] if seed in sides[1]]
    lost = sum(side[seed] is None for side in sides for seed in seeds)
    blank = Contrast(
        table=selection.table.id,
        left=left.id,
        right=right.id,
        column=column.id,
        profile=selection.profile,
        reading=selection.reading,
        n=len(seeds),
        n_lost=lost,
    )
    worst = worst_of(selection, left, column)
    if not seeds or (lost and worst is None):
        return blank, None
    a, b = ([side[seed] if side[seed] is not None else worst for seed in seeds] for side in sides)
    ours, others = np.array(a, dtype=float).tolist(), np.array(b, dtype=float).tolist()
    means = float(np.mean(ours)), float(np.mean(others))
    difference = paired(ours, others, margin_of(selection, left, column, means[1]))
    # If all pairs differ by the same amount, there is no interval, as for equal values.
    spread = summarise([x - y for x, y in zip(ours, others, strict=True)])
    return (
        replace(
            blank,
            left_mean=means[0],
            right_mean=means[1],
            difference=means[0] - means[1],
            ci_low=spread.ci_low,
            ci_high=spread.ci_high,
        ),
        difference,
    )


def _worded(selection: Selection, titles: dict[str, str], found: Sequence[Contrast]) -> pd.DataFrame:
    columns = {column.id: column for column in selection.columns}
    lines: dict[str, dict[str, str]] = {}
    for contrast in found:
        column = columns[contrast.column]
        name = f"{titles[contrast.left]} against {titles[contrast.right]}"
        lines.setdefault(name, {})[column_title(column)] = "\n".join(_texts(contrast, column))
    return pd.DataFrame(list(lines.values()), index=pd.Index(list(lines))).fillna("")


def _texts(contrast: Contrast, column: Column) -> Iterator[str]:
    factor, digits = (100 if column.percent else 1), column.digits
    lost = f" ({contrast.n_lost} lost)" if contrast.n_lost else ""
    if math.isnan(contrast.difference):
        yield f"no value{lost}"
        return
    left, right, difference, low, high = (
        factor * x
        for x in (contrast.left_mean, contrast.right_mean, contrast.difference, contrast.ci_low, contrast.ci_high)
    )
    yield f"{left:.{digits}f} against {right:.{digits}f}{lost}"
    interval = f" [{low:+.{digits}f}, {high:+.{digits}f}]"
    equal = f" [all {contrast.n} equal]" if contrast.n >= ENOUGH else ""
    yield f"{difference:+.{digits}f}" + (equal if math.isnan(low) else interval)
    yield verdict_text(contrast.verdict, contrast.lean, contrast.seeds_to_decide)


def _footer(selection: Selection, found: Sequence[Contrast]) -> Iterator[str]:
    judged = {contrast.column for contrast in found if contrast.verdict != "-"}
    margins = {
        column.measure: f"{column.title} {MARGINS[column.measure].text} ({MARGINS[column.measure].reason})"
        for column in selection.columns
        if column.id in judged and column.measure in MARGINS
    }
    if margins:
        yield f"Margins of equivalence, fixed beforehand: {'; '.join(margins.values())}."
    if any(contrast.n_lost for contrast in found):
        yield (
            "Lost models (diverged, failed, or without a value) count with the measure's worst value; where it has "
            "none there is no verdict."
        )
    if any(contrast.n < ENOUGH for contrast in found):
        yield f"A verdict wants {ENOUGH} seeds that both rows have."
