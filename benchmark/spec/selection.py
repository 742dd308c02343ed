"""Selections: the part of a table that a user chose, with rows, seeds, protocols and runs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.errors import UserError, unknown
from benchmark.spec import registry
from benchmark.spec.columns import standard_columns
from benchmark.spec.overrides import Settings
from benchmark.spec.protocol import Protocol, Setting, iterations_per_epoch
from benchmark.spec.run import Run
from benchmark.spec.table import Column, Row, Table
from datamodules.images import ImageSet
from evaluators.names import INVERSION_MEASURES, USUAL_COUNT

#: Measures of images that grow or fall with the number of samples alone.
_OF_COUNTED_SAMPLES = frozenset({"modes", "kl", "intensity_kl"})


@dataclass(frozen=True)
class Selection:
    """The part of a table that a user chose, for ``run``, ``plan``, ``show``, ``figure`` and ``throughput``.

    Attributes:
        table: The table.
        profile: Name of the profile.
        reading: Name of the reading.
        rows: Chosen rows, users' methods included.
        seeds: Chosen seeds.
        settings: Values of ``--set``.
        datasets: Chosen data sets. Those that are not the table's are trained with the protocol of a similar one.
        measures: Users' measures, ``package.module:function``, computed from stored samples.
    """

    table: Table
    profile: str
    reading: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    settings: Settings
    datasets: tuple[str, ...]
    measures: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the chosen feature network and of the data sets that rows are trained on, then users' measures."""
        trained = {name for row in self.rows for name in self.datasets_of(row)}
        columns = [c for c in self.table.columns if self.dataset_of(c) in trained]
        columns += [c for name in self.datasets if name not in self.table.datasets for c in self._columns_like(name)]
        titles = {name: name.rpartition(":")[2].replace("_", " ") for name in self.measures}
        parts = dict.fromkeys(column.dataset for column in columns)
        there = {column.id for column in columns}
        own = [_own_column(name, titles[name], part) for part in parts for name in titles]
        columns += [column for column in own if column.id not in there]
        return tuple(self._counted(c) for c in columns if c.features in ("", self.features))

    def _columns_like(self, dataset: str) -> list[Column]:
        """Columns of a data set that the table does not have.

        They are those of the table's first data set with the same kind of measures, or else the standard ones.
        """
        kind = registry.dataset(dataset).measures
        for part in self.table.datasets:
            if self.table.dataset(part).measures == kind:
                same = [c for c in self.table.columns if (c.dataset or self.table.datasets[0]) == part]
                return [dataclasses.replace(c, dataset=dataset, reported_title=None) for c in same]
        return list(standard_columns(kind, dataset))

    def check_data(self, judged: bool) -> None:
        """Check that image data, and if needed the weights of the feature network, are available.

        Args:
            judged: Whether samples will be evaluated.

        Raises:
            MissingData: Image data are missing.
            MissingWeights: The weights of the feature network are missing.
        """
        for part in self.datasets:
            dataset = self.table.dataset(part)
            if isinstance(dataset, ImageSet):
                dataset.check()
                if judged and dataset.measures == "images" and self.features != "none":
                    from evaluators.features import load_extractor

                    load_extractor(self.features)

    @property
    def features(self) -> str:
        """Name of the network whose features serve to compare images."""
        return self.protocol(self.rows[0]).features

    def _counted(self, column: Column) -> Column:
        """The column, with the number of samples or images in its title if its measure depends on an unusual number."""
        dataset = self.dataset_of(column)
        data, protocol = self.table.dataset(dataset), self.protocol(self.rows[0], column.dataset)
        if column.measure in _OF_COUNTED_SAMPLES and isinstance(data, ImageSet):
            usual = dataclasses.replace(self, profile="paper", settings=Settings()).protocol(self.rows[0], dataset)
            if protocol.samples == usual.samples:
                return column
            return dataclasses.replace(column, title=f"{column.title}, {protocol.samples:,} samples", comparable=False)
        if column.measure in INVERSION_MEASURES:
            return dataclasses.replace(column, title=f"{column.title}, {protocol.inverted} images")
        if not column.features or not isinstance(data, ImageSet):
            return column
        real, made = min(protocol.real_samples, len(data.images("test"))), protocol.samples
        if (real, made) == (USUAL_COUNT, USUAL_COUNT):
            return column
        title = f"{column.title}, {made:,} against {real:,}"
        return dataclasses.replace(column, title=title, counts=f"{made}_{real}", comparable=False)

    def dataset_of(self, column: Column) -> str:
        return column.dataset or self.table.datasets[0]

    def datasets_of(self, row: Row) -> tuple[str, ...]:
        """The chosen data sets that a row is trained on. Every row is trained on those that are not the table's."""
        limited = set(self.table.datasets) if row.datasets else set()
        return tuple(name for name in self.datasets if name not in limited or name in row.datasets)

    def budget(self, dataset: str) -> float:
        """Generator updates on a data set as a share of the paper's, for the row where this share is least."""

        data, whole = self.table.dataset(dataset), self.table.training_sizes.get(dataset, 0)

        def updates(protocol: Protocol, size: int = 0) -> int:
            return protocol.epochs * iterations_per_epoch(protocol, data, size)

        paper = dataclasses.replace(self, profile="paper", settings=Settings())
        return min(
            updates(self.protocol(row, dataset)) / updates(paper.protocol(row, dataset), whole)
            for row in self.rows
            if dataset in self.datasets_of(row)
        )

    def protocol(self, row: Row, dataset: str = "") -> Protocol:
        """The protocol of a row on a data set.

        Fields come, in order of increasing priority, from the table, the reading, the profile, the row and ``--set``.

        Args:
            row: The row.
            dataset: Name of the data set, by default the row's first.
        """
        own = self._likest(dataset or self.datasets_of(row)[0])
        profile, reading = self.table.profiles[self.profile], self.table.readings[self.reading]
        fields: dict[str, Any] = {
            **self.table.protocol,
            **reading.protocol,
            **reading.rows.get(row.id, {}),
            **reading.datasets.get(own, {}),
            **profile.protocol,
            **profile.datasets.get(own, {}),
            **row.protocol,
            "profile": self.profile,
            "reading": self.reading,
        }
        return Protocol(**{**fields, **self.settings.protocol})

    def _likest(self, dataset: str) -> str:
        """The table's data set whose settings apply to a data set that the table does not have.

        It is the first with the same shape, else for images the first with images, else the data set itself.
        """
        if dataset in self.table.datasets:
            return dataset
        data, own = registry.dataset(dataset), {name: self.table.dataset(name) for name in self.table.datasets}
        same = [name for name, other in own.items() if other.data_shape == data.data_shape]
        kind = [n for n, other in own.items() if isinstance(data, ImageSet) and isinstance(other, ImageSet)]
        return [*same, *kind, dataset][0]

    def overrides(self, row: Row, dataset: str = "") -> dict[str, Setting]:
        """Fields of the method that differ from their defaults, for a row on a data set.

        They come, in order of increasing priority, from the reading, the profile, ``--set`` and the row.

        Args:
            row: The row.
            dataset: Name of the data set, by default the row's first.
        """
        method, own = registry.describe_method(row.method), self._likest(dataset or self.datasets_of(row)[0])
        reading = self.table.readings[self.reading].overrides.get(row.id, {})
        profile = self.table.profiles[self.profile].overrides.get(row.id, {})
        fields = {**reading, **profile, **self.settings.for_method(method), **row.overrides}
        fields |= row.dataset_overrides.get(own, {})
        return {name: value for name, value in fields.items() if value != method.defaults[name]}

    def run(self, row: Row, seed: int, dataset: str = "") -> Run:
        dataset = dataset or self.datasets_of(row)[0]
        overrides = tuple(sorted(self.overrides(row, dataset).items()))
        name = self.table.data.get(dataset, dataset)
        return Run(name, row.method, self.protocol(row, dataset), seed, overrides)

    def runs(self, row: Row, dataset: str = "") -> list[Run]:
        """The runs of a row with all seeds, on one data set or on all that the row is trained on."""
        names = [dataset] if dataset else self.datasets_of(row)
        return [self.run(row, seed, name) for name in names for seed in self.seeds]


def _own_column(measure: str, title: str, dataset: str) -> Column:
    """The column of a measure that the user named beside the table's."""
    margin = registry.margin_of_measure(measure)
    return Column(measure, title, None, margin.better if margin else None, 3, dataset=dataset)


def offered(table: Table) -> Iterator[Selection]:
    """All complete selections of a table: every profile and reading and, for images, every feature network."""
    judges = sorted({column.features for column in table.columns if column.features})
    for profile, reading in itertools.product(table.profiles, table.readings):
        usual = select(table, profile=profile, reading=reading)
        yield usual
        for features in judges:
            if features != usual.features:
                yield select(table, profile=profile, reading=reading, assignments=[f"protocol.features={features}"])


def select(
    table: Table,
    *,
    profile: str = "paper",
    reading: str | None = None,
    methods: Sequence[str] = (),
    own: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    datasets: Sequence[str] = (),
    assignments: Sequence[str] = (),
    measures: Sequence[str] = (),
    all_rows: bool = True,
) -> Selection:
    """The selection that options of the command line describe.

    Args:
        table: The table.
        profile: Name of the profile.
        reading: Name of the reading, by default the table's.
        methods: Ids of rows, by default all that are not optional.
        own: Users' methods, ``package.module:Class``, added as rows.
        seeds: Seeds, by default the profile's.
        datasets: Names of data sets, by default the table's.
        assignments: Texts of ``--set``.
        measures: Users' measures, ``package.module:function``.
        all_rows: Whether all rows are chosen if ``methods`` is empty; else none of the table's.

    Raises:
        UserError: A name is unknown or given twice, or the combination makes no sense.
    """
    reading = table.reading if reading is None else reading
    if profile not in table.profiles:
        raise unknown("profile", profile, table.profiles)
    if reading not in table.readings:
        raise unknown("reading", reading, table.readings)
    usual_rows = [row for row in table.rows if not row.optional and all_rows]
    rows = [table.row(name) for name in methods] if methods else usual_rows
    for name in own:
        if all(word in {row.id for row in table.rows} for word in name.split(",")):
            raise UserError(f"--method is for classes of yours; rows of {table.id} are chosen by --methods {name}")
    for name in (registry.full_name("methods", name) for name in own):
        registry.method(name)
        rows.append(Row(id=name, title=name.rpartition(":")[2], method=name))
    if len({row.id for row in rows}) < len(rows):
        raise UserError("a method is named twice in --methods or --method; name it once")
    others = [registry.full_name("datasets", name) for name in datasets if name not in table.datasets]
    for name in others:
        if isinstance(registry.dataset(name), ImageSet) != isinstance(table.dataset(table.datasets[0]), ImageSet):
            raise UserError(f"table {table.id} has networks for other data than {name}: points and images differ")
    for name in measures:
        registry.user_measure(name)
    settings = Settings.parse(assignments, [registry.describe_method(row.method) for row in rows])
    usual = table.profiles[profile]
    chosen = tuple(seeds) if seeds is not None else tuple(range(usual.first_seed, usual.first_seed + usual.seeds))
    wanted = (*(name for name in table.datasets if not datasets or name in datasets), *dict.fromkeys(others))
    taken = tuple(dict.fromkeys(registry.full_name("measures", name) for name in measures))
    selection = Selection(table, profile, reading, tuple(rows), chosen, settings, wanted, taken)
    if idle := [row.id for row in rows if not selection.datasets_of(row)]:
        raise UserError(f"{idle[0]} is not trained on {', '.join(wanted)} in table {table.id}; leave it or them out")
    return selection
