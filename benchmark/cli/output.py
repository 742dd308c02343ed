"""What a command prints and writes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmark.errors import one_line

if TYPE_CHECKING:
    from benchmark.analysis.frame import ResultTable
    from benchmark.store.store import Store


def write(text: str) -> None:
    """Print without an end of line, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def width() -> int | None:
    """Columns of the terminal; None where the output goes elsewhere."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else None


def finish(sheet: ResultTable, store: Store, style: str, whole: ResultTable | None = None) -> None:
    """Print the sheet, and write it, or the whole that it is a part of, as Markdown and CSV."""
    from benchmark.render.formats import render
    from benchmark.store.files import write_atomically

    write(render(sheet, style, width()))
    whole = whole or sheet
    for kind, suffix in (("markdown", "md"), ("csv", "csv")):
        path = store.folder / "tables" / f"{whole.name}.{suffix}"
        write_atomically(store.writable(path), render(whole, kind).encode())
        print(f"written: {one_line(str(path))}", file=sys.stderr)
