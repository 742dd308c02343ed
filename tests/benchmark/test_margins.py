"""Margins: every measure of a table has one, and its worst value is no better than what models reach."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmark.papers.discovery import all_tables
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol
from benchmark.spec.registry import mixture
from benchmark.spec.table import Column, Table
from benchmark.training.evaluation import measure
from evaluators.margins import MARGINS

COLUMNS = [
    (table.id, column) for table in all_tables().values() if isinstance(table, Table) for column in table.columns
]


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[f"{table}-{column.id}" for table, column in COLUMNS])
def test_every_column_has_a_margin_and_its_better_side(table: str, column: Column) -> None:
    margin = registry.margin_of_measure(column.measure)
    assert margin is not None
    assert margin.amount > 0 and margin.reason
    assert margin.better == column.better


def test_no_margin_is_left_over() -> None:
    ours = {column.measure for _, column in COLUMNS if not registry.is_user_measure(column.measure)}
    assert set(MARGINS) == ours


@pytest.mark.parametrize(
    ("name", "modes", "samples", "value", "expected"),
    [
        ("registered_modes", 25, 2_000, 24.0, 1.0),
        ("captured_modes", 8, 2_500, 7.6, 1.0),
        ("modes", 1_000, 25_600, 640.0, 40.0),
        ("registered_points", 25, 2_000, 1_875.63, 100.0),
        ("fid", 10, 10_000, 26.8, 1.34),
        ("fid", 10, 10_000, 0.0, 0.0),
        ("jsd", 25, 2_500, 0.2, 0.05),
    ],
)
def test_margins_in_the_unit_of_the_measure(name: str, modes: int, samples: int, value: float, expected: float) -> None:
    assert MARGINS[name].size(modes, samples, value) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("modes", "1 mode, of more than 25 4 %"),
        ("registered_points", "5 % of the samples"),
        ("fid", "5 % of the value compared with"),
        ("cv", "0.05"),
    ],
)
def test_texts(name: str, text: str) -> None:
    assert MARGINS[name].text == text


@pytest.mark.parametrize("dataset", ["grid25-gaan", "ring8", "cube27"])
def test_no_samples_are_worse_than_the_worst_value(dataset: str) -> None:
    """All samples on one mode, far outside, and those of the data."""
    data, protocol = mixture(dataset), Protocol(profile="paper", reading="corrected")
    n, centre = 500, np.asarray(data.centres[0], dtype=np.float32)
    samples = np.stack(
        [np.tile(centre, (n, 1)), np.full((n, len(centre)), 1e6, np.float32), data.sample(n, np.random.default_rng(0))]
    ).astype(np.float32)
    found = measure(data, protocol, samples)
    assert found
    for name, values in found.items():
        margin = MARGINS[name]
        assert margin.worst is not None
        worst, reached = margin.worst(len(data.centres), n), values[np.isfinite(values)]
        assert (reached >= worst - 1e-9).all() if margin.better == "higher" else (reached <= worst + 1e-9).all(), name
        closest = reached.min() if margin.better == "higher" else reached.max()
        assert math.isclose(closest, worst, rel_tol=0.15, abs_tol=1e-9), f"{name}: {worst} is far from any value"
