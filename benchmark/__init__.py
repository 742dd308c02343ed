"""modecov: regenerates the tables of papers on mode collapse.

``benchmark.run(...)``, ``benchmark.table(...)``, ``benchmark.compare(...)``, ``benchmark.curves(...)`` and
``benchmark.evaluate(...)`` give pandas frames; see ``benchmark.api``. ``python -m benchmark`` is the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.api import compare, curves, evaluate, run, table

__all__ = ["compare", "curves", "evaluate", "run", "table"]


def __getattr__(name: str) -> Any:
    """Load PyTorch and the rest when something is asked for: the command line starts with this package, too."""
    if name not in __all__:
        raise AttributeError(f"module 'benchmark' has no attribute '{name}'")
    from benchmark import api

    return getattr(api, name)
