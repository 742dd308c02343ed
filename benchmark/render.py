"""A sheet as text, Markdown, LaTeX, CSV, JSON or HTML."""

from __future__ import annotations

import html
import io
import json
import math
from collections.abc import Callable

import pandas as pd
from rich.console import Console
from rich.table import Table as RichTable

from benchmark.sheet import Sheet
from benchmark.table import Column

FORMATS = ("text", "markdown", "latex", "csv", "json", "html")
_ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}


def render(sheet: Sheet, style: str, width: int | None = None) -> str:
    """The sheet in one of ``FORMATS``; ``csv`` and ``json`` keep full precision."""
    if style == "csv":
        return sheet.frame.to_csv(index=False, lineterminator="\n")
    if style == "json":
        return _json(sheet)
    writers: dict[str, Callable[[Sheet], str]] = {"markdown": _markdown, "latex": _latex, "html": _html}
    return _text(sheet, width) if style == "text" else writers[style](sheet)


def _title(column: Column) -> str:
    return column.title + _ARROWS[column.better]


def _value(mean: float, std: float, digits: int) -> str:
    if math.isnan(mean):
        return ""
    return f"{mean:.{digits}f}" + ("" if math.isnan(std) else f" ± {std:.{digits}f}")


def cells(sheet: Sheet, newline: str) -> pd.DataFrame:
    """One cell per row and column, in lines: ours with its interval, the printed value, the verdict."""
    digits = {column.measure: column.digits for column in sheet.columns}
    compared = sheet.frame.groupby("column")["paper_mean"].apply(lambda values: values.notna().any())

    def cell(entry: pd.Series) -> str:
        places = digits[entry["column"]]
        ours = _value(entry["mean"], entry["std"], places) or "no value"
        if not math.isnan(entry["ci_low"]):
            ours += f" [{entry['ci_low']:.{places}f}, {entry['ci_high']:.{places}f}]"
        lost = [f"{entry[f'n_{s}']} {s}" for s in ("diverged", "failed") if entry[f"n_{s}"]]
        if lost:
            ours += f" ({', '.join(lost)})"
        lines = [ours]
        if compared[entry["column"]] and not math.isnan(entry["paper_mean"]):
            lines += [f"paper {_value(entry['paper_mean'], entry['paper_std'], places)}", str(entry["verdict"])]
        return newline.join(lines)

    texts = sheet.frame.assign(text=sheet.frame.apply(cell, axis=1))
    wide = texts.pivot(index="row", columns="column", values="text")
    wide = wide.loc[list(sheet.frame["row"].unique()), [column.measure for column in sheet.columns]]
    wide.index = pd.Index([sheet.rows[row] for row in wide.index], name=None)
    wide.columns = pd.Index([_title(column) for column in sheet.columns])
    return wide


def _text(sheet: Sheet, width: int | None) -> str:
    table = RichTable(title=sheet.title, caption=None, show_lines=True, title_justify="left")
    wide = cells(sheet, "\n")
    table.add_column("")
    for column in wide.columns:
        table.add_column(column)
    for name, row in wide.iterrows():
        table.add_row(str(name), *row)
    console = Console(file=io.StringIO(), width=width or 200, color_system=None)
    console.print(sheet.header, highlight=False)
    console.print(table)
    for line in (sheet.citation, *sheet.footer):
        console.print(line, highlight=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _markdown(sheet: Sheet) -> str:
    body = cells(sheet, "<br>").to_markdown()
    notes = "\n".join(f"- {line}" for line in sheet.footer)
    return f"### {sheet.title}\n\n{sheet.header}\n\n{body}\n\n{sheet.citation}\n\n{notes}\n"


def _latex(sheet: Sheet) -> str:
    """For the packages booktabs and makecell."""
    wide = cells(sheet, "\n").map(lambda text: rf"\makecell{{{_tex(text)}}}")
    wide.index, wide.columns = wide.index.map(_tex), wide.columns.map(_tex)
    caption = _tex(f"{sheet.title}. {sheet.header}. {sheet.citation}")
    notes = "".join(f"% {line}\n" for line in sheet.footer)
    return notes + wide.style.to_latex(hrules=True, caption=caption, column_format="l" * (len(wide.columns) + 1))


def _tex(text: str) -> str:
    for character in "\\&%$#_{}":
        text = text.replace(character, r"\textbackslash " if character == "\\" else f"\\{character}")
    for plain, tex in {"\n": r"\\", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "~": r"$\sim$"}.items():
        text = text.replace(plain, tex)
    return text


def _html(sheet: Sheet) -> str:
    safe = cells(sheet, "\n").map(lambda text: html.escape(text).replace("\n", "<br>"))
    body = safe.to_html(escape=False, border=0)
    notes = "".join(f"<li>{html.escape(line)}</li>" for line in sheet.footer)
    style = "body{font-family:sans-serif}table{border-collapse:collapse}td,th{padding:.4em .8em;border:1px solid #ccc}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(sheet.title)}</title>'
        f"<style>{style}</style><h1>{html.escape(sheet.title)}</h1><p>{html.escape(sheet.header)}</p>{body}"
        f"<p>{html.escape(sheet.citation)}</p><ul>{notes}</ul></html>\n"
    )


def _json(sheet: Sheet) -> str:
    rows = sheet.frame.astype(object).where(sheet.frame.notna(), None).to_dict("records")
    content = {
        "title": sheet.title,
        "citation": sheet.citation,
        "header": sheet.header,
        "entries": rows,
        "notes": list(sheet.footer),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
