"""Seeds that a table wants, from made-up spreads."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from benchmark.analysis.power import seeds_lines, seeds_wanted
from benchmark.analysis.statistics import seeds_for_margin
from benchmark.store.store import Store
from tests.benchmark.made import change, choose, fill_store

selection = partial(choose, "2", profile="short", methods=["gan", "gaan_2"])


def test_seeds_come_from_the_stored_spread(tmp_path: Path) -> None:
    store, chosen = Store(tmp_path), selection()
    fill_store(store, chosen)
    for row, values in ((0, (10.0, 20.0, 24.0)), (1, (25.0, 24.0, 25.0))):
        for run, modes in zip(chosen.runs(chosen.rows[row]), values, strict=True):
            record = store.read(run)
            assert record is not None
            change(store, run, measures=record.measures | {"registered_modes": modes})
    found = {(wanted.row, wanted.column): wanted for wanted in seeds_wanted(chosen, store)}
    assert len(found) == 2 * 4
    reported = chosen.rows[1].reported["registered_modes"]
    steady = found[("gaan_2", "registered_modes")]
    assert (steady.n, steady.seeds) == (3, seeds_for_margin(0.5773502691896257, 1.0, reported, 8))
    assert steady.seeds is not None and found[("gan", "registered_modes")].seeds is None
    lines = seeds_lines(chosen, store)
    assert lines[1] == f"modes: GAN more than 1,000, GAAN_2 {steady.seeds}"


@pytest.mark.parametrize("seeds", [[], [0, 1]])
def test_too_few_models_say_nothing(seeds: list[int], tmp_path: Path) -> None:
    store = Store(tmp_path)
    if seeds:
        fill_store(store, selection(seeds=seeds))
    assert seeds_lines(selection(), store) == []
