"""Methods, data sets and measures by name.

Built-in ones are found in their folders. Those of users are named ``package.module:NAME`` or come from entry points of
installed packages.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

import datamodules
from benchmark.errors import UserError, unknown
from benchmark.spec.methods import Method, describe, house_methods
from benchmark.spec.user_code import load, short_name
from datamodules.images import ImageSet, read_images
from datamodules.mixture import GaussianMixture
from evaluators.margins import MARGINS, Margin, stated_margin

if TYPE_CHECKING:
    from modules.base import AdversarialModule

#: What samples can stand for.
DataSet = GaussianMixture | ImageSet
#: A measure that is not the house's: of samples ``[n, ...]`` in original units, or uint8 images ``[n, C, H, W]``, and
#: of the data set that they stand for.
Measure = Callable[[np.ndarray, Any], float]
#: Sets of photographs of people: their images, real or made, are not ours to show, and in no repository.
PEOPLE = frozenset({"celeba"})
#: What the name of a data set begins with that is any folder of images.
FOLDER = "folder:"
#: What can come from elsewhere.
Kind = Literal["methods", "datasets", "measures", "papers"]
_KINDS: dict[Kind, str] = {"methods": "method", "datasets": "data set", "measures": "measure"}


def shows_people(dataset: DataSet) -> bool:
    """Whether images of this data set must stay on the machine that made them."""
    return isinstance(dataset, ImageSet) and dataset.base in PEOPLE


def values_in(package: ModuleType) -> Iterator[Any]:
    """All top-level values in the modules of a package. A new file is found without being registered anywhere."""
    for info in pkgutil.iter_modules(package.__path__):
        yield from vars(importlib.import_module(f"{package.__name__}.{info.name}")).values()


@cache
def methods() -> Mapping[str, type[AdversarialModule]]:
    """Every built-in method by name. The result is cached, because a report calls this thousands of times."""
    return MappingProxyType({name: found.load() for name, found in house_methods().items()})


@cache
def datasets() -> Mapping[str, DataSet]:
    """Every built-in data set by name."""
    found = [value for value in values_in(datamodules) if isinstance(value, (GaussianMixture, ImageSet))]
    return MappingProxyType({value.name: value for value in found})


def installed(kind: Kind) -> dict[str, str]:
    """Objects that installed packages offer in the entry-point group ``modecov.KIND``.

    Returns:
        Their ``package.module:NAME`` by name. Built-in names take precedence.
    """
    return dict(_entry_points(kind, Path.cwd(), tuple(sys.path)))


@cache
def _entry_points(kind: Kind, here: Path, path: tuple[str, ...]) -> Mapping[str, str]:
    """The same of the packages on ``path``: to look into all takes a while, and a table asks for every entry."""
    return {point.name: point.value for point in sorted(entry_points(group=f"modecov.{kind}"))}


def full_name(kind: Kind, name: str) -> str:
    """The name that ids and records use, so that one object has one id however the user named it.

    Names of installed packages become ``package.module:NAME``, and names with a path become ``file.py:NAME``. Other
    names stay as they are.
    """
    if ":" in name:
        return name if name.startswith(FOLDER) else short_name(name)
    return name if name in _house(kind) else installed(kind).get(name, name)


def is_from_outside(kind: Kind, name: str) -> bool:
    """Whether a name is not built in: ``package.module:NAME``, ``path/to/file.py:NAME``, or of an installed package."""
    return ":" in name or (name not in _house(kind) and name in installed(kind))


def method(name: str) -> type[AdversarialModule]:
    """The method of that name: built-in, installed, or a user's class ``package.module:Class``.

    Raises:
        UserError: There is no such method, or it is no subclass of ``AdversarialModule``.
    """
    from modules.base import AdversarialModule

    value = _find("methods", name)
    if isinstance(value, Method):
        return _loaded(value)
    if not (inspect.isclass(value) and issubclass(value, AdversarialModule)):
        raise UserError(f"--method {name} is no method: it must be a class derived from modules.base.AdversarialModule")
    return value


@cache
def _loaded(method: Method) -> type[AdversarialModule]:
    return method.load()


def describe_method(name: str) -> Method:
    """The description of a method. One of ours is described without importing PyTorch.

    Raises:
        UserError: There is no such method, or it cannot be loaded.
    """
    value = _find("methods", name)
    return value if isinstance(value, Method) else describe(name, method(name))


def user_measure(name: str) -> Measure:
    """A user's measure: ``package.module:function``, or installed.

    Raises:
        UserError: There is no such measure, or it cannot be called.
    """
    value = _find("measures", name)
    if not callable(value):
        raise UserError(f"--measure {name} is no measure: it must be a function of samples and their data set")
    return value


def margin_of_measure(name: str) -> Margin | None:
    """What a difference of a measure is worth, of the house or from outside; None where it states nothing.

    Raises:
        UserError: The measure is from outside, and is not there or may not be loaded.
    """
    return stated_margin(user_measure(name)) if is_user_measure(name) else MARGINS.get(name)


def is_user_measure(name: str) -> bool:
    """Whether a column's measure is from outside: columns name those in full, as ``package.module:function``."""
    return ":" in name


def _house(kind: Kind) -> Mapping[str, Any]:
    """The built-in objects of a kind. Built-in measures have no names here because they belong to data sets."""
    return {} if kind == "measures" else house_methods() if kind == "methods" else datasets()


def _find(kind: Kind, name: str) -> Any:
    house = _house(kind)
    if name in house:
        return house[name]
    # Last, as it looks into every installed package: tables ask for names of the house a thousand times.
    others = {} if ":" in name else installed(kind)
    if ":" not in name and name not in others:
        if kind == "measures" and not others:
            raise UserError(f"unknown measure '{name}'; name a function of yours as package.module:function")
        near = unknown(_KINDS[kind], name, [*house, *others])
        raise UserError(f"{near}; one of yours is package.module:NAME")
    name = others.get(name, name)
    trusted = ":" in name and name in installed(kind).values()
    return load(f"--{_KINDS[kind].replace(' ', '')}", name, trusted)


def mixture(name: str) -> GaussianMixture:
    """The mixture of that name.

    Raises:
        UserError: There is no such data set, or it is no mixture.
    """
    found = dataset(name)
    if not isinstance(found, GaussianMixture):
        mixtures = [key for key, value in datasets().items() if isinstance(value, GaussianMixture)]
        raise unknown("mixture", name, mixtures)
    return found


def dataset(name: str) -> DataSet:
    """The data set of that name: built-in, installed, ``package.module:NAME``, or an image folder ``folder:PATH``.

    Raises:
        UserError: There is no such data set.
        MissingData: The folder of images cannot be read.
    """
    if name.startswith(FOLDER):
        channels, height, width = read_images(name, "train")[0].shape[1:]
        return ImageSet(name, name, (channels, height, width), "a folder of images", "images")
    value = _find("datasets", name)
    if not isinstance(value, get_args(DataSet)):
        kinds = "datamodules.mixture.GaussianMixture or datamodules.images.ImageSet"
        raise UserError(f"--dataset {name} is no data set: it must be a {kinds}")
    return value
