"""Claims: who trains a block, where several processes share a results folder.

A claim is a ``filelock`` on a file: a lock of the operating system, which ends with the process that holds it, however
that ends, and on a network file system with the machine. No claim outlives its holder, and none needs a clock. The
library opens the file without following a symbolic link and without truncating it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

#: What a file system without locks answers.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
#: Longer than any name of a host.
_MOST_BYTES = 512


class NoLocks(Exception):
    """The file system has no locks."""


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold the claim ``path`` until the end of the ``with`` block.

    The file says who holds it, and is removed afterwards.

    Yields:
        Whether this process, and no other, holds the claim.

    Raises:
        NoLocks: The file system has no locks.
        OSError: The file cannot be made, or is a symbolic link or no file at all.
    """
    lock = _lock(path)
    try:
        _acquire(lock)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        # Before the release: whoever waits for a removed file is told by the library that its lock binds nobody.
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()


def is_claimed(path: Path) -> bool:
    """Whether a living process holds the claim. A link or a special file is nobody's claim.

    Raises:
        NoLocks: The file system has no locks.
        OSError: The file cannot be opened.
    """
    if not _is_file(path):
        return False
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        _acquire(lock)
    except Timeout:
        return True
    lock.release()
    return False


def holder(path: Path) -> str:
    """Who holds the claim, for people."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if _is_file(path):
            with path.open("rb") as file:
                return file.read(_MOST_BYTES).decode() or "another process"
    return "another process"


def _lock(path: Path) -> FileLock:
    def say_who(handle: int) -> None:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file")
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())

    return FileLock(path, blocking=False, fallback_to_soft=False, mode=0o644, on_acquired=say_who)


def _acquire(lock: FileLock) -> None:
    try:
        lock.acquire()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed", lock.lock_file) from error
        if error.errno in _NO_LOCKS:
            raise NoLocks from error
        raise


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False
