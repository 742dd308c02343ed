"""Kills a small table at random moments, goes on, and compares its records with those of an undisturbed run.

``python -m tests.kill --times 20`` kills with SIGKILL at any time, in the middle of writing a checkpoint, samples or a
record. Where a file is half written, its writer is stopped by a hook on ``os.fsync``, so that the kill always hits.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmark.cli import main
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training import callback
from tests.processes import CONTEXT, start

WORDS = (
    "run --table veegan-1 --profile smoke --methods gan,veegan --datasets ring8 --seeds 2 --threads 1 --engine inline"
)
SETTINGS = {"epochs": 4, "fresh_iterations": 20, "samples": 300, "batch_size": 64, "width": 1}
#: Files that a writer is killed in the middle of, by their names.
MIDDLES = {"checkpoint": r"\.ckpt\.\w+$", "samples": r"\.npy\.\w+$", "record": r"\.json\.\w+$"}


def words(folder: Path) -> list[str]:
    settings = [word for name, value in SETTINGS.items() for word in ("--set", f"protocol.{name}={value}")]
    return [*WORDS.split(), *settings, "--results", str(folder)]


def child(folder: Path, middle: str, turn: int, there: Any) -> None:
    """The command, with a checkpoint after every epoch; stops for good in its ``turn``-th write of a ``middle``."""
    callback.CHECKPOINT_SECONDS = 0.0
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    flush, left = os.fsync, turn

    def stop_half_written(handle: int) -> None:
        nonlocal left
        flush(handle)
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if middle in MIDDLES and re.search(MIDDLES[middle], str(path)):
            left -= 1
            if left == 0:
                # By its path, as the handle may be one for reading.
                os.truncate(path, os.fstat(handle).st_size // 2)
                there.set()
                time.sleep(600)

    os.fsync = stop_half_written
    sys.exit(main(words(folder)))


def go_on(folder: Path, middle: str, turn: int, seconds: float) -> bool:
    """Start the command and kill it after so many seconds, or in the middle of a write: whether it was killed."""
    there = CONTEXT.Event()
    process = start(child, folder, middle, turn, there)
    until = time.monotonic() + seconds
    while process.is_alive() and not there.is_set() and (middle in MIDDLES or time.monotonic() < until):
        time.sleep(0.005)
    process.kill()
    process.join()
    if process.exitcode not in (0, -9):
        raise SystemExit(f"after {middle or 'a kill'} the command ends with {process.exitcode}; see {folder}")
    return process.exitcode != 0


def finish(folder: Path) -> list[tuple[object, ...]]:
    """Run to the end: what must be equal, run by run. Nothing else may be left in the folder."""
    go_on(folder, "", 0, 600.0)
    store = Store(folder)
    found = {run.id: read(store, run) for run in map(store.run_at, folder.glob("records/*/*/*.json"))}
    files = [path.name for path in folder.rglob("*") if path.name.startswith(".") or path.suffix == ".ckpt"]
    if files != [".gitignore"]:
        raise SystemExit(f"left behind in {folder}: {files}")
    return [(key, r.status, r.measures, r.curves, r.samples, r.frames) for key, r in sorted(found.items())]


def read(store: Store, run: Any) -> Record:
    record = store.read(run)
    assert record is not None
    store.samples(run, record)
    return record


def kill(times: int, seed: int, folder: Path) -> dict[str, int]:
    """Kill ``times`` times and compare after every completed table: how often each kind of kill hit.

    Raises ``SystemExit`` with what is another number, or wrong.
    """
    rng, hits = random.Random(seed), dict.fromkeys(("any moment", *MIDDLES), 0)
    began = time.monotonic()
    straight = finish(folder / "straight")
    duration = time.monotonic() - began
    disturbed = folder / "disturbed"
    while sum(hits.values()) < times:
        kind = min(hits, key=lambda name: (hits[name], rng.random()))
        if go_on(disturbed, kind, rng.randint(1, 4), rng.uniform(0, duration)):
            hits[kind] += 1
            for path in disturbed.glob("records/*/*/*.json"):
                read(Store(disturbed), Store(disturbed).run_at(path))
        else:
            compare(disturbed, straight)
            shutil.rmtree(disturbed)
    compare(disturbed, straight)
    return hits


def compare(folder: Path, straight: list[tuple[object, ...]]) -> None:
    if not straight or finish(folder) != straight:
        raise SystemExit(f"records differ from those of an undisturbed run; see {folder}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, choices=range(1, 1001), metavar="N", default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    parent = Path(tempfile.mkdtemp(prefix="modecov-kill-"))
    found = kill(options.times, options.seed, parent)
    shutil.rmtree(parent)
    print(", ".join(f"{count} at {kind}" for kind, count in found.items()), "- records equal to an undisturbed run's")
