"""What is published under results/ is what today's commands give of the records beside it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pandas as pd
import pytest

from benchmark.analysis.claims import aggregate_claims
from benchmark.analysis.frame import aggregate
from benchmark.analysis.known_samples import KNOWN
from benchmark.analysis.networks import read_networks
from benchmark.analysis.search import candidates, misfits
from benchmark.papers.discovery import all_tables, select_claims
from benchmark.render.formats import render
from benchmark.spec.claims import ClaimSelection, ClaimTable, profiles
from benchmark.spec.commands import file_name
from benchmark.spec.selection import Selection, offered
from benchmark.spec.table import NetworkTable, Table
from benchmark.store.store import Store
from datamodules.images import DATA_VARIABLE, ImageSet
from tests.real_data import NO_DATA

pytestmark = pytest.mark.slow

RESULTS = Path(__file__).parents[1] / "results"


def commands() -> dict[str, Selection | ClaimSelection | NetworkTable | Table]:
    """What ``show`` and ``tune`` write tables of, by the name of the file."""
    found: dict[str, Selection | ClaimSelection | NetworkTable | Table] = {}
    for table in all_tables().values():
        if isinstance(table, ClaimTable):
            found |= {f"{table.id}-{profile}": select_claims(table, profile) for profile in profiles(table)}
        elif isinstance(table, NetworkTable):
            found[table.id] = table
        else:
            found |= {file_name(chosen, table.id): chosen for chosen in offered(table)}
            if table.search:
                found[f"{table.id}-tune"] = table
    return found


COMMANDS = commands()
PUBLISHED = sorted(path.stem for path in (RESULTS / "tables").glob("*.csv"))


def csv_of(chosen: Selection | ClaimSelection | NetworkTable | Table, store: Store) -> str:
    """What a command writes today."""
    if isinstance(chosen, Table):
        assert chosen.search
        return misfits(chosen, chosen.search, candidates(chosen, chosen.search), store).to_csv(index=False)
    if isinstance(chosen, NetworkTable):
        return render(read_networks(chosen), "csv")
    sheet = aggregate(chosen, store) if isinstance(chosen, Selection) else aggregate_claims(chosen, store)
    return render(sheet, "csv")


def _needs_images(chosen: Selection) -> bool:
    """Whether rows of known quality are drawn from image data, which no repository holds."""
    targets = map(chosen.table.dataset, chosen.datasets)
    return any(isinstance(dataset, ImageSet) and dataset.base != "digits" for dataset in targets)


def test_every_published_table_is_one_that_a_command_writes() -> None:
    files = {path.stem for path in (RESULTS / "tables").iterdir()}
    assert files - set(COMMANDS) == set()
    assert files == set(PUBLISHED)
    assert len(files) >= 7


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name in COMMANDS])
def test_a_published_table_is_what_its_records_give(name: str) -> None:
    chosen = COMMANDS[name]
    if isinstance(chosen, Selection) and not os.environ.get(DATA_VARIABLE) and _needs_images(chosen):
        pytest.skip(NO_DATA)
    today = pd.read_csv(io.StringIO(csv_of(chosen, Store(RESULTS))))
    stored = pd.read_csv(RESULTS / "tables" / f"{name}.csv")
    if "row" in stored:
        # Samples of known quality are drawn and measured anew, whose last bits depend on the processor.
        today, stored = (frame[~frame["row"].isin(KNOWN)].reset_index(drop=True) for frame in (today, stored))
    pd.testing.assert_frame_equal(today, stored, rtol=1e-6)
