"""What is published under results/ is what today's commands give of the records beside it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pandas as pd
import pytest

from benchmark import evidence, registry
from benchmark.records import Store
from benchmark.render import render
from benchmark.schema import ClaimTable, Table, all_tables, select
from benchmark.sheet import KNOWN, fill
from datamodules.images import DATA_VARIABLE, ImageSet
from tests.real_data import NO_DATA

RESULTS = Path(__file__).parents[1] / "results"


def published() -> list[tuple[str, str, str]]:
    """Table, profile and reading of every published CSV that ``show`` gives."""
    names = {path.stem for path in (RESULTS / "tables").glob("*.csv")}
    found = []
    for table in all_tables().values():
        if isinstance(table, ClaimTable):
            found += [(table.id, profile, "") for profile in evidence.profiles(table)]
        elif isinstance(table, Table):
            found += [(table.id, profile, reading) for profile in table.profiles for reading in table.readings]
    return [words for words in found if "-".join(filter(None, words)) in names]


def _needs_images(dataset: str) -> bool:
    """The rows of known quality are drawn from the data, which no repository holds."""
    target = registry.dataset(dataset)
    return isinstance(target, ImageSet) and target.base != "digits"


@pytest.mark.parametrize(("name", "profile", "reading"), published(), ids=["-".join(words) for words in published()])
def test_a_published_table_is_what_its_records_give(name: str, profile: str, reading: str) -> None:
    table, store = all_tables()[name], Store(RESULTS)
    if isinstance(table, Table) and not os.environ.get(DATA_VARIABLE) and any(map(_needs_images, table.datasets)):
        pytest.skip(NO_DATA)
    if isinstance(table, ClaimTable):
        sheet = evidence.fill(evidence.inquire(table, profile), store)
    else:
        assert isinstance(table, Table)
        sheet = fill(select(table, profile=profile, reading=reading), store)
    path = RESULTS / "tables" / f"{sheet.name}.csv"
    today, stored = pd.read_csv(io.StringIO(render(sheet, "csv"))), pd.read_csv(path)
    if "row" in stored:
        # Samples of known quality are drawn and measured anew, whose last bits depend on the processor.
        today, stored = (frame[~frame["row"].isin(KNOWN)].reset_index(drop=True) for frame in (today, stored))
    pd.testing.assert_frame_equal(today, stored, rtol=1e-6)


def test_something_is_published() -> None:
    assert len(published()) >= 7
