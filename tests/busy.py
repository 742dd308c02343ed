"""How much longer a table takes beside busy processes than alone: ``python -m tests.busy``.

The command is the one that people give, with its defaults: what it chooses must not wait for its neighbours.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

WORDS = ("run", "--table", "2", "--profile", "smoke", "--accelerator", "cpu")


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that keep a core busy, until the end of the ``with`` block."""
    with contextlib.ExitStack() as running:
        for _ in range(count):
            process = running.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            running.callback(process.kill)
        yield


def seconds(words: Sequence[str]) -> float:
    """Seconds of the command with a results folder of its own. Raises ``SystemExit`` if it fails."""
    with tempfile.TemporaryDirectory(prefix="modecov-busy-") as folder:
        command = [sys.executable, "-m", "benchmark", *words, "--results", str(Path(folder) / "results")]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ends with {done.returncode}: {done.stderr}")
        return time.monotonic() - began


def measure(words: Sequence[str], count: int) -> tuple[float, float]:
    """Seconds alone and beside ``count`` busy processes."""
    alone = seconds(words)
    with neighbours(count):
        return alone, seconds(words)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neighbours", type=int, choices=range(1, 257), metavar="N", default=2)
    parser.add_argument("words", nargs="*", default=list(WORDS), metavar="WORD", help=f"default: {' '.join(WORDS)}")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    idle, busy = measure(options.words, options.neighbours)
    print(
        f"alone {idle:.0f} s, beside {options.neighbours} busy processes {busy:.0f} s: {busy / idle:.1f} times as long"
    )
    if load > 0.5:
        print(f"this machine was not idle before (load {load:.1f}): alone was not alone, and the ratio is too small")
