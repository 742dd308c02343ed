"""Attack a results folder: hostile records, arrays, names and links, and every command that looks at them.

``python -m tests.attack --records 200 --seed 1`` makes so many hostile records, one of a kind after another, and runs
``list``, ``show``, ``report``, ``doctor``, ``figure``, ``evaluate`` and ``reproduce`` on them. No call may end in a
traceback, import anything below the results folder, write outside it, or send an escape sequence to the terminal.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.cli import main
from benchmark.papers.discovery import find_table
from benchmark.spec.run import Run, digest
from benchmark.spec.selection import select
from benchmark.spec.table import Table
from benchmark.store.record import Record
from benchmark.store.store import FORMAT, Store
from tests.benchmark.made import make_record

ESCAPE = "\x1b]0;owned\x07"
#: What hostile JSON puts in a place of another value.
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    1e308,
    "",
    "../../x",
    ESCAPE,
    "results.evil:Class",
    "$\\frac{",
    [],
    [[1], [1, 2]],
    {},
    {"x": {"y": 1}},
    "\ud800",
)


def runs() -> list[Run]:
    """Runs of a table that figures are drawn of."""
    table = find_table("2")
    assert isinstance(table, Table)
    chosen = select(table, profile="smoke", seeds=(0, 1))
    return [run for row in chosen.rows[:3] for run in chosen.runs(row)]


# What is done to a record ---------------------------------------------------------------------------------------------


def sealed(content: dict[str, Any]) -> str:
    """Text of a record whose checksum is right, as whoever means harm writes it."""
    with contextlib.suppress(ValueError, RecursionError, KeyError, TypeError):
        content = content | {"id": digest(content["run"])}
        return json.dumps({"format": FORMAT, "checksum": digest(content)} | content)
    return json.dumps({"format": FORMAT, "checksum": "0"} | content)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested JSON."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*path, key))


def change_a_value(content: dict[str, Any], rng: random.Random) -> str:
    *above, last = rng.choice(list(places(content)))
    place: Any = content
    for key in above:
        place = place[key]
    place[last] = rng.choice(VALUES)
    return sealed(content)


def drop_a_value(content: dict[str, Any], rng: random.Random) -> str:
    *above, last = rng.choice([path for path in places(content) if isinstance(path[-1], str)])
    place: Any = content
    for key in above:
        place = place[key]
    del place[last]
    return sealed(content)


def name_a_class(content: dict[str, Any], rng: random.Random) -> str:
    content["run"][rng.choice(["method", "dataset"])] = rng.choice(["results.evil:Class", "results.records.x:Class"])
    return sealed(content)


def make_ragged(content: dict[str, Any], rng: random.Random) -> str:
    name = rng.choice(list(content["curves"]))
    content["curves"][name] = rng.choice([[[1.0], [1.0, 2.0]], [1.0] * 10_000, ["x"], [[[[]]]], [1e400]])
    return sealed(content)


def nest_deep(content: dict[str, Any], rng: random.Random) -> str:
    deep = "[" * 200_000 + "]" * 200_000
    return sealed(content).replace('"curves": {', '"curves": {"deep": ' + deep + ", ", 1)


def cut_short(content: dict[str, Any], rng: random.Random) -> str:
    text = sealed(content)
    return text[: rng.randrange(len(text))]


def escape(content: dict[str, Any], rng: random.Random) -> str:
    content["reason"], content["status"] = f"it {ESCAPE} broke", "failed"
    content["environment"] = {"images": ESCAPE, "processor": ESCAPE}
    return sealed(content)


RECORDS: tuple[Callable[[dict[str, Any], random.Random], str], ...] = (
    change_a_value,
    drop_a_value,
    name_a_class,
    make_ragged,
    nest_deep,
    cut_short,
    escape,
)


def header_of(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def array(rng: random.Random) -> bytes:
    """Samples that are not the data set's."""
    if rng.random() < 0.3:
        return header_of(rng.choice([(2**31, 2), (2**62, 2**62), (-1, 2), ()]), rng.choice(["<f4", "|O", "<U9"]))
    shape = rng.choice([(4, 3), (4,), (0, 2), (2, 2, 2), (4, 1, 2, 2), (3, 2)])
    dtype = np.dtype(rng.choice([np.float64, np.float32, np.uint8, np.complex64]))
    made = np.full(shape, rng.choice([0.0, np.nan, 1e30]) if dtype.kind != "u" else 7, dtype)
    buffer = io.BytesIO()
    np.save(buffer, made)
    return buffer.getvalue()[: rng.choice([None, None, 20, 100])]


# The folder -----------------------------------------------------------------------------------------------------------


def fill(results: Path, records: int, rng: random.Random) -> list[str]:
    """A folder with sound records and hostile ones: their ids."""
    store, ids, family = Store(results), [], runs()
    for number in range(records):
        run = dataclasses.replace(family[number % len(family)], seed=number // len(family))
        record, samples = sound(run)
        store.write(run, record, samples)
        path = store.path(run)
        content = json.loads(path.read_text())
        del content["format"], content["checksum"]
        kind = number % (len(RECORDS) + 2)
        if kind == 0:
            pass
        elif kind == 1:
            suffix, key = rng.choice([(".npy", "samples"), (".frames.npy", "frames"), (".safetensors", "weights")])
            made = array(rng)
            path.with_suffix(suffix).write_bytes(made)
            content[key] = hashlib.sha256(made).hexdigest()
            path.write_text(sealed(content))
        else:
            text = RECORDS[kind - 2](content, rng)
            # Where its run says, so that readers come upon it.
            with contextlib.suppress(Exception):
                named = json.loads(text)["run"]
                path = results / "records" / named["dataset"].replace(":", ".") / named["method"].replace(":", ".")
                path = path.resolve() / f"{digest(named)}.json"
                if results.resolve() not in path.parents:
                    path = store.path(run)
                path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="surrogatepass")
        ids.append(path.stem)
    return ids


_SOUND: dict[tuple[str, str], Any] = {}


def sound(run: Run) -> tuple[Record, np.ndarray]:
    """As ``make_record``, made once for a method: only the run differs."""
    key = (run.dataset, run.method)
    if key not in _SOUND:
        _SOUND[key] = make_record(run)
    record, samples = _SOUND[key]
    return dataclasses.replace(record, id=run.id, run=run.identity(), samples=None), samples


def lay_traps(parent: Path, results: Path) -> None:
    """Code to import, links to write through, pipes to hang at, and names for a terminal."""
    trap = f"from pathlib import Path\nPath({str(parent / 'executed')!r}).touch()\nclass Class: pass\n"
    for path in (results / "evil.py", results / "records" / "x.py", results / "__init__.py"):
        path.write_text(trap)
    (parent / "outside").mkdir()
    (parent / "outside" / "thesis.tex").write_text("four years")
    (results / "unfinished").mkdir(exist_ok=True)
    (results / "unfinished" / "0123456789abcdef.claim").symlink_to(parent / "outside" / "thesis.tex")
    (results / "unfinished" / "0123456789abcdef.ckpt").symlink_to(parent / "outside" / "thesis.tex")
    (results / "unfinished" / "deadbeefdeadbeef.ckpt").write_bytes(b"PK\x03\x04 no checkpoint")
    (results / "tables").symlink_to(parent / "outside")
    (results / "report").symlink_to(parent / "outside")
    (results / "figures").mkdir()
    (results / "figures" / f"gaan-fig5-{ESCAPE}.png").write_bytes(b"no picture")
    os.mkfifo(results / "records" / "grid25-gaan" / "gan" / "0000000000000000.json")
    os.mkfifo(results / "records" / "grid25-gaan" / "gan" / "pipe.npy")
    (results / "records" / "grid25-gaan" / "gan" / f"x{ESCAPE}.json").write_text("{}")
    (results / "records" / os.fsdecode(b"un\xffdecodable")).mkdir()
    (results / "records" / os.fsdecode(b"un\xffdecodable") / "x.json").write_text("{}")


def calls(parent: Path, results: Path, ids: list[str], rng: random.Random) -> list[list[str]]:
    """Every command that looks; those that name a run for some of the runs."""
    chosen = ["--profile", "smoke", "--seeds", "8"]
    common: list[list[str]] = [
        ["doctor"],
        ["list", "stored"],
        ["show", "--table", "2", *chosen],
        ["show", "--table", "2", *chosen, "--format", "csv"],
        ["show", "--table", "2", *chosen, "--curves"],
        ["show", "--table", "claims", "--profile", "smoke"],
        ["plan", "--table", "2", *chosen],
        ["figure", "gaan-fig5", *chosen],
        ["figure", "gaan-fig6", *chosen],
        ["report"],
        ["report", "--output", str(parent / "page.html")],
    ]
    common += [["figure", "movie", "--cell", name[:8]] for name in rng.sample(ids, min(len(ids), 10))]
    common += [["reproduce", name[:8]] for name in rng.sample(ids, min(len(ids), 10)) if name not in sound_ids(results)]
    arrays = sorted(results.glob("records/*/*/*.npy"))
    looked_at = [
        ["evaluate", "--dataset", "grid25-gaan", "--samples", str(path)]
        for path in rng.sample(arrays, min(len(arrays), 20))
    ]
    return [[*words, "--results", str(results)] for words in common] + looked_at


def sound_ids(results: Path) -> set[str]:
    """Runs that can be trained again, which takes its time and is no looking."""
    store, found = Store(results, damaged=lambda line: None), set()
    for path in results.glob("records/*/*/*.json"):
        with contextlib.suppress(Exception):
            run = store.run_at(path)
            if (record := store.read(run)) and record.status != "failed":
                found.add(path.stem)
    return found


def call(words: list[str]) -> tuple[int, str]:
    """Exit status of a command, and all that it says; a traceback is status -1."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            return main(words), out.getvalue()
        except BaseException:
            return -1, out.getvalue() + traceback.format_exc()


def attack(records: int, seed: int, parent: Path) -> tuple[int, list[str]]:
    """Make the folder in ``parent`` and run every command on it.

    Returns:
        The number of calls, and what went wrong with any of them; nothing if the product stands.
    """
    rng, results = random.Random(seed), parent / "results"
    ids = fill(results, records, rng)
    lay_traps(parent, results)
    wrong, before = [], Path.cwd()
    todo = calls(parent, results, ids, rng)
    os.chdir(parent)
    try:
        for words in todo:
            known = set(sys.modules)
            status, said = call(words)
            line = " ".join(words)
            if status not in (0, 1, 2):
                wrong.append(f"{line}: traceback\n{said[-1500:]}")
            if "\x1b" in said:
                wrong.append(f"{line}: an escape sequence reaches the terminal")
            for name in set(sys.modules) - known:
                origin = getattr(sys.modules.get(name), "__file__", None) or ""
                if origin.startswith(str(results)):
                    wrong.append(f"{line}: imports {origin}")
    finally:
        os.chdir(before)
    if (parent / "executed").exists():
        wrong.append("code below the results folder was executed")
    if (parent / "outside" / "thesis.tex").read_text() != "four years":
        wrong.append("a file outside was overwritten through a link")
    outside = sorted(path.name for path in (parent / "outside").iterdir())
    if outside != ["thesis.tex"]:
        wrong.append(f"files were written through a link: {outside}")
    if others := {path.name for path in parent.iterdir()} - {"results", "outside", "page.html", "executed"}:
        wrong.append(f"files were written beside the results folder: {sorted(others)}")
    return len(todo), wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, choices=range(1, 10_001), metavar="N", default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="modecov-attack-"))
    count, faults = attack(options.records, options.seed, folder)
    if faults:
        raise SystemExit("\n".join([*faults, f"{len(faults)} faults in {count} calls; see {folder}"]))
    shutil.rmtree(folder)
    print(f"{count} calls on {options.records} records: no traceback, no import, no write outside")
