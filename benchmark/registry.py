"""What exists, by name: methods and data sets, found by looking into their folders."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

import datamodules
import modules
from benchmark.errors import UserError, unknown
from datamodules.mixture import GaussianMixture
from modules.base import AdversarialModule


def methods() -> dict[str, type[AdversarialModule]]:
    """Every method in ``modules``, by the name it gives itself."""
    found = {}
    for info in pkgutil.iter_modules(modules.__path__):
        module = importlib.import_module(f"modules.{info.name}")
        for value in vars(module).values():
            if inspect.isclass(value) and issubclass(value, AdversarialModule) and value.name:
                found[value.name] = value
    return found


def datasets() -> dict[str, GaussianMixture]:
    """Every mixture in ``datamodules``, by name."""
    found = {}
    for info in pkgutil.iter_modules(datamodules.__path__):
        module = importlib.import_module(f"datamodules.{info.name}")
        found.update({v.name: v for v in vars(module).values() if isinstance(v, GaussianMixture)})
    return found


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
