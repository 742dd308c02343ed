"""What a table is: rows, columns, reported values, profiles and readings. Pure data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmark.errors import unknown
from benchmark.spec import registry
from benchmark.spec.protocol import Setting

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Reported:
    """A printed value, in the unit of the column, and how exactly it is printed.

    mean, std: ``std`` is None where none is printed. error: whether it is a standard deviation or a standard error.
    runs: behind it, where they are not the table's ``reported_runs``; 0 where they are.
    rounding, std_rounding: half a unit of the last printed decimal, in the unit of the column.
    """

    mean: float
    std: float | None = None
    rounding: float = 0.0
    std_rounding: float = 0.0
    error: Literal["std", "se"] = "std"
    runs: int = 0

    @classmethod
    def read(
        cls,
        mean: str,
        std: str | None = None,
        *,
        per: float = 1.0,
        std_per: float | None = None,
        error: Literal["std", "se"] = "std",
        runs: int = 0,
    ) -> Reported:
        """A value as it is printed, every decimal of it: ``Reported.read("21.50", "2.00")``.

        per: 100 for a percentage in a column of shares; std_per: where the deviation has another unit.
        Raises ``ValueError`` for what is no decimal number, or a negative deviation.
        """
        value, rounding = _decimal(mean, per)
        if std is None:
            return cls(value, rounding=rounding, error=error, runs=runs)
        deviation, std_rounding = _decimal(std, per if std_per is None else std_per)
        if deviation < 0:
            raise ValueError(f"a deviation cannot be negative: {std}")
        return cls(value, deviation, rounding, std_rounding, error, runs)


def _decimal(text: str, per: float) -> tuple[float, float]:
    """A printed decimal number over ``per``, and half a unit of its last decimal."""
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise ValueError(f"not a decimal number as printed: {text!r}")
    return float(text) / per, 0.5 * 10.0 ** -len(text.partition(".")[2]) / per


@dataclass(frozen=True)
class Column:
    """One measure.

    measure: its name; of a measure from outside ``package.module:function``, whole, not the short name of an entry
        point.
    title: ours. reported_title: the paper's, None where the paper has no such column.
    better: which direction is better, None where none is.
    digits: decimals in renderings for people.
    dataset: that the samples stand for, in a table of several.
    percent: renderings for people show hundredths.
    comparable: whether the printed value is the same measure as ours, so that a verdict makes sense.
    features: the network whose features the measure is made of, where it is: a column for each who has that network.
    counts: of images, where a distance is measured on others than its definition says: they change its value.
    """

    measure: str
    title: str
    reported_title: str | None
    better: Direction | None
    digits: int = 2
    dataset: str = ""
    percent: bool = False
    comparable: bool = True
    features: str = ""
    counts: str = ""

    @property
    def id(self) -> str:
        """The measure's name, after the data set's in a table of several, before unusual counts."""
        name = f"{self.dataset}/{self.measure}" if self.dataset else self.measure
        return f"{name}_{self.counts}" if self.counts else name


@dataclass(frozen=True)
class Row:
    """One method as the table trains it.

    overrides: fields of the method, protocol: fields of the protocol, that differ from the table's for this row alone.
    reported: by column id.
    assumptions: what was chosen where the paper does not say.
    datasets: those of the table's that it is trained on, all if empty.
    optional: trained and shown only where it is named: no paper printed it.
    dataset_overrides: fields of the method that it has on one of the data sets.
    """

    id: str
    title: str
    method: str
    overrides: Mapping[str, Setting] = field(default_factory=dict)
    protocol: Mapping[str, Setting] = field(default_factory=dict)
    reported: Mapping[str, Reported] = field(default_factory=dict)
    assumptions: str = ""
    datasets: tuple[str, ...] = ()
    optional: bool = False
    dataset_overrides: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """How much is trained: fields of the protocol (by data set where they differ) and of the methods by row, and the
    seeds of a run that does not name any."""

    protocol: Mapping[str, Setting]
    seeds: int
    first_seed: int = 0
    datasets: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """Which reading of the paper: fields of the protocol (by data set and by row where they differ), and of the methods
    by row."""

    title: str
    protocol: Mapping[str, Setting] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)
    datasets: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)


@dataclass(frozen=True)
class Search:
    """A bounded search for the reading that fits the printed rows best: every reading of the table is tried.

    profile: how much each is trained; its seeds are no other profile's.
    measures: whose printed values are to be met.
    rows: those that are trained, all with printed values if empty.
    """

    profile: str
    measures: tuple[str, ...]
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One printed table. Pure data.

    number: what ``--table`` takes besides the id, where the paper is GAAN's.
    reported_runs: runs behind a printed mean and std.
    notes: errata, and what the reader of a rendering must know.
    data: the data set of a part that has another name, where a table trains twice on one (``datasets`` are its parts).
    reading: the usual one; selected: how it was chosen, where ``tune`` chose it.
    search: what ``tune`` tries.
    training_sizes: training images of whole data sets, of which smaller copies are about: by these the share of the
        paper's training is told.
    """

    id: str
    number: str | None
    title: str
    citation: str
    datasets: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    protocol: Mapping[str, Setting]
    profiles: Mapping[str, Profile]
    readings: Mapping[str, Reading]
    reported_runs: int
    notes: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    reading: str = "corrected"
    selected: str = ""
    search: Search | None = None
    training_sizes: Mapping[str, int] = field(default_factory=dict)

    def dataset(self, part: str) -> registry.DataSet:
        """The data set of a part of the table."""
        return registry.dataset(self.data.get(part, part))

    def row(self, name: str) -> Row:
        by_id = {row.id: row for row in self.rows}
        if name not in by_id:
            raise unknown(f"method of table {self.id}", name, by_id)
        return by_id[name]


@dataclass(frozen=True)
class NetworkTable:
    """A printed table of network sizes, filled by looking at what a method of another table builds.

    reported: role of a network (an attribute of the method) to its printed sizes by column.
    """

    id: str
    number: str | None
    title: str
    citation: str
    columns: tuple[Column, ...]
    reported: Mapping[str, Mapping[str, int]]
    of: Table
    method: str
    notes: tuple[str, ...] = ()
