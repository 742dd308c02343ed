"""Writes the pages that come from data: one for each table, with what its paper reports, and one for the data sets."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from tabulate import tabulate

from benchmark.papers.discovery import all_tables
from benchmark.spec import registry
from benchmark.spec.table import Table

RESULTS = Path(__file__).resolve().parents[1] / "results"


def write_pages(folder: Path) -> None:
    """Write the folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tables").mkdir(parents=True)
    for name, table in all_tables().items():
        (folder / "tables" / f"{name}.md").write_text(table_page(table), encoding="utf-8")
    names = "\n".join(sorted(all_tables()))
    index = f"# Tables\n\n```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n"
    (folder / "tables" / "index.md").write_text(index, encoding="utf-8")
    rows = [
        (name, " x ".join(map(str, found.data_shape)), found.measures, found.source)
        for name, found in sorted(registry.datasets().items())
    ]
    text = grid(("data set", "shape of a sample", "measures", "source"), rows)
    (folder / "datasets.md").write_text(f"# Data sets\n\n{text}\n", encoding="utf-8")


def table_page(table: Table) -> str:
    """Citation, reported values, what is open in the paper, and the results that are published."""
    parts = [f"# {table.id}", plain(f"{table.title}. {getattr(table, 'citation', '')}")]
    parts += [f"```sh\npython -m benchmark run --table {table.id}\n```"]
    if isinstance(table, Table):
        columns = [c for c in table.columns if any(c.id in row.reported for row in table.rows)]
        heads = [f"{c.reported_title or c.title} {c.dataset or ''}" for c in columns]
        rows = [(row.title, *(reported(row.reported.get(c.id)) for c in columns), row.assumptions) for row in table.rows]
        parts += ["## Reported", grid(("method", *heads, "what the paper leaves open"), rows)]
    for path in sorted((RESULTS / "tables").glob(f"{table.id}*.md")):
        if re.fullmatch(rf"{table.id}(-(paper|short|smoke)\b.*)?", path.stem):
            parts += [f"## {path.stem}", re.sub("^#+ (.*)", r"**\1**", path.read_text(encoding="utf-8"), flags=re.MULTILINE)]
    return "\n\n".join(parts) + "\n"


def reported(value) -> str:
    """The reported mean and, where there is one, its deviation."""
    return "" if value is None else f"{value.mean:g}" + ("" if value.std is None else f" ± {value.std:g}")


def grid(heads: Iterable[str], rows: Iterable[Iterable]) -> str:
    """A Markdown table."""
    cells = [[plain(str(cell)) for cell in row] for row in rows]
    return tabulate(cells, [plain(head) for head in heads], tablefmt="pipe", disable_numparse=True)


def plain(text: str) -> str:
    """Text without markup."""
    return re.sub(r"([\\`*_\[\]<>|$~#])", r"\\\1", text)
