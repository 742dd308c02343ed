"""Protocols, runs and blocks: what is trained, before anything is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import torch

from modules.base import Training
from modules.convolutions import families

Setting = bool | int | float | str
#: What tells one version of a record's file from the next: nanoseconds and inode.
Stamp = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Protocol(Training):
    """Everything a number depends on besides data, method and seed; the fields of ``Training`` included.

    profile, reading: the names it was picked by: how much is trained, and which of the paper's readings.
    epochs: passes through the training data, one evaluation after each.
    fresh_iterations: iterations of an epoch on new points of a mixture, 0 for a pass through its fixed training set.
    embedding: noise of a mixture that fills a subspace: in its first coordinates (``padded``) or in a random subspace
        (``projected``).
    width: seeds trained side by side. Kernels depend on it, so that it belongs to the protocol; short blocks are
        padded.
    precision: as Lightning's trainer names it.
    world_size: devices that share every batch of a block; sums in another order differ in their last bits.
    channels_last, compile: of convolutional networks, as PyTorch names them: other kernels, other last bits.
    samples: samples per evaluation.
    real_samples: test images that they are compared with, where images are compared; all if there are fewer.
    evaluate_every: epochs between evaluations; the last epoch is always followed by one.
    features: network whose features compare images (a name in ``EXTRACTORS``), or none where only the generator is
        judged.
    inverted: test images that the final generator is inverted for (IvOM), 0 for none.
    frames: epochs after which samples are kept for pictures, as in ``1,10``; if empty, of points twenty along the
        training and of images none.
    mode_radius, mode_min_points: a sample registers within this radius (original units) of a mode, a mode with at
        least so many of 2,000 samples.
    """

    profile: str = "paper"
    reading: str = "corrected"
    epochs: int = 1
    fresh_iterations: int = 0
    embedding: Literal["padded", "projected"] = "padded"
    width: int = 8
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    world_size: int = 1
    channels_last: bool = False
    compile: bool = False
    samples: int = 2_000
    evaluate_every: int = 1
    real_samples: int = 10_000
    features: Literal["inception", "efficientnet-lite0", "none"] = "inception"
    inverted: int = 0
    frames: str = ""
    mode_radius: float = 0.1 * math.sqrt(2)
    mode_min_points: int = 20

    @property
    def named_frames(self) -> list[int]:
        """The epochs in ``frames`` that this training has."""
        return [epoch for epoch in map(int, filter(None, self.frames.split(","))) if epoch <= self.epochs]


# Checkpoints hold one, and are loaded without running what is in them.
torch.serialization.add_safe_globals([Protocol])


def _as_name(text: str) -> str:
    """A name of a data set or a method as the name of a folder, which cannot be a way out of the results."""
    return text.replace(":", ".").replace("/", "_").lstrip(".") or "_"


def as_dict(value: Any) -> dict[str, Any]:
    """Fields of a dataclass that differ from their defaults, so that a field added later leaves old ids alone."""
    pairs = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
    return {f.name: content for f, content in pairs if content != f.default}


@dataclass(frozen=True)
class Run:
    """One model to train: one row of raw results.

    method: a method's name, or ``package.module:Class``.
    overrides: fields of the method that differ from its defaults, sorted by name.
    """

    dataset: str
    method: str
    protocol: Protocol
    seed: int
    overrides: tuple[tuple[str, Setting], ...] = ()

    def identity(self) -> dict[str, Any]:
        """What the id is a hash of: no path, no hardware."""
        return {
            "dataset": self.dataset,
            "method": self.method,
            "overrides": dict(self.overrides),
            "protocol": as_dict(self.protocol),
            "seed": self.seed,
        }

    @property
    def id(self) -> str:
        return digest(self.identity())

    @property
    def place(self) -> str:
        """Folder of its record."""
        return f"{_as_name(self.dataset)}/{_as_name(self.method)}"

    @staticmethod
    def of(identity: Mapping[str, Any]) -> Run:
        """The run of that ``identity()``, which may come from anybody's file.

        Raises:
            ValueError: A field is missing, unknown, of another type or out of bounds.
        """
        # For its errors alone: the values stay as they are written, as 1 and 1.0 have different ids.
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


#: A name that can be printed on one line.
_Name = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,1000}$")]


class _Identity(msgspec.Struct, forbid_unknown_fields=True):
    """The types that ``Run.identity()`` has."""

    dataset: _Name
    method: _Name
    overrides: dict[_Name, bool | int | float | _Name]
    protocol: Protocol
    # As many as the command line takes.
    seed: Annotated[int, msgspec.Meta(ge=0, le=999_999)]


@dataclass(frozen=True)
class Block:
    """Runs that differ only in seed and are trained as one batch of models, ``run.protocol.width`` of them.

    A seed's slot is its remainder by the width, as kernels may treat slots differently in the last bit (they do where
    the width is no power of two).
    pending: the runs that are to be trained; their siblings in the block are done.
    before: stamps of the records of ``pending`` when that was decided, None where there was none. A record that has
        another one since is somebody else's work, and done.
    """

    runs: tuple[Run, ...]
    pending: tuple[Run, ...] = ()
    before: tuple[Stamp | None, ...] = field(default=(), compare=False)

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def label(self) -> str:
        """Method and overrides, for people."""
        return " ".join([self.first.method, *(f"{name}={value}" for name, value in self.first.overrides)])

    @property
    def id(self) -> str:
        return digest([run.identity() for run in self.pending])

    @property
    def place(self) -> str:
        """The same for all who train any of these seeds, whichever of them are pending: what is claimed."""
        run = self.first
        return digest([dataclasses.replace(run, seed=0).identity(), run.seed // run.protocol.width])

    @property
    def slots(self) -> dict[int, Run]:
        """The pending runs by the slot that each is trained in."""
        return {run.seed % run.protocol.width: run for run in self.pending}

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of all slots; those without a pending run repeat one that has."""
        slots, width = self.slots, self.first.protocol.width
        return tuple(slots.get(slot, self.pending[0]).seed for slot in range(width))


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_blocks(runs: Sequence[Run]) -> list[Block]:
    """Blocks of the runs that differ only in seed, as many seeds as the protocol's width: 0-7, 8-15 and so on.

    The block and the slot of a seed depend on nothing else, whatever seeds are asked for beside it.
    """
    families: dict[str, dict[int, list[Run]]] = {}
    for run in dict.fromkeys(runs):
        family = families.setdefault(dataclasses.replace(run, seed=0).id, {})
        family.setdefault(run.seed // run.protocol.width, []).append(run)
    groups = [group for family in families.values() for group in family.values()]
    return [Block(tuple(sorted(group, key=lambda run: run.seed))) for group in groups]


@dataclass(frozen=True)
class Shard:
    """One of ``count`` parts of a table's blocks, ``index`` from 1: every ``count``-th block, so that the rows of a
    table, which cost very differently, are spread over the parts."""

    index: int = 1
    count: int = 1

    def of(self, blocks: Sequence[Block]) -> list[Block]:
        """This part of the blocks of ``make_blocks``; what is done must not be left out before."""
        return list(blocks[self.index - 1 :: self.count])


def drop_finished(blocks: Iterable[Block], done: Iterable[str]) -> list[Block]:
    """Blocks with something left to train once the runs with ids ``done`` are taken out."""
    finished = set(done)
    left = [Block(b.runs, tuple(c for c in b.runs if c.id not in finished)) for b in blocks]
    return [block for block in left if block.pending]
