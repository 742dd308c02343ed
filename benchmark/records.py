"""Records: one immutable JSON file per cell or experiment, with the samples of a trained model beside it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import safetensors.torch
import torch

from benchmark.cells import Block, Cell, Stamp, digest
from benchmark.claims import NoLocks, claimed
from benchmark.errors import UserError

FORMAT = 2
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


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True)
class Record:
    """What one cell or one experiment gave.

    run: the ``identity()`` of the subject.
    status: ``done``; ``diverged`` with the iteration of the first loss that was not finite; ``failed`` with a reason.
    measures: final value of every measure, None where it has none.
    curves: one list per name. Of a cell an entry per epoch: measures, ``loss.NAME`` for each update, and ``trace.NAME``
        for what else a method keeps of its training; these two are means over the epoch. Of an experiment as its
        demonstration says, nested where it has several axes.
    cost: seconds of the block and this cell's share of them, milliseconds per iteration and seed, iterations, and the
        peak memory of the process so far, earlier blocks included.
    environment: commit, versions, processor, device, threads.
    versions: of the method, the data set, the measures, the networks and the training loop that it was made with, or of
        the demonstration (``benchmark.versions``). 0 stands for one that states no version.
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


_TYPES = get_type_hints(Record)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value that was read from JSON is of an annotated type."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is dict:
        return isinstance(value, dict) and all(_fits(part, inner[1]) for part in value.values())
    if origin is list:
        return isinstance(value, list) and all(_fits(part, inner[0]) for part in value)
    if inner:
        return any(_fits(value, choice) for choice in inner)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return hint is Any or type(value) is hint


class Store:
    """A results folder. ``records/DATASET/METHOD/ID.json`` of a cell, its samples ``ID.npy``, its samples along the
    training ``ID.frames.npy`` and its weights ``ID.safetensors``; ``records/DEMONSTRATION/ID.json``; ``unfinished/``
    holds checkpoints and claims.

    Any number of processes may share one: every file appears whole or not at all, and who trains a block claims it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: tuple[int, int] | None = None

    def path(self, subject: Subject) -> Path:
        return self.folder / "records" / subject.place / f"{subject.id}.json"

    def pictures(self, people: bool = False) -> Path:
        """Folder of figures; those that show ``people`` lie apart, as they are for no one else."""
        return self.folder / "figures" / ("people" if people else "")

    def stamp(self, subject: Subject) -> Stamp | None:
        """What the subject's record has in common with no other version of it; None where there is none."""
        try:
            found = self.path(subject).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def read(self, subject: Subject) -> Record | None:
        """The subject's record, or None. Raises ``UserError`` for one that was cut short or edited."""
        path = self.path(subject)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise UserError(f"{self.folder} is no folder of results; choose another --results DIR") from error
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise _damaged(path, "no text") from error
        try:
            content = json.loads(text)
            checksum = content.pop("checksum")
            version = content.pop("format")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise _damaged(path, "cut short or no record") from error
        if version != FORMAT:
            raise UserError(f"{path} has record format {version}, this version reads {FORMAT}; use another --results")
        try:
            unchanged = checksum == digest(content) and content["id"] == subject.id == digest(content["run"])
            record = Record(**content)
            if not all(_fits(value, _TYPES[name]) for name, value in content.items()):
                raise TypeError("a field of another type")
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
        return self.cell_at(found[0])

    def cell_at(self, path: Path) -> Cell:
        """The cell of the record in that file. Raises ``UserError`` where there is none, or one of another place."""
        return self.subject_at(path, Cell.of)

    def subject_at(self, path: Path, of: Callable[[Mapping[str, Any]], S]) -> S:
        """What the record in that file is of, as ``of`` makes it from its identity."""
        try:
            subject = of(json.loads(path.read_text(encoding="utf-8"))["run"])
            belongs = self.path(subject)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(path, "cut short or no record") from error
        if belongs != path:
            raise _damaged(path, "not where its cell belongs")
        return subject

    def has_samples(self, cell: Cell) -> bool:
        """Whether a file of final samples is there; they may be fewer than were measured."""
        return self.path(cell).with_suffix(".npy").is_file()

    def samples(self, cell: Cell, record: Record) -> np.ndarray:
        """The final samples, ``[n, d]`` float32 in original units; ``UserError`` if they are not the record's."""
        return np.load(self._content(cell, ".npy", record.samples), allow_pickle=False)

    def frames(self, cell: Cell, record: Record) -> np.ndarray | None:
        """Samples along the training, ``[frames, n, d]`` float32 or images ``[frames, n, C, H, W]`` uint8; None where
        the record has none."""
        if record.frames is None:
            return None
        found = np.load(self._content(cell, ".frames.npy", record.frames), allow_pickle=False)
        return found if found.dtype == np.uint8 else found.astype(np.float32)

    def weights(self, cell: Cell, record: Record) -> dict[str, torch.Tensor]:
        """Weights by name, float32; ``UserError`` where none are kept here, as weights are in no repository."""
        if record.weights is None:
            raise _gone(self.path(cell).with_suffix(".safetensors"), "weights")
        kept = safetensors.torch.load(self._content(cell, ".safetensors", record.weights, "weights").getvalue())
        return {name: value.float() for name, value in kept.items()}

    def _content(self, cell: Cell, suffix: str, sha256: str | None, what: str = "samples") -> io.BytesIO:
        path = self.path(cell).with_suffix(suffix)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _gone(path, what) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise _damaged(path, f"not the {what} that the record names", path.with_suffix(".json"))
        return io.BytesIO(content)

    def write(
        self,
        subject: Subject,
        record: Record,
        samples: np.ndarray | None = None,
        frames: np.ndarray | None = None,
        weights: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Write samples and weights (rounded to 16 bits), then the record; each appears whole or not at all.

        A record that other files belonged to goes before they do: who is killed between leaves a cell without a
        record, which is trained again, and never one with samples that are not its own.
        """
        self.check()
        path = self.path(subject)
        content = asdict(record)
        if samples is not None and samples.dtype != np.uint8:
            samples = samples.astype(np.float32)
        if frames is not None and frames.dtype != np.uint8:
            frames = frames.astype(np.float16)
        files: dict[str, tuple[str, bytes | None]] = {}
        for key, suffix, array in (("samples", ".npy", samples), ("frames", ".frames.npy", frames)):
            files[key] = suffix, None if array is None else _as_bytes(array)
        rounded = {name: value.half().contiguous() for name, value in (weights or {}).items()}
        files["weights"] = ".safetensors", safetensors.torch.save(rounded) if rounded else None
        for key, (suffix, new) in files.items():
            beside = path.with_suffix(suffix)
            if new is not None:
                content[key] = hashlib.sha256(new).hexdigest()
            with writing(path):
                if new == _content_of(beside):
                    continue
                path.unlink(missing_ok=True)
                if new is None:
                    beside.unlink()
                    continue
            write_atomically(beside, new)
        self._write_json(path, content)

    def replace(self, cell: Cell, record: Record) -> None:
        """Write a record anew beside the samples that it has."""
        self.check()
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

    @property
    def unfinished(self) -> Path:
        return self.folder / "unfinished"

    def checkpoint(self, block_id: str) -> Path:
        """Where an unfinished block keeps its checkpoint."""
        return self.unfinished / f"{block_id}.ckpt"

    def claim(self, block: Block) -> Path:
        """What whoever trains a block holds meanwhile."""
        return self.unfinished / f"{block.place}.claim"

    @contextlib.contextmanager
    def claimed(self, block: Block) -> Iterator[bool]:
        """Whether the block is this process's to train, until the end of the ``with`` block."""
        self.check()
        path = self.claim(block)
        with contextlib.ExitStack() as stack:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    ours = stack.enter_context(claimed(path))
                except NoLocks:
                    _say_that_nothing_is_claimed(self.folder)
                    ours = True
            yield ours

    def sweep(self, block: Block) -> None:
        """Remove what processes that were killed while they wrote have left of a block that is claimed."""
        checkpoint = self.checkpoint(block.id)
        left = list(checkpoint.parent.glob(f"{checkpoint.stem}.part*"))
        for cell in block.pending:
            path = self.path(cell)
            left += path.parent.glob(f".{path.stem}.*")
        for path in left:
            with writing(path):
                path.unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the folder, and find out now rather than after an hour whether it can be written."""
        with writing(self.unfinished):
            self.unfinished.mkdir(parents=True, exist_ok=True)
            write_atomically(self.unfinished / ".gitignore", b"*\n")
            self._made = _which(self.unfinished)

    def check(self) -> None:
        """Raises ``UserError`` if the folder was removed since ``prepare``: made anew, it would lack what it had."""
        if self._made and _which(self.unfinished) != self._made:
            said = "was removed during the run, which ends here; whatever it held is to be restored or trained again"
            raise UserError(f"{self.folder} {said}: give the same command again")


def _which(folder: Path) -> tuple[int, int] | None:
    """What no other folder has at the same time; None where there is none."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says about a write into one line for the user."""
    try:
        yield
    except OSError as error:
        reason = "its folder is gone" if error.errno == errno.ENOENT else error.strerror or str(error)
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


def _gone(path: Path, what: str) -> UserError:
    return UserError(f"the {what} of a record are missing: {path}; delete {path.with_suffix('.json')} and run again")


@cache
def _say_that_nothing_is_claimed(folder: Path) -> None:
    said = f"the file system of {folder} has no locks: give each process that shares it a --shard of its own"
    print(said, file=sys.stderr)


def _as_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


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
