"""Print and write the output of commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmark.errors import one_line

if TYPE_CHECKING:
    from benchmark.analysis.frame import ResultTable
    from benchmark.store.store import Store


def write(text: str) -> None:
    """Print a text at once, without a line end."""
    sys.stdout.write(text)
    sys.stdout.flush()


def width() -> int | None:
    """Return the columns of the terminal; None if the output is not a terminal."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else None


def finish(sheet: ResultTable, store: Store, style: str, whole: ResultTable | None = None) -> None:
    """Print a table, and write it as Markdown and CSV.

    Args:
        sheet: The table to print.
        store: The results folder; the files go to ``tables``.
        style: Format of the printed table.
        whole: The complete table to write, if ``sheet`` is a part of it.
    """
    from benchmark.render.formats import render
    from benchmark.store.files import write_atomically

    write(render(sheet, style, width()))
    whole = whole or sheet
    for kind, suffix in (("markdown", "md"), ("csv", "csv")):
        path = store.folder / "tables" / f"{whole.name}.{suffix}"
        write_atomically(store.writable(path), render(whole, kind).encode())
        print(f"written: {one_line(str(path))}", file=sys.stderr)
