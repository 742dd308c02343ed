"""Runs: descriptions of one trained model each."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from benchmark.spec import registry
from benchmark.spec.protocol import Protocol, Setting
from benchmark.spec.registry import DataSet
from datamodules.mixture import GaussianMixture
from modules.families import families


def _as_name(text: str) -> str:
    """Turn the name of a data set or method into a folder name that cannot lead out of the results folder."""
    return text.replace(":", ".").replace("/", "_").lstrip(".") or "_"


def as_dict(value: Any) -> dict[str, Any]:
    """Fields of a dataclass that differ from their defaults. A field added later therefore does not change old ids."""
    pairs = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
    return {f.name: content for f, content in pairs if content != f.default}


@dataclass(frozen=True)
class Run:
    """One model to train, with one record of results.

    Attributes:
        dataset: Name of the data set.
        method: Name of the method, or ``package.module:Class``.
        protocol: The protocol.
        seed: The seed.
        overrides: Fields of the method that differ from their defaults, sorted by name.
    """

    dataset: str
    method: str
    protocol: Protocol
    seed: int
    overrides: tuple[tuple[str, Setting], ...] = ()

    def identity(self) -> dict[str, Any]:
        """The content that the id is a hash of. It contains no paths and no hardware."""
        return {
            "dataset": self.dataset,
            "method": self.method,
            "overrides": dict(self.overrides),
            "protocol": as_dict(self.protocol),
            "seed": self.seed,
        }

    @property
    def id(self) -> str:
        """Hash of ``identity()``."""
        return digest(self.identity())

    @property
    def place(self) -> str:
        """Folder of the record under ``records/``."""
        return f"{_as_name(self.dataset)}/{_as_name(self.method)}"

    @staticmethod
    def of(identity: Mapping[str, Any]) -> Run:
        """The run with this ``identity()``, which may come from an untrusted file.

        Raises:
            ValueError: A field is missing, unknown, of another type or out of bounds.
        """
        # Called only for its errors. The values are not converted, because 1 and 1.0 give different ids.
        msgspec.convert(identity, _Identity)
        if any(math.isinf(value) for value in identity["overrides"].values() if isinstance(value, float)):
            raise ValueError("a field of the method is infinite")
        protocol = Protocol(**identity["protocol"])
        for name in ("epochs", "width", "batch_size", "samples", "latent_dim", "world_size", "evaluate_every"):
            if getattr(protocol, name) < 1:
                raise ValueError(f"protocol.{name} is below 1")
        if protocol.networks not in families():
            raise ValueError(f"there are no networks {protocol.networks[:40]!r} in this version")
        if not re.fullmatch(r"([0-9]{1,9}(,[0-9]{1,9})*)?", protocol.frames):
            raise ValueError("protocol.frames names no epochs")
        overrides = tuple(sorted(identity["overrides"].items()))
        return Run(identity["dataset"], identity["method"], protocol, identity["seed"], overrides)


#: A name without control characters, which can be printed on one line.
_Name = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,1000}$")]


class _Identity(msgspec.Struct, forbid_unknown_fields=True):
    """The types of the entries of ``Run.identity()``."""

    dataset: _Name
    method: _Name
    overrides: dict[_Name, bool | int | float | _Name]
    protocol: Protocol
    # The same range as on the command line.
    seed: Annotated[int, msgspec.Meta(ge=0, le=999_999)]


def digest(value: Any) -> str:
    """The first sixteen hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def dataset_of_run(run: Run) -> DataSet:
    """A run's data set, as modified by its protocol."""
    return dataset_for_protocol(registry.dataset(run.dataset), run.protocol)


def dataset_for_protocol(dataset: DataSet, protocol: Protocol) -> DataSet:
    """A data set as modified by a protocol: the noise of a mixture may lie in a random subspace."""
    if isinstance(dataset, GaussianMixture) and dataset.noisy and protocol.embedding == "projected":
        return dataclasses.replace(dataset, projected=True)
    return dataset
