"""A results folder: records, with samples and weights of the trained models."""

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
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import numpy as np

from benchmark.errors import Damaged, UserError, one_line
from benchmark.spec import registry
from benchmark.spec.block import Block, Stamp
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run, digest
from benchmark.store.files import content_or_none, folder_identity, one_line_per_list, write_atomically, writing
from benchmark.store.locks import NoLocks, claimed
from benchmark.store.record import Record, S, Subject
from datamodules.files import read_array_header

if TYPE_CHECKING:
    import torch

FORMAT = 2


#: Largest record, and largest other file, in bytes. Both are about a hundred times the usual size.
_MOST_RECORD, _MOST_BESIDE = 64 * 2**20, 4 * 2**30
#: Largest number of epochs whose samples are kept by default, and largest dimension of such samples (see
#: ``benchmark.spec.protocol.FRAMES``).
_FRAMES, _FRAME_DIM = 20, 3


def _check_fields(content: dict[str, Any]) -> None:
    """Check names and types of a record's fields, and that curves have the right length.

    Raises:
        ValueError: A field is unknown or of another type, a number is not finite, or a curve has the wrong shape.
    """
    # Called only for its errors; the values are not converted.
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
    """Shape of nested lists of numbers and None.

    Raises:
        ValueError: The lists are ragged or contain something else.
    """
    if not isinstance(values, list):
        if values is None or (isinstance(values, (int, float)) and not isinstance(values, bool)):
            # A Python integer may be too large for a float.
            if values is not None and not math.isfinite(float(values)):
                raise ValueError(f"curve {name} is not finite")
            return ()
        raise ValueError(f"curve {name} holds a {type(values).__name__}")
    shapes = {_shape(name, part) for part in values}
    if len(shapes) > 1:
        raise ValueError(f"curve {name} is ragged")
    return (len(values), *(shapes.pop() if shapes else ()))


def _printable(value: Any) -> Any:
    """Remove control characters from all strings in a value, so that a terminal cannot act on them."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, dict):
        return {_printable(name): _printable(part) for name, part in value.items()}
    return [_printable(part) for part in value] if isinstance(value, list) else value


def _data_shape(name: str) -> tuple[int, ...] | None:
    """Shape of one sample of a data set; None if it would take an import of users' code to know it."""
    if found := registry.datasets().get(name):
        return found.data_shape
    module, _, attribute = name.partition(":")
    found = getattr(sys.modules.get(module), attribute or "-", None)
    return found.data_shape if isinstance(found, get_args(registry.DataSet)) else None


class Store:
    """A results folder.

    ``records/DATASET/METHOD/ID.json`` is the record of a run. ``ID.npy`` beside it holds its final samples,
    ``ID.frames.npy`` its samples during the training, and ``ID.safetensors`` its weights.
    ``records/DEMONSTRATION/ID.json`` is the record of an experiment. ``unfinished/`` holds checkpoints and locks.

    Any number of processes may share the folder: files are written atomically, and a process locks the block that it
    trains. The content may come from other people: it is checked when it is read, and nothing is written through a
    symbolic link.

    Args:
        folder: The results folder.
        damaged: Function that is called with the message of each damaged record. The record then counts as missing.
            With None a damaged record is an error. Commands that train leave it at None, so that they do not train a
            damaged record again.
    """

    def __init__(self, folder: Path, damaged: Callable[[str], None] | None = None) -> None:
        self.folder, self._damaged = folder, damaged
        self._named: set[str] = set()
        self._made: tuple[int, int] | None = None

    def path(self, subject: Subject) -> Path:
        """File of a subject's record."""
        return self.folder / "records" / subject.place / f"{subject.id}.json"

    def pictures(self, people: bool = False) -> Path:
        """Folder of figures. Figures that show ``people`` are in a folder of their own, which is not published."""
        return self.folder / "figures" / ("people" if people else "")

    def stamp(self, subject: Subject) -> Stamp | None:
        """Modification time and inode of the subject's record, which differ between versions of it; None without a
        record.
        """
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
        """Read the record of a subject.

        Returns:
            The record; None if there is none, or if it is damaged and the store has a function for damaged records.

        Raises:
            UserError: The record has another format, or is damaged (cut short, edited, or not the subject's) and the
                store has no function for damaged records.
        """
        try:
            return self._read(subject)
        except Damaged as error:
            self._leave_out(error)
            return None

    def _leave_out(self, error: Damaged) -> None:
        """Report a damaged file once, or raise the error if there is no function to report it to."""
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
        """The JSON content of a file; None if there is no file."""
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
        """The runs of all records, sorted by file name. Damaged records are handled as in ``read``."""
        for path in sorted(self.folder.glob("records/*/*/*.json")):
            try:
                yield self.run_at(path)
            except Damaged as error:
                self._leave_out(error)

    def find(self, name: str) -> Run:
        """The stored run whose id begins with ``name``.

        Raises:
            UserError: There is no such run, or there are several.
        """
        found = [path for path in sorted(self.folder.glob("records/*/*/*.json")) if path.stem.startswith(name)]
        if len(found) != 1 or not name:
            said = f"{len(found)} runs whose id begins with" if found else "no run"
            raise UserError(f"{self.folder} has {said} '{name}'; ids are the names of the files under records/")
        return self.run_at(found[0])

    def run_at(self, path: Path) -> Run:
        """The run of the record in this file.

        Raises:
            UserError: The file is missing, damaged, or not where its run belongs.
        """
        return self.subject_at(path, Run.of)

    def subject_at(self, path: Path, of: Callable[[Mapping[str, Any]], S]) -> S:
        """The subject of the record in this file.

        Args:
            path: File of the record.
            of: Function that creates the subject from its identity.

        Raises:
            UserError: The file is missing, damaged, or not where its subject belongs.
        """
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
        """Whether there is a file of final samples. It may hold fewer samples than were evaluated."""
        return self.path(run).with_suffix(".npy").is_file()

    def samples(self, run: Run, record: Record) -> np.ndarray:
        """The final samples of a run.

        Returns:
            float32 ``[n, d]`` in original units, or images uint8 ``[n, C, H, W]``.

        Raises:
            UserError: The file is missing or does not belong to the record.
        """
        types = {2: (np.float32,), 4: (np.uint8,)}
        found = self._array(run, ".npy", record.samples, types, "samples")
        if len(found) > run.protocol.samples or not np.isfinite(found).all():
            path = self.path(run)
            raise _damaged(path.with_suffix(".npy"), "too many samples, or some not finite", path)
        return found

    def frames(self, run: Run, record: Record) -> np.ndarray | None:
        """Samples of a run during the training.

        Returns:
            float32 ``[frames, n, d]``, or images uint8 ``[frames, n, C, H, W]``; None if the record has none.

        Raises:
            UserError: The file is missing or does not belong to the record.
        """
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
        """Read an array beside a record and check its hash, type and shape.

        Args:
            run: The run.
            suffix: Ending of the file.
            sha256: Hash in the record.
            types: Allowed types by number of axes.
            what: Name of the content, for messages.
        """
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
        """Weights of a run by name, float32.

        Raises:
            UserError: The file is missing or does not belong to the record. Published results contain no weights.
        """
        if record.weights is None:
            raise _gone(self.path(run).with_suffix(".safetensors"), "weights")
        path, content = self.path(run), self._content(run, ".safetensors", record.weights, "weights")
        try:
            import safetensors.torch

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
        """Write samples and weights (rounded to 16 bits), then the record, each file atomically.

        If other files change, the old record is deleted first. A process that is killed in between leaves a run without
        a record, which is trained again, and never a record with files of another training.

        Args:
            subject: The run or experiment.
            record: Its record.
            samples: Final samples.
            frames: Samples during the training.
            weights: Weights by name.

        Raises:
            UserError: A file cannot be written, or the folder was removed.
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
        files["weights"] = ".safetensors", _as_safetensors(rounded) if rounded else None
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
        """Overwrite a record and keep the files beside it."""
        self.check()
        self._write_json(self.path(run), asdict(record))

    def _write_json(self, path: Path, content: dict[str, Any]) -> None:
        text = json.dumps({"format": FORMAT, "checksum": digest(content)} | content, indent=1, allow_nan=False)
        write_atomically(self.writable(path), (one_line_per_list(text) + "\n").encode())

    def cached(self, kind: str, key: list[Any], make: Callable[[], Any], of: Any = Any) -> Any:
        """Return a JSON value from the cache file ``KIND/ID.json``, or compute and store it.

        A file that cannot be read, or holds another type, is replaced. A folder that cannot be written, such as that of
        another user, caches nothing.

        Args:
            kind: Folder of the cache.
            key: JSON value that the cached value depends on. The file name is its hash.
            make: Function that computes the value.
            of: Type of the value, as ``msgspec.convert`` takes it.
        """
        path = self.folder / kind / f"{digest(key)}.json"
        with contextlib.suppress(UserError, KeyError, TypeError, msgspec.ValidationError):
            content = self._load(path)
            if content and content["key"] == key:
                return msgspec.convert(content["value"], of)
        value = make()
        text = json.dumps({"key": key, "value": value}, indent=1, allow_nan=False)
        with contextlib.suppress(UserError):
            write_atomically(self.writable(path), (one_line_per_list(text) + "\n").encode())
        return value

    @property
    def unfinished(self) -> Path:
        """Folder of checkpoints and locks."""
        return self.folder / "unfinished"

    def checkpoint(self, block_id: str) -> Path:
        """File of an unfinished block's checkpoint."""
        return self.unfinished / f"{block_id}.ckpt"

    def claim(self, block: Block) -> Path:
        """Lock file of a block."""
        return self.unfinished / f"{block.place}.claim"

    @contextlib.contextmanager
    def claimed(self, block: Block) -> Iterator[bool]:
        """Try to lock a block until the end of the ``with`` block.

        On a file system without locks a warning is printed once and the block counts as locked.

        Yields:
            Whether this process holds the lock.
        """
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
        """Delete temporary files that killed processes left for a block. The caller must hold its lock."""
        checkpoint = self.checkpoint(block.id)
        left = list(checkpoint.parent.glob(f".{checkpoint.name}.*"))
        for run in block.pending:
            path = self.path(run)
            left += path.parent.glob(f".{path.stem}.*")
        for path in left:
            with writing(path):
                path.unlink(missing_ok=True)

    def prepare(self) -> None:
        """Create the folder and check before the training starts that it can be written."""
        with writing(self.unfinished):
            self.writable(self.unfinished / ".gitignore").parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.unfinished / ".gitignore", b"*\n")
            self._made = folder_identity(self.unfinished)

    def writable(self, path: Path) -> Path:
        """Check that no folder between the results folder and ``path`` is a symbolic link.

        A results folder from other people may contain links, and a file written through one could land anywhere.

        Returns:
            The same path.

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
        """Check that the folder was not removed since ``prepare``. A new folder would lack the earlier results.

        Raises:
            UserError: The folder was removed.
        """
        if self._made and folder_identity(self.unfinished) != self._made:
            said = "was removed during the run, which ends here; whatever it held is to be restored or trained again"
            raise UserError(f"{self.folder} {said}: give the same command again")


def _gone(path: Path, what: str) -> UserError:
    return UserError(f"the {what} of a record are missing: {path}; delete {path.with_suffix('.json')} and run again")


@cache
def _say_that_nothing_is_claimed(folder: Path) -> None:
    said = f"the file system of {folder} has no locks: give each process that shares it a --shard of its own"
    print(said, file=sys.stderr)


def _as_safetensors(weights: Mapping[str, torch.Tensor]) -> bytes:
    import safetensors.torch

    return safetensors.torch.save(dict(weights))


def _as_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _bytes_of(path: Path, most: int) -> bytes:
    """Read a file of at most ``most`` bytes.

    Raises:
        OSError: The file cannot be read.
        Damaged: It is larger, or not a regular file.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise _damaged(path, "no ordinary file")
    if found.st_size > most:
        raise _damaged(path, f"{found.st_size:,} bytes, where {most:,} are plenty")
    return path.read_bytes()


def _damaged(path: Path, what: str, delete: Path | None = None) -> Damaged:
    return Damaged(f"{path} is damaged ({what}); delete {delete or path} and run again to make it anew")


def read_records(store: Store, runs: Sequence[Run]) -> dict[str, Record]:
    """Records of those runs that have one, by id."""
    found = ((run.id, store.read(run)) for run in runs)
    return {key: record for key, record in found if record is not None}
