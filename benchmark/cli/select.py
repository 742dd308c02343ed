"""Turn the options of a command into a selection. Names are resolved here once; commands receive objects."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.cli.options import (
    AcceleratorOptions,
    DataOptions,
    EngineOptions,
    FeatureOptions,
    FigureOptions,
    MeasureOptions,
    NamedOptions,
    Options,
    PrecisionOptions,
    ResultsOptions,
    SeedOptions,
    SelectionOptions,
    StaleOptions,
    TableOptions,
)
from benchmark.cli.parse import default_of
from benchmark.errors import UserError, unknown
from benchmark.papers.discovery import find_figure, find_table, select_claims
from benchmark.plotting.figure import Figure
from benchmark.spec import registry, user_code
from benchmark.spec.block import Block, Shard
from benchmark.spec.claims import ClaimSelection, ClaimTable
from benchmark.spec.demonstration import USUAL_PROFILE, Demonstration, Experiment
from benchmark.spec.demonstration import choose as choose_experiment
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import NetworkTable, Table
from benchmark.store.environment import gpu
from benchmark.store.store import Store, read_records
from datamodules.images import DATA_VARIABLE, ImageSet
from evaluators.names import WEIGHTS_VARIABLE

#: Options that apply to demonstrations.
_OF_EXPERIMENTS = {"table", "figure", "profile", "seeds", "results", "redo_stale", "threads"}
#: Options that do not apply to tables of claims, as each table behind a claim has its own setting.
_NOT_OF_CLAIMS = ("strategy", "reading", "datasets", "method", "set", "precision", "features", "measure", "logger")
#: Commands that accept a table of claims.
_CLAIM_VERBS = ("plan", "run", "show")
#: Commands that train and therefore need the images.
_TRAIN = ("plan", "run", "verify", "throughput")
#: Commands that train and also measure samples, which may need the weights of a network.
_JUDGE = ("run", "verify")


@dataclass(frozen=True)
class TableChoice:
    """A selection of a table, and the figure that the user requested, if any."""

    selection: Selection
    figure: Figure | None = None


Choice = TableChoice | NetworkTable | ClaimSelection | Experiment


def choose(options: SelectionOptions) -> Choice:
    """Return the table, claims or demonstration that ``--table`` or ``--figure`` and the other options select.

    Raises:
        UserError: A name is unknown, or options contradict one another.
        datamodules.images.MissingData: The command trains on images that are missing.
        evaluators.features.MissingWeights: The command measures images with a network whose weights are missing.
    """
    prepare(options)
    word = options.table if isinstance(options, TableOptions) else None
    name = options.figure if isinstance(options, FigureOptions) else None
    _check_what(options, word, name)
    figure = find_figure(name) if name else None
    if isinstance(figure, Demonstration):
        return _experiment(figure, options)
    table = find_table(figure.table if figure else user_code.trust(user_code.short_name(word or "")))
    if isinstance(table, ClaimTable):
        return _claims(table, options)
    if isinstance(table, NetworkTable):
        return _networks(table, options)
    return TableChoice(_selection(table, figure, options), figure)


def choose_rows(options: SelectionOptions) -> TableChoice | NetworkTable:
    """Return the result of ``choose`` for commands that accept neither claims nor demonstrations."""
    found = choose(options)
    assert not isinstance(found, (Experiment, ClaimSelection)), (
        "only --figure chooses the one, and the other is refused"
    )
    return found


def prepare(options: Options) -> None:
    """Set the places of data and weights, and permit the user's code that the options name."""
    if isinstance(options, DataOptions) and options.data:
        os.environ[DATA_VARIABLE] = options.data
    if isinstance(options, FeatureOptions) and options.fid_weights:
        os.environ[WEIGHTS_VARIABLE] = options.fid_weights
    if isinstance(options, ResultsOptions):
        user_code.protect(Path(options.results))
    if isinstance(options, NamedOptions):
        for kind, words in (("methods", options.method), ("datasets", options.dataset)):
            for word in (part for text in words for part in text.split(",")):
                name(kind, word)  # type: ignore[arg-type]


def name(kind: registry.Kind, word: str) -> str:
    """Return the full name of a method, data set or measure, as in records, and permit loading it."""
    return user_code.trust(registry.full_name(kind, word))


def _check_what(options: Options, table: str | None, figure: str | None) -> None:
    if table and figure:
        raise UserError("give --table or --figure, not both")
    if not table and not figure:
        if options.verb == "figure":
            raise UserError("figure what? for example figure gaan-fig5; all names: python -m benchmark list figures")
        example = "--table 2" + (" or --figure gaan-fig5" if isinstance(options, FigureOptions) else "")
        raise UserError(f"{options.verb} what? for example {example}; all names: python -m benchmark list")


def _experiment(figure: Demonstration, options: SelectionOptions) -> Experiment:
    for own in dataclasses.fields(options):
        if own.name not in _OF_EXPERIMENTS and getattr(options, own.name) != default_of(own):
            word = f"--{own.name.replace('_', '-')}"
            raise UserError(f"{word} means nothing to {figure.id}, which is no table; it takes --profile and --seeds")
    return choose_experiment(figure, USUAL_PROFILE if options.profile is None else options.profile, seeds_of(options))


def _claims(table: ClaimTable, options: SelectionOptions) -> ClaimSelection:
    if options.verb not in _CLAIM_VERBS:
        why = "whose models are other tables': give one of those"
        raise UserError(f"{options.verb} means nothing to {table.id}, {why}")
    for field in _NOT_OF_CLAIMS:
        if getattr(options, field, None):
            raise UserError(f"--{field} means nothing to {table.id}, which takes --profile, --methods and --seeds")
    methods = words_of("methods", options.methods)
    selected = select_claims(table, "paper" if options.profile is None else options.profile, methods, seeds_of(options))
    check_accelerator(options)
    # Stored models can be judged without the data.
    trains = [run for claim in selected.claims for run in selected.runs(claim)] if options.verb in _TRAIN else []
    for dataset in {registry.dataset(run.dataset) for run in trains}:
        if isinstance(dataset, ImageSet):
            dataset.check()
    return selected


def _networks(table: NetworkTable, options: SelectionOptions) -> NetworkTable:
    of_training = (options.methods, options.datasets, options.method, options.set, _seeds_text(options))
    if any(of_training) or (isinstance(options, MeasureOptions) and options.measure):
        raise UserError(f"table {table.id} trains nothing: --methods, --method, --set and the like do not apply")
    select(table.of, profile="paper" if options.profile is None else options.profile, reading=options.reading)
    return table


def _selection(table: Table, figure: Figure | None, options: SelectionOptions) -> Selection:
    rows, own = _methods(table, words_of("methods", options.methods))
    datasets = [name("datasets", word) for word in words_of("datasets", options.datasets)]
    if figure or options.verb == "throughput":
        for other in (word for word in datasets if word not in table.datasets):
            raise unknown(f"data set of {table.id}", other, table.datasets)
    every = not rows and not own
    if figure:
        # Check this before anything is trained.
        figure.check(datasets)
        rows, datasets = rows or (list(figure.rows) if every else []), datasets or list(figure.datasets)
    chosen = select(
        table,
        profile="paper" if options.profile is None else options.profile,
        reading=options.reading,
        methods=rows,
        own=[*own, *(name("methods", word) for word in options.method)],
        seeds=seeds_of(options),
        datasets=datasets,
        assignments=[*options.set, *_switches(options)],
        measures=[name("measures", word) for word in _measures(options)],
        all_rows=every,
    )
    check_accelerator(options)
    if options.verb in _TRAIN:
        chosen.check_data(judged=options.verb in _JUDGE)
    return chosen


def _methods(table: Table, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split names into rows of the table and other methods."""
    rows = {row.id for row in table.rows}
    others = [w for w in words if w not in rows and (registry.is_from_outside("methods", w) or w in registry.methods())]
    return [w for w in words if w not in others], [name("methods", w) for w in others]


def _measures(options: Options) -> Sequence[str]:
    return options.measure if isinstance(options, MeasureOptions) else ()


def _switches(options: Options) -> list[str]:
    """Return protocol fields that have an option of their own as ``--set`` assignments."""
    features = options.features if isinstance(options, FeatureOptions) else None
    precision = options.precision if isinstance(options, PrecisionOptions) else None
    named = {"features": features, "precision": precision}
    return [f"protocol.{field}={value}" for field, value in named.items() if value]


def words_of(option: str, value: str | None) -> list[str]:
    """Return the words of ``--methods A,B``; empty if the option is not given.

    Raises:
        UserError: The option is given without a word.
    """
    words = [word.strip() for word in (value or "").split(",") if word.strip()]
    if value is not None and not words:
        raise UserError(f"--{option} is empty; leave it out for all {option} of the table")
    return words


def _seeds_text(options: Options) -> str | None:
    return options.seeds if isinstance(options, SeedOptions) else None


def seeds_of(options: Options) -> tuple[int, ...] | None:
    """Return the seeds of ``--seeds``; None if the option is not given."""
    text = _seeds_text(options)
    return None if text is None else parse_seeds(text)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse seeds: ``8`` means 0 to 7; ``0-3``, ``1,5`` and ``0-3,7`` are ranges and lists.

    Raises:
        UserError: The text is none of these, or names a seed twice.
    """
    if any(len(number) > 6 for number in re.findall(r"[0-9]+", text)):
        raise UserError(f"--seeds {text}: seeds end at 999999")
    if re.fullmatch(r"[0-9]+", text) and int(text) > 0:
        return tuple(range(int(text)))
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part.strip())
        if not match or (match[2] and int(match[2]) < int(match[1])) or ("," not in text and not match[2]):
            raise UserError(f"--seeds {text}: write a count (8), a range (0-3) or a list (1,5)")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text} names a seed twice")
    return tuple(seeds)


def parse_shard(text: str) -> Shard:
    """Parse a shard: ``2/8`` is the second of eight.

    Raises:
        UserError: The text is not of this form.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"--shard {text}: write I/N with I from 1 to N, as 2/8 for the second of eight parts")
    return Shard(int(match[1]), int(match[2]))


def shard_of(options: StaleOptions) -> Shard:
    """Return the shard of ``--shard``; the one of all blocks if it is not given."""
    return parse_shard(options.shard) if options.shard is not None else Shard()


def blocks_of(runs: Sequence[Run], store: Store, options: StaleOptions) -> list[Block]:
    """Return the unfinished blocks of these models; with ``--redo-stale``, stale models count as unfinished."""
    stale = []
    if options.redo_stale:
        from benchmark.analysis.frame import is_stale

        records = read_records(store, runs)
        stale = [c.id for c in runs if c.id in records and is_stale(c, records[c.id])]
    from benchmark.training.engines.runner import to_do

    return to_do(store, runs, stale, shard_of(options))


def set_threads(count: int | None) -> None:
    """Set PyTorch's number of threads in this process, if a number is given."""
    import torch

    if count:
        torch.set_num_threads(count)


def check_accelerator(options: Options) -> None:
    """Check that a requested GPU exists. A cluster is not checked, as it may have GPUs that this machine lacks.

    Raises:
        UserError: This machine has no GPU.
    """
    elsewhere = isinstance(options, EngineOptions) and options.address
    if isinstance(options, AcceleratorOptions) and options.accelerator == "gpu" and not elsewhere and not gpu():
        raise UserError("--accelerator gpu: this machine shows no GPU to PyTorch; leave it out or say cpu")
