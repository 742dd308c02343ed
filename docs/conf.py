"""Sphinx builds the site from the README and the guides, from what is published under ``results/``, from docstrings and
from the tables' own data: nothing is written twice."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pages import docstring, write_pages

project = "modecov"
author = "The modecov maintainers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "modecov"
exclude_patterns = ["site"]
myst_heading_anchors = 3
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
# Of what Lightning and PyTorch declare, their own pages tell.
autodoc_inherit_docstrings = False


def setup(app):
    """Our docstrings say ``field: what it is`` and write formulas as they are."""

    # Nothing but the docstring changes, in place.
    def process(app, what, name, thing, options, lines):
        lines[:] = [*docstring(list(lines)), ""]

    app.connect("autodoc-process-docstring", process)


write_pages(Path(__file__).parent / "made")
