"""Records: one immutable JSON file per run or experiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from typing import Protocol as Structure

Status = Literal["done", "diverged", "failed"]


class Subject(Structure):
    """The subject of a record: a run of a table, or the experiment of a demonstration."""

    @property
    def id(self) -> str:
        """Hash of ``identity()``."""

    @property
    def place(self) -> str:
        """Folder of the record under ``records/``."""

    def identity(self) -> dict[str, Any]:
        """Everything that the numbers depend on besides code and hardware."""


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True)
class Record:
    """Results of one run or experiment.

    Attributes:
        id: Hash of ``run``.
        run: ``identity()`` of the subject.
        status: ``done``; ``diverged``: a loss was not finite; ``failed``: an error occurred.
        versions: Versions of method, data set, measures, networks and training loop, or of the demonstration
            (``benchmark.training.versions``). 0 stands for an object without a version.
        measures: Final value of every measure, None for missing ones.
        curves: Lists of numbers by name. For a run they have one value per epoch: measures, ``loss.NAME`` for each
            update, and ``trace.NAME`` for other quantities that a method logs. Losses and traces are means over the
            epoch. For an experiment the demonstration defines them; lists with several axes are nested.
        diverged_at: Iteration of the first loss that was not finite; None unless the run diverged.
        reason: Error message of a failed run.
        cost: Seconds of the block and this run's share of them, milliseconds per iteration and seed, iterations, and
            the peak memory of the process so far, earlier blocks included.
        environment: Commit, versions of libraries, processor, device, threads.
        samples: SHA-256 of the file of final samples; None without one.
        frames: SHA-256 of the file of samples during the training; None without one.
        weights: SHA-256 of the file of weights for sampling; None without one.
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
