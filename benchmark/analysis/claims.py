"""Judge claims from records and demonstrations, and collect the verdicts in a result table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from benchmark.analysis.coverage import covered_from
from benchmark.analysis.experiments import findings, four_digits, is_experiment_stale
from benchmark.analysis.frame import ResultTable, is_stale
from benchmark.analysis.statistics import ALPHA, Difference, paired
from benchmark.spec import registry
from benchmark.spec.claims import Claim, ClaimSelection, Comparison, Models, Statistic
from benchmark.spec.demonstration import Experiment, Verdict, verdict_of
from benchmark.spec.run import Run
from benchmark.store.record import Record
from benchmark.store.store import Store, read_records

#: What stands where a claim's experiment has not been run to its end.
NOT_RUN = "not run"


@dataclass(frozen=True)
class EvidenceLine:
    """What one comparison or demonstration says about a claim: one line of ``--format csv``.

    Numbers that do not exist are NaN.

    Attributes:
        claim: Id of the claim.
        experiment: The comparison in words, or the id of the demonstration.
        statistic: Title of the statistic.
        direction: Direction that the claim states, ``higher`` or ``lower``.
        margin: Margin that the claim states; 0 for none.
        n: Number of pairs, of models or of seeds.
        n_diverged: Models that diverged.
        n_failed: Models that failed.
        left: Mean of the left side over the pairs.
        right: Mean of the right side over the pairs.
        low: Lower end of the 95 % interval of the mean difference, left - right.
        high: Upper end of that interval.
        verdict: The verdict of this part.
        said: The numbers as text.
    """

    claim: str
    experiment: str
    statistic: str = ""
    direction: str = ""
    margin: float = math.nan
    n: int = 0
    n_diverged: int = 0
    n_failed: int = 0
    left: float = math.nan
    right: float = math.nan
    low: float = math.nan
    high: float = math.nan
    verdict: str = NOT_RUN
    said: str = ""


def judge_claim(selected: ClaimSelection, claim: Claim, store: Store) -> tuple[str, list[EvidenceLine]]:
    """Judge a claim from stored records.

    Args:
        selected: Gives the models and demonstrations of the claim.
        claim: The claim.
        store: The results folder.

    Returns:
        The verdict (``holds``, ``does not hold``, ``undecided`` or ``not run``), and one line per part of the evidence.
    """
    parts = [
        _of_demonstration(claim, selected.experiment(part), store)
        if isinstance(part, str)
        else _of_comparison(selected, claim, part, store)
        for part in claim.evidence
    ]
    return combine_verdicts([part.verdict for part in parts]), parts


def combine_verdicts(verdicts: Sequence[str]) -> str:
    """Combine the verdicts of all parts of the evidence.

    Returns:
        ``not run`` if any part has not been run; else ``does not hold`` if any part says so; else ``undecided`` if any
        part is; else ``holds``.
    """
    for word in (NOT_RUN, "does not hold", "undecided"):
        if word in verdicts:
            return word
    return "holds"


def statistic_value(statistic: Statistic, record: Record) -> float | None:
    """Return the statistic of one model; None if it has no such number."""
    if record.status == "diverged":
        never = statistic.take in ("wait", "covered")
        return float(record.run["protocol"]["epochs"] + 1) if never else statistic.lost
    if record.status == "failed":
        return None
    if statistic.take == "last":
        return record.measures.get(statistic.name)
    curve = [math.nan if value is None else value for value in record.curves.get(statistic.name, [])]
    if not curve:
        return None
    values = np.array(curve, dtype=float)
    if statistic.take == "covered":
        return float(covered_from(record, int(statistic.goal)) or len(values) + 1)
    if statistic.take == "wait":
        reached = np.flatnonzero(values >= statistic.goal)
        return float(reached[0] + 1 if len(reached) else len(values) + 1)
    # Epochs without an evaluation have no entry.
    if statistic.take == "mean":
        return float(np.nanmean(values))
    return float(np.nanstd(np.log(values[len(values) // 2 :])))


def _value(statistic: Statistic, run: Run, record: Record, store: Store) -> float | None:
    """The statistic of one model; a measure from outside, which no record holds, is taken of its stored samples."""
    if record.status != "done" or not registry.is_user_measure(statistic.name):
        return statistic_value(statistic, record)
    from benchmark.training.evaluation import measure_own

    found = measure_own(statistic.name, registry.dataset(run.dataset), store.samples(run, record))
    return found if math.isfinite(found) else None


def verdict_on(difference: Difference | None, direction: str, margin: float) -> Verdict:
    """Judge a difference by its 95 % interval.

    The claim holds if the interval of the mean difference lies entirely beyond the claim's margin. It does not hold if
    the interval lies entirely on the other side of the margin. Otherwise, and below three pairs, it is undecided.

    Two more cases are undecided:

    - The claim has no margin of its own, so it states no size, and the difference is shown to lie within the measure's
      margin of equivalence.
    - All pairs differ by the same amount in a measure without a margin of equivalence. For example, if neither side
      misses a mode, nothing is remedied; if neither side finds all modes, neither is faster.

    Args:
        difference: Left minus right; None below three pairs.
        direction: Direction that the claim states, ``higher`` or ``lower``.
        margin: Margin that the claim states; 0 for none.
    """
    if difference is None or difference.std == 0:
        return "undecided"
    if margin == 0 and difference.p_equivalence < ALPHA:
        return "undecided"
    low, high = difference.interval
    least, most = (low, high) if direction == "higher" else (-high, -low)
    return verdict_of(least > margin, most < margin)


def claim_margin(statistic: Statistic, models: Models, selected: ClaimSelection, value: float) -> float:
    """Margin of equivalence of a statistic: its measure's, one epoch for a number of epochs, NaN for others."""
    if statistic.take in ("wait", "covered"):
        return 1.0
    margin = None if statistic.take == "swing" else registry.margin_of_measure(statistic.name)
    if margin is None:
        return math.nan
    chosen = selected.selection(models)
    samples = chosen.protocol(chosen.rows[0], models.dataset).samples
    return margin.size(chosen.table.dataset(models.dataset).modes, samples, value)


def _of_comparison(selected: ClaimSelection, claim: Claim, part: Comparison, store: Store) -> EvidenceLine:
    sides = [selected.models(side) for side in part.sides]
    found = [read_records(store, runs) for runs in sides]
    records = [record for side in found for record in side.values()]
    other = _row(part.right) if isinstance(part.right, Models) else f"{part.right:g}"
    blank = EvidenceLine(
        claim=claim.id,
        experiment=f"{part.left.table.id}, {part.left.dataset}: {_row(part.left)} against {other}",
        statistic=part.statistic.title,
        direction=part.direction,
        margin=part.margin,
        n_diverged=sum(record.status == "diverged" for record in records),
        n_failed=sum(record.status == "failed" for record in records),
    )
    wanted = sum(map(len, sides))
    if len(records) < wanted:
        return replace(blank, said=f"{len(records)} of {wanted} models have run" if records else "")
    values = [
        [_value(part.statistic, run, known[run.id], store) for run in runs]
        for runs, known in zip(sides, found, strict=True)
    ]
    against = values[1] if isinstance(part.right, Models) else [part.right] * len(values[0])
    pairs = [(a, b) for a, b in zip(values[0], against, strict=True) if a is not None and b is not None]
    left, right = (float(np.mean(side)) for side in zip(*pairs, strict=True)) if pairs else (math.nan, math.nan)
    margin = claim_margin(part.statistic, part.left, selected, right)
    difference = paired([a for a, _ in pairs], [b for _, b in pairs], margin)
    word = verdict_on(difference, part.direction, part.margin)
    low, high = (math.nan, math.nan) if difference is None or difference.std == 0 else difference.interval
    said = [f"{left:.4g} against {right:.4g}"] if pairs else []
    said += [] if math.isnan(low) else [f"difference [{low:.3g}, {high:.3g}]"]
    if difference is not None and difference.p_equivalence < ALPHA:
        said += [f"within {difference.margin:.3g}, equivalent"]
    said += [f"{len(pairs)} {'pairs' if isinstance(part.right, Models) else 'models'}"]
    lost = {"diverged": blank.n_diverged, "failed": blank.n_failed}
    said += [f"{count} {what}" for what, count in lost.items() if count]
    return replace(blank, n=len(pairs), left=left, right=right, low=low, high=high, verdict=word, said=", ".join(said))


def _row(models: Models) -> str:
    return models.table.row(models.row).title


def _of_demonstration(claim: Claim, experiment: Experiment, store: Store) -> EvidenceLine:
    record, found = store.read(experiment), experiment.demonstration
    if record is None:
        return EvidenceLine(claim.id, found.id)
    numbers = findings(record).numbers
    said = "; ".join(f"{what}: {four_digits(numbers[name])}" for name, what in found.numbers.items())
    return EvidenceLine(claim.id, found.id, n=len(experiment.seeds), verdict=found.judge(numbers), said=said)


def aggregate_claims(selected: ClaimSelection, store: Store) -> ResultTable:
    """Build the result table of claims from stored records. Claims without records are marked as not run."""
    judged = [(claim, *judge_claim(selected, claim, store)) for claim in selected.claims]
    frame = pd.DataFrame([asdict(part) | {"claim_verdict": word} for _, word, parts in judged for part in parts])
    lines = {claim.sentence: _line(claim, word, parts) for claim, word, parts in judged}
    worded = pd.DataFrame(list(lines.values()), index=pd.Index(list(lines)))
    return ResultTable(
        name=selected.name,
        title=selected.table.title,
        citation=selected.table.citation,
        header=selected.header,
        columns=(),
        rows={claim.id: claim.sentence for claim in selected.claims},
        known=(),
        frame=frame,
        footer=tuple(_footer(selected, store)),
        worded=worded,
    )


def _line(claim: Claim, word: str, parts: Sequence[EvidenceLine]) -> Mapping[str, str]:
    experiments = [
        f"{part.experiment}; {part.statistic} {part.direction}" + (f" (margin {part.margin:g})" if part.margin else "")
        if part.statistic
        else f"demonstration {part.experiment}"
        for part in parts
    ]
    several = len(parts) > 1
    said = [(f"{part.said}: {part.verdict}" if several and part.said else part.said or NOT_RUN) for part in parts]
    return {
        "source": claim.source,
        "experiment": "\n".join([claim.reading, *experiments]),
        "numbers": "\n".join(said),
        "verdict": word,
    }


def _footer(selected: ClaimSelection, store: Store) -> list[str]:
    stale = []
    for claim in selected.claims:
        runs = selected.runs(claim)
        records = read_records(store, runs)
        old = any(is_stale(run, records[run.id]) for run in runs if run.id in records)
        for experiment in selected.experiments(claim):
            record = store.read(experiment)
            old = old or (record is not None and is_experiment_stale(experiment, record))
        stale += [claim.id] if old else []
    lines = [f"Stale, made with earlier versions (rerun with --redo-stale): {', '.join(stale)}."]
    return [*(lines if stale else []), *selected.table.notes]
