"""Train blocks for ``run`` and ``tune``, with the chosen engine and a progress display."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch
from rich.console import Console

from benchmark.cli.options import TrainOptions
from benchmark.cli.select import set_threads, words_of
from benchmark.errors import UserError
from benchmark.render.progress import duration, many, watching
from benchmark.spec.block import Block
from benchmark.spec.commands import seeds_text
from benchmark.store.store import Store
from benchmark.training.devices.sharing import check_devices
from benchmark.training.engines.local_engine import LocalEngine, local_engine
from benchmark.training.engines.runner import run_blocks
from benchmark.training.estimate import estimate
from benchmark.training.loggers import check_loggers

if TYPE_CHECKING:
    from benchmark.training.engines.runner import Engine

ONE_DEVICE = "Ray trains a block on one device; leave --engine ray or --strategy ddp out"


T = TypeVar("T", bound=TrainOptions)


def with_engine(options: T) -> T:
    """Return the options with an engine: the local one by default. With Ray, a block has one thread by default.

    Raises:
        UserError: Options contradict one another, or a package that they need is not installed.
    """
    if loggers := words_of("logger", options.logger):
        check_loggers(loggers)
    options = dataclasses.replace(options, engine=options.engine or "local")
    if options.engine == "ray":
        if loggers:
            raise UserError("--logger writes on this machine; leave out --engine ray")
        importlib.import_module("benchmark.training.engines.ray_engine")
        if options.jobs:
            raise UserError("--jobs is for this machine; Ray fills what --devices or --address gives it")
        if options.devices and options.address:
            raise UserError("--devices counts those of this machine, --address names a cluster; give one of them")
        return dataclasses.replace(options, threads=options.threads or 1)
    if options.address is not None:
        raise UserError("--address is for --engine ray; add it or leave it out")
    if options.engine == "inline" and (options.jobs or options.devices or options.gpus_per_block is not None):
        raise UserError("--jobs, --devices and --gpus-per-block are for --engine local; leave --engine inline out")
    return options


def train(blocks: Sequence[Block], store: Store, options: TrainOptions, console: Console) -> tuple[bool, list[str]]:
    """Train blocks with a progress display.

    Returns:
        Whether any block failed, and lines with the time that each method took.
    """
    if not blocks:
        return False, ["everything was done already"]
    for block in blocks:
        check_devices(block.first, options.accelerator)
        if options.engine == "ray" and block.first.protocol.world_size > 1:
            raise UserError(ONE_DEVICE)
    began = time.monotonic()
    count = sum(len(block.pending) for block in blocks)
    with _engine(blocks, options, console) as engine:
        if isinstance(engine, LocalEngine):
            torch.set_num_threads(engine.threads)
            estimates = engine.estimate(blocks, store, options.accelerator)
        else:
            estimates = estimate(blocks, store, options.accelerator)
        left = sum(e.seconds_left for e in estimates.values()) / min(len(blocks), engine.workers)
        line = f"{many(count, 'run')} to train, about {duration(left)} {engine.where}"
        console.print(line, highlight=False, soft_wrap=True)
        if engine.workers > 1:
            # Start the longest blocks first, so that none of them runs alone at the end.
            blocks = sorted(blocks, key=lambda block: -estimates[block.id].seconds_left)
        with watching(blocks, estimates, console, engine.workers) as watcher:
            outcome = run_blocks(blocks, store, watcher, options.accelerator, engine, watcher.on_result)
    for block, reason in outcome.failed:
        seeds = seeds_text([run.seed for run in block.pending])
        console.print(f"failed: {block.label}, seeds {seeds}: {reason}", highlight=False, markup=False, soft_wrap=True)
    spent = [f"  {method}: {duration(taken)}" for method, taken in outcome.seconds.items() if taken]
    spent += [f"  {outcome.elsewhere} blocks were trained by other processes"] if outcome.elsewhere else []
    return bool(outcome.failed), [*spent, f"trained for {duration(time.monotonic() - began)}"]


@contextlib.contextmanager
def _engine(blocks: Sequence[Block], options: TrainOptions, console: Console) -> Iterator[Engine]:
    """Yield the engine that ``--engine`` and related options select."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if options.engine == "ray":
        from benchmark.training.engines.ray_engine import ray_engine

        one = options
        set_threads(one.threads)
        with ray_engine(one.address, one.devices, one.threads or 1, one.gpus_per_block, one.accelerator, say) as engine:
            yield engine
    else:
        yield local_engine(
            blocks,
            accelerator=options.accelerator,
            threads=options.threads,
            jobs=1 if options.engine == "inline" else options.jobs,
            devices=options.devices,
            gpus_per_block=options.gpus_per_block,
            say=say,
            loggers=words_of("logger", options.logger),
        )
