"""What a command prints and writes."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from benchmark import sheet as sheets
from benchmark.errors import one_line
from benchmark.records import Store, write_atomically
from benchmark.render import render


def write(text: str) -> None:
    """Print without an end of line, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def width() -> int | None:
    """Columns of the terminal; None where the output goes elsewhere."""
    return Console().width if sys.stdout.isatty() else None


def finish(sheet: sheets.Sheet, store: Store, args: argparse.Namespace, whole: sheets.Sheet | None = None) -> int:
    """Print the sheet, and write it, or the whole that it is a part of, as Markdown and CSV."""
    write(render(sheet, args.format, width()))
    whole = whole or sheet
    for style, suffix in (("markdown", "md"), ("csv", "csv")):
        path = store.folder / "tables" / f"{whole.name}.{suffix}"
        write_atomically(store.writable(path), render(whole, style).encode())
        print(f"written: {one_line(str(path))}", file=sys.stderr)
    return 0
