"""Run blocks: find the unfinished ones, claim each by its lock, train it and report the result."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from benchmark.errors import UserError
from benchmark.spec.block import Block, Shard, drop_finished, make_blocks
from benchmark.spec.run import Run
from benchmark.store.environment import environment
from benchmark.store.locks import holder
from benchmark.store.store import Store, read_records
from benchmark.training.callback import Watch
from benchmark.training.preflight import check_methods
from benchmark.training.recording import write_failures
from benchmark.training.trainer import check_checkpoint, train

#: Seconds between looks at blocks that others train, where nothing else is left.
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Result:
    """Result of one block.

    Attributes:
        block: The block; its pending runs are those that were trained.
        status: ``trained``; ``failed``, here or in another process; ``elsewhere`` if another process finished it;
            ``held`` if another process is training it.
        seconds: Seconds of training in this process.
        reason: The error of a failed block, or the process that holds a held one.
    """

    block: Block
    status: Literal["trained", "failed", "elsewhere", "held"]
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """Summary of a run.

    Attributes:
        seconds: Seconds of training, by method and overrides.
        failed: The blocks whose method raised, each with the reason.
        elsewhere: Number of blocks that other processes finished.
    """

    seconds: Mapping[str, float]
    failed: tuple[tuple[Block, str], ...]
    elsewhere: int = 0


class Engine(Protocol):
    """An engine that trains blocks, one or several at a time."""

    @property
    def workers(self) -> int:
        """Number of blocks that are trained at a time."""

    @property
    def where(self) -> str:
        """Description for the user."""

    def run(self, blocks: Sequence[Block], store: Store, watch: Watch, accelerator: str) -> Iterator[Result]:
        """Train every block, unless another process finishes it.

        Args:
            blocks: The blocks to train.
            store: The results folder.
            watch: Receives progress.
            accelerator: Lightning's name of the kind of device.

        Yields:
            The result of each block.

        Raises:
            UserError: See ``train``.
            Stopped: Ctrl-C was pressed.
        """


@dataclass(frozen=True)
class Inline:
    """Train one block after another in this process.

    Attributes:
        say: Receives a message when this process waits for others.
        loggers: Names of the loggers for the training curves.
        workers: Blocks at a time.
        where: Description for the user.
    """

    say: Callable[[str], None] = lambda line: None
    loggers: tuple[str, ...] = ()
    workers: int = 1
    where: str = "on this machine"

    def run(self, blocks: Sequence[Block], store: Store, watch: Watch, accelerator: str) -> Iterator[Result]:
        waiting, said = list(blocks), False
        while waiting:
            held = []
            for block in waiting:
                result = run_block(block, store, watch, accelerator, self.loggers)
                if result.status == "held":
                    held.append(result)
                else:
                    yield result
            if held and len(held) == len(waiting):
                if not said:
                    self.say(waiting_for(held))
                    said = True
                time.sleep(POLL_SECONDS)
            waiting = [result.block for result in held]


def waiting_for(held: Sequence[Result]) -> str:
    """Return the message that this process waits for others."""
    who = ", ".join(dict.fromkeys(result.reason for result in held))
    return f"waiting for {len(held)} blocks that others train ({who}); if one of them ends early, this goes on with its"


def to_do(store: Store, runs: Sequence[Run], redo: Sequence[str] = (), shard: Shard | None = None) -> list[Block]:
    """List the unfinished blocks.

    Args:
        store: The results folder.
        runs: The runs that are wanted.
        redo: Ids of runs to train again.
        shard: The shard whose blocks are listed; None lists all.

    Returns:
        Blocks with those runs that have no record, have failed, or are named in ``redo``.
    """
    blocks = (shard or Shard()).of(make_blocks(runs))
    wanted = [run for block in blocks for run in block.runs]
    stamps = {run.id: store.stamp(run) for run in wanted}
    records = read_records(store, wanted)
    done = [key for key, record in records.items() if record.status != "failed" and key not in redo]
    left = drop_finished(blocks, done)
    return [dataclasses.replace(b, before=tuple(stamps[run.id] for run in b.pending)) for b in left]


def still_left(block: Block, store: Store) -> Block:
    """Remove the runs whose records other processes have written since the block was made."""
    before = dict(zip(block.pending, block.before, strict=True)) if block.before else {}
    pending = [run for run in block.pending if store.stamp(run) in (None, before.get(run))]
    return dataclasses.replace(block, pending=tuple(pending), before=tuple(before.get(run) for run in pending))


def run_block(block: Block, store: Store, watch: Watch, accelerator: str, loggers: Sequence[str] = ()) -> Result:
    """Train the unfinished runs of a block, unless another process does.

    If the method raises, ``failed`` records are written.

    Raises:
        UserError: A checkpoint or a folder is refused.
        Stopped: Ctrl-C was pressed.
    """
    with store.claimed(block) as ours:
        if not ours:
            return Result(block, "held", reason=holder(store.claim(block)))
        left = still_left(block, store)
        if not left.pending:
            return _found(block, store)
        store.remove_partials(left)
        began = time.monotonic()
        try:
            train(left, store, watch, accelerator, loggers)
        except UserError:
            raise
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})".replace("\n", " ")
            write_failures(left, store, reason)
            return Result(left, "failed", time.monotonic() - began, reason)
        return Result(left, "trained", time.monotonic() - began)


def run_blocks(
    blocks: Sequence[Block],
    store: Store,
    watch: Watch,
    accelerator: str,
    engine: Engine | None = None,
    on_result: Callable[[Result], None] = lambda result: None,
) -> Outcome:
    """Train blocks with an engine. If a method raises, the other blocks are still trained.

    Args:
        blocks: The blocks to train.
        store: The results folder.
        watch: Receives progress.
        accelerator: Lightning's name of the kind of device.
        engine: The engine; None trains one block after another in this process.
        on_result: Receives the result of each block.

    Raises:
        UserError: A user's method or a checkpoint is refused, before anything is trained; or as ``train`` does.
        Stopped: Ctrl-C was pressed.
    """
    # Now, as the code that runs is today's: files and the commit may change while it does.
    environment()
    check_methods(block.first for block in blocks)
    for block in blocks:
        check_checkpoint(block, store)
    seconds: dict[str, float] = defaultdict(float)
    results = []
    for result in (engine or Inline()).run(blocks, store, watch, accelerator):
        on_result(result)
        seconds[result.block.label] += result.seconds
        results.append(result)
    failed = tuple((result.block, result.reason) for result in results if result.status == "failed")
    return Outcome(seconds, failed, sum(result.status == "elsewhere" for result in results))


def _found(block: Block, store: Store) -> Result:
    """Return the result of a block that another process trained."""
    records = read_records(store, block.pending).values()
    reasons = [str(record.reason) for record in records if record.status == "failed"]
    return Result(block, "failed" if reasons else "elsewhere", reason=reasons[0] if reasons else "")
