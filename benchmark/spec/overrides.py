"""``--set method.FIELD=VALUE`` and ``--set protocol.FIELD=VALUE``, checked against the annotations of the fields."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

import jsonargparse

from benchmark.errors import UserError, unknown
from benchmark.spec.methods import Method
from benchmark.spec.protocol import Protocol, Setting
from modules.families import families

#: Names that a run is picked by, and what is fixed for now, are no fields to set.
_FIXED = {"profile", "reading"}
#: Fields for which 0 means something; all other numbers are greater.
_MAY_BE_ZERO = {"fresh_iterations", "inverted", "beta1", "beta2", "instance_noise"}
#: Larger values are slips that no machine has room or time for.
_MOST = {"width": 1_024, "world_size": 1_024}
_MOST_OF_ALL = 10**9


def protocol_fields() -> list[str]:
    """Names of the protocol's fields that ``--set`` can change."""
    return [f.name for f in dataclasses.fields(Protocol) if f.name not in _FIXED]


@dataclass(frozen=True)
class Settings:
    """Parsed values of ``--set``.

    Attributes:
        protocol: Fields of every run's protocol.
        method: Fields of methods, as text. Each applies to every chosen method that has a field of this name.
    """

    protocol: Mapping[str, Setting] = field(default_factory=dict)
    method: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def parse(assignments: Sequence[str], methods: Sequence[Method]) -> Settings:
        """Parse assignments and check them against the protocol and the chosen methods.

        Args:
            assignments: Texts such as ``protocol.lr=1e-4`` or ``method.gamma=0.5``.
            methods: The chosen methods.

        Raises:
            UserError: An assignment names no field, repeats one, or has a value that the field cannot take.
        """
        protocol: dict[str, Setting] = {}
        method: dict[str, str] = {}
        names = {name for m in methods for name in m.defaults}
        known = [f"protocol.{name}" for name in protocol_fields()] + [f"method.{name}" for name in names]
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            group, _, key = name.partition(".")
            if not equals or group not in ("method", "protocol"):
                raise UserError(f"--set {assignment}: write it as --set method.FIELD=VALUE or protocol.FIELD=VALUE")
            if name not in known:
                prefix = f"{group}."
                alike = [field for field in known if field.startswith(prefix)]
                raise unknown("field for the chosen methods, --set", name, alike or known, prefix)
            if key in (protocol if group == "protocol" else method):
                raise UserError(f"--set {name} is given twice; which of them is meant?")
            if group == "protocol":
                protocol[key] = _typed(Protocol, key, text)
            else:
                method[key] = text
        settings = Settings(protocol, method)
        for m in methods:
            settings.for_method(m)
        _check_protocol(protocol)
        return settings

    def for_method(self, method: Method) -> dict[str, Setting]:
        """The fields that this method has, with values converted to their types."""
        return {
            name: _typed(method.load(), name, text) for name, text in self.method.items() if name in method.defaults
        }

    def __str__(self) -> str:
        pairs = [("protocol", self.protocol), ("method", self.method)]
        return ", ".join(f"{group}.{name}={value}" for group, values in pairs for name, value in values.items())


def _typed(owner: type[Any], name: str, text: str) -> Setting:
    """Convert text to the type of a field.

    Raises:
        UserError: The text is no value of this type.
    """
    group = "protocol" if owner is Protocol else "method"
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    hint = get_type_hints(owner if owner is Protocol else owner.__init__).get(name, str)
    parser.add_argument(f"--{name}", type=hint)
    try:
        value = parser.parse_args([f"--{name}={text}"])[name]
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("not finite")
        if name.endswith("_updates") and value < 1:
            raise UserError(f"--set {group}.{name}={text}: must be at least 1")
        return value
    except (jsonargparse.ArgumentError, ValueError) as error:
        if get_origin(hint) is Literal:
            raise unknown(f"value for --set {group}.{name}:", text, map(str, get_args(hint))) from error
        kind = getattr(hint, "__name__", str(hint))
        raise UserError(f"--set {group}.{name}={text}: '{text}' is no {kind}") from error


def _check_protocol(fields: Mapping[str, Setting]) -> None:
    """Refuse values of the right type with which no training is possible.

    Raises:
        UserError: A value is out of bounds.
    """
    for name, value in fields.items():
        if name == "networks" and value not in (known := families()):
            raise unknown("networks", str(value), known)
        if name == "frames" and not re.fullmatch(r"([1-9]\d*(,[1-9]\d*)*)?", str(value)):
            raise UserError(f"--set protocol.{name}={value}: write epochs from 1 on with commas between, as in 1,10")
        if isinstance(value, (str, bool)):
            continue
        if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
            least = "0 or greater" if name in _MAY_BE_ZERO else "greater than 0"
            raise UserError(f"--set protocol.{name}={value}: must be {least}")
        if value > (most := _MOST.get(name, _MOST_OF_ALL)):
            raise UserError(f"--set protocol.{name}={value}: must be at most {most}")
        if name in ("beta1", "beta2") and value >= 1:
            raise UserError(f"--set protocol.{name}={value}: must be at least 0 and below 1")
