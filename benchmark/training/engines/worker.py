"""A process that trains blocks for its parent: ``python -m benchmark.training.engines.worker HANDLE``.

It listens to its parent before it loads PyTorch, so that it always ends when the parent does.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue

#: Messages of the parent besides tasks: finish the epoch and write a checkpoint; end the process.
STOP, END = b"stop", b"end"


def main(handle: int) -> None:
    """Run the parent's tasks one after another.

    A task is a pickled function with its arguments; unpickling it imports its modules. An error that the user must fix
    is sent back as a ``str``.

    Args:
        handle: File descriptor of a duplex ``Connection`` to the parent.
    """
    os.set_inheritable(handle, False)
    line, work, stop = Connection(handle), SimpleQueue[bytes](), threading.Event()
    threading.Thread(target=_listen, args=(line, work, stop), daemon=True).start()
    while (message := work.get()) != END:
        try:
            function, arguments = pickle.loads(message)  # noqa: S301 - from the parent, over a pipe of its own
        except Exception as error:
            line.send(f"a worker cannot load what it is to train: {type(error).__name__}: {error}")
            continue
        function(line, stop, *arguments)


def _listen(line: Connection, work: SimpleQueue[bytes], stop: threading.Event) -> None:
    """Receive messages while the main thread trains, and end the process when the parent has ended."""
    with suppress(EOFError, OSError):
        while True:
            message = line.recv_bytes()
            if message == STOP:
                stop.set()
            else:
                work.put(message)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
