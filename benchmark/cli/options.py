"""Options that several commands share, as dataclasses. Their docstrings and help texts appear in ``--help``.

Only the standard library is imported, so that ``--help`` and errors appear at once. Names that are defined in other
parts of the project are repeated here, and a test compares them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from benchmark.store.store import Store

Accelerator = Literal["auto", "cpu", "gpu"]
Precision = Literal["32-true", "bf16-mixed"]
Features = Literal["inception", "efficientnet-lite0", "none"]
Format = Literal["text", "markdown", "latex", "csv", "json", "html"]
Engine = Literal["local", "inline", "ray"]
#: Largest accepted number of threads if this machine has fewer cores, as the nodes of a cluster may have more.
_MOST_THREADS = 256

_LIST = "python -m benchmark list"


def text(value: Any) -> str:
    """Return a word as it was typed. In an options file, a number needs no quotes."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{value} is no word")
    return str(value)


def words(value: Any) -> str:
    """Return words separated by commas. In an options file they may be a list."""
    return ",".join(map(text, value)) if isinstance(value, list) else text(value)


def texts(value: Any) -> str | list[str]:
    """Return one word of a repeatable option, or a list of words from an options file."""
    return [text(part) for part in value] if isinstance(value, list) else text(value)


def assignments(value: Any) -> str | list[str]:
    """Return words ``FIELD=VALUE``. In an options file they may be a mapping."""
    if isinstance(value, dict):
        return [f"{name}={str(part).lower() if isinstance(part, bool) else text(part)}" for name, part in value.items()]
    return texts(value)


def count(value: Any) -> int:
    """Return an integer of at least 1."""
    if isinstance(value, bool) or not re.fullmatch(r"0*[1-9][0-9]{0,8}", str(value)):
        raise ValueError(f"{value} is no count of at least 1")
    return int(value)


def thread_count(value: Any) -> int:
    """Return a number of threads.

    It is limited, as more threads than cores slow a process down and thousands crash it.
    """
    number, most = count(value), max(_MOST_THREADS, os.cpu_count() or 1)
    if number > most:
        raise ValueError(f"{value} threads are too many; this machine has {os.cpu_count()} cores")
    return number


def job_count(value: Any) -> int:
    """Return a number of blocks at a time. It is limited, as each block is a process of about 1 GiB."""
    number, most = count(value), max(_MOST_THREADS, os.cpu_count() or 1)
    if number > most:
        raise ValueError(f"{value} blocks are too many at a time; {os.cpu_count()} cores are here")
    return number


def seconds(value: Any) -> float:
    """Return a number of seconds."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", str(value)):
        raise ValueError(f"{value} is no number of seconds")
    return float(value)


def gpu_share(value: Any) -> float:
    """Return the GPUs per block in Ray's terms: a fraction of one, or several whole ones."""
    try:
        number = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not (0 <= number <= 1 or (number.is_integer() and 1 < number < 1_000)):
        raise ValueError(f"{value} is no share of a GPU, as 0.25")
    return number


def option(
    help: str,
    default: Any = None,
    *,
    metavar: str | None = None,
    read: Callable[[Any], Any] = text,
    also: str = "",
    positional: bool = False,
) -> Any:
    """Define a field of a dataclass as an option of the command line.

    Args:
        help: Text in ``--help``. It states the default, if there is one.
        default: Value if the option is not given. A list makes the option repeatable, False makes it a switch.
        metavar: Placeholder for the value in ``--help``.
        read: Converts a word, or a value of an options file. Fields annotated as ``Literal`` ignore it and accept the
            literal's values.
        also: A second name.
        positional: Whether the value is given without the option's name.
    """
    facts = {"help": help, "metavar": metavar, "read": read, "also": also, "positional": positional}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=facts)
    return field(default=default, metadata=facts)


@dataclass(kw_only=True)
class Options:
    """Options of a command; ``verb`` is its name."""

    verb = ""


@dataclass(kw_only=True)
class TableOptions(Options):
    """what is meant"""

    table: str | None = option(
        f"a number or an id, as 2 or gaan-2 (all: {_LIST} tables); a table of yours is package.module:NAME or "
        "path/to/file.py:NAME",
        metavar="TABLE",
    )


@dataclass(kw_only=True)
class FigureOptions(Options):
    """what is meant"""

    figure: str | None = option(
        f"a figure or a demonstration instead of a table, as gaan-fig5 (all: {_LIST} figures)", metavar="FIGURE"
    )


@dataclass(kw_only=True)
class SelectionOptions(Options):
    """what of it"""

    profile: str | None = option(
        "how much is trained: paper (as much as the paper; default), short (enough for an order of the methods), smoke "
        "(seconds; no good numbers); demonstrations: short by default",
        metavar="NAME",
    )
    reading: str | None = option(
        f"whose word is followed where text, slips and released code of the paper differ; default: the table's (all: "
        f"{_LIST} protocols)",
        metavar="NAME",
    )
    methods: str | None = option(
        "any methods: rows of the table, package.module:Class, or path/to/file.py:Class; default: all rows",
        metavar="A,B",
        read=words,
    )
    method: list[str] = option(
        "a method of yours beside the rows, package.module:Class or path/to/file.py:Class; repeatable",
        [],
        metavar="METHOD",
        read=texts,
    )
    datasets: str | None = option(
        f"data sets of the table, any other ({_LIST} datasets), or yours as package.module:NAME or "
        "path/to/file.py:NAME; default: the table's",
        metavar="A,B",
        read=words,
        also="dataset",
    )
    set: list[str] = option(
        "a field of the methods or of the protocol, as method.lambda_p=0.2 or protocol.lr=1e-4; repeatable",
        [],
        metavar="FIELD=VALUE",
        read=assignments,
    )


@dataclass(kw_only=True)
class SeedOptions(Options):
    """what of it"""

    seeds: str | None = option(
        "how many (8), or which (0-3 or 1,5); default: the profile's", metavar="SEEDS", read=words
    )


@dataclass(kw_only=True)
class MeasureOptions(Options):
    """what of it"""

    measure: list[str] = option(
        "a measure of yours beside the others, package.module:function or path/to/file.py:function; repeatable",
        [],
        metavar="MEASURE",
        read=texts,
    )


@dataclass(kw_only=True)
class PrecisionOptions(Options):
    """how it is trained and measured"""

    precision: Precision | None = option("of training; default: 32-true")


@dataclass(kw_only=True)
class FeatureOptions(Options):
    """how it is trained and measured"""

    features: Features | None = option("the network that images are compared by; default: inception")
    fid_weights: str | None = option(
        "Inception's weights; default: $MODECOV_FID_WEIGHTS, or a download", metavar="FILE"
    )


@dataclass(kw_only=True)
class StaleOptions(Options):
    """which part of the work"""

    redo_stale: bool = option("train again what older code made", False)
    shard: str | None = option("the I-th of N parts of the blocks, for job arrays, as 2/8", metavar="I/N")


@dataclass(kw_only=True)
class AcceleratorOptions(Options):
    """where it runs"""

    accelerator: Accelerator = option("as in Lightning; default: auto", "auto")


@dataclass(kw_only=True)
class ThreadOptions(Options):
    """where it runs"""

    threads: int | None = option(
        "threads of a block; default: 1 for points, all cores for images", metavar="N", read=thread_count
    )


@dataclass(kw_only=True)
class EngineOptions(Options):
    """where it runs"""

    engine: Engine | None = option(
        "local: as many blocks at a time as this machine has cores and memory for (default); "
        "inline: one after another in this process; ray: each a task of Ray"
    )
    jobs: int | None = option(
        "blocks at a time; default: as many as cores and memory allow", metavar="N", read=job_count
    )
    devices: int | None = option("train on N GPUs of this machine, or on N cores", metavar="N", read=count)
    address: str | None = option("of a Ray cluster that is running, as 10.0.0.1:6379, or auto", metavar="ADDRESS")
    gpus_per_block: float | None = option("0.25 for four blocks on a GPU; default: 1", metavar="X", read=gpu_share)
    logger: str | None = option(
        "csv, tensorboard, wandb: curves beside the records, under RESULTS/logs", metavar="A,B", read=words
    )


@dataclass(kw_only=True)
class TrainOptions(EngineOptions, ThreadOptions, AcceleratorOptions):
    """where it runs"""


@dataclass(kw_only=True)
class NamedOptions(Options):
    """code of yours"""

    method: list[str] = option(
        "a method of yours that records name, package.module:Class or path/to/file.py:Class; what is not named here is "
        "not loaded; repeatable",
        [],
        metavar="METHOD",
        read=texts,
        also="methods",
    )
    dataset: list[str] = option(
        "a data set of yours that records name; repeatable", [], metavar="NAME", read=texts, also="datasets"
    )


@dataclass(kw_only=True)
class ResultsOptions(Options):
    """files"""

    results: str = option("folder of records, tables and figures; default: results", "results", metavar="DIR")

    def store(self) -> Store:
        """Return the results folder."""
        from benchmark.store.store import Store

        return Store(Path(self.results))

    def store_to_look_at(self) -> Store:
        """Return the results folder for a read-only command: damaged records are reported and left out."""
        from benchmark.errors import one_line
        from benchmark.store.store import Store

        return Store(Path(self.results), lambda line: print(f"left out: {one_line(line)}", file=sys.stderr))


@dataclass(kw_only=True)
class DataOptions(Options):
    """files"""

    data: str | None = option("folder of image data; default: $MODECOV_DATA, or data", metavar="DIR")
