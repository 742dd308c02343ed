"""Locks: only one of the processes that share a results folder trains a block.

A lock is a ``filelock`` on a file. The operating system releases it when the process ends for any reason, and, on a
network file system, when its machine does. Therefore locks do not expire and need no clock. The library opens the file
without following a symbolic link and without truncating it.
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

#: Error numbers of file systems without locks.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
#: Bytes read from a lock file, more than any host name has.
_MOST_BYTES = 512


class NoLocks(Exception):
    """The file system does not support locks."""


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Try to hold the lock ``path`` until the end of the ``with`` block.

    The file names the process that holds the lock. It is deleted afterwards.

    Yields:
        Whether this process holds the lock. If not, another process does.

    Raises:
        NoLocks: The file system does not support locks.
        OSError: The file cannot be created, or is a symbolic link or not a regular file.
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
        # Delete the file before the release. The library detects that a waiting process locked a deleted file.
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()


def is_claimed(path: Path) -> bool:
    """Whether a running process holds the lock. A link or a special file does not count as a lock.

    Raises:
        NoLocks: The file system does not support locks.
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
    """Description of the process that holds the lock, for messages."""
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
