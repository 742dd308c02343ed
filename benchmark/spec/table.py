"""Tables: rows, columns, reported values, profiles and readings. Pure data."""

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
    """A value printed in a paper, in the unit of the column, with the precision of its print.

    Attributes:
        mean: The value.
        std: The printed deviation; None without one.
        rounding: Half a unit of the last printed decimal of ``mean``.
        std_rounding: Half a unit of the last printed decimal of ``std``.
        error: Whether ``std`` is a standard deviation (``std``) or a standard error (``se``).
    """

    mean: float
    std: float | None = None
    rounding: float = 0.0
    std_rounding: float = 0.0
    error: Literal["std", "se"] = "std"

    @classmethod
    def read(
        cls,
        mean: str,
        std: str | None = None,
        *,
        per: float = 1.0,
        std_per: float | None = None,
        error: Literal["std", "se"] = "std",
    ) -> Reported:
        """Read a value exactly as it is printed, with every decimal: ``Reported.read("21.50", "2.00")``.

        Args:
            mean: The printed value.
            std: The printed deviation; None without one.
            per: Divisor of the printed value, for example 100 for a percentage in a column of shares.
            std_per: Divisor of the deviation if that differs.
            error: Whether the deviation is a standard deviation or a standard error.

        Raises:
            ValueError: A text is no decimal number, or the deviation is negative.
        """
        value, rounding = _decimal(mean, per)
        if std is None:
            return cls(value, rounding=rounding, error=error)
        deviation, std_rounding = _decimal(std, per if std_per is None else std_per)
        if deviation < 0:
            raise ValueError(f"a deviation cannot be negative: {std}")
        return cls(value, deviation, rounding, std_rounding, error)


def _decimal(text: str, per: float) -> tuple[float, float]:
    """A printed decimal number divided by ``per``, and half a unit of its last decimal."""
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise ValueError(f"not a decimal number as printed: {text!r}")
    return float(text) / per, 0.5 * 10.0 ** -len(text.partition(".")[2]) / per


@dataclass(frozen=True)
class Column:
    """One measure of a table.

    Attributes:
        measure: Name of the measure.
        title: Our title.
        reported_title: The paper's title; None if the paper has no such column.
        better: The better direction; None if there is none.
        digits: Decimals shown to users.
        dataset: Data set that is measured, in a table of several.
        percent: Whether shares are shown to users as percentages.
        comparable: Whether the printed value is the same measure as ours, so that the two can be compared.
        features: Network whose features the measure is computed from; empty if it needs none.
        counts: Unusual numbers of generated and real images, as a suffix of the id, because they change the value of a
            distance.
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
        """Name of the measure, after that of the data set in a table of several, and before unusual counts."""
        name = f"{self.dataset}/{self.measure}" if self.dataset else self.measure
        return f"{name}_{self.counts}" if self.counts else name


@dataclass(frozen=True)
class Row:
    """One method as the table trains it.

    Attributes:
        id: Name on the command line.
        title: Title as shown to users.
        method: Name of the method.
        overrides: Fields of the method that differ from their defaults.
        protocol: Fields of the protocol that differ from the table's.
        reported: Printed values by id of the column.
        assumptions: Our choices where the paper does not specify something.
        datasets: The table's data sets that the row is trained on; all if empty.
        optional: Whether the row is trained and shown only if it is named. No paper printed it.
        dataset_overrides: Further fields of the method, by data set.
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
    """How much is trained.

    Attributes:
        protocol: Fields of the protocol.
        seeds: Number of seeds if the user names none.
        first_seed: The first of these seeds.
        datasets: Further fields of the protocol, by data set.
        overrides: Fields of the methods, by row.
    """

    protocol: Mapping[str, Setting]
    seeds: int
    first_seed: int = 0
    datasets: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """One interpretation of the paper.

    Attributes:
        title: Title as shown to users.
        protocol: Fields of the protocol.
        overrides: Fields of the methods, by row.
        datasets: Further fields of the protocol, by data set.
        rows: Further fields of the protocol, by row.
    """

    title: str
    protocol: Mapping[str, Setting] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)
    datasets: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)


@dataclass(frozen=True)
class Search:
    """A search over all readings of a table for the one that fits the printed values best.

    Attributes:
        profile: Profile that each reading is trained with. No other profile uses its seeds.
        measures: Measures whose printed values are compared.
        rows: Rows that are trained; all with printed values if empty.
    """

    profile: str
    measures: tuple[str, ...]
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table of a paper. Pure data.

    Attributes:
        id: Name on the command line.
        number: Second name on the command line, for the tables of GAAN; None for others.
        title: Title as shown to users.
        citation: The paper.
        datasets: Names of the parts of the table, usually data sets.
        columns: The columns.
        rows: The rows.
        protocol: Fields of the protocol that all rows share.
        profiles: Profiles by name.
        readings: Readings by name.
        reported_runs: Number of runs behind a printed mean and deviation.
        notes: Errata, and other remarks printed below the table.
        data: Data set of each part whose name differs from it, if a table trains twice on one data set.
        reading: The default reading.
        selected: How ``tune`` selected the default reading; empty if it did not.
        search: The search of ``tune``; None if there is none.
        training_sizes: Number of training images in complete data sets that also exist as smaller copies. The share of
            the paper's training refers to it.
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
        """The row with this id.

        Raises:
            UserError: There is no such row.
        """
        by_id = {row.id: row for row in self.rows}
        if name not in by_id:
            raise unknown(f"method of table {self.id}", name, by_id)
        return by_id[name]


@dataclass(frozen=True)
class NetworkTable:
    """A table of network sizes, computed from the networks that a method of another table builds.

    Attributes:
        id: Name on the command line.
        number: Second name on the command line; None if there is none.
        title: Title as shown to users.
        citation: The paper.
        columns: The columns.
        reported: Printed sizes by column, for each role of a network (an attribute of the method).
        of: Table whose protocol is used.
        method: Id of the row in ``of``.
        notes: Remarks printed below the table.
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
