"""Render a result table as text, Markdown, LaTeX, CSV, JSON or HTML."""

from __future__ import annotations

import html
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import pandas as pd
from pylatexenc.latexencode import UnicodeToLatexEncoder
from rich.console import Console
from rich.table import Table as RichTable

from benchmark.analysis.frame import ResultTable
from benchmark.analysis.statistics import ENOUGH, verdict_text
from benchmark.spec.columns import UPDATES
from benchmark.spec.table import Column

FORMATS = ("text", "markdown", "latex", "csv", "json", "html")
_ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}


def render(sheet: ResultTable, style: str, width: int | None = None) -> str:
    """Render a table in one of ``FORMATS``. ``csv`` and ``json`` keep full precision.

    Args:
        sheet: The table.
        style: One of ``FORMATS``.
        width: Characters per line of ``text``; None for 200.
    """
    if style == "csv":
        return sheet.frame.to_csv(index=False, lineterminator="\n")
    if style == "json":
        return _json(sheet)
    writers: dict[str, Callable[[ResultTable], str]] = {"markdown": _markdown, "latex": _latex, "html": _html}
    return _text(sheet, width) if style == "text" else writers[style](sheet)


def heading(column: Column) -> str:
    """Return a column's title with an arrow towards better values."""
    return column.title + _ARROWS[column.better]


def value(mean: float, std: float, column: Column) -> str:
    """Format mean ± standard deviation with the column's digits; empty without a mean."""
    if math.isnan(mean):
        return ""
    return number(mean, column) + ("" if math.isnan(std) else f" ± {number(std, column)}")


def number(amount: float, column: Column) -> str:
    """Format a number with the column's digits, in percent if the column is."""
    return f"{amount * 100 if column.percent else amount:.{column.digits}f}"


def parts(sheet: ResultTable, newline: str) -> list[tuple[str, pd.DataFrame]]:
    """Return the cells of the table as one frame per data set, each with the name of its data set.

    Rows that are not trained on a data set are left out of its frame. A table of words is one frame without a name.
    """
    if sheet.worded is not None:
        return [("", sheet.worded.map(lambda text: text.replace("\n", newline)))]
    names = list(dict.fromkeys(column.dataset for column in sheet.columns))
    return [(name, cells(sheet, newline, [c for c in sheet.columns if c.dataset == name])) for name in names]


@dataclass(frozen=True)
class Shown:
    """Text of one entry; parts that do not apply are empty.

    Attributes:
        ours: Our mean and standard deviation.
        interval: 95 % interval of the mean.
        remarks: Numbers of models.
        paper: The reported value.
        verdict: The verdict.
    """

    ours: str
    interval: str
    remarks: tuple[str, ...]
    paper: str
    verdict: str

    @property
    def lines(self) -> list[str]:
        first = " ".join(filter(None, [self.ours, self.interval, *(f"({remark})" for remark in self.remarks)]))
        return [first, f"paper {self.paper}", self.verdict] if self.paper else [first]


def shown(entry: pd.Series, column: Column) -> Shown:
    """Format an entry of ``ResultTable.frame`` with the column's digits."""
    interval = ""
    if not math.isnan(entry["ci_low"]):
        interval = f"[{number(entry['ci_low'], column)}, {number(entry['ci_high'], column)}]"
    elif entry["n"] >= ENOUGH and entry["std"] == 0:
        interval = f"[all {entry['n']} equal]"
    error = entry.get("paper_se", math.nan)
    paper = value(entry["paper_mean"], entry["paper_std"] if math.isnan(error) else error, column)
    paper += "" if math.isnan(error) else " s.e."
    ours = value(entry["mean"], entry["std"], column) or "no value"
    said = verdict_text(str(entry["verdict"]), str(entry["lean"]), entry["seeds_to_decide"])
    return Shown(ours, interval, tuple(_remarks(entry, column)), paper, said if paper else "")


def _remarks(entry: pd.Series, column: Column) -> Iterator[str]:
    """Yield how many models the mean is taken over, and what happened to the others."""
    if column.measure == UPDATES:
        yield f"{entry['n']} models"
    words = {"n_diverged": "diverged", "n_failed": "failed"}
    words |= {} if column.measure == UPDATES else {"n_no_value": "without a value"}
    total = entry["n"] + entry["n_diverged"] + entry["n_failed"] + entry["n_no_value"]
    if lost := [f"{entry[name]} of {total} {word}" for name, word in words.items() if entry[name]]:
        yield ", ".join(lost)


def cells(sheet: ResultTable, newline: str, columns: Sequence[Column]) -> pd.DataFrame:
    """Build one cell per row and column, in lines: our value with its interval, the reported value, the verdict."""
    by_id = {column.id: column for column in columns}
    frame = sheet.frame[sheet.frame["column"].isin(list(by_id))]
    lines = frame.apply(lambda entry: newline.join(shown(entry, by_id[entry["column"]]).lines), axis=1)
    texts = frame.assign(text=lines)
    wide = texts.pivot(index="row", columns="column", values="text")
    wide = wide.reindex(index=list(frame["row"].unique()), columns=list(by_id)).fillna("")
    wide.index = pd.Index([sheet.rows[row] for row in wide.index], name=None)
    wide.columns = pd.Index([heading(column) for column in columns])
    return wide


def _text(sheet: ResultTable, width: int | None) -> str:
    console = Console(file=io.StringIO(), width=width or 200, color_system=None)
    console.print(sheet.header, highlight=False)
    for dataset, wide in parts(sheet, "\n"):
        title = ": ".join(filter(None, [dataset, sheet.title]))
        table = RichTable("", *wide.columns, title=title, caption=None, show_lines=True, title_justify="left")
        for name, row in wide.iterrows():
            table.add_row(str(name), *row)
        console.print(table)
    for line in (sheet.citation, *sheet.footer):
        console.print(line, highlight=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _markdown(sheet: ResultTable) -> str:
    bodies = [(f"#### {name}\n\n" if name else "") + _grid(wide) for name, wide in parts(sheet, "<br>")]
    body = "\n\n".join(bodies)
    notes = "\n".join(f"- {line}" for line in sheet.footer)
    return f"### {sheet.title}\n\n{sheet.header}\n\n{body}\n\n{sheet.citation}\n\n{notes}\n"


def _grid(wide: pd.DataFrame) -> str:
    """Write a frame of text as a Markdown table. Numbers keep their digits, and a ``|`` ends no cell."""
    safe = wide.map(_cell)
    safe.index, safe.columns = safe.index.map(_cell), safe.columns.map(_cell)
    return str(safe.to_markdown(disable_numparse=True))


def _cell(text: object) -> str:
    return str(text).replace("|", r"\|")


def _latex(sheet: ResultTable) -> str:
    """Render LaTeX for the packages booktabs and makecell."""
    written = []
    for name, wide in parts(sheet, "\n"):
        wide = wide.map(lambda text: rf"\makecell{{{_tex(text)}}}")
        wide.index, wide.columns = wide.index.map(_tex), wide.columns.map(_tex)
        caption = _tex(f"{': '.join(filter(None, [name, sheet.title]))}. {sheet.header}. {sheet.citation}")
        written.append(wide.style.to_latex(hrules=True, caption=caption, column_format="l" * (len(wide.columns) + 1)))
    return "".join(f"% {line}\n" for line in sheet.footer) + "\n".join(written)


@cache
def _encoder() -> UnicodeToLatexEncoder:
    return UnicodeToLatexEncoder(unknown_char_policy="replace", unknown_char_warning=False)


def _tex(text: str) -> str:
    """Write any text as LaTeX, in lines. Symbols that LaTeX does not know become question marks."""
    return str(_encoder().unicode_to_latex(text)).replace("\n", r"\\ ")


def _html(sheet: ResultTable) -> str:
    body = ""
    for name, wide in parts(sheet, "\n"):
        safe = wide.map(lambda text: html.escape(text).replace("\n", "<br>"))
        body += (f"<h2>{html.escape(name)}</h2>" if name else "") + safe.to_html(escape=False, border=0)
    notes = "".join(f"<li>{html.escape(line)}</li>" for line in sheet.footer)
    style = "body{font-family:sans-serif}table{border-collapse:collapse}td,th{padding:.4em .8em;border:1px solid #ccc}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(sheet.title)}</title>'
        f"<style>{style}</style><h1>{html.escape(sheet.title)}</h1><p>{html.escape(sheet.header)}</p>{body}"
        f"<p>{html.escape(sheet.citation)}</p><ul>{notes}</ul></html>\n"
    )


def _json(sheet: ResultTable) -> str:
    rows = sheet.frame.astype(object).where(sheet.frame.notna(), None).to_dict("records")
    content = {
        "title": sheet.title,
        "citation": sheet.citation,
        "header": sheet.header,
        "entries": rows,
        "notes": list(sheet.footer),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
