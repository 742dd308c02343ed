"""Atomic writing of files, and errors of the file system as messages for users."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import UserError
from datamodules.files import replacing


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """Device and inode of a folder, which no other folder has at the same time; None if it does not exist."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of the system while writing ``path`` into a ``UserError`` of one line."""
    try:
        yield
    except OSError as error:
        reason = "its folder is gone" if error.errno == errno.ENOENT else error.strerror or str(error)
        raise UserError(f"cannot write {path}: {reason}; free or choose another folder with --results DIR") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file atomically (``datamodules.files.replacing``).

    Raises:
        UserError: The file cannot be written.
    """
    with writing(path), replacing(path) as part:
        part.write_bytes(content)


def content_or_none(path: Path) -> bytes | None:
    """Content of a file; None if it does not exist."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def one_line_per_list(text: str) -> str:
    """Put each list of numbers in an indented JSON text on one line, so that records are easy to compare."""
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
