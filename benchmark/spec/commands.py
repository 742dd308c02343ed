"""Texts about a selection: seeds, headers, file names and commands."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from benchmark.spec.run import digest
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import Column
from benchmark.spec.user_code import path_name


def seeds_text(seeds: Sequence[int]) -> str:
    """Seeds as text: ``0-3,7`` for 0, 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def header(selection: Selection) -> str:
    """Header of a selection: profile, reading, share of the paper's training, seeds, and changes by ``--set``."""
    table = selection.table
    budgets = {name: f"{100 * selection.budget(name):.3g} %" for name in trained_on(selection)}
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
    """The default selection of the same profile and reading, restricted to rows and data sets if they are given."""
    return select(
        selection.table, profile=selection.profile, reading=selection.reading, methods=rows, datasets=datasets
    )


def run_command(what: str, selection: Selection, results: Path, usual: Selection | None = None) -> str:
    """The command that trains a selection. It leaves out what is the default.

    Args:
        what: Option that names the table or figure, for example ``--table ID``.
        selection: The selection.
        results: The results folder.
        usual: The default selection, by default that of the profile and reading.
    """
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
        # On the command line a single number is a number of seeds, so one seed is written as a range.
        words += ["--seeds", f"{text}-{text}" if text.isdigit() else text]
    for group, fields in (("protocol", selection.settings.protocol), ("method", selection.settings.method)):
        for name, value in fields.items():
            words += ["--set", f"{group}.{name}={value}"]
    if results != Path("results"):
        words += ["--results", str(results)]
    return shlex.join(words)


def file_name(selection: Selection, stem: str, usual: Selection | None = None) -> str:
    """Name of the files rendered from a selection. Selections that differ from the default get a hash as suffix."""
    name = f"{stem}-{selection.profile}-{selection.reading}"
    if selection == (usual or usual_of(selection)):
        return name
    content = [run.id for row in selection.rows for run in selection.runs(row)]
    return f"{name}-{digest([*content, *selection.measures])[:6]}"


def complete_selection(selection: Selection) -> Selection:
    """The default selection of the table if the given one is a part of it, else the given one."""
    default = usual_of(selection)
    part = set(selection.seeds) <= set(default.seeds) and {r.id for r in selection.rows} <= {r.id for r in default.rows}
    part = part and set(selection.datasets) <= set(default.datasets) and not selection.measures
    return default if part and selection.settings == default.settings else selection


def trained_on(selection: Selection) -> list[str]:
    """The chosen data sets on which at least one chosen row is trained."""
    return [name for name in selection.datasets if any(name in selection.datasets_of(row) for row in selection.rows)]


def column_title(column: Column) -> str:
    """The title of a column, with the data set's name in front if the table has several."""
    return f"{column.dataset} {column.title}".lstrip()
