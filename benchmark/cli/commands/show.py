"""The command ``show``: print a table from stored results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.cli.options import (
    DataOptions,
    FeatureOptions,
    FigureOptions,
    Format,
    MeasureOptions,
    PrecisionOptions,
    ResultsOptions,
    SeedOptions,
    SelectionOptions,
    TableOptions,
    option,
    words,
)

if TYPE_CHECKING:
    from benchmark.analysis.frame import ResultTable
    from benchmark.cli.select import Choice


@dataclass(kw_only=True)
class ShowOptions(
    DataOptions,
    ResultsOptions,
    FeatureOptions,
    PrecisionOptions,
    MeasureOptions,
    SeedOptions,
    SelectionOptions,
    FigureOptions,
    TableOptions,
):
    """Print a table, that of a figure, claims, or what a demonstration found, from stored results. Nothing is trained.

    show --table 2
    show --table 2 --format latex
    show --table 2 --curves > curves.csv
    show --table 2 --compare gaan_2,gan       two rows against one another
    """

    verb = "show"

    format: Format = option("of what is printed; default: text", "text")
    curves: bool = option("learning curves of every model, as CSV", False)
    last: bool = option("means over the last tenth of the evaluations instead of the last one", False)
    compare: str = option("rows against one another, paired by seed, as gaan_2,gan", "", metavar="ROWS", read=words)


def run(options: ShowOptions) -> int:
    """Print the table, the curves or the demonstration."""
    from benchmark.analysis.experiments import experiment_report, read_experiment
    from benchmark.cli.output import width, write
    from benchmark.cli.select import TableChoice, choose
    from benchmark.errors import UserError
    from benchmark.render.formats import render
    from benchmark.spec.demonstration import Experiment

    if options.curves and options.format not in ("text", "csv"):
        raise UserError(f"--curves gives CSV; leave --format {options.format} out")
    chosen = choose(options)
    if (options.last or options.compare) and (options.curves or not isinstance(chosen, TableChoice)):
        raise UserError("--last and --compare are for tables of trained models, without --curves")
    if isinstance(chosen, Experiment):
        write("\n".join(experiment_report(chosen, read_experiment(chosen, options.store_to_look_at()))) + "\n")
    elif options.curves:
        write(_curves(chosen, options))
    else:
        write(render(_sheet(chosen, options), options.format, width()))
    return 0


def _sheet(chosen: Choice, options: ShowOptions) -> ResultTable:
    from benchmark.analysis.claims import aggregate_claims
    from benchmark.analysis.comparison import compare_rows
    from benchmark.analysis.frame import aggregate
    from benchmark.cli.select import TableChoice
    from benchmark.spec.claims import ClaimSelection
    from benchmark.spec.table import NetworkTable

    if isinstance(chosen, TableChoice):
        if options.compare:
            return compare_rows(chosen.selection, options.store_to_look_at(), options.compare.split(","), options.last)
        return aggregate(chosen.selection, options.store_to_look_at(), last=options.last)
    if isinstance(chosen, NetworkTable):
        from benchmark.analysis.networks import read_networks

        return read_networks(chosen)
    assert isinstance(chosen, ClaimSelection)
    return aggregate_claims(chosen, options.store_to_look_at())


def _curves(chosen: Choice, options: ShowOptions) -> str:
    from benchmark.analysis.curves import read_curves
    from benchmark.cli.select import TableChoice
    from benchmark.errors import UserError
    from benchmark.spec.claims import ClaimSelection
    from benchmark.spec.selection import Selection
    from benchmark.spec.table import NetworkTable

    if isinstance(chosen, ClaimSelection):
        raise UserError(
            f"--curves means nothing to {chosen.table.id}, whose models are other tables': give one of those"
        )
    found = chosen.selection if isinstance(chosen, TableChoice) else chosen
    assert isinstance(found, (Selection, NetworkTable))
    return str(read_curves(found, options.store_to_look_at()).to_csv(index=False, lineterminator="\n"))
