"""Records: one immutable JSON file per cell or experiment, with the samples of a trained model beside it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from benchmark.cells import Cell, digest
from benchmark.errors import UserError

FORMAT = 1
Status = Literal["done", "diverged", "failed"]


class Subject(Protocol):
    """What a record is of: a cell of a table, or the experiment of a demonstration."""

    @property
    def id(self) -> str:
        """Hash of ``identity()``."""

    @property
    def place(self) -> str:
        """Folder of the record under ``records/``."""

    def identity(self) -> dict[str, Any]:
        """All that the numbers depend on besides code and hardware."""


@dataclass(frozen=True)
class Record:
    """What one cell or one experiment gave.

    cell: the ``identity()`` of the subject.
    status: ``done``; ``diverged`` with the iteration of the first loss that was not finite; ``failed`` with a reason.
    measures: final value of every measure, None where it has none.
    curves: one list per name. Of a cell an entry per epoch: measures, and ``loss.NAME`` for each update. Of an
        experiment as its demonstration says, nested where it has several axes.
    cost: seconds of the block and this cell's share of them, milliseconds per iteration and seed, iterations, and the
        peak memory of the process so far, earlier blocks included.
    environment: commit, versions, processor, device, threads.
    sources: hash of the code that the numbers depend on.
    samples: SHA-256 of the sample file, None where there is none.
    frames: SHA-256 of the file of samples along the training, None where there is none.
    renewed: earlier hashes of sources that ``verify`` found to give the same numbers, with the epochs it trained and
        the commit it ran at.
    """

    id: str
    cell: dict[str, Any]
    status: Status
    sources: str
    measures: dict[str, float | None] = field(default_factory=dict)
    curves: dict[str, list[Any]] = field(default_factory=dict)
    diverged_at: int | None = None
    reason: str | None = None
    cost: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    samples: str | None = None
    frames: str | None = None
    renewed: list[dict[str, Any]] = field(default_factory=list)


class Store:
    """A results folder. ``records/DATASET/METHOD/ID.json`` of a cell, its samples ``ID.npy`` and its samples along the
    training ``ID.frames.npy``; ``records/DEMONSTRATION/ID.json``; ``unfinished/`` holds checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, subject: Subject) -> Path:
        return self.folder / "records" / subject.place / f"{subject.id}.json"

    def read(self, subject: Subject) -> Record | None:
        """The subject's record, or None. Raises ``UserError`` for one that was cut short or edited."""
        path = self.path(subject)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {path}: {error}") from error
        try:
            content = json.loads(text)
            checksum = content.pop("checksum")
            version = content.pop("format")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise _damaged(path, "cut short or no record") from error
        if version != FORMAT:
            raise UserError(f"{path} has record format {version}, this version reads {FORMAT}; use another --results")
        try:
            unchanged = checksum == digest(content) and content["id"] == subject.id
            record = Record(**content)
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(path, "no record of this version") from error
        if not unchanged:
            raise _damaged(path, "edited after it was written")
        return record

    def find(self, name: str) -> Cell:
        """The stored cell whose id begins so. Raises ``UserError`` where none or several do."""
        found = [path for path in sorted(self.folder.glob("records/*/*/*.json")) if path.stem.startswith(name)]
        if len(found) != 1 or not name:
            said = f"{len(found)} cells whose id begins with" if found else "no cell"
            raise UserError(f"{self.folder} has {said} '{name}'; ids are the names of the files under records/")
        try:
            return Cell.of(json.loads(found[0].read_text(encoding="utf-8"))["cell"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(found[0], "cut short or no record") from error

    def samples(self, cell: Cell, record: Record) -> np.ndarray:
        """The final samples, ``[n, d]`` float32 in original units; ``UserError`` if they are not the record's."""
        return np.load(self._content(cell, ".npy", record.samples), allow_pickle=False)

    def frames(self, cell: Cell, record: Record) -> np.ndarray | None:
        """Samples along the training, ``[frames, n, d]`` float32; None where the record has none."""
        if record.frames is None:
            return None
        return np.load(self._content(cell, ".frames.npy", record.frames), allow_pickle=False).astype(np.float32)

    def _content(self, cell: Cell, suffix: str, sha256: str | None) -> io.BytesIO:
        path = self.path(cell).with_suffix(suffix)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(
                f"the samples of a record are missing: {path}; delete {path.with_suffix('.json')} and run again"
            ) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise _damaged(path, "not the samples that the record names", path.with_suffix(".json"))
        return io.BytesIO(content)

    def write(
        self,
        subject: Subject,
        record: Record,
        samples: np.ndarray | None = None,
        frames: np.ndarray | None = None,
    ) -> None:
        """Write samples, then the record; each appears whole or not at all."""
        path = self.path(subject)
        content = asdict(record)
        if samples is not None and samples.dtype != np.uint8:
            samples = samples.astype(np.float32)
        frames = None if frames is None else frames.astype(np.float16)
        for key, suffix, array in (("samples", ".npy", samples), ("frames", ".frames.npy", frames)):
            if array is not None:
                buffer = io.BytesIO()
                np.save(buffer, array, allow_pickle=False)
                content[key] = hashlib.sha256(buffer.getvalue()).hexdigest()
                write_atomically(path.with_suffix(suffix), buffer.getvalue())
        self._write_json(path, content)

    def replace(self, cell: Cell, record: Record) -> None:
        """Write a record anew beside the samples that it has."""
        self._write_json(self.path(cell), asdict(record))

    def _write_json(self, path: Path, content: dict[str, Any]) -> None:
        text = json.dumps({"format": FORMAT, "checksum": digest(content)} | content, indent=1, allow_nan=False)
        write_atomically(path, (_one_line_per_list(text) + "\n").encode())

    def remember(self, kind: str, key: list[Any], make: Callable[[], Any]) -> Any:
        """What ``make`` gives, as JSON has it, kept in the file ``KIND/ID.json`` for when ``key`` is asked for again.
        A file that cannot be read is made anew."""
        path = self.folder / kind / f"{digest(key)}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["key"] == key:
                return content["value"]
        value = make()
        text = json.dumps({"key": key, "value": value}, indent=1, allow_nan=False)
        write_atomically(path, (_one_line_per_list(text) + "\n").encode())
        return value

    def checkpoint(self, block_id: str) -> Path:
        """Where an unfinished block keeps its checkpoint."""
        return self.folder / "unfinished" / f"{block_id}.ckpt"

    def prepare(self) -> None:
        """Make the folder, and find out now rather than after an hour whether it can be written."""
        unfinished = self.folder / "unfinished"
        with writing(unfinished):
            unfinished.mkdir(parents=True, exist_ok=True)
            write_atomically(unfinished / ".gitignore", b"*\n")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says about a write into one line for the user."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {path}: {reason}; free or choose another folder with --results DIR") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to disk and rename it."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


def _damaged(path: Path, what: str, delete: Path | None = None) -> UserError:
    return UserError(f"{path} is damaged ({what}); delete {delete or path} and run again to make it anew")


def _one_line_per_list(text: str) -> str:
    """Put lists of numbers on one line each, so that records can be read and compared line by line."""
    lines: list[str] = []
    inside = False
    for line in text.split("\n"):
        if inside:
            lines[-1] += line.strip()
            inside = not line.strip().startswith("]")
        else:
            lines.append(line)
            inside = line.endswith("[")
    return "\n".join(lines)
