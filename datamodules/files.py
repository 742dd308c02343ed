"""Files: written whole or not at all, found without surprises, and read no further than they are long."""

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

#: Folders below a folder of images, links followed: beyond so many somebody's links lead in circles.
_MOST_FOLDERS = 100_000
#: Folders that archives bring along, with copies of every file in them.
_NOBODYS = frozenset({"__MACOSX"})


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all.

    Yields a new, empty file beside ``path`` with a hidden name, ``.NAME.RANDOM``. At the end of the ``with`` block it
    is flushed to disk and takes the place of ``path``; if the block raises, it is removed. A symbolic link at ``path``
    is replaced and never followed.

    Args:
        path: The file to write; its folder is made if it is missing.

    Yields:
        The path to write to, under which nobody else writes.

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
        # The temporary file is its owner's alone; what is written is for whoever shares the folder.
        part.chmod(0o644)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and those inside it, sorted, as paths below ``folder``.

    Symbolic links are followed, but never in a circle. Hidden files and folders are left out (``.ipynb_checkpoints``,
    ``._x.png``): programs make them, people do not mean them.

    Args:
        folder: Where to look; one that is not there has no files.

    Returns:
        Files, pipes, devices and links that lead nowhere among them: whoever opens one asks ``is_ordinary`` before.

    Raises:
        OSError: A folder cannot be read, or links make of it more than anybody has.
    """
    found: list[Path] = []
    # With each folder those that it lies in, so that a link back to one of them is seen.
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
    """Whether it is a file with an end, links followed: no pipe, no device, and no link that leads nowhere."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def read_array_header(file: BinaryIO, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of a NumPy array, from its header alone.

    Args:
        file: An array as ``numpy.save`` writes it, at its beginning.
        size: Length of the file, bytes.

    Returns:
        The shape, and the type of the numbers.

    Raises:
        ValueError: It is no array of numbers, or the file is longer or shorter than the header says.
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
