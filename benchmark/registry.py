"""What exists, by name: methods and data sets, found by looking into their folders."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import datamodules
import modules
from benchmark.errors import UserError, unknown
from datamodules.mixture import GaussianMixture
from modules.base import AdversarialModule


def values_in(package: ModuleType) -> Iterator[Any]:
    """Everything that the files of a package have at their top level: adding a file is all it takes to be found."""
    for info in pkgutil.iter_modules(package.__path__):
        yield from vars(importlib.import_module(f"{package.__name__}.{info.name}")).values()


def methods() -> dict[str, type[AdversarialModule]]:
    """Every method in ``modules``, by the name it gives itself."""
    classes = [v for v in values_in(modules) if inspect.isclass(v) and issubclass(v, AdversarialModule)]
    return {found.name: found for found in classes if found.name}


def datasets() -> dict[str, GaussianMixture]:
    """Every mixture in ``datamodules``, by name."""
    return {value.name: value for value in values_in(datamodules) if isinstance(value, GaussianMixture)}


def method(name: str) -> type[AdversarialModule]:
    """The method of that name, or a user's class ``package.module:Class``, also from the working directory."""
    if ":" not in name:
        known = methods()
        if name not in known:
            raise unknown("method", name, known)
        return known[name]
    path, _, attribute = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        value = getattr(importlib.import_module(path), attribute)
    except Exception as error:
        said = " ".join(str(error).split())
        raise UserError(f"cannot load --method {name}: {type(error).__name__}: {said}") from error
    if not (inspect.isclass(value) and issubclass(value, AdversarialModule)):
        raise UserError(f"--method {name} is no method: it must be a class derived from modules.base.AdversarialModule")
    return value


def dataset(name: str) -> GaussianMixture:
    known = datasets()
    if name not in known:
        raise unknown("data set", name, known)
    return known[name]
