"""What a table is: rows, columns, printed values, and the runs that fill it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmark import registry, tables
from benchmark.cells import Protocol, Run, Setting
from benchmark.errors import UserError, unknown
from benchmark.settings import Settings, method_fields
from benchmark.user_code import load, short_name
from datamodules.images import ImageSet
from evaluators.distances import USUAL_COUNT
from evaluators.features import load_extractor
from evaluators.inversion import INVERSION_MEASURES

Direction = Literal["higher", "lower"]

#: Measures of images that grow or fall with the number of samples alone.
_OF_COUNTED_SAMPLES = frozenset({"modes", "kl", "intensity_kl"})


@dataclass(frozen=True)
class Reported:
    """A printed value, in the unit of the column, and how exactly it is printed.

    mean, std: ``std`` is None where none is printed. error: whether it is a standard deviation or a standard error.
    rounding, std_rounding: half a unit of the last printed decimal, in the unit of the column.
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
        """A value as it is printed, every decimal of it: ``Reported.read("21.50", "2.00")``.

        per: 100 for a percentage in a column of shares; std_per: where the deviation has another unit.
        Raises ``ValueError`` for what is no decimal number, or a negative deviation.
        """
        value, rounding = _decimal(mean, per)
        if std is None:
            return cls(value, rounding=rounding, error=error)
        deviation, std_rounding = _decimal(std, per if std_per is None else std_per)
        if deviation < 0:
            raise ValueError(f"a deviation cannot be negative: {std}")
        return cls(value, deviation, rounding, std_rounding, error)


def _decimal(text: str, per: float) -> tuple[float, float]:
    """A printed decimal number over ``per``, and half a unit of its last decimal."""
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise ValueError(f"not a decimal number as printed: {text!r}")
    return float(text) / per, 0.5 * 10.0 ** -len(text.partition(".")[2]) / per


@dataclass(frozen=True)
class Column:
    """One measure.

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


@dataclass(frozen=True)
class Models:
    """What one side of a comparison is measured on: a row of a table on one of its data sets, as that table trains it
    at the same profile, so that its records serve both.

    seeds: the first so many, the profile's if 0.
    """

    table: Table
    row: str
    dataset: str
    seeds: int = 0


@dataclass(frozen=True)
class Statistic:
    """One number of a model's record.

    title: for people.
    name: of a measure or of a curve, which has an entry per epoch.
    take: the final measure (``last``); of the curve its mean (``mean``), the standard deviation of its natural
        logarithm over the second half (``swing``), or the epochs until it reaches ``goal`` (``wait``) or until the
        model covers ``goal`` modes to the end (``covered``, by ``benchmark.coverage``): one more than there are where
        it never does.
    lost: what a model that diverged counts as, which never reaches a goal; left out if None.
    """

    title: str
    name: str
    take: Literal["last", "mean", "swing", "wait", "covered"] = "last"
    goal: float = 0.0
    lost: float | None = None


@dataclass(frozen=True)
class Comparison:
    """That a statistic of ``left`` is higher or lower than that of ``right``, another row's, seed by seed, or a number.

    margin: by how much at least; a negative one asks only that it is not worse by so much.
    """

    statistic: Statistic
    left: Models
    direction: Direction
    right: Models | float
    margin: float = 0.0

    @property
    def sides(self) -> tuple[Models, ...]:
        return (self.left, self.right) if isinstance(self.right, Models) else (self.left,)


@dataclass(frozen=True)
class Claim:
    """A sentence of a text that can be tested.

    sentence: in our words. source: the text and the place.
    reading: how we understand it, and what stands for it here.
    evidence: comparisons, and ids of demonstrations; it holds if all of them do.
    """

    id: str
    sentence: str
    source: str
    reading: str
    evidence: tuple[Comparison | str, ...]


@dataclass(frozen=True)
class ClaimTable:
    """Sentences of the texts, each judged by models of other tables and by demonstrations. Pure data."""

    id: str
    number: str | None
    title: str
    citation: str
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()

    def claim(self, name: str) -> Claim:
        by_id = {claim.id: claim for claim in self.claims}
        if name not in by_id:
            raise unknown(f"claim of table {self.id}", name, by_id)
        return by_id[name]


AnyTable = Table | NetworkTable | ClaimTable


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
        columns += [Column(name, titles[name], None, None, 3, dataset=part) for part in parts for name in titles]
        return tuple(self._counted(c) for c in columns if c.features in ("", self.features))

    def _columns_like(self, dataset: str) -> list[Column]:
        """Of a data set that the table does not have: the columns of the first one that is measured in the same way."""
        kind = registry.dataset(dataset).measures
        others = [table for table in all_tables().values() if isinstance(table, Table)]
        for table in [self.table, *others]:
            for part in table.datasets:
                if table.dataset(part).measures == kind:
                    same = [c for c in table.columns if (c.dataset or table.datasets[0]) == part]
                    return [dataclasses.replace(c, dataset=dataset, reported_title=None) for c in same]
        raise UserError(f"no table measures data like {dataset}")

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


def offered(table: Table) -> Iterator[Selection]:
    """Whole tables: of every profile and reading and, where images are compared, by every network that does."""
    judges = sorted({column.features for column in table.columns if column.features})
    for profile, reading in itertools.product(table.profiles, table.readings):
        usual = select(table, profile=profile, reading=reading)
        yield usual
        for features in judges:
            if features != usual.features:
                yield select(table, profile=profile, reading=reading, assignments=[f"protocol.features={features}"])


def iterations_per_epoch(protocol: Protocol, dataset: registry.DataSet, size: int = 0) -> int:
    """Iterations between two looks at a model: as many as the protocol says, or a pass through the training set, of
    another ``size`` if one is given."""
    return protocol.fresh_iterations or math.ceil((size or dataset.training_size) / protocol.batch_size)


def all_tables() -> dict[str, AnyTable]:
    """Every table, by id."""
    return {value.id: value for value in registry.values_in(tables) if isinstance(value, AnyTable)}


def find_table(name: str) -> AnyTable:
    """The table of that id or, for GAAN's, number; or a user's ``package.module:NAME`` or ``path/to/file.py:NAME``.

    Raises:
        UserError: If there is none, or a user's has the id of another one, whose files it would overwrite.
    """
    known = all_tables()
    if ":" in name:
        value = load("--table", short_name(name))
        if not isinstance(value, AnyTable):
            raise UserError(f"--table {name} is no table: it must be a benchmark.schema.Table")
        if value is not known.get(value.id, value):
            raise UserError(f"--table {name} has the id {value.id}, as another table has; give yours one of its own")
        return value
    by_number = {table.number: table for table in known.values() if table.number}
    table = known.get(name) or by_number.get(name)
    if table is None:
        raise unknown("table", name, [*known, *by_number])
    return table


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
        registry.measure(name)
    settings = Settings.parse(assignments, [registry.method(row.method) for row in rows])
    usual = table.profiles[profile]
    chosen = tuple(seeds) if seeds is not None else tuple(range(usual.first_seed, usual.first_seed + usual.seeds))
    wanted = (*(name for name in table.datasets if not datasets or name in datasets), *dict.fromkeys(others))
    taken = tuple(dict.fromkeys(registry.full_name("measures", name) for name in measures))
    selection = Selection(table, profile, reading, tuple(rows), chosen, settings, wanted, taken)
    if idle := [row.id for row in rows if not selection.datasets_of(row)]:
        raise UserError(f"{idle[0]} is not trained on {', '.join(wanted)} in table {table.id}; leave it or them out")
    return selection
