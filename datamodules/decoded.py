"""Arrays that were made of image files, kept on disk under the state of these files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from datamodules.files import replacing

Array = np.ndarray


def state_of(files: Iterable[Path], folder: Path) -> str:
    """Short hash of the names below ``folder``, sizes and times of files: it changes where images are added, taken
    away or replaced."""
    found = hashlib.sha256()
    for file in sorted(files):
        stat = file.stat()
        found.update(f"{file.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return found.hexdigest()[:12]


def places(folder: Path) -> tuple[Path, ...]:
    """Where arrays of a data folder may be kept: in it, or, where it cannot be written, in the user's cache. In a
    container a process may have neither ``HOME`` nor an entry in the password file, and no cache then."""
    inside, cache = folder / ".modecov", os.environ.get("XDG_CACHE_HOME")
    if not cache:
        try:
            cache = str(Path.home() / ".cache")
        except RuntimeError:
            return (inside,)
    return inside, Path(cache) / "modecov" / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]


def find(folder: Path, name: str) -> Path | None:
    """The kept array of that name."""
    return next((path for place in places(folder) if (path := place / f"{name}.npy").exists()), None)


def keep(folder: Path, arrays: Mapping[str, Array]) -> None:
    """Keep arrays by their names, which end in ``-STATE``, in the first place that takes them all; those of another
    state go. Raises the last place's ``OSError``."""
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
