"""How a process for another device begins: with nothing loaded that takes long, so that it ends with its parent even
while PyTorch loads."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import Connection, wait


def run_worker(line: Connection) -> None:
    """Do what the first process sends: a function and its arguments, whose modules load as they arrive."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work, arguments = line.recv()
    work(line, *arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
