"""Configuration of Sphinx. Guides are Markdown, the reference comes from docstrings, ``reference.py`` writes the pages of tables."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from reference import write_pages

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
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
# What Lightning and PyTorch declare is documented on their own pages.
autodoc_inherit_docstrings = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Shape", "Source"]


def setup(app):
    """Formulas stand in docstrings as they are: bars and underscores are no markup."""

    def escape(app, what, name, thing, options, lines):
        for number, line in enumerate(lines):
            parts = re.split(r"(``.*?``|`.*?`)", line)
            parts[::2] = [re.sub(r"\||(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
            lines[number] = "".join(parts)

    # After napoleon.
    app.connect("autodoc-process-docstring", escape, priority=900)


write_pages(Path(__file__).parent / "made")
