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
from benchmark.papers.discovery import all_tables, select_claims
from benchmark.render.formats import render
from benchmark.spec.claims import ClaimSelection, ClaimTable, profiles
from benchmark.spec.commands import file_name
from benchmark.spec.selection import Selection, offered
from benchmark.spec.table import Table
from benchmark.store.store import Store
from datamodules.images import DATA_VARIABLE, ImageSet
from tests.real_data import NO_DATA

RESULTS = Path(__file__).parents[1] / "results"


def published() -> dict[str, Selection | ClaimSelection]:
    """What ``show`` gives every published CSV of, by its name."""
    found: dict[str, Selection | ClaimSelection] = {}
    for table in all_tables().values():
        if isinstance(table, ClaimTable):
            found |= {f"{table.id}-{profile}": select_claims(table, profile) for profile in profiles(table)}
        elif isinstance(table, Table):
            found |= {file_name(chosen, table.id): chosen for chosen in offered(table)}
    return {name: chosen for name, chosen in found.items() if (RESULTS / "tables" / f"{name}.csv").exists()}


#: Looked for once.
PUBLISHED = published()


def _needs_images(chosen: Selection) -> bool:
    """The rows of known quality are drawn from the data, which no repository holds."""
    targets = map(chosen.table.dataset, chosen.datasets)
    return any(isinstance(dataset, ImageSet) and dataset.base != "digits" for dataset in targets)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_table_is_what_its_records_give(name: str) -> None:
    chosen, store = PUBLISHED[name], Store(RESULTS)
    if isinstance(chosen, Selection) and not os.environ.get(DATA_VARIABLE) and _needs_images(chosen):
        pytest.skip(NO_DATA)
    sheet = aggregate(chosen, store) if isinstance(chosen, Selection) else aggregate_claims(chosen, store)
    assert sheet.name == name
    path = RESULTS / "tables" / f"{name}.csv"
    today, stored = pd.read_csv(io.StringIO(render(sheet, "csv"))), pd.read_csv(path)
    if "row" in stored:
        # Samples of known quality are drawn and measured anew, whose last bits depend on the processor.
        today, stored = (frame[~frame["row"].isin(KNOWN)].reset_index(drop=True) for frame in (today, stored))
    pd.testing.assert_frame_equal(today, stored, rtol=1e-6)


def test_something_is_published() -> None:
    assert len(PUBLISHED) >= 7
