"""Writes ``made/``: a page per table with what its paper reports, and copies of pages outside of ``docs/``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmark.papers.discovery import all_tables
from benchmark.spec.table import Table

ROOT = Path(__file__).resolve().parents[1]
#: Pages outside of ``docs/``.
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "results/README.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
    *sorted(ROOT.glob("results/tables/*.md")),
]


def write_pages(made: Path) -> None:
    """Replace the folder by new pages."""
    shutil.rmtree(made, ignore_errors=True)
    texts = {f"tables/{name}.md": table_page(table) for name, table in all_tables().items()}
    for path in PAGES:
        title, text = f"# {path.stem}\n\n", path.read_text(encoding="utf-8")
        # Results open with a heading of a lower level, which stands on a page of its own here.
        published = path.parent.name == "tables"
        text = title + re.sub("^#+ (.*)", r"**\1**", text, flags=re.MULTILINE) if published else text
        texts[path.relative_to(ROOT).as_posix()] = text
    for name, text in texts.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")


def table_page(table: Any) -> str:
    """Title, source, command and reported values of a table, and what its paper leaves open."""
    parts = [f"# {table.id}", plain(f"{table.title}. {getattr(table, 'citation', '')}")]
    parts += [f"```sh\npython -m benchmark run --table {table.id}\n```"]
    if isinstance(table, Table):
        columns = [c for c in table.columns if any(c.id in row.reported for row in table.rows)]
        heads = ["method", *(f"{c.reported_title or c.title} {c.dataset}" for c in columns), "left open by the paper"]
        rows = [[r.title, *(reported(r.reported.get(c.id)) for c in columns), r.assumptions] for r in table.rows]
        cells = [[plain(cell) for cell in row] for row in [heads, *rows]]
        parts += ["Reported values:", tabulate(cells, "firstrow", tablefmt="pipe", disable_numparse=True)]
    return "\n\n".join(parts) + "\n"


def reported(value: Any) -> str:
    """Return the mean and, where there is one, the deviation."""
    return "" if value is None else f"{value.mean:g}" + ("" if value.std is None else f" ± {value.std:g}")


def plain(text: str) -> str:
    """Return the text as Markdown without markup."""
    return re.sub(r"([\\`*_\[\]<>|$~#])", r"\\\1", text)
