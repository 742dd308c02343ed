"""The command ``tune``: train every reading of a table on separate seeds, and rank the readings."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.cli.options import DataOptions, ResultsOptions, TableOptions, TrainOptions, option, words


@dataclass(kw_only=True)
class TuneOptions(DataOptions, ResultsOptions, TrainOptions, TableOptions):
    """Train every reading of a table on seeds that no other profile has, and say which fits the printed values best.

    tune --table veegan-1
    """

    verb = "tune"

    datasets: str | None = option("of a table with several; default: all", metavar="A,B", read=words, also="dataset")


def run(options: TuneOptions) -> int:
    """Train and rank the readings, and print the ranking; return 1 if a method failed."""
    from rich.console import Console

    from benchmark.analysis.search import candidates, misfits
    from benchmark.cli.output import write
    from benchmark.cli.select import prepare, words_of
    from benchmark.cli.train import train, with_engine
    from benchmark.errors import UserError
    from benchmark.papers.discovery import all_tables, find_table
    from benchmark.spec.table import Table
    from benchmark.spec.user_code import short_name, trust
    from benchmark.store.files import write_atomically
    from benchmark.training.engines.runner import to_do

    if not options.table:
        raise UserError("tune what? for example --table veegan-1")
    prepare(options)
    table = find_table(trust(short_name(options.table)))
    if not isinstance(table, Table) or table.search is None:
        names = [t.id for t in all_tables().values() if isinstance(t, Table) and t.search]
        raise UserError(f"table {table.id} declares no search; there are: {', '.join(names)}")
    options = with_engine(options)
    store = options.store()
    store.prepare()
    chosen = candidates(table, table.search, words_of("datasets", options.datasets))
    runs = [run for selection in chosen for row in selection.rows for run in selection.runs(row)]
    console = Console(stderr=True)
    failed, report = train(to_do(store, runs), store, options, console)
    found = misfits(table, table.search, chosen, store)
    name = f"{table.id}-tune" + (f"-{'-'.join(chosen[0].datasets)}" if options.datasets else "")
    path = store.folder / "tables" / f"{name}.csv"
    write_atomically(store.writable(path), found.to_csv(index=False, lineterminator="\n").encode())
    write(found.to_string(index=False, float_format="%.3f") + "\n")
    best = found["reading"][0]
    note = " (the table's default)" if best == table.reading else f" (the table's default is {table.reading})"
    write(f"best: {best}{note}\n")
    for line in [f"written: {path}", *report]:
        console.print(line, highlight=False)
    return 1 if failed else 0
