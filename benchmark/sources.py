"""The hash of the source code that a number depends on.

Starting from a method, its data and its evaluation, every definition that is used is followed through the house.
Comments, docstrings, annotations' definitions, layout and the version of Python do not count, and neither does what
stands beside in a file: a new loss or a new network makes no old record stale.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.cells import digest
from benchmark.evaluation import MEASURES, SAMPLERS, evaluation_generators, measure_generator
from benchmark.registry import Target
from datamodules.images import ImageDataModule, ImageSet
from datamodules.mixture import GaussianMixture, MixtureDataModule
from evaluators.digits import weights_hash
from modules.base import AdversarialModule, Training
from modules.convolutions import find_family

#: Packages whose definitions are followed; the versions of libraries are in a record's environment.
_HOUSE = frozenset({"modules", "datamodules", "evaluators"})
#: Collections of data to choose from: what was chosen counts, not what else there is.
_REGISTRIES = frozenset({"NETWORKS", "CONVOLUTIONS", "MEASURES", "SAMPLERS"})

Shape = list[Any] | str


class _Module(NamedTuple):
    """Top-level definitions by name, and where imported names come from (no name: a whole module)."""

    definitions: dict[str, ast.stmt]
    imports: dict[str, list[tuple[str, str | None]]]


#: What feeds a kind of data to a method.
_DATA_MODULES: dict[type, type] = {GaussianMixture: MixtureDataModule, ImageSet: ImageDataModule}


def sources_of(method: type[AdversarialModule], target: Target, networks: str) -> str:
    """Hash of the code of a method, of its networks, of its data and of how it is evaluated, the weights of the
    classifier of digits included where it judges."""
    found: dict[str, Shape] = {}
    house = _HOUSE | {method.__module__.partition(".")[0]}
    for root in roots(method, target, networks):
        _follow(root.__module__, root.__name__, house, found)
    found |= _facts(target)
    found["networks"] = repr(dataclasses.replace(find_family(networks), source=""))
    return digest(found)


def sources_of_function(function: Callable[..., Any]) -> str:
    """Hash of the code of a function, what it uses of ``benchmark`` included."""
    found: dict[str, Shape] = {}
    _follow(function.__module__, function.__name__, _HOUSE | {"benchmark"}, found)
    return digest(found)


def sources_of_measures(target: Target, *others: Callable[..., Any]) -> str:
    """Hash of the code that samples of a data set are measured with, and of ``others`` and what they use."""
    found: dict[str, Shape] = {}
    for root in (MEASURES[target.measures], type(target), *others):
        _follow(root.__module__, root.__name__, _HOUSE, found)
    found |= _facts(target)
    return digest(found)


def _facts(target: Target) -> dict[str, Shape]:
    """What is not code: the data's own description, and the weights of the classifier that judges digits."""
    facts: dict[str, Shape] = {"data": repr(dataclasses.replace(target, source=""))}
    return facts | ({"classifier": weights_hash()} if target.measures == "digits" else {})


def roots(method: type[AdversarialModule], target: Target, networks: str) -> list[Any]:
    """The definitions from which everything else is reached."""
    data, family = _DATA_MODULES[type(target)], type(find_family(networks))
    judges = [measure_generator] if isinstance(target, ImageSet) else []
    drawn, measured = SAMPLERS[type(target)], MEASURES[target.measures]
    return [method, Training, family, type(target), data, evaluation_generators, drawn, measured, *judges]


def _follow(module: str, name: str | None, house: frozenset[str], found: dict[str, Shape]) -> None:
    definitions, imports = _read(module, house)
    if name is None:
        for each in definitions:
            _follow(module, each, house, found)
        return
    key = f"{module}:{name}"
    if key in found or name in _REGISTRIES:
        return
    if name not in definitions:
        for package, origin in imports.get(name, ()):
            if package.partition(".")[0] in house:
                _follow(package, origin, house, found)
        return
    found[key], names = _take_apart(module, name, house)
    for used in names:
        _follow(module, used, house, found)


# Kept, as every record of a table asks for the same few hundred definitions.
@cache
def _take_apart(module: str, name: str, house: frozenset[str]) -> tuple[Shape, tuple[str, ...]]:
    """The shape of a definition, and the names that it uses."""
    statement = _read(module, house).definitions[name]
    return _shape(statement), tuple(sorted({node.id for node in _run(statement) if isinstance(node, ast.Name)}))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """What of a syntax tree can run. Annotations cannot: they name, say, every kind of network a method may have."""
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, ast.AST):
                    yield from _run(part)


@cache
def _read(module: str, house: frozenset[str]) -> _Module:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return _Module({}, {})
    definitions: dict[str, ast.stmt] = {}
    imports: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            definitions[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
            definitions.update(dict.fromkeys(names, node))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                imports[alias.asname or alias.name.partition(".")[0]].append((alias.name, None))
        elif isinstance(node, ast.ImportFrom):
            package = importlib.util.resolve_name("." * node.level + (node.module or ""), spec.parent)
            for alias in node.names:
                imports[alias.asname or alias.name].append(_origin(package, alias.name, house))
    return _Module(definitions, dict(imports))


def _origin(package: str, name: str, house: frozenset[str]) -> tuple[str, str | None]:
    """``from package import name`` names a definition, or a module of its own."""
    if package.partition(".")[0] in house:
        spec = importlib.util.find_spec(package)
        if spec and spec.submodule_search_locations and importlib.util.find_spec(f"{package}.{name}"):
            return f"{package}.{name}", None
    return package, name


def _shape(node: Any) -> Shape:
    """A syntax tree as nested lists, without what does not change what the code does."""
    if isinstance(node, list):
        return [_shape(item) for item in node if not _is_text(item)]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
    return [type(node).__name__, *([name, _shape(value)] for name, value in fields if name not in ("ctx", "kind"))]


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
