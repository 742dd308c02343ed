"""A results folder: records, with the samples and weights of a trained model beside them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import safetensors.torch
import torch

from benchmark.errors import Damaged, UserError, one_line
from benchmark.spec import registry
from benchmark.spec.block import Block, Stamp
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run, digest
from benchmark.store.files import content_or_none, folder_identity, one_line_per_list, write_atomically, writing
from benchmark.store.locks import NoLocks, claimed
from benchmark.store.record import Record, S, Subject
from datamodules.files import read_array_header

FORMAT = 2


#: Largest record, and largest file beside one, in bytes: a hundred times what they are.
_MOST_RECORD, _MOST_BESIDE = 64 * 2**20, 4 * 2**30
#: Samples of so many epochs are kept, unless the protocol names its own (``training.FRAMES``), of up to so many
#: coordinates.
_FRAMES, _FRAME_DIM = 20, 3


def _check_fields(content: dict[str, Any]) -> None:
    """Raises ``ValueError`` for fields of a record that are unknown or of another type, and for ragged curves."""
    # For its errors alone: the values stay as they are written.
    msgspec.convert(content, Record)
    for name in (*content["measures"], *content["curves"], *content["cost"]):
        if one_line(name) != name:
            raise ValueError(f"a name that cannot be printed, {name!r}")
    for number in (*content["measures"].values(), *content["cost"].values()):
        if number is not None and not math.isfinite(number):
            raise ValueError("a number that is not finite")
    if "dataset" not in content["run"]:
        for name, values in content["curves"].items():
            _shape(name, values)
        return
    epochs = content["run"]["protocol"].get("epochs", Protocol.epochs)
    for name, values in content["curves"].items():
        if len(_shape(name, values)) > 1:
            raise ValueError(f"curve {name} is nested")
        if not name.startswith(("loss.", "trace.")) and len(values) != epochs:
            raise ValueError(f"curve {name} has {len(values)} entries, not one of each of {epochs} epochs")


def _shape(name: str, values: Any) -> tuple[int, ...]:
    """Shape of nested lists of numbers and None. Raises ``ValueError`` where they are ragged, or hold anything else."""
    if not isinstance(values, list):
        if values is None or (isinstance(values, (int, float)) and not isinstance(values, bool)):
            # A Python integer may be too large for any float.
            if values is not None and not math.isfinite(float(values)):
                raise ValueError(f"curve {name} is not finite")
            return ()
        raise ValueError(f"curve {name} holds a {type(values).__name__}")
    shapes = {_shape(name, part) for part in values}
    if len(shapes) > 1:
        raise ValueError(f"curve {name} is ragged")
    return (len(values), *(shapes.pop() if shapes else ()))


def _printable(value: Any) -> Any:
    """The same without anything that a terminal would act on."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, dict):
        return {_printable(name): _printable(part) for name, part in value.items()}
    return [_printable(part) for part in value] if isinstance(value, list) else value


def _data_shape(name: str) -> tuple[int, ...] | None:
    """Shape of one sample of a data set; None where it is not known without importing what a record names."""
    if found := registry.datasets().get(name):
        return found.data_shape
    module, _, attribute = name.partition(":")
    found = getattr(sys.modules.get(module), attribute or "-", None)
    return found.data_shape if isinstance(found, get_args(registry.DataSet)) else None


class Store:
    """A results folder. ``records/DATASET/METHOD/ID.json`` of a run, its samples ``ID.npy``, its samples along the
    training ``ID.frames.npy`` and its weights ``ID.safetensors``; ``records/DEMONSTRATION/ID.json``; ``unfinished/``
    holds checkpoints and claims.

    Any number of processes may share one: every file appears whole or not at all, and who trains a block claims it.
    What lies in it may come from anybody: it is checked when it is read, and nothing is written through a link.

    Args:
        folder: The results folder.
        damaged: Hears of every damaged record, which counts as none; by default it is an error. For those who only
            look: whoever trains must not take a damaged record for one that is to be made.
    """

    def __init__(self, folder: Path, damaged: Callable[[str], None] | None = None) -> None:
        self.folder, self._damaged = folder, damaged
        self._named: set[str] = set()
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
        except NotADirectoryError as error:
            raise self._no_folder() from error
        except OSError as error:
            raise UserError(f"cannot look at {self.path(subject)}: {error.strerror or error}") from error
        return found.st_mtime_ns, found.st_ino

    def _no_folder(self) -> UserError:
        return UserError(f"{self.folder} is no folder of results; choose another --results DIR")

    def read(self, subject: Subject) -> Record | None:
        """The subject's record, or None. Raises ``UserError`` for one that was cut short or edited, or holds what no
        record of the subject does."""
        try:
            return self._read(subject)
        except Damaged as error:
            self._leave_out(error)
            return None

    def _leave_out(self, error: Damaged) -> None:
        """Tell once of a damaged file, or raise the error where nobody hears."""
        if self._damaged is None:
            raise error
        if str(error) not in self._named:
            self._named.add(str(error))
            self._damaged(str(error))

    def _read(self, subject: Subject) -> Record | None:
        path = self.path(subject)
        content = self._load(path)
        if content is None:
            return None
        try:
            checksum = content.pop("checksum")
            version = content.pop("format")
        except (KeyError, AttributeError, TypeError) as error:
            raise _damaged(path, "cut short or no record") from error
        if version != FORMAT:
            raise UserError(f"{path} has record format {version}, this version reads {FORMAT}; use another --results")
        try:
            unchanged = checksum == digest(content) and content["id"] == subject.id == digest(content["run"])
            record = Record(**content)
            _check_fields(asdict(record))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, AttributeError) as error:
            raise _damaged(path, "no record of this version") from error
        if not unchanged:
            raise _damaged(path, "edited after it was written")
        reason = None if record.reason is None else one_line(record.reason)
        return replace(record, reason=reason, environment=_printable(record.environment))

    def _load(self, path: Path) -> dict[str, Any] | None:
        """The JSON of a file, or None where there is none."""
        try:
            raw = _bytes_of(path, _MOST_RECORD)
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise self._no_folder() from error
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from error
        try:
            content = msgspec.json.decode(raw)
        except UnicodeDecodeError as error:
            raise _damaged(path, "no text") from error
        except (ValueError, RecursionError) as error:
            raise _damaged(path, "cut short or no record") from error
        if not isinstance(content, dict):
            raise _damaged(path, "no record")
        return content

    def cells(self) -> Iterator[Run]:
        """The runs of all records, in the order of their files' names; of damaged ones as ``read`` does."""
        for path in sorted(self.folder.glob("records/*/*/*.json")):
            try:
                yield self.run_at(path)
            except Damaged as error:
                self._leave_out(error)

    def find(self, name: str) -> Run:
        """The stored run whose id begins so. Raises ``UserError`` where none or several do."""
        found = [path for path in sorted(self.folder.glob("records/*/*/*.json")) if path.stem.startswith(name)]
        if len(found) != 1 or not name:
            said = f"{len(found)} runs whose id begins with" if found else "no run"
            raise UserError(f"{self.folder} has {said} '{name}'; ids are the names of the files under records/")
        return self.run_at(found[0])

    def run_at(self, path: Path) -> Run:
        """The run of the record in that file. Raises ``UserError`` where there is none, or one of another place."""
        return self.subject_at(path, Run.of)

    def subject_at(self, path: Path, of: Callable[[Mapping[str, Any]], S]) -> S:
        """What the record in that file is of, as ``of`` makes it from its identity."""
        try:
            content = self._load(path)
            if content is None:
                raise UserError(f"there is no file {path}")
            subject = of(content["run"])
            belongs = self.path(subject)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            said = " ".join(str(error).split())[:100] if isinstance(error, ValueError) else "cut short or no record"
            raise _damaged(path, said) from error
        if belongs != path:
            raise _damaged(path, "not where its run belongs")
        return subject

    def has_samples(self, run: Run) -> bool:
        """Whether a file of final samples is there; they may be fewer than were measured."""
        return self.path(run).with_suffix(".npy").is_file()

    def samples(self, run: Run, record: Record) -> np.ndarray:
        """The final samples, ``[n, d]`` float32 in original units; ``UserError`` if they are not the record's."""
        types = {2: (np.float32,), 4: (np.uint8,)}
        found = self._array(run, ".npy", record.samples, types, "samples")
        if len(found) > run.protocol.samples or not np.isfinite(found).all():
            path = self.path(run)
            raise _damaged(path.with_suffix(".npy"), "too many samples, or some not finite", path)
        return found

    def frames(self, run: Run, record: Record) -> np.ndarray | None:
        """Samples along the training, ``[frames, n, d]`` float32 or images ``[frames, n, C, H, W]`` uint8; None where
        the record has none."""
        if record.frames is None:
            return None
        types = {3: (np.float16, np.float32), 5: (np.uint8,)}
        found = self._array(run, ".frames.npy", record.frames, types, "samples along the training")
        named = run.protocol.frames or math.prod(found.shape[2:]) > _FRAME_DIM
        if len(found) > (len(run.protocol.named_frames) if named else min(_FRAMES, run.protocol.epochs)):
            path = self.path(run)
            raise _damaged(path.with_suffix(".frames.npy"), "more moments than the training kept", path)
        return found if found.dtype == np.uint8 else found.astype(np.float32)

    def _array(
        self, run: Run, suffix: str, sha256: str | None, types: Mapping[int, tuple[type, ...]], what: str
    ) -> np.ndarray:
        """An array beside a record, if it is the record's and has one of these types for its number of axes, and
        samples of the data set's shape."""
        path, content = self.path(run), self._content(run, suffix, sha256, what)
        try:
            shape, dtype = read_array_header(content, content.getbuffer().nbytes)
        except (ValueError, SyntaxError, OverflowError) as error:
            raise _damaged(path.with_suffix(suffix), f"no array of {what}", path) from error
        expected = _data_shape(run.dataset)
        sample = shape[1:] if len(shape) in (2, 4) else shape[2:]
        if dtype not in types.get(len(shape), ()) or 0 in shape or (expected and sample != expected):
            said = f"an array {list(shape)} of {dtype}, which are no {what} of {run.dataset}"
            raise _damaged(path.with_suffix(suffix), said, path)
        content.seek(0)
        return np.load(content, allow_pickle=False)

    def weights(self, run: Run, record: Record) -> dict[str, torch.Tensor]:
        """Weights by name, float32; ``UserError`` where none are kept here, as weights are in no repository."""
        if record.weights is None:
            raise _gone(self.path(run).with_suffix(".safetensors"), "weights")
        path, content = self.path(run), self._content(run, ".safetensors", record.weights, "weights")
        try:
            kept = safetensors.torch.load(content.getvalue())
        except Exception as error:
            raise _damaged(path.with_suffix(".safetensors"), "no weights", path) from error
        return {name: value.float() for name, value in kept.items()}

    def _content(self, run: Run, suffix: str, sha256: str | None, what: str = "samples") -> io.BytesIO:
        path = self.path(run).with_suffix(suffix)
        try:
            content = _bytes_of(path, _MOST_BESIDE)
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

        A record that other files belonged to goes before they do: who is killed between leaves a run without a
        record, which is trained again, and never one with samples that are not its own.
        """
        self.check()
        path = self.writable(self.path(subject))
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
                if new == content_or_none(beside):
                    continue
                path.unlink(missing_ok=True)
                if new is None:
                    beside.unlink()
                    continue
            write_atomically(beside, new)
        self._write_json(path, content)

    def replace(self, run: Run, record: Record) -> None:
        """Write a record anew beside the samples that it has."""
        self.check()
        self._write_json(self.path(run), asdict(record))

    def _write_json(self, path: Path, content: dict[str, Any]) -> None:
        text = json.dumps({"format": FORMAT, "checksum": digest(content)} | content, indent=1, allow_nan=False)
        write_atomically(self.writable(path), (one_line_per_list(text) + "\n").encode())

    def cached(self, kind: str, key: list[Any], make: Callable[[], Any]) -> Any:
        """What ``make`` gives, as JSON has it, kept in the file ``KIND/ID.json`` for when ``key`` is asked for again.
        A file that cannot be read is made anew."""
        path = self.folder / kind / f"{digest(key)}.json"
        with contextlib.suppress(UserError, KeyError, TypeError):
            content = self._load(path)
            if content and content["key"] == key:
                return content["value"]
        value = make()
        text = json.dumps({"key": key, "value": value}, indent=1, allow_nan=False)
        write_atomically(self.writable(path), (one_line_per_list(text) + "\n").encode())
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
        path = self.writable(self.claim(block))
        with contextlib.ExitStack() as stack:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    ours = stack.enter_context(claimed(path))
                except NoLocks:
                    _say_that_nothing_is_claimed(self.folder)
                    ours = True
            yield ours

    def remove_partials(self, block: Block) -> None:
        """Remove what processes that were killed while they wrote have left of a block that is claimed."""
        checkpoint = self.checkpoint(block.id)
        left = list(checkpoint.parent.glob(f".{checkpoint.name}.*"))
        for run in block.pending:
            path = self.path(run)
            left += path.parent.glob(f".{path.stem}.*")
        for path in left:
            with writing(path):
                path.unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the folder, and find out now rather than after an hour whether it can be written."""
        with writing(self.unfinished):
            self.writable(self.unfinished / ".gitignore").parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.unfinished / ".gitignore", b"*\n")
            self._made = folder_identity(self.unfinished)

    def writable(self, path: Path) -> Path:
        """The same path, if no folder on the way to it from the results folder is a link.

        Somebody else's results folder may hold links, and what is written through one lands anywhere.

        Raises:
            UserError: A folder is a link.
        """
        with contextlib.suppress(ValueError):
            for part in path.relative_to(self.folder).parents:
                if (link := self.folder / part) != self.folder and link.is_symlink():
                    said = "is a symbolic link, and nothing is written through one"
                    raise UserError(f"{link} {said}; put the folder itself there, or choose another --results DIR")
        return path

    def check(self) -> None:
        """Raises ``UserError`` if the folder was removed since ``prepare``: made anew, it would lack what it had."""
        if self._made and folder_identity(self.unfinished) != self._made:
            said = "was removed during the run, which ends here; whatever it held is to be restored or trained again"
            raise UserError(f"{self.folder} {said}: give the same command again")


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


def _bytes_of(path: Path, most: int) -> bytes:
    """Content of a file of at most so many bytes. Raises ``OSError``, and ``Damaged`` for what has no end."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise _damaged(path, "no ordinary file")
    if found.st_size > most:
        raise _damaged(path, f"{found.st_size:,} bytes, where {most:,} are plenty")
    return path.read_bytes()


def _damaged(path: Path, what: str, delete: Path | None = None) -> Damaged:
    return Damaged(f"{path} is damaged ({what}); delete {delete or path} and run again to make it anew")


def read_records(store: Store, runs: Sequence[Run]) -> dict[str, Record]:
    """Records of the runs that have one, by id."""
    found = ((run.id, store.read(run)) for run in runs)
    return {key: record for key, record in found if record is not None}
