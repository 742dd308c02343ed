"""Records: one immutable JSON file per run or experiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from typing import Protocol as Structure

Status = Literal["done", "diverged", "failed"]


class Subject(Structure):
    """What a record is of: a run of a table, or the experiment of a demonstration."""

    @property
    def id(self) -> str:
        """Hash of ``identity()``."""

    @property
    def place(self) -> str:
        """Folder of the record under ``records/``."""

    def identity(self) -> dict[str, Any]:
        """All that the numbers depend on besides code and hardware."""


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True)
class Record:
    """What one run or one experiment gave.

    run: the ``identity()`` of the subject.
    status: ``done``; ``diverged`` with the iteration of the first loss that was not finite; ``failed`` with a reason.
    measures: final value of every measure, None where it has none.
    curves: one list per name. Of a run an entry per epoch: measures, ``loss.NAME`` for each update, and ``trace.NAME``
        for what else a method keeps of its training; these two are means over the epoch. Of an experiment as its
        demonstration says, nested where it has several axes.
    cost: seconds of the block and this run's share of them, milliseconds per iteration and seed, iterations, and the
        peak memory of the process so far, earlier blocks included.
    environment: commit, versions, processor, device, threads.
    versions: of the method, the data set, the measures, the networks and the training loop that it was made with, or of
        the demonstration (``benchmark.spec.versions``). 0 stands for one that states no version.
    samples: SHA-256 of the sample file, None where there is none.
    frames: SHA-256 of the file of samples along the training, None where there is none.
    weights: SHA-256 of the file of weights that samples are made with, None where there is none.
    """

    id: str
    run: dict[str, Any]
    status: Status
    versions: dict[str, int]
    measures: dict[str, float | None] = field(default_factory=dict)
    curves: dict[str, list[Any]] = field(default_factory=dict)
    diverged_at: int | None = None
    reason: str | None = None
    cost: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    samples: str | None = None
    frames: str | None = None
    weights: str | None = None
