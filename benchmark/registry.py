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
from datamodules.images import ImageSet, read_images
from datamodules.mixture import GaussianMixture
from modules.base import AdversarialModule

#: What samples can stand for.
Target = GaussianMixture | ImageSet


def values_in(package: ModuleType) -> Iterator[Any]:
    """Everything that the files of a package have at their top level: adding a file is all it takes to be found."""
    for info in pkgutil.iter_modules(package.__path__):
        yield from vars(importlib.import_module(f"{package.__name__}.{info.name}")).values()


def methods() -> dict[str, type[AdversarialModule]]:
    """Every method in ``modules``, by the name it gives itself."""
    classes = [v for v in values_in(modules) if inspect.isclass(v) and issubclass(v, AdversarialModule)]
    return {found.name: found for found in classes if found.name}


def datasets() -> dict[str, Target]:
    """Every data set in ``datamodules``, by name."""
    return {value.name: value for value in values_in(datamodules) if isinstance(value, (GaussianMixture, ImageSet))}


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


def mixture(name: str) -> GaussianMixture:
    """The mixture of that name, for what makes sense of mixtures only."""
    found = dataset(name)
    if not isinstance(found, GaussianMixture):
        mixtures = [key for key, value in datasets().items() if isinstance(value, GaussianMixture)]
        raise unknown("mixture", name, mixtures)
    return found


def dataset(name: str) -> Target:
    """The data set of that name, or any folder of images as ``folder:PATH``."""
    if name.startswith("folder:"):
        channels, height, width = read_images(name, "train")[0].shape[1:]
        return ImageSet(name, name, (channels, height, width), "a folder of images", "images")
    known = datasets()
    if name not in known:
        raise unknown("data set", name, known)
    return known[name]
