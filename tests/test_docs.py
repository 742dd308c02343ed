"""The pages of ``docs/`` that are made: `make docs` builds them with warnings as errors."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from benchmark.papers.discovery import all_tables
from benchmark.spec import registry
from benchmark.spec.table import Table

DOCS = Path(__file__).parents[1] / "docs"


def test_every_method_data_set_and_table_has_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    importlib.import_module("pages").write_pages(tmp_path / "made")
    for kind, names in (("methods", registry.methods()), ("datasets", registry.datasets()), ("tables", all_tables())):
        pages = {path.stem: path.read_text() for path in (tmp_path / "made" / kind).glob("*.rst")}
        assert pages.keys() == {*names, "index"}
        assert all(f"   {name}\n" in pages["index"] for name in names)
    for name, table in all_tables().items():
        if isinstance(table, Table):
            text = (tmp_path / "made" / "tables" / f"{name}.rst").read_text()
            printed = [value.mean for row in table.rows for value in row.reported.values()]
            assert all(f"- {mean:g}" in text for mean in printed)


def test_what_is_published_is_on_the_site_and_links_lead_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    importlib.import_module("pages").write_pages(made := tmp_path / "made")
    published = [path.stem for path in (DOCS.parent / "results" / "tables").glob("*.md")]
    index = (made / "results" / "index.md").read_text()
    assert len(published) > 5 and all(f"\n{name}\n" in index for name in [*published, "figures"])
    for page in [made / "readme.md", *(made / "results").glob("*.md")]:
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        assert links or page.stem in (*published, "index")
        assert [link for link in links if not (page.parent / link).resolve().exists()] == []


def test_docstrings_become_lists_and_formulas_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    pages = importlib.import_module("pages")
    lines = ["E |x - y|^2.", "", "rate: W_l, or", "    |z|, as ``lr_decay``.", "size, n: samples."]
    expected = [r"E \|x - y\|^2.", "", r"- ``rate``: W\_l, or \|z\|, as ``lr_decay``.", "- ``size, n``: samples."]
    assert pages.docstring(lines) == expected


def test_the_example_of_a_verdict_gives_what_it_says() -> None:
    found = doctest.testfile(str(DOCS / "verdict.md"), module_relative=False, encoding="utf-8")
    assert found.attempted > 10 and found.failed == 0
