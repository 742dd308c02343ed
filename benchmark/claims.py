"""Claims: who trains a block, where several processes share a results folder.

A claim is a lock of the operating system on a file. The kernel ends it with the process that holds it, however that
ends, and a network file system with the machine, so that no claim outlives its holder and none needs a clock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

#: What a file system without locks answers.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class NoLocks(Exception):
    """The file system has no locks."""


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process, and no other, holds the claim ``path``, until the end of the ``with`` block.

    The file says who holds it, and is gone afterwards. Raises ``NoLocks``, or ``OSError`` where it cannot be made.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        # Whoever held it may have removed the file after it was opened here: that lock would bind nobody.
        if not (_lock(handle) and _is_file(handle, path)):
            yield False
            return
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
    finally:
        os.close(handle)


def is_claimed(path: Path) -> bool:
    """Whether a living process holds the claim."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _lock(handle)
    finally:
        os.close(handle)


def holder(path: Path) -> str:
    """Who holds the claim, for people."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8") or "another process"
    return "another process"


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno == errno.EACCES:
            return False
        if error.errno in _NO_LOCKS:
            raise NoLocks from error
        raise
    return True


def _is_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
