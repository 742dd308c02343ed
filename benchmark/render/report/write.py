"""Write the report as one self-contained HTML file."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import plotly.offline
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from PIL import Image

from benchmark.errors import UserError
from benchmark.render.formats import number
from benchmark.render.progress import duration
from benchmark.render.report.content import HOLDS, Box, Filled, Part, Report, gather, prose
from benchmark.render.report.model import data_url, model, moment_points
from benchmark.store.files import write_atomically
from benchmark.store.store import Store

#: Colours per figure. Line drawings need few.
_COLOURS = 128
#: Verdicts on the page, in this order: tone, sign, words.
TONES = (
    ("equivalent", "✓", "equivalent"),
    ("undecided", "?", "undecided"),
    ("worse", "✕", "differs, for the worse"),
    ("better", "+", "differs, for the better"),
    ("differs", "◆", "differs"),
)


def write_report(store: Store, path: Path) -> Report:
    """Write the report. The same records and figures give the same bytes.

    Returns:
        The content of the report.

    Raises:
        UserError: Nothing is stored, or the file cannot be written.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; --output names a file")
    found = gather(store)
    write_atomically(store.writable(path), report_page(found, store).encode())
    return found


def report_page(report: Report, store: Store) -> str:
    """Return the HTML.

    Text from records is either escaped by the template, or packed as data that the script inserts as text.
    """
    templates = PackageLoader("benchmark.render.report", "page")
    environment = Environment(
        loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )

    def whole(name: str) -> Markup:
        """Return a file of this package, which is trusted and not escaped."""
        return Markup(templates.get_source(environment, name)[0])  # noqa: S704

    environment.filters["markdown"] = _markdown
    environment.filters["duration"] = lambda seconds: "" if math.isnan(seconds) else duration(seconds)
    methods = sorted({line.method for t in report.tables for p in t.parts for line in p.lines if line.method})
    datasets = list(dict.fromkeys(part.dataset for table in report.tables for part in table.parts if part.dataset))
    used = {model_id for table in report.tables for model_id in _models(table)}
    points = moment_points(len(used))
    return environment.get_template("page.html").render(
        report=report,
        style=whole("page.css"),
        script=whole("page.js"),
        library=Markup(_pack(_library())),  # noqa: S704
        index=Markup(_pack_json(index(report))),  # noqa: S704
        models={
            name: Markup(_pack_json(model(*report.models[name], store, points)))  # noqa: S704
            for name in sorted(used)
        },
        seconds=sum(record.cost.get("seconds", 0) for _, record in report.models.values()),
        methods=methods,
        datasets=datasets,
        tones=TONES,
        sign_of={name: sign for name, sign, _ in TONES} | {"none": "–"},
        holds=HOLDS,
        prose=_by_table(prose(store.folder), [table for table in report.tables if table.boxes]),
        picture=picture,
    )


def _models(table: Filled) -> Iterable[str]:
    return (name for part in table.parts for line in part.lines for box in line.boxes if box for name in box.models)


def index(report: Report) -> dict[str, Any]:
    """Return the script's data on tables: entries by name, and cost against quality."""
    entries, trades = {}, {}
    for table in report.tables:
        for place, part in enumerate(table.parts):
            for line in part.lines:
                for box in filter(None, line.boxes):
                    if box.models:
                        entries[box.id] = {
                            "row": line.title,
                            "column": box.title,
                            "measure": box.column.measure,
                            "digits": box.column.digits,
                            "percent": box.column.percent,
                            "table": f"{table.table}, {table.profile}, reading {table.reading}",
                            "ours": " ".join(filter(None, [box.shown.ours, box.shown.interval])),
                            "paper": box.shown.paper,
                            "printed": _number(box.paper) if box.column.comparable else None,
                            "verdict": box.shown.verdict,
                            "tone": box.tone,
                            "fluctuation": _fluctuation(box),
                            "models": box.models,
                            "run": table.run,
                        }
            if trade := _trade(part):
                trades[f"{table.anchor}-{place}"] = trade
    return {"entries": entries, "trades": trades}


def _fluctuation(box: Box) -> str:
    """Format the fluctuation with the column's digits; empty if nothing was evaluated during training."""
    return "" if math.isnan(box.fluctuation) else number(box.fluctuation, box.column)


def _trade(part: Part) -> dict[str, Any] | None:
    """Return cost and quality of the rows, for each column with a better direction; None without any cost."""
    lines = [line for line in part.lines if not math.isnan(line.seconds)]
    if not lines:
        return None
    columns = [
        {
            "title": column.title,
            "better": column.better,
            "factor": 100 if column.percent else 1,
            "values": [_number(box.mean) if (box := line.boxes[i]) else None for line in lines],
            "low": [_number(box.low) if (box := line.boxes[i]) else None for line in lines],
            "high": [_number(box.high) if (box := line.boxes[i]) else None for line in lines],
            "front": [line.id in part.front(i) for line in lines],
        }
        for i, column in enumerate(part.columns)
        if column.better
    ]
    rows = [{"title": line.title, "method": line.method, "seconds": line.seconds} for line in lines]
    return {"dataset": part.dataset, "rows": rows, "columns": columns}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _by_table(paragraphs: Iterable[str], tables: Iterable[Filled]) -> Mapping[str, list[str]]:
    """Group paragraphs by the table that they name first in backquotes. Paragraphs that name none are left out."""
    names = list(dict.fromkeys(table.table for table in tables))
    found: dict[str, list[str]] = {}
    for text in paragraphs:
        places = {name: at for name in names if (at := text.find(f"`{name}`")) >= 0}
        if places:
            found.setdefault(min(places, key=lambda name: places[name]), []).append(text)
    return found


def _markdown(text: str) -> Markup:
    """Convert Markdown to HTML. HTML inside it is escaped."""
    return Markup(MarkdownIt("commonmark", {"html": False}).render(text))  # noqa: S704


def picture(path: Path) -> dict[str, Any]:
    """Return a stored figure for the page: data URL, and width and height in pixels."""
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).convert("RGB")
    return {"source": data_url(few), "width": few.width, "height": few.height}


def _library() -> bytes:
    return plotly.offline.get_plotlyjs().encode()


def _pack(content: bytes) -> str:
    """Compress bytes with gzip and encode them in Base64. The same content gives the same bytes."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def _pack_json(value: Any) -> str:
    return _pack(json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode())
