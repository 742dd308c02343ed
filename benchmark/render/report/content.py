"""Collect the content of the report from result tables and records, as plain data for the page template."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from benchmark.analysis.claims import NOT_RUN, aggregate_claims
from benchmark.analysis.experiments import findings, four_digits, is_experiment_stale, read_experiment
from benchmark.analysis.frame import ResultTable, aggregate
from benchmark.analysis.networks import read_networks
from benchmark.errors import UserError
from benchmark.papers.discovery import all_figures, all_tables, select_claims
from benchmark.plotting.figure import Figure
from benchmark.render.formats import Shown, heading, shown
from benchmark.render.report.others import other_selections
from benchmark.spec import registry
from benchmark.spec.claims import Claim, ClaimSelection, ClaimTable, Comparison, Models, profiles
from benchmark.spec.commands import column_title, file_name, run_command, usual_of
from benchmark.spec.demonstration import USUAL_PROFILE, Demonstration, Experiment, choose
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import Column, NetworkTable, Row, Table
from benchmark.store.record import Record
from benchmark.store.store import Store
from datamodules.images import MissingData
from evaluators.names import MissingWeights

#: Colour of a verdict. ``better`` and ``worse`` need a column that states which direction is better.
Tone = Literal["equivalent", "better", "worse", "differs", "undecided", "none"]

#: Colour of a verdict on a claim.
HOLDS: Mapping[str, Tone] = {
    "holds": "equivalent",
    "undecided": "undecided",
    "does not hold": "worse",
    NOT_RUN: "none",
}

#: Profile of the models that ``tune`` trains. They serve to choose a reading and are not results.
_TRIALS = "tune"


@dataclass(frozen=True)
class Box:
    """One entry of a table.

    Attributes:
        id: Name of the entry on the page.
        dataset: The data set.
        column: The column.
        shown: Text of the entry.
        tone: Colour of the verdict.
        mean: Our mean.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        paper: The reported mean.
        models: Ids of the stored models behind the entry.
        fluctuation: Fluctuation of the measure over the last tenth of the evaluations.
    """

    id: str
    dataset: str
    column: Column
    shown: Shown
    tone: Tone
    mean: float
    low: float
    high: float
    paper: float
    models: tuple[str, ...]
    fluctuation: float = math.nan

    @property
    def title(self) -> str:
        return column_title(self.column)


@dataclass(frozen=True)
class Line:
    """One row of a table.

    Attributes:
        id: Id of the row.
        title: Title of the row.
        method: Name of the method; empty for known samples.
        boxes: One entry per column; None where the row has none.
        seconds: Mean cost of a finished model in seconds; NaN without any.
    """

    id: str
    title: str
    method: str
    boxes: tuple[Box | None, ...]
    seconds: float


@dataclass(frozen=True)
class Part:
    """The part of a table that belongs to one data set.

    Attributes:
        dataset: Name of the data set.
        source: Its description.
        columns: Columns of this data set.
        lines: Rows with entries in them.
    """

    dataset: str
    source: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    @property
    def headings(self) -> list[str]:
        return [heading(column) for column in self.columns]

    @property
    def timed(self) -> bool:
        return not all(math.isnan(line.seconds) for line in self.lines)

    def front(self, index: int) -> list[str]:
        """Return the ids of the rows on the Pareto front of cost and the column with this index."""
        column = self.columns[index]
        sign = -1 if column.better == "lower" else 1
        points = {
            line.id: (line.seconds, -sign * box.mean)
            for line in self.lines
            if (box := line.boxes[index]) and not math.isnan(line.seconds + box.mean)
        }
        return [name for name, point in points.items() if not any(_beats(other, point) for other in points.values())]


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True)
class Filled:
    """A table at one profile and reading, with the content of ``show``.

    Attributes:
        table: Id of the table.
        sheet: The result table.
        profile: Profile of the runs.
        reading: Reading of the runs.
        parts: One part per data set.
        absent: Titles of rows without records.
        show: The command that prints the table.
        run: The command that trains it.
    """

    table: str
    sheet: ResultTable
    profile: str
    reading: str
    parts: tuple[Part, ...]
    absent: tuple[str, ...]
    show: str
    run: str

    @property
    def anchor(self) -> str:
        """HTML id of the table."""
        return f"table-{self.sheet.name}"

    @property
    def boxes(self) -> list[tuple[Line, Box]]:
        """Entries with a verdict, each with its row."""
        lines = (line for part in self.parts for line in part.lines)
        return [(line, box) for line in lines for box in line.boxes if box and box.tone != "none"]

    def count(self, *tones: Tone) -> int:
        return sum(box.tone in tones for _, box in self.boxes)


@dataclass(frozen=True)
class Tested:
    """A stored demonstration.

    Attributes:
        experiment: The experiment.
        record: Its record.
        numbers: Each number as text, with its description.
        verdict: The verdict on the claim.
        stale: Whether another version made the record.
        picture: File of the drawing; None without one.
        command: The command that runs the experiment.
    """

    experiment: Experiment
    record: Record
    numbers: tuple[tuple[str, str], ...]
    verdict: str
    stale: bool
    picture: Path | None
    command: str


@dataclass(frozen=True)
class Link:
    """A link from a claim to its evidence on the page.

    Attributes:
        title: Text of the link.
        place: HTML id of the target; empty if the page does not contain it.
        entry: Entry that opens there; may be empty.
        curve: Curve that the entry shows first; may be empty.
    """

    title: str
    place: str = ""
    entry: str = ""
    curve: str = ""


@dataclass(frozen=True)
class Ground:
    """One part of a claim's evidence.

    Attributes:
        where: The data set, or ``demonstration``.
        sides: Links to the models or the demonstration.
        asked: The statistic, direction and margin that are tested.
        numbers: The numbers, as ``show`` prints them.
        verdict: The verdict of this part.
    """

    where: str
    sides: tuple[Link, ...]
    asked: str
    numbers: str
    verdict: str


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    Attributes:
        id: HTML id of the claim.
        claim: The claim.
        verdict: The verdict.
        grounds: Parts of the evidence.
        methods: Methods of the models in the evidence.
        datasets: Their data sets.
    """

    id: str
    claim: Claim
    verdict: str
    grounds: tuple[Ground, ...]
    methods: tuple[str, ...]
    datasets: tuple[str, ...]


@dataclass(frozen=True)
class Claims:
    """A table of claims at one profile, with the content of ``show``.

    Attributes:
        table: Id of the table.
        sheet: The result table.
        profile: Profile of the models.
        judged: The claims with their verdicts.
        show: The command that prints the table.
        run: The command that trains its models.
    """

    table: str
    sheet: ResultTable
    profile: str
    judged: tuple[Judged, ...]
    show: str
    run: str

    @property
    def anchor(self) -> str:
        """HTML id of the table."""
        return f"table-{self.sheet.name}"

    def count(self, tone: Tone) -> int:
        return sum(HOLDS[judged.verdict] == tone for judged in self.judged)


@dataclass(frozen=True)
class Drawn:
    """A stored figure of a table.

    Attributes:
        figure: The figure.
        selection: The runs that it shows.
        picture: File of the drawing.
        command: The command that draws it.
    """

    figure: Figure
    selection: Selection
    picture: Path
    command: str


@dataclass(frozen=True)
class Report:
    """The content of the report.

    Attributes:
        tables: Tables.
        claims: Tables of claims.
        demonstrations: Demonstrations.
        figures: Figures.
        models: Run and record of each model, by id.
        left_out: One line for each thing that is not shown, with the reason.
    """

    tables: tuple[Filled, ...]
    claims: tuple[Claims, ...]
    demonstrations: tuple[Tested, ...]
    figures: tuple[Drawn, ...]
    models: Mapping[str, tuple[Run, Record]]
    left_out: tuple[str, ...]


def gather(store: Store) -> Report:
    """Collect everything that is stored in a results folder.

    Raises:
        UserError: Nothing is stored.
    """
    runs = list(store.cells())
    tables: list[Filled] = []
    figures: list[Drawn] = []
    models: dict[str, tuple[Run, Record]] = {}
    left_out = []

    def take(selections: Iterable[Selection]) -> Iterator[Selection]:
        for selection in selections:
            try:
                filled, found = _fill(selection, store)
            except (MissingData, MissingWeights) as error:
                left_out.append(f"{file_name(selection, selection.table.id)}: {error}")
                continue
            tables.append(filled)
            models.update(found)
            yield selection

    for selection in take(_selections(runs)):
        figures += _drawn(selection, store, left_out)
    # Leave out the many models of `tune`, which summarises them itself.
    no_trials = [run for run in runs if run.protocol.profile != _TRIALS]
    for _ in take(other_selections(no_trials, list(models))):
        pass
    demonstrations = tuple(_demonstrations(store))
    if not tables and not demonstrations:
        where = [] if store.folder == Path("results") else ["--results", str(store.folder)]
        command = shlex.join(["python", "-m", "benchmark", "run", "--table", "2", "--profile", "short", *where])
        raise UserError(f"nothing is stored in {store.folder}; first, for example: {command}")
    if tables:
        networks = (table for table in all_tables().values() if isinstance(table, NetworkTable))
        tables += [_networks(table, store) for table in networks]
    if trials := len(runs) - len(no_trials):
        left_out.append(f"{trials} models that tune trained, to choose readings")
    if others := len({run.id for run in no_trials} - set(models)):
        left_out.append(f"{others} models that no table has any more, or whose method, data or weights are not here")
    # Tables with reported values come first, and among them those with a number.
    known = all_tables()
    tables.sort(key=lambda table: (not table.boxes, known[table.table].number is None))
    claims = tuple(_claims(store, tables, demonstrations))
    return Report(tuple(tables), claims, demonstrations, tuple(figures), models, tuple(left_out))


def _selections(runs: Sequence[Run]) -> Iterator[Selection]:
    """Yield a selection of each table for every profile, reading and feature network that has stored models.

    Optional rows and methods from outside are included if they have stored models.
    """
    for table in all_tables().values():
        if not isinstance(table, Table):
            continue
        names = {table.data.get(part, part) for part in table.datasets}
        kin = [run for run in runs if run.dataset in names]
        for profile in (name for name in table.profiles if name != _TRIALS):
            for reading in table.readings:
                yield from _selection(table, profile, reading, kin)


def _selection(table: Table, profile: str, reading: str, kin: Sequence[Run]) -> Iterator[Selection]:
    here = [run for run in kin if (run.protocol.profile, run.protocol.reading) == (profile, reading)]
    stored = {run.id for run in here}
    outside = [name for name in sorted({run.method for run in here if ":" in run.method}) if _loads(name)]
    usual = select(table, profile=profile, reading=reading)
    judges = {usual.protocol(row).features for row in usual.rows}
    for features in sorted({run.protocol.features for run in here}):
        chosen = partial(
            select,
            table,
            profile=profile,
            reading=reading,
            assignments=[] if features in judges else [f"protocol.features={features}"],
        )
        everything = chosen(methods=[row.id for row in table.rows], own=outside)
        there = {row.id for row in everything.rows if any(run.id in stored for run in everything.runs(row))}
        rows = [row.id for row in table.rows if not row.optional or row.id in there]
        own = [name for name in outside if name in there]
        if own or any(table.row(name).optional for name in rows):
            yield chosen(methods=rows, own=own)
        elif there:
            yield chosen()


def _loads(method: str) -> bool:
    """Return whether a method from outside can be loaded here; the code behind a record may not be installed."""
    try:
        registry.method(method)
    except UserError:
        return False
    return True


def _fill(selection: Selection, store: Store) -> tuple[Filled, dict[str, tuple[Run, Record]]]:
    table, sheet = selection.table, aggregate(selection, store)
    found = {
        one_run: record
        for row in selection.rows
        for one_run in selection.runs(row)
        if (record := store.read(one_run)) is not None
    }
    rows = [row for row in selection.rows if any(one_run in found for one_run in selection.runs(row))]
    parts = []
    for dataset in dict.fromkeys(selection.dataset_of(column) for column in sheet.columns):
        columns = tuple(column for column in sheet.columns if selection.dataset_of(column) == dataset)
        here = [row for row in rows if dataset in selection.datasets_of(row)]
        lines = [
            _line(sheet, row.id, dataset, columns, row.method, _found(selection, row, dataset, found)) for row in here
        ]
        lines += [_line(sheet, name, dataset, columns) for name in sheet.known]
        shows = [line for line in lines if any(line.boxes)]
        parts.append(Part(dataset, table.dataset(dataset).source, columns, tuple(shows)))
    run = run_command(f"--table {table.id}", selection, store.folder)
    filled = Filled(
        table=table.id,
        sheet=sheet,
        profile=selection.profile,
        reading=selection.reading,
        parts=tuple(parts),
        absent=tuple(row.title for row in selection.rows if row not in rows),
        show=run.replace(" run ", " show ", 1),
        run=run,
    )
    return filled, {one_run.id: (one_run, record) for one_run, record in found.items()}


def _found(selection: Selection, row: Row, dataset: str, found: Mapping[Run, Record]) -> list[Record]:
    return [found[run] for run in selection.runs(row, dataset) if run in found]


def _line(
    sheet: ResultTable,
    row: str,
    dataset: str,
    columns: Sequence[Column],
    method: str = "",
    records: Sequence[Record] = (),
) -> Line:
    by_column = {entry["column"]: entry for _, entry in sheet.frame[sheet.frame["row"] == row].iterrows()}
    boxes: list[Box | None] = []
    for column in columns:
        entry = by_column.get(column.id)
        if entry is None:
            boxes.append(None)
            continue
        text = shown(entry, column)
        boxes.append(
            Box(
                id=f"{sheet.name}/{row}/{column.id}",
                dataset=dataset,
                column=column,
                shown=text,
                tone=tone(str(entry["verdict"]) if text.paper else "", column),
                mean=float(entry["mean"]),
                low=float(entry["ci_low"]),
                high=float(entry["ci_high"]),
                paper=float(entry["paper_mean"]),
                models=tuple(record.id for record in records),
                fluctuation=float(entry["fluctuation"]),
            )
        )
    spent = [record.cost["seconds"] for record in records if record.status == "done" and "seconds" in record.cost]
    seconds = sum(spent) / len(spent) if spent else math.nan
    return Line(row, sheet.rows[row], method, tuple(boxes), seconds)


def tone(verdict: str, column: Column) -> Tone:
    """Return the colour of a verdict in a column."""
    word = verdict.removeprefix("~")
    if word in ("equivalent", "undecided"):
        return "equivalent" if word == "equivalent" else "undecided"
    if word not in ("higher", "lower"):
        return "none"
    if column.better is None:
        return "differs"
    return "better" if word == column.better else "worse"


def _networks(table: NetworkTable, store: Store) -> Filled:
    sheet = read_networks(table)
    lines = tuple(_line(sheet, role, "", table.columns) for role in sheet.rows)
    command = f"python -m benchmark show --table {table.id}"
    return Filled(table.id, sheet, "", "", (Part("", "", table.columns, lines),), (), command, "")


def _demonstrations(store: Store) -> Iterator[Tested]:
    for found in all_figures().values():
        if not isinstance(found, Demonstration):
            continue
        # Profiles with equal settings share a record. It is shown once, under the usual profile.
        names = sorted(found.profiles, key=lambda name: name != USUAL_PROFILE)
        chosen = {choice.id: choice for name in reversed(names) for choice in [choose(found, name)]}
        for experiment in reversed(chosen.values()):
            if store.read(experiment) is None:
                continue
            record = read_experiment(experiment, store)
            numbers = findings(record).numbers
            yield Tested(
                experiment=experiment,
                record=record,
                numbers=tuple((four_digits(numbers[name]), what) for name, what in found.numbers.items()),
                verdict=found.judge(numbers),
                stale=is_experiment_stale(experiment, record),
                picture=_picture(store, experiment.name),
                command=experiment.command(store.folder),
            )


def _claims(store: Store, tables: Sequence[Filled], demonstrations: Sequence[Tested]) -> Iterator[Claims]:
    """Yield each table of claims at the profiles for which any claim has been judged."""
    places = {tested.experiment.id: tested.experiment.name for tested in demonstrations}
    for table in all_tables().values():
        for profile in profiles(table) if isinstance(table, ClaimTable) else ():
            assert isinstance(table, ClaimTable)
            selected = select_claims(table, profile)
            sheet = aggregate_claims(selected, store)
            judged = tuple(_judged(selected, claim, sheet, tables, places) for claim in table.claims)
            if not any(_ran(selected, one) for one in judged):
                continue
            words = ["--table", table.id, *(["--profile", profile] if profile != "paper" else [])]
            words += [] if store.folder == Path("results") else ["--results", str(store.folder)]
            show, run = (shlex.join(["python", "-m", "benchmark", verb, *words]) for verb in ("show", "run"))
            yield Claims(table.id, sheet, profile, judged, show, run)


def _judged(
    selected: ClaimSelection, claim: Claim, sheet: ResultTable, tables: Sequence[Filled], places: Mapping[str, str]
) -> Judged:
    found = sheet.frame[sheet.frame["claim"] == claim.id].to_dict("records")
    sides = [side for part in claim.evidence if isinstance(part, Comparison) for side in part.sides]
    return Judged(
        id=f"{sheet.name}-{claim.id}",
        claim=claim,
        verdict=found[0]["claim_verdict"],
        grounds=tuple(
            _ground(selected, part, entry, tables, places) for part, entry in zip(claim.evidence, found, strict=True)
        ),
        methods=tuple(dict.fromkeys(side.table.row(side.row).method for side in sides)),
        datasets=tuple(dict.fromkeys(side.dataset for side in sides)),
    )


def _ground(
    selected: ClaimSelection,
    part: Comparison | str,
    entry: Mapping[Hashable, Any],
    tables: Sequence[Filled],
    places: Mapping[str, str],
) -> Ground:
    if isinstance(part, str):
        link = Link(part, places.get(selected.experiment(part).id, ""))
        return Ground("demonstration", (link,), "", entry["said"], entry["verdict"])
    links = [_link(selected, side, part, tables) for side in part.sides]
    links += [] if isinstance(part.right, Models) else [Link(f"{part.right:g}")]
    asked = f"{part.statistic.title} {part.direction}"
    if part.margin:
        other = "lower" if part.direction == "higher" else "higher"
        asked += f" by more than {part.margin:g}" if part.margin > 0 else f", or {other} by less than {-part.margin:g}"
    return Ground(part.left.dataset, tuple(links), asked, entry["said"], entry["verdict"])


def _link(selected: ClaimSelection, side: Models, part: Comparison, tables: Sequence[Filled]) -> Link:
    """Return a link to the entry of these models in the compared measure, or to their first entry for other curves."""
    title, wanted = side.table.row(side.row).title, {run.id for run in selected.models(side)}
    found = [
        (table, box)
        for table in tables
        if table.table == side.table.id
        for line in (line for group in table.parts for line in group.lines)
        for box in line.boxes
        if box and wanted & set(box.models)
    ]
    if not found:
        return Link(title)
    table, box = min(found, key=lambda one: one[1].column.measure != part.statistic.name)
    return Link(title, table.anchor, box.id, "" if part.statistic.take == "last" else part.statistic.name)


def _ran(selected: ClaimSelection, judged: Judged) -> bool:
    """Return whether any evidence of a claim was judged at the profile of the selection.

    A demonstration may lack that profile and then counts only at its usual one.
    """
    return any(
        ground.verdict != NOT_RUN
        and (isinstance(part, Comparison) or selected.experiment(part).profile == selected.profile)
        for part, ground in zip(judged.claim.evidence, judged.grounds, strict=True)
    )


def _drawn(selection: Selection, store: Store, left_out: list[str]) -> Iterator[Drawn]:
    """Yield the stored figures of a table at the same profile and reading, for data sets without people."""
    for figure in all_figures().values():
        if not isinstance(figure, Figure) or figure.table != selection.table.id:
            continue
        usual = figure.usual(usual_of(selection))
        seen = [name for name in usual.datasets if not registry.shows_people(usual.table.dataset(name))]
        part = dataclasses.replace(usual, datasets=tuple(seen))
        picture = _picture(store, file_name(part, figure.id, usual)) if seen else None
        if part != usual and _picture(store, whole := file_name(usual, figure.id, usual), people=True):
            left_out.append(f"figure {whole}: photographs of people are not shown")
        if picture is None:
            continue
        command = run_command(f"--figure {figure.id}", part, store.folder, usual).replace(
            " run --figure ", " figure ", 1
        )
        yield Drawn(figure, part, picture, command)


def _picture(store: Store, name: str, people: bool = False) -> Path | None:
    path = store.pictures(people) / f"{name}.png"
    return path if path.is_file() else None


def prose(folder: Path) -> list[str]:
    """Return the paragraphs of the ``README.md`` in a results folder as Markdown, without headings.

    Returns:
        The paragraphs; none without the file.
    """
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    blocks = (block.strip() for block in text.split("\n\n"))
    return [block for block in blocks if block and not block.startswith("#")]
