"""Draw figures with title and small print, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.figure

from benchmark.analysis.frame import is_stale
from benchmark.errors import UserError
from benchmark.plotting.canvas import Kind, add_title_and_small_print, own_style, save
from benchmark.plotting.figure import Figure, Records, records_by_row, with_status
from benchmark.spec import registry
from benchmark.spec.commands import file_name, header, run_command
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.spec.table import Row
from benchmark.store.record import Record
from benchmark.store.store import Store


def draw_figure(figure: Figure, selection: Selection, store: Store, kind: Kind = "png") -> Path:
    """Draw a figure from stored records. The same records give the same bytes.

    Returns:
        The path of the file.

    Raises:
        UserError: The selection has no finished record, or the figure does not show its data sets.
    """
    figure.check(selection.datasets)
    with own_style(figure.id):
        picture = compose_figure(figure, selection, store)
        people = any(registry.shows_people(selection.table.dataset(name)) for name in selection.datasets)
        name = file_name(selection, figure.id, figure.usual(selection))
        return save(picture, store.writable(store.pictures(people) / name).parent, name, kind)


def compose_figure(figure: Figure, selection: Selection, store: Store) -> matplotlib.figure.Figure:
    """Draw a figure with title and small print, without writing a file. Call this within ``canvas.own_style``.

    Raises:
        UserError: The selection has no finished record, or a record lacks what is drawn.
    """
    records = records_by_row(selection, store)
    done = with_status(records, "done")
    if not done:
        raise _nothing(figure, selection, store, records)
    try:
        picture = figure.draw(selection, done, store)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        said = f"a record in {store.folder} has not what it shows ({type(error).__name__}: {error})"
        raise UserError(f"figure {figure.id} cannot be drawn: {said}; run again with --redo-stale") from error
    add_title_and_small_print(picture, figure.title, figure_small_print(figure, selection, records))
    return picture


def figure_small_print(figure: Figure, selection: Selection, records: Records) -> list[str]:
    """Return the lines below the figure: its source, the runs, and what is missing."""
    lines = []
    if absent := [row.title for row in selection.rows if row.id not in records]:
        lines.append(f"No record, left out: {', '.join(absent)}.")
    missing = {row.id: len(selection.runs(row)) - len(records[row.id]) for row in selection.rows if row.id in records}
    lines += _counted("Not run yet", selection.rows, missing)
    for status in ("diverged", "failed"):
        lost = {row: len(pairs) for row, pairs in with_status(records, status).items()}
        lines += _counted(f"{status.capitalize()}, not drawn", selection.rows, lost)
    if stale := [row.title for row in selection.rows if _stale(records.get(row.id, []))]:
        lines.append(f"Stale, older than the code they depend on: {', '.join(stale)}.")
    return [f"After {figure.citation}.", f"Ours: {header(selection)}.", " ".join(lines)]


def _counted(label: str, rows: Sequence[Row], counts: Mapping[str, int]) -> list[str]:
    """Return one line such as ``Diverged: GAN 2, ALI 1 (models).``, or none."""
    named = [f"{row.title} {counts[row.id]}" for row in rows if counts.get(row.id)]
    return [f"{label}: {', '.join(named)} (models)."] if named else []


def _stale(pairs: Sequence[tuple[Run, Record]]) -> bool:
    return any(is_stale(run, record) for run, record in pairs)


def _nothing(figure: Figure, selection: Selection, store: Store, records: Records) -> UserError:
    found = [f"{n} {s}" for s in ("diverged", "failed") if (n := sum(map(len, with_status(records, s).values())))]
    seen = f" ({', '.join(found)})" if found else ""
    way_out = run_command(f"--figure {figure.id}", selection, store.folder, figure.usual(selection))
    return UserError(f"figure {figure.id} has no finished record in {store.folder}{seen}; first: {way_out}")
