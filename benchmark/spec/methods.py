"""Descriptions of methods: name, version and fields, read without loading PyTorch.

The description of a method of ours is read off the syntax tree of its file, so that ``list`` and ``show`` need not
import PyTorch and Lightning. A class from outside is imported.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modules.base import AdversarialModule

#: The package of our own methods.
PACKAGE = "modules"


@dataclass(frozen=True, eq=False)
class Method:
    """What is known of a method without its code.

    Attributes:
        name: As on the command line: a short name, or ``package.module:Class`` of a class from outside.
        path: ``package.module:Class``.
        version: The version that the class states; 0 where it states none.
        defaults: Fields of the method (keyword-only parameters of its constructor) with their defaults.
        summary: First paragraph of its docstring.
    """

    name: str
    path: str
    version: int
    defaults: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""

    def load(self) -> type[AdversarialModule]:
        """The class itself. Imports PyTorch."""
        module, _, attribute = self.path.partition(":")
        found: type[AdversarialModule] = getattr(importlib.import_module(module), attribute)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Method) and (self.name, self.path) == (other.name, other.path)

    def __hash__(self) -> int:
        return hash((self.name, self.path))


def describe(name: str, found: type[AdversarialModule]) -> Method:
    """The description of a class that is loaded."""
    parameters = inspect.signature(found).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    text = inspect.cleandoc(found.__doc__ or "")
    path = f"{found.__module__}:{found.__qualname__}"
    return Method(name, path, int(vars(found).get("version", 0)), MappingProxyType(defaults), first_paragraph(text))


def first_paragraph(docstring: str) -> str:
    """A docstring's first paragraph on one line."""
    return " ".join(docstring.partition("\n\n")[0].split())


@cache
def house_methods() -> Mapping[str, Method]:
    """Every method of ours by name, in the order of their files."""
    classes = {f"{module}:{node.name}": (module, node) for module, tree in _trees().items() for node in _classes(tree)}
    found = {}
    for path, (_, node) in classes.items():
        name, version = _constant(node, "name"), _constant(node, "version")
        if name:
            text = ast.get_docstring(node) or ""
            defaults = MappingProxyType(_defaults(path, classes))
            found[name] = Method(name, path, int(version or 0), defaults, first_paragraph(text))
    return MappingProxyType(found)


@cache
def _trees() -> Mapping[str, ast.Module]:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None and spec.submodule_search_locations
    files = sorted(Path(next(iter(spec.submodule_search_locations))).glob("*.py"))
    return {f"{PACKAGE}.{file.stem}": ast.parse(file.read_text(encoding="utf-8")) for file in files}


def _classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.ClassDef)]


def _constant(node: ast.ClassDef, name: str) -> Any:
    """A class attribute that is written as a constant."""
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        value = getattr(statement, "value", None)
        if any(isinstance(t, ast.Name) and t.id == name for t in targets) and isinstance(value, ast.Constant):
            return value.value
    return None


def _defaults(path: str, classes: Mapping[str, tuple[str, ast.ClassDef]]) -> dict[str, Any]:
    """Keyword-only parameters of the constructor that a class has or inherits from another of ours."""
    module, node = classes[path]
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            arguments = statement.args
            pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            return {argument.arg: ast.literal_eval(default) for argument, default in pairs if default is not None}
    for base in node.bases:
        origin = _origin(module, base.id) if isinstance(base, ast.Name) else ""
        if origin in classes:
            return _defaults(origin, classes)
    return {}


def _origin(module: str, name: str) -> str:
    """``package.module:Name`` of a name that a module of ours uses."""
    for statement in _trees()[module].body:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return f"{statement.module}:{alias.name}"
    return f"{module}:{name}"
