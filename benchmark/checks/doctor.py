"""Diagnose a results folder, the data, the devices and the libraries of this machine."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch
from packaging.requirements import Requirement

from benchmark.analysis.experiments import is_experiment_stale, read_experiment
from benchmark.errors import UserError
from benchmark.papers.discovery import experiment_of
from benchmark.spec import registry
from benchmark.spec.block import Block
from benchmark.spec.commands import seeds_text
from benchmark.spec.demonstration import Experiment
from benchmark.spec.registry import shows_people
from benchmark.spec.run import Run
from benchmark.spec.versions import versions_of
from benchmark.store.environment import processor
from benchmark.store.locks import NoLocks, claimed, holder, is_claimed
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training import checkpoints
from benchmark.training.engines.resources import free_memory, usable_cores
from benchmark.training.trainer import check_checkpoint
from datamodules.images import READERS, MissingData, data_folder, is_decoded, read_images

#: Free space that a table with its checkpoints needs.
_ENOUGH_BYTES = 2**30
#: Number of files that are named if many have the same problem.
_NAMED = 3


@dataclass(frozen=True)
class Diagnosis:
    """One line of the diagnosis.

    Attributes:
        level: ``wrong`` if a command would refuse it or numbers cannot be computed; ``note`` if it may stay as it is;
            else ``ok``.
        said: The text, with the way out.
    """

    level: Literal["ok", "note", "wrong"]
    said: str


def diagnose(store: Store) -> Iterator[Diagnosis]:
    """Yield everything that can be checked without training."""
    yield from check_libraries()
    yield from check_gpus()
    yield from check_data()
    yield from check_space([store.folder, data_folder()])
    yield from check_results(store)


# The machine ----------------------------------------------------------------------------------------------------------


def check_libraries() -> Iterator[Diagnosis]:
    """Compare installed versions with the ranges that the project declares. Extras count only if they are installed."""
    wanted = requirements()
    good = 0
    for requirement, extra in wanted:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            if not extra:
                yield Diagnosis("wrong", f"{requirement.name} is not installed; pip install '{requirement}'")
            continue
        if requirement.specifier.contains(version, prereleases=True):
            good += 1
        else:
            said = f"{requirement.name} {version} is outside {requirement.specifier}; pip install '{requirement}'"
            yield Diagnosis("wrong", said)
    yield Diagnosis("ok", f"{good} libraries are within their ranges (torch {torch.__version__})")


def requirements() -> list[tuple[Requirement, bool]]:
    """Return the project's requirements, each with whether only an extra needs it.

    They come from the checkout, or from the metadata of the installed package.
    """
    checkout = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if checkout.exists():
        project = tomllib.loads(checkout.read_text(encoding="utf-8"))["project"]
        extras = [line for lines in project["optional-dependencies"].values() for line in lines]
        lines = [(line, False) for line in project["dependencies"]] + [(line, True) for line in extras]
    else:
        lines = [(line, "extra ==" in line) for line in metadata.requires("modecov") or []]
    return [(Requirement(line.partition(";")[0]), extra) for line, extra in lines]


def check_gpus() -> Iterator[Diagnosis]:
    """Report the processor, the cores and memory that this process may use, and the GPUs that PyTorch finds."""
    cores = f"{usable_cores()} of {os.cpu_count()} cores usable, {free_memory() / 2**30:.1f} GiB of memory free"
    yield Diagnosis("ok", f"{processor()}, {cores}")
    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi"):
            yield Diagnosis(
                "note",
                "nvidia-smi is here, but this PyTorch sees no GPU: it is a build for CPUs, or the driver is too old",
            )
        return
    for index in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(index)
        try:
            free, total = torch.cuda.mem_get_info(index)
            assert torch.ones(8, device=f"cuda:{index}").sum().item() == 8
        except (RuntimeError, AssertionError) as error:
            said = " ".join(str(error).split())
            yield Diagnosis("wrong", f"GPU {index}, {name}, cannot compute: {said}; CUDA_VISIBLE_DEVICES leaves it out")
            continue
        yield Diagnosis("ok", f"GPU {index}: {name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free")


def check_data() -> Iterator[Diagnosis]:
    """Check the decoded image sets. Other sets are decoded when a command needs them."""
    folder = data_folder()
    for name in READERS:
        if not is_decoded(name):
            there = "is not decoded yet" if folder.exists() else f"is not here, as there is no folder {folder}"
            yield Diagnosis("note", f"{name} {there}; python -m benchmark data {name} --data {folder} sees to it")
            continue
        try:
            counts = [len(read_images(name, part)[0]) for part in ("train", "test")]
        except MissingData as error:
            yield Diagnosis("wrong", str(error))
        else:
            yield Diagnosis("ok", f"{name}: {counts[0]} training and {counts[1]} test images in {folder}")


def check_space(folders: Iterable[Path]) -> Iterator[Diagnosis]:
    """Check the free space on the disks of these folders."""
    for folder in folders:
        there = next((parent for parent in (folder, *folder.resolve().parents) if parent.is_dir()), None)
        if there is None:
            continue
        free = shutil.disk_usage(there).free
        said = f"{free / 2**30:.1f} GiB free for {folder}"
        yield Diagnosis("ok", said) if free >= _ENOUGH_BYTES else Diagnosis("wrong", f"{said}; free some before a run")


# The results ----------------------------------------------------------------------------------------------------------


def check_results(store: Store) -> Iterator[Diagnosis]:
    """Check records, samples and checkpoints of a results folder: damaged, edited, newer or orphaned ones."""
    try:
        next(store.folder.iterdir(), None)
    except FileNotFoundError:
        yield Diagnosis("note", f"{store.folder} is no folder yet; run makes it")
        return
    except OSError as error:
        said = f"{store.folder} is no folder of results ({error.strerror}); choose another --results DIR"
        yield Diagnosis("wrong", said)
        return
    yield from _access(store)
    records: dict[Run, Record] = {}
    experiments: list[tuple[Experiment, Record]] = []
    left: dict[str, list[Path]] = {}
    for path in sorted(p for p in (store.folder / "records").rglob("*") if p.suffix == ".json" or p.is_file()):
        if path.is_dir():
            yield Diagnosis("wrong", f"{path} is a folder where a record belongs; delete it")
        elif not path.is_file():
            yield Diagnosis("wrong", f"{path} is no ordinary file, or a link to nothing; delete it")
        elif path.name.startswith("."):
            left.setdefault("left by writers that were killed", []).append(path)
        elif path.suffix == ".json":
            try:
                if path.parents[1] == store.folder / "records":
                    experiment = store.subject_at(path, experiment_of)
                    experiments.append((experiment, read_experiment(experiment, store)))
                else:
                    run = store.run_at(path)
                    records[run] = _sound(run, store)
            except UserError as error:
                yield Diagnosis("wrong", str(error))
        elif not path.with_name(path.name.partition(".")[0] + ".json").exists():
            left.setdefault("samples without a record", []).append(path)
    yield from _records(records, store)
    yield from _experiments(experiments, store)
    yield from _unfinished(store, records, left)
    for folder in ("figures", "tables", "report", "known"):
        found = sorted(path for path in (store.folder / folder).rglob(".*") if _is_part(path))
        left.setdefault("left by writers that were killed", []).extend(found)
    for what, paths in left.items():
        if not paths:
            continue
        names = ", ".join(str(path) for path in paths[:_NAMED]) + (" and more" if len(paths) > _NAMED else "")
        yield Diagnosis("note", f"{len(paths)} files {what}, which can be deleted: {names}")


def _is_part(path: Path) -> bool:
    """Return whether a file is a temporary one of ``replacing``: ``.NAME.RANDOM``."""
    return re.fullmatch(r"\..+\.\w{8}", path.name) is not None and path.is_file()


def _sound(run: Run, store: Store) -> Record:
    """Read a run's record and check its files.

    Weights and images of people may be missing, as no repository contains them.
    """
    record = store.read(run)
    assert record is not None
    beside = store.path(run).with_suffix
    if record.samples and not _is_elsewhere(run, beside(".npy")):
        store.samples(run, record)
    if record.frames and not _is_elsewhere(run, beside(".frames.npy")):
        store.frames(run, record)
    if record.weights and beside(".safetensors").exists():
        store.weights(run, record)
    return record


def _is_elsewhere(run: Run, images: Path) -> bool:
    return not images.exists() and shows_people(registry.dataset(run.dataset))


def _experiments(experiments: Sequence[tuple[Experiment, Record]], store: Store) -> Iterator[Diagnosis]:
    if experiments:
        yield Diagnosis("ok", f"{len(experiments)} demonstrations")
    for experiment, record in experiments:
        if is_experiment_stale(experiment, record):
            yield Diagnosis(
                "note", f"{experiment.name} is of an earlier version; {experiment.command(store.folder)} --redo-stale"
            )


def _access(store: Store) -> Iterator[Diagnosis]:
    try:
        with tempfile.TemporaryDirectory(dir=store.folder, prefix=".doctor-") as probe, claimed(Path(probe) / "claim"):
            pass
    except NoLocks:
        yield Diagnosis("note", f"the file system of {store.folder} has no locks: processes that share it need --shard")
    except OSError as error:
        yield Diagnosis(
            "wrong", f"{store.folder} cannot be written: {error.strerror or error}; choose another --results"
        )


def _records(records: dict[Run, Record], store: Store) -> Iterator[Diagnosis]:
    counts = Counter(record.status for record in records.values())
    yield Diagnosis("ok", f"{store.folder} has {counts['done']} finished and {counts['diverged']} diverged models")
    if counts["failed"]:
        yield Diagnosis("note", f"{counts['failed']} models failed; run tries them again, show says why")
    stale, unknown = 0, set()
    today: dict[Run, dict[str, int]] = {}
    for run, record in records.items():
        family = dataclasses.replace(run, seed=0)
        try:
            today[family] = today.get(family) or versions_of(run)
        except (UserError, MissingData):
            unknown.add(run.method)
        else:
            stale += record.versions != today[family]
    if stale:
        yield Diagnosis("note", f"{stale} records were made with earlier versions; run --redo-stale trains them again")
    if unknown:
        yield Diagnosis(
            "note",
            f"records of {', '.join(sorted(unknown))} cannot be compared with today's code, which is not here",
        )


def _unfinished(store: Store, records: dict[Run, Record], left: dict[str, list[Path]]) -> Iterator[Diagnosis]:
    for path in sorted(store.unfinished.glob("*")) if store.unfinished.is_dir() else []:
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            yield Diagnosis("wrong", f"{path} is a symbolic link or no ordinary file, which run refuses; delete it")
        elif path.suffix == ".claim" and _held(path):
            yield Diagnosis("note", f"a block is being trained by {holder(path)}")
        elif path.suffix == ".ckpt":
            yield from _checkpoint(path, store, records, left)
        elif path.is_dir():
            yield Diagnosis("note", f"{path} is of an unfinished verify --cell; the same command goes on, or delete it")
        elif path.suffix == ".claim" or re.fullmatch(r"\.part\d+|\.ray", path.suffix) or _is_part(path):
            left.setdefault("left by processes that were killed", []).append(path)


def _held(path: Path) -> bool:
    """Return whether a process holds the claim; False without file locks."""
    try:
        return is_claimed(path)
    except (NoLocks, OSError):
        return False


def _checkpoint(
    path: Path, store: Store, records: dict[Run, Record], left: dict[str, list[Path]]
) -> Iterator[Diagnosis]:
    try:
        state = checkpoints.read_checkpoint(path)
        runs = tuple(Run.of(identity) for identity in state["cells"])
        block = Block(runs, runs)
        if all(run in records and records[run].status != "failed" for run in runs):
            left.setdefault("of blocks that are done", []).append(path)
            return
        check_checkpoint(block, store)
    except UserError as error:
        yield Diagnosis("wrong", str(error))
    except (KeyError, TypeError, ValueError, AttributeError):
        yield Diagnosis("note", f"{path} does not say what it is of; a run that it fits goes on from it")
    else:
        name = f"{block.label} on {runs[0].dataset}, seeds {seeds_text([run.seed for run in runs])}"
        yield Diagnosis("note", f"unfinished: {name}; the command that began it goes on")
