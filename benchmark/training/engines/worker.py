"""A process that trains blocks for the process that started it: ``python -m benchmark.training.engines.worker HANDLE``.

It listens before it loads PyTorch, so that it ends with its parent at any time, however that ends.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue

#: What the parent sends besides work: finish the epoch and write a checkpoint; end.
STOP, END = b"stop", b"end"


def main(handle: int) -> None:
    """Do what the parent sends, one piece of work after another: a function and its arguments, whose modules load as
    they arrive. What the user must change goes back as a ``str``.

    handle: the file descriptor of a duplex ``Connection`` to the parent.
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
    """Take messages while the main thread trains. Without a parent there is nobody to train for."""
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
