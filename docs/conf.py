"""Sphinx: guides are Markdown, the reference comes from docstrings, ``reference.py`` writes the pages of tables."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from reference import PAGES, ROOT, write_pages

project = "modecov"
author = "the modecov authors"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = "modecov"
templates_path = ["_templates"]
exclude_patterns = ["site"]
myst_heading_anchors = 3
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
# What Lightning and PyTorch declare is documented on their own pages.
autodoc_inherit_docstrings = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Shape", "Source"]


# Only docstrings are reStructuredText. A formula that it takes for markup looks odd; it must not stop the site.
suppress_warnings = ["docutils"]


def escape(app, what, name, thing, options, lines):
    """Let formulas stand in docstrings as they are: bars and trailing underscores are no markup there."""
    parts = re.split(r"(``.*?``|`.*?`)", "\n".join(lines), flags=re.DOTALL)
    parts[::2] = [re.sub(r"\||(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")


def lead(app, docname, source):
    """Lead links to files, which are true in the repository, to their pages."""
    home = (ROOT / docname.removeprefix("made/") if docname.startswith("made/") else ROOT / "docs" / docname).parent

    def page(link):
        target = (home / link[1]).resolve()
        if target in PAGES:
            return f"](/made/{target.relative_to(ROOT).as_posix()}"
        return f"](/{os.path.relpath(target, ROOT / 'docs')}" if target.exists() else link[0]

    source[0] = re.sub(r"\]\(([^)#:\s]+)", page, source[0])


def setup(app):
    """Register both."""
    # After napoleon.
    app.connect("autodoc-process-docstring", escape, priority=900)
    app.connect("source-read", lead)


write_pages(Path(__file__).parent / "made")
