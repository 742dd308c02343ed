"""Cache of decoded images as arrays on disk, which is renewed when the image files change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from datamodules.files import replacing

Array = np.ndarray


def state_of(files: Iterable[Path], folder: Path) -> str:
    """Short hash of the state of files.

    The hash covers each file's name below ``folder``, size and modification time. It changes when images are added,
    removed or replaced.
    """
    found = hashlib.sha256()
    for file in sorted(files):
        stat = file.stat()
        found.update(f"{file.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return found.hexdigest()[:12]


def places(folder: Path) -> tuple[Path, ...]:
    """Folders that may hold the arrays of a data folder, in order of preference.

    The first is inside the data folder. The second is the user's cache, for data folders that cannot be written. There
    is no cache if the process has neither ``HOME`` nor an entry in the password file, as in some containers.
    """
    inside, cache = folder / ".modecov", os.environ.get("XDG_CACHE_HOME")
    if not cache:
        try:
            cache = str(Path.home() / ".cache")
        except RuntimeError:
            return (inside,)
    return inside, Path(cache) / "modecov" / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]


def find(folder: Path, name: str) -> Path | None:
    """Path of the cached array of that name, or None."""
    return next((path for place in places(folder) if (path := place / f"{name}.npy").exists()), None)


def keep(folder: Path, arrays: Mapping[str, Array]) -> None:
    """Cache arrays in the first folder of ``places`` that takes all of them, and delete those of other states.

    Args:
        folder: The data folder.
        arrays: Arrays by name. Names end in ``-STATE``, with the hash of ``state_of``.

    Raises:
        OSError: The last folder cannot be written.
    """
    *others, last = places(folder)
    for place in others:
        try:
            return _write(place, arrays)
        except OSError:
            continue
    _write(last, arrays)


def _write(place: Path, arrays: Mapping[str, Array]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        with replacing(place / f"{name}.npy") as part, part.open("wb") as file:
            np.save(file, array)
        start, _, _ = name.rpartition("-")
        for old in place.glob(f"{start}-*.npy"):
            if old.stem.rpartition("-")[0] == start and old.stem != name:
                old.unlink(missing_ok=True)
