"""Entry point of the processes for ranks above 0.

It imports nothing slow, so that the process ends with its parent even while PyTorch loads.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import Connection, wait


def run_worker(line: Connection) -> None:
    """Receive a function and its arguments from the parent and call it. Unpickling them imports their modules."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work, arguments = line.recv()
    work(line, *arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
