"""The standard columns of each kind of measure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from benchmark.errors import UserError
from benchmark.spec.table import Column
from evaluators.names import FEATURE_SPACES, measure_names

#: A column of tables that is no measure of samples, but of a record's curves.
UPDATES = "updates_to_coverage"


def quality_columns(dataset: str, reported: bool = True, jsd: str | None = None) -> Iterator[Column]:
    """The columns of a synthetic data set.

    Args:
        dataset: Name of the data set.
        reported: Whether the paper reports modes and high-quality samples.
        jsd: Title of the paper's Jensen-Shannon divergence, which is estimated differently from ours; None without one.
    """
    mode, share = ("Modes", "% High Quality Samples") if reported else (None, None)
    yield Column("captured_modes", "modes", mode, "higher", 1, dataset)
    yield Column("high_quality_fraction", "% high quality", share, "higher", 1, dataset, percent=True)
    yield Column("jsd", "JSD", jsd, "lower", 3, dataset, comparable=False)
    yield Column("jsd_histogram", "JSD, histogram", None, "lower", 3, dataset)
    yield Column(UPDATES, "updates to all modes", None, "lower", 0, dataset)


def distance_columns(dataset: str, reported: str | None = None) -> Iterator[Column]:
    """The columns of image distances for every feature network, so that users without Inception have some, too.

    Args:
        dataset: Name of the data set.
        reported: Title of the paper's FID; None without one.
    """
    for name, extractor in FEATURE_SPACES.items():
        names = measure_names(name)
        inception = name == "inception"
        kernel = "KID" if inception else f"K{extractor.distance.removeprefix('F')}"
        features = extractor.distance.removeprefix("FD-")
        of = "" if inception else f", {features}"
        title = reported if inception else None
        yield Column(names["fid"], extractor.distance, title, "lower", 1, dataset, features=name)
        yield Column(names["kid"], kernel, None, "lower", 4, dataset, features=name)
        yield Column(names["precision"], f"precision{of}", None, "higher", 2, dataset, features=name)
        yield Column(names["recall"], f"recall{of}", None, "higher", 2, dataset, features=name)


#: Columns of the measures that have no function above, by kind.
_COLUMNS = {
    "registered": (
        Column("registered_modes", "modes", None, "higher"),
        Column("registered_points", "points", None, "higher"),
        Column("max_deficit", "max deficit", None, "lower"),
        Column("cv", "cv", None, "lower"),
        Column("tv_true", "TV true", None, "lower", 3),
        Column("tv_differential", "TV differential", None, "lower", 3),
        Column("max_relative_deviation", "max rel. deviation", None, "lower"),
    ),
    "digits": (
        Column("modes", "digits", None, "higher", 1),
        Column("digit_kl", "KL of digits", None, "lower", 3),
    ),
}


def standard_columns(kind: str, dataset: str) -> tuple[Column, ...]:
    """The columns of a data set whose table defines none for it.

    Args:
        kind: Kind of measures of the data set.
        dataset: Name of the data set.

    Raises:
        UserError: There are no standard columns for this kind of measures.
    """
    if kind == "quality":
        return tuple(quality_columns(dataset, False))
    if kind == "images":
        return tuple(distance_columns(dataset))
    if kind not in _COLUMNS:
        raise UserError(f"no columns are known for the measures '{kind}' of {dataset}; name a table that has them")
    return tuple(dataclasses.replace(column, dataset=dataset) for column in _COLUMNS[kind])
