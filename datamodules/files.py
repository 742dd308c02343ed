"""Files and folders: atomic writing, safe listing, and array headers that are checked against the file's size."""

from __future__ import annotations

import contextlib
import math
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

#: Largest number of folders below a folder of images. More than this means that symbolic links form a circle.
_MOST_FOLDERS = 100_000
#: Folders that archives contain beside the data, with a copy of every file.
_NOBODYS = frozenset({"__MACOSX"})


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file atomically.

    Yields a new, empty file beside ``path`` with a hidden name, ``.NAME.RANDOM``. At the end of the ``with`` block it
    is flushed to disk and replaces ``path``. If the block raises, it is deleted. A symbolic link at ``path`` is
    replaced, not followed.

    Args:
        path: The file to write. Its folder is created if it is missing.

    Yields:
        The path of the temporary file, which no other process writes to.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        # Temporary files can be read by their owner only. Others who share the folder must be able to read the result.
        part.chmod(0o644)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def files_below(folder: Path) -> list[Path]:
    """List all files in a folder and its subfolders, sorted.

    Symbolic links are followed, but never in a circle. Hidden files and folders (``.ipynb_checkpoints``, ``._x.png``)
    are left out, because they are created by programs.

    Args:
        folder: Where to look. A missing folder has no files.

    Returns:
        Paths, pipes, devices and broken links included. Call ``is_ordinary`` before you open one.

    Raises:
        OSError: A folder cannot be read, or links lead to more folders than can be real.
    """
    found: list[Path] = []
    # Each folder comes with its parents, so that a link back to one of them is detected.
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())] if folder.is_dir() else []
    seen = 0
    while waiting:
        place, above = waiting.pop()
        status = place.stat()
        here = (status.st_dev, status.st_ino)
        if here in above:
            continue
        seen += 1
        if seen > _MOST_FOLDERS:
            raise OSError(f"{folder} has over {_MOST_FOLDERS:,} folders: links in it lead to one another")
        for entry in os.scandir(place):
            if entry.name.startswith(".") or entry.name in _NOBODYS:
                continue
            if entry.is_dir():
                waiting.append((place / entry.name, above | {here}))
            else:
                found.append(place / entry.name)
    return sorted(found)


def is_ordinary(path: Path) -> bool:
    """Whether a path, links followed, is a regular file: not a pipe, a device or a broken link."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def read_array_header(file: BinaryIO, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Read shape and type of a NumPy array from its header.

    Args:
        file: An array written by ``numpy.save``, open at its beginning.
        size: Length of the file in bytes.

    Returns:
        The shape and the data type.

    Raises:
        ValueError: It is not an array of numbers, or the file is longer or shorter than the header says.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"array format {version} is unknown")
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype.hasobject or dtype.kind not in "biufcSU":
        raise ValueError(f"it holds {dtype}, and no numbers")
    if any(length < 0 for length in shape):
        raise ValueError("a length in its header is negative")
    told, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if told != there:
        raise ValueError(f"its header tells of {told:,} bytes, and it has {max(0, there):,}")
    return shape, dtype
