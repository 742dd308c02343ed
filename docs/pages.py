"""Pages that are made: one per method, data set, kind of measure, table and demonstration, the README, and what is
published."""

from __future__ import annotations

import inspect
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.papers.discovery import all_figures, all_tables
from benchmark.plotting.figure import Figure
from benchmark.spec import registry
from benchmark.spec.claims import Claim, ClaimTable
from benchmark.spec.overrides import method_fields
from benchmark.spec.table import NetworkTable, Reported, Table
from benchmark.training.evaluation import MEASURES
from modules.base import AdversarialModule

_CHECKOUT = Path(__file__).resolve().parents[1]
#: The file of ``evaluators`` that defines the measures of each kind of data.
_EVALUATORS = {
    "registered": ("evaluators.registered",),
    "quality": ("evaluators.quality",),
    "digits": ("evaluators.digits", "evaluators.intensity"),
    "images": ("evaluators.distances", "evaluators.inversion"),
}


def write_pages(folder: Path) -> None:
    """Make the folder anew: a list and its pages for each kind."""
    shutil.rmtree(folder, ignore_errors=True)
    tables, methods = all_tables(), registry.methods()
    experiments = {name: f for name, f in all_figures().items() if not isinstance(f, Figure)}
    _write(folder / "methods", "Methods", methods, method_page)
    _write(folder / "measures", "Measures", {name: name for name in MEASURES}, measure_page)
    _write(folder / "tables", "Tables", tables, table_page)
    _write(folder / "datasets", "Data sets", registry.datasets(), dataset_page)
    _write(folder / "demonstrations", "Demonstrations", experiments, demonstration_page)
    (folder / "readme.md").write_text(_moved(_CHECKOUT / "README.md", folder), encoding="utf-8")
    _write_results(folder / "results", folder)


def _write_results(folder: Path, made: Path) -> None:
    """What was found, then a page for each published table, and one for all figures."""
    folder.mkdir()
    published = sorted((_CHECKOUT / "results" / "tables").glob("*.md"))
    for path in published:
        title, _, text = path.read_text(encoding="utf-8").partition("\n")
        # The parts of a table stand two levels below its title there, and pages have titles of their own.
        lines = [f"# {path.stem}", title.lstrip("# "), re.sub("^#### ", "## ", text.strip(), flags=re.MULTILINE)]
        (folder / path.name).write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    pictures = sorted((_CHECKOUT / "results" / "figures").glob("*.png"))
    shown = [f"## {path.stem}\n\n![{path.stem}]({_way(path, folder)})" for path in pictures]
    (folder / "figures.md").write_text("\n\n".join(["# Figures", *shown]) + "\n", encoding="utf-8")
    names = "\n".join([*(path.stem for path in published), "figures"])
    found = _moved(_CHECKOUT / "results" / "README.md", made)
    contents = f"```{{toctree}}\n:maxdepth: 1\n\n{names}\n```"
    (folder / "index.md").write_text(f"{found.strip()}\n\n{contents}\n", encoding="utf-8")


def _moved(path: Path, made: Path) -> str:
    """A Markdown file of the checkout as a page, its links to other files led to their pages."""
    places = {
        _CHECKOUT / "README.md": made / "readme.md",
        _CHECKOUT / "results" / "README.md": made / "results" / "index.md",
        **{found: made / "results" / found.name for found in (_CHECKOUT / "results" / "tables").glob("*.md")},
    }
    page = places[path]

    def lead(link: re.Match[str]) -> str:
        target = (path.parent / link[1]).resolve()
        return f"]({_way(places.get(target, target), page.parent)})" if target.exists() else link[0]

    return re.sub(r"\]\(([^)#:]+)\)", lead, path.read_text(encoding="utf-8"))


def _way(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _write(folder: Path, title: str, things: Mapping[str, Any], page: Callable[[str, Any], str]) -> None:
    folder.mkdir(parents=True)
    for name, thing in sorted(things.items()):
        (folder / f"{name}.rst").write_text(page(name, thing), encoding="utf-8")
    names = "\n".join(f"   {name}" for name in sorted(things))
    (folder / "index.rst").write_text(
        f"{_title(title)}\n\n.. toctree::\n   :maxdepth: 1\n\n{names}\n", encoding="utf-8"
    )


def method_page(name: str, method: type[AdversarialModule]) -> str:
    """What it is, its fields and losses, where it is a row of a table and what was picked there."""
    own = [n for n, value in vars(method).items() if inspect.isfunction(value) and value.__doc__ and n[0] != "_"]
    rows = [
        f"``{table.id}``, {_plain(row.title)}" + (f": {_plain(row.assumptions)}" if row.assumptions else "")
        for table in all_tables().values()
        if isinstance(table, Table)
        for row in table.rows
        if row.method == name
    ]
    fields = [f"``method.{n}``, by default ``{p.default}``" for n, p in method_fields(method).items()]
    parts = [_title(name), _prose(inspect.getdoc(method) or "")]
    parts += ["Fields\n------", _bullets(fields)] if fields else []
    parts += ["Losses and steps, by equation\n-----------------------------"] if own else []
    parts += [f"``{n}``\n{_indented(_prose(inspect.getdoc(getattr(method, n)) or ''))}" for n in own]
    parts += ["In tables\n---------", _bullets(rows)] if rows else []
    parts += [f"Source\n------\n\n.. literalinclude:: {_from_pages(inspect.getfile(method))}\n   :language: python"]
    return _page(parts)


def measure_page(name: str, kind: str) -> str:
    """The functions behind the measures of a kind of data, by their docstrings."""
    on = [dataset.name for dataset in registry.datasets().values() if dataset.measures == kind]
    said = _prose(inspect.getdoc(MEASURES[kind]) or "")
    parts = [_title(name), said, f"Data sets: {', '.join(f'``{n}``' for n in sorted(on))}."]
    parts += [f".. automodule:: {module}\n   :members:" for module in _EVALUATORS[kind]]
    return _page(parts)


def dataset_page(name: str, dataset: registry.DataSet) -> str:
    """Where it comes from and what its samples are judged by."""
    shape = " x ".join(map(str, dataset.data_shape))
    lines = [f"samples of {shape} numbers", f"judged by :doc:`/made/measures/{dataset.measures}`"]
    centres = getattr(dataset, "centres", ())
    lines += [f"{len(centres)} modes, standard deviation {getattr(dataset, 'std', 0):g}"] if centres else []
    return _page([_title(name), _plain(dataset.source) + ".", _bullets(lines)])


def demonstration_page(name: str, demonstration: Any) -> str:
    """The claim, and what the file of the demonstration says of how it is tried."""
    lines = [f"Tried on: {_plain(demonstration.setting)}", f"It holds if: {_plain(demonstration.rule)}"]
    module = inspect.getmodule(demonstration.measure)
    parts = [_title(name), _plain(demonstration.claim), _plain(demonstration.citation), _bullets(lines)]
    parts += [_prose(inspect.getdoc(module) or "")]
    return _page([*parts, f"``python -m benchmark run --figure {name}``"])


def table_page(name: str, table: Table | NetworkTable | ClaimTable) -> str:
    """Citation, printed values, profiles, readings and notes, from the table's own data."""
    parts = [_title(name), _plain(table.title), _plain(getattr(table, "citation", "")), f"``{_command(table)}``"]
    if isinstance(table, NetworkTable):
        sizes = [[role, *(f"{values[c.measure]}" for c in table.columns)] for role, values in table.reported.items()]
        parts += ["Printed\n-------", _grid(["", *(c.title for c in table.columns)], sizes)]
    if isinstance(table, ClaimTable):
        parts += ["Claims\n------", _bullets(map(_claim, table.claims))]
    if isinstance(table, Table):
        columns = [c for c in table.columns if any(c.id in row.reported for row in table.rows)]
        for part in dict.fromkeys(c.dataset for c in columns):
            here = [c for c in columns if c.dataset == part]
            lines = [[row.title, *(_value(row.reported.get(c.id)) for c in here)] for row in table.rows if row.reported]
            parts += [_heading(f"Printed values, {part}" if part else "Printed values")]
            parts += [_grid(["", *(c.reported_title or c.title for c in here)], lines)]
        assumptions = {row.id: f"; {_plain(row.assumptions)}" if row.assumptions else "" for row in table.rows}
        rows = [f"``{row.id}``: {_plain(row.title)}{assumptions[row.id]}" for row in table.rows]
        profiles = [f"``{n}``: {p.seeds} seeds; {_fields(p.protocol)}" for n, p in table.profiles.items()]
        readings = [f"``{n}``: {_plain(reading.title)}" for n, reading in table.readings.items()]
        parts += [_heading("Rows"), _bullets(rows), _heading("Profiles"), _bullets(profiles)]
        parts += [_heading("Readings"), _bullets(readings)]
    notes = getattr(table, "notes", ())
    parts += [_heading("Notes"), _bullets(map(_plain, notes))] if notes else []
    return _page(parts)


def _command(table: Table | NetworkTable | ClaimTable) -> str:
    return f"python -m benchmark run --table {table.id}"


def _claim(claim: Claim) -> str:
    return f"``{claim.id}``: {_plain(claim.sentence)} ({_plain(claim.source)}). Read as: {_plain(claim.reading)}"


def _value(reported: Reported | None) -> str:
    if reported is None:
        return ""
    if reported.std is None:
        return f"{reported.mean:g}"
    return f"{reported.mean:g} ± {reported.std:g}" + (" s.e." if reported.error == "se" else "")


def _fields(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"``{name}={value}``" for name, value in fields.items()) or "as the table"


def _grid(heads: list[str], lines: Iterable[list[str]]) -> str:
    """A list-table, whose cells may be empty."""
    rows = ["   * - " + "\n     - ".join(_plain(cell) for cell in line) for line in [heads, *lines]]
    return ".. list-table::\n   :header-rows: 1\n\n" + "\n".join(row.rstrip() for row in rows)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _heading(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"


def _title(text: str) -> str:
    return f"{text}\n{'=' * len(text)}"


def _indented(text: str) -> str:
    return "\n".join(f"   {line}".rstrip() for line in text.splitlines())


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _prose(text: str) -> str:
    """A docstring, whose formulas are no markup: paragraphs, and a list of its fields."""
    return "\n".join(docstring(text.splitlines()))


def docstring(lines: Iterable[str]) -> list[str]:
    """The lines of a docstring of ours as reStructuredText: ``field: what it is`` becomes an entry of a list, with the
    lines that hang from it."""
    joined: list[str] = []
    for line in lines:
        field = re.match(r"[a-z_][\w, ]*: ", line)
        if line.startswith("    ") and joined and joined[-1]:
            joined[-1] += " " + line.strip()
        elif field and (not joined or not joined[-1] or joined[-1].startswith("- ")):
            joined.append(f"- ``{field[0][:-2]}``: {line[field.end() :]}")
            continue
        else:
            joined.append(line)
    return list(map(_plain, joined))


def _plain(text: str) -> str:
    """Escape what reStructuredText would take for markup; ``code`` stays."""
    parts = text.split("``")
    kept = []
    for number, part in enumerate(parts):
        if number % 2 and number < len(parts) - 1:
            kept.append(f"``{part}``")
        else:
            for sign in "\\*|_`":
                part = part.replace(sign, f"\\{sign}")
            kept.append(part)
    return "".join(kept)


def _from_pages(file: str) -> str:
    """A file of the checkout as Sphinx names it, from the folder of the documents."""
    return f"/../{Path(file).relative_to(Path(__file__).parents[1])}"
