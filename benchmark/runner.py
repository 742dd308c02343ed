"""Running what a table needs: cells, blocks, leave out what is done, train, write records."""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.cells import Block, Cell, lay_out, leave_out
from benchmark.environment import environment
from benchmark.errors import UserError
from benchmark.records import Record, Store
from benchmark.training import Watch, check_checkpoint, sources_of_cell, train, write_failures


@dataclass(frozen=True)
class Outcome:
    """What a run did: seconds by method and overrides, and the blocks whose method raised, with the reason."""

    seconds: Mapping[str, float]
    failed: tuple[tuple[Block, str], ...]


def read_records(store: Store, cells: Sequence[Cell]) -> dict[str, Record]:
    """Records of the cells that have one, by id."""
    found = ((cell.id, store.read(cell)) for cell in cells)
    return {key: record for key, record in found if record is not None}


def to_do(store: Store, cells: Sequence[Cell], redo: Sequence[str] = ()) -> list[Block]:
    """Blocks that are left: without a record, failed before, or named in ``redo`` by id."""
    records = read_records(store, cells)
    done = [key for key, record in records.items() if record.status != "failed" and key not in redo]
    return leave_out(lay_out(cells), done)


def run_blocks(blocks: Sequence[Block], store: Store, watch: Watch, accelerator: str) -> Outcome:
    """Train blocks one after another. A method that raises makes ``failed`` records, and the others go on.

    Raises ``UserError`` before anything is trained if a checkpoint does not fit.
    """
    # Now, as the code that runs is today's: files and the commit may change while it does.
    environment()
    for block in blocks:
        sources_of_cell(block.first)
        check_checkpoint(block, store)
    seconds: dict[str, float] = defaultdict(float)
    failed = []
    for block in blocks:
        began = time.monotonic()
        try:
            train(block, store, watch, accelerator)
        except UserError:
            raise
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})".replace("\n", " ")
            write_failures(block, store, reason)
            failed.append((block, reason))
        seconds[block.label] += time.monotonic() - began
    return Outcome(seconds, tuple(failed))
