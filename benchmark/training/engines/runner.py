"""Running what a table needs: blocks, locks, training, records."""

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
    """What became of a block.

    block: with the runs that were trained as its pending ones.
    status: ``trained``; ``failed`` here or elsewhere, with the reason; ``elsewhere``: another process finished it;
        ``held``: another process trains it, who is the reason.
    """

    block: Block
    status: Literal["trained", "failed", "elsewhere", "held"]
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a run did: seconds by method and overrides, the blocks whose method raised, with the reason, and how many
    blocks other processes finished."""

    seconds: Mapping[str, float]
    failed: tuple[tuple[Block, str], ...]
    elsewhere: int = 0


class Engine(Protocol):
    """Where blocks are trained, and how many at a time."""

    @property
    def workers(self) -> int:
        """How many at a time."""

    @property
    def where(self) -> str:
        """For people."""

    def run(self, blocks: Sequence[Block], store: Store, watch: Watch, accelerator: str) -> Iterator[Result]:
        """Settle every block and say what became of it. Raises ``UserError`` and ``Stopped`` as ``train`` does."""


@dataclass(frozen=True)
class Inline:
    """One block after another in this process.

    say: hears of waiting for other processes. loggers: that training writes its curves to.
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
    """What is told to whoever waits."""
    who = ", ".join(dict.fromkeys(result.reason for result in held))
    return f"waiting for {len(held)} blocks that others train ({who}); if one of them ends early, this goes on with its"


def to_do(store: Store, runs: Sequence[Run], redo: Sequence[str] = (), shard: Shard | None = None) -> list[Block]:
    """Blocks that are left, of one part of them: without a record, failed before, or named in ``redo`` by id."""
    blocks = (shard or Shard()).of(make_blocks(runs))
    wanted = [run for block in blocks for run in block.runs]
    stamps = {run.id: store.stamp(run) for run in wanted}
    records = read_records(store, wanted)
    done = [key for key, record in records.items() if record.status != "failed" and key not in redo]
    left = drop_finished(blocks, done)
    return [dataclasses.replace(b, before=tuple(stamps[run.id] for run in b.pending)) for b in left]


def still_left(block: Block, store: Store) -> Block:
    """The block without the runs whose records others have written since it was laid out."""
    before = dict(zip(block.pending, block.before, strict=True)) if block.before else {}
    pending = [run for run in block.pending if store.stamp(run) in (None, before.get(run))]
    return dataclasses.replace(block, pending=tuple(pending), before=tuple(before.get(run) for run in pending))


def run_block(block: Block, store: Store, watch: Watch, accelerator: str, loggers: Sequence[str] = ()) -> Result:
    """Train what is left of a block, unless another process does. A method that raises makes ``failed`` records."""
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
    """Train blocks, one after another or as the engine does. Where a method raises, the other blocks go on.

    on_result: hears what became of each block.
    Raises ``UserError`` before anything is trained if a method from outside would train wrongly, or a checkpoint does
    not fit.
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
    """What another process made of a block."""
    records = read_records(store, block.pending).values()
    reasons = [str(record.reason) for record in records if record.status == "failed"]
    return Result(block, "failed" if reasons else "elsewhere", reason=reasons[0] if reasons else "")
