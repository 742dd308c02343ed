"""modecov: regenerates the tables of papers on mode collapse.

``benchmark.run(...)``, ``benchmark.table(...)``, ``benchmark.compare(...)``, ``benchmark.curves(...)`` and
``benchmark.evaluate(...)`` give pandas frames; see ``benchmark.api``. ``python -m benchmark`` is the command line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.api import compare, curves, evaluate, run, table

__all__ = ["compare", "curves", "evaluate", "run", "table"]

#: The packages of this project, which are installed side by side.
PACKAGES = ("benchmark", "modules", "datamodules", "evaluators")
_ROOT = Path(__file__).resolve().parents[1]


class _OurPackages:
    """Finds our packages beside this one, so that a folder of the user's called ``modules`` does not hide ours.

    The working directory is the first entry of ``sys.path`` under ``python -m benchmark``, and an editable install is
    looked up after all entries: either way the user's folder would win.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of one of our packages, None for every other module (as ``importlib`` asks for it)."""
        return PathFinder.find_spec(name, [str(_ROOT)], target) if path is None and name in PACKAGES else None


def _refuse_strangers() -> None:
    """Raise ``ImportError`` where a package of the user's took the name of one of ours before this one was imported."""
    for name in PACKAGES[1:]:
        found = getattr(sys.modules.get(name), "__path__", None)
        if found is not None and str(_ROOT / name) not in [str(Path(place).resolve()) for place in found]:
            raise ImportError(
                f"{next(iter(found), name)} was imported as '{name}' before benchmark, which has a package of that name"
            )


_refuse_strangers()
if not any(finder is _OurPackages for finder in sys.meta_path):
    sys.meta_path.insert(0, _OurPackages)


def __getattr__(name: str) -> Any:
    """Load PyTorch and the rest when something is asked for: the command line starts with this package, too."""
    if name not in __all__:
        raise AttributeError(f"module 'benchmark' has no attribute '{name}'")
    from benchmark import api

    return getattr(api, name)
