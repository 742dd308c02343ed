"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import UserError
from datamodules.files import replacing


def folder_identity(folder: Path) -> tuple[int, int] | None:
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
    """Write a file whole or not at all (``datamodules.files.replacing``). Raises ``UserError`` where that fails."""
    with writing(path), replacing(path) as part:
        part.write_bytes(content)


def content_or_none(path: Path) -> bytes | None:
    """What a file holds; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def one_line_per_list(text: str) -> str:
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
