"""What a user chose of a table, with every name resolved: rows, seeds, protocols and runs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.errors import UserError, unknown
from benchmark.spec import registry
from benchmark.spec.columns import standard_columns
from benchmark.spec.overrides import Settings, method_fields
from benchmark.spec.protocol import Protocol, Setting, iterations_per_epoch
from benchmark.spec.run import Run
from benchmark.spec.table import Column, Row, Table
from datamodules.images import ImageSet
from evaluators.distances import USUAL_COUNT
from evaluators.features import load_extractor
from evaluators.inversion import INVERSION_MEASURES

#: Measures of images that grow or fall with the number of samples alone.
_OF_COUNTED_SAMPLES = frozenset({"modes", "kl", "intensity_kl"})


@dataclass(frozen=True)
class Selection:
    """What a user chose of a table: the same for ``run``, ``plan``, ``show``, ``figure`` and ``throughput``.

    datasets: of the table's, and others that its rows are trained on by the table's protocol.
    measures: the user's own, ``package.module:function``, taken of stored samples.
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
        """Those of the features, and of the chosen data sets that a row is trained on; then those of the user's own
        measures."""
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
        """Of a data set that the table does not have: the columns of its first one that is measured in the same way, or
        the standard ones."""
        kind = registry.dataset(dataset).measures
        for part in self.table.datasets:
            if self.table.dataset(part).measures == kind:
                same = [c for c in self.table.columns if (c.dataset or self.table.datasets[0]) == part]
                return [dataclasses.replace(c, dataset=dataset, reported_title=None) for c in same]
        return list(standard_columns(kind, dataset))

    def check_data(self, judged: bool) -> None:
        """Raise ``MissingData`` unless the image data are there, and if samples are to be judged ``MissingWeights``
        unless the network that compares them is."""
        for part in self.datasets:
            dataset = self.table.dataset(part)
            if isinstance(dataset, ImageSet):
                dataset.check()
                if judged and dataset.measures == "images" and self.features != "none":
                    load_extractor(self.features)

    @property
    def features(self) -> str:
        """The network that compares images."""
        return self.protocol(self.rows[0]).features

    def _counted(self, column: Column) -> Column:
        """The column of a measure that hangs on the number of samples or of images, under that number where it is not
        the usual."""
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
        """Those of the chosen data sets that a row is trained on: of those that are not the table's, all."""
        limited = set(self.table.datasets) if row.datasets else set()
        return tuple(name for name in self.datasets if name not in limited or name in row.datasets)

    def budget(self, dataset: str) -> float:
        """Share of the paper's training on a data set, in generator updates: the least of the rows."""

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
        """Of the first data set where none is named. A row's own fields count more than the profile's, these more than
        the reading's, and these more than the table's."""
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
        """The table's own data set whose settings another is trained with: the first of its shape, or of images the
        first of images; itself where there is none."""
        if dataset in self.table.datasets:
            return dataset
        data, own = registry.dataset(dataset), {name: self.table.dataset(name) for name in self.table.datasets}
        same = [name for name, other in own.items() if other.data_shape == data.data_shape]
        kind = [n for n, other in own.items() if isinstance(data, ImageSet) and isinstance(other, ImageSet)]
        return [*same, *kind, dataset][0]

    def overrides(self, row: Row, dataset: str = "") -> dict[str, Setting]:
        """Method fields of a row that differ from the defaults, of the first data set where none is named: the
        reading's and the profile's, then the user's, then what makes it this row."""
        method, own = registry.method(row.method), self._likest(dataset or self.datasets_of(row)[0])
        reading = self.table.readings[self.reading].overrides.get(row.id, {})
        profile = self.table.profiles[self.profile].overrides.get(row.id, {})
        fields = {**reading, **profile, **self.settings.for_method(method), **row.overrides}
        fields |= row.dataset_overrides.get(own, {})
        defaults = {name: field.default for name, field in method_fields(method).items()}
        return {name: value for name, value in fields.items() if value != defaults[name]}

    def run(self, row: Row, seed: int, dataset: str = "") -> Run:
        dataset = dataset or self.datasets_of(row)[0]
        overrides = tuple(sorted(self.overrides(row, dataset).items()))
        name = self.table.data.get(dataset, dataset)
        return Run(name, row.method, self.protocol(row, dataset), seed, overrides)

    def runs(self, row: Row, dataset: str = "") -> list[Run]:
        """Of one data set, or of all that the row is trained on."""
        names = [dataset] if dataset else self.datasets_of(row)
        return [self.run(row, seed, name) for name in names for seed in self.seeds]


def _own_column(measure: str, title: str, dataset: str) -> Column:
    """The column of a measure that the user named beside the table's."""
    margin = registry.margin_of_measure(measure)
    return Column(measure, title, None, margin.better if margin else None, 3, dataset=dataset)


def offered(table: Table) -> Iterator[Selection]:
    """Whole tables: of every profile and reading and, where images are compared, by every network that does."""
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
    """What the options of the command line choose; ``own`` are classes ``package.module:Class`` beside the rows, which
    are all of the table's where none is named, or none."""
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
        if type(registry.dataset(name)) is not type(table.dataset(table.datasets[0])):
            raise UserError(f"table {table.id} has networks for other data than {name}: points and images differ")
    for name in measures:
        registry.user_measure(name)
    settings = Settings.parse(assignments, [registry.method(row.method) for row in rows])
    usual = table.profiles[profile]
    chosen = tuple(seeds) if seeds is not None else tuple(range(usual.first_seed, usual.first_seed + usual.seeds))
    wanted = (*(name for name in table.datasets if not datasets or name in datasets), *dict.fromkeys(others))
    taken = tuple(dict.fromkeys(registry.full_name("measures", name) for name in measures))
    selection = Selection(table, profile, reading, tuple(rows), chosen, settings, wanted, taken)
    if idle := [row.id for row in rows if not selection.datasets_of(row)]:
        raise UserError(f"{idle[0]} is not trained on {', '.join(wanted)} in table {table.id}; leave it or them out")
    return selection
