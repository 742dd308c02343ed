"""Tables of several data sets: what is trained on what, printed values, readings, the search for a reading."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from benchmark.analysis.frame import aggregate
from benchmark.analysis.search import candidates, misfits
from benchmark.errors import UserError
from benchmark.papers.discovery import all_tables, find_table
from benchmark.papers.gaan.tables import TABLE_2, TABLE_2_ABLATION
from benchmark.papers.gaan.tables_images import TABLE_4
from benchmark.papers.importance_sampling import tables
from benchmark.papers.veegan.tables import TABLE_1, TABLE_1_ABLATION
from benchmark.render.formats import FORMATS, render
from benchmark.spec import registry
from benchmark.spec.protocol import Setting
from benchmark.spec.selection import select
from benchmark.spec.table import Profile, Reading, Row, Table
from benchmark.store.store import Store
from benchmark.training.trainer import make_module
from modules.unrolled import UnrolledGAN
from tests.benchmark.made import change, choose, fill_store

TABLES = [table for table in all_tables().values() if isinstance(table, Table)]
SYNTHETIC = [TABLE_1, tables.TABLE_1]


def settings_of(where: Profile | Reading, row: Row, dataset: str) -> dict[str, Setting]:
    """Fields of the protocol that a profile or a reading sets; those of a data set count more than those of all."""
    of_row = where.rows.get(row.id, {}) if isinstance(where, Reading) else {}
    return {**where.protocol, **of_row, **where.datasets.get(dataset, {})}


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.id)
def test_every_run_of_every_reading_can_be_built(table: Table) -> None:
    """Each method on each data set, with the fields that its reading sets."""
    for reading in table.readings:
        for profile in table.profiles:
            chosen = select(table, profile=profile, reading=reading)
            for row in chosen.rows:
                for dataset in chosen.datasets_of(row):
                    run = chosen.run(row, 0, dataset)
                    fields = dataclasses.asdict(run.protocol)
                    assert (fields["profile"], fields["reading"]) == (profile, reading)
                    of_reading = settings_of(table.readings[reading], row, dataset)
                    of_profile = settings_of(table.profiles[profile], row, dataset)
                    assert {**of_reading, **of_profile, **row.protocol}.items() <= fields.items()
        # The first axis of every parameter is the seeds'.
        module = make_module(choose(table, reading=reading).run(table.rows[-1], 0), (0, 1))
        assert {len(parameter) for parameter in module.parameters()} == {2}


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.id)
def test_printed_values_belong_to_columns_and_units(table: Table) -> None:
    columns = {column.id: column for column in table.columns}
    assert len(columns) == len(table.columns)
    for row in table.rows:
        for name, reported in row.reported.items():
            assert columns[name].reported_title
            if columns[name].percent:
                assert 0 <= reported.mean <= 1
    assert {column.dataset or table.datasets[0] for column in table.columns} == set(table.datasets)


def test_printed_values_are_the_papers() -> None:
    unrolled = TABLE_1.row("unrolled").reported
    assert unrolled["ring8/captured_modes"].mean == 7.6
    assert unrolled["grid25/high_quality_fraction"].mean == 0.16
    assert unrolled["synth1200/captured_modes_literal"].mean == 0
    assert TABLE_1.row("veegan").reported["synth1200/high_quality_fraction_literal"].mean == 0.2829
    proposed = tables.TABLE_1.row("aeis").reported
    assert proposed["cube27/high_quality_fraction"] == dataclasses.replace(
        proposed["cube27/high_quality_fraction"], mean=0.8, std=0.005
    )
    assert proposed["grid25/jsd"].mean == 0.12


def test_a_data_set_says_more_than_a_reading_and_a_profile_more_than_both() -> None:
    chosen = select(TABLE_1, profile="short", reading="veegan-nets")
    row = TABLE_1.row("gan")
    assert chosen.protocol(row, "ring8").networks == "veegan"
    synth = chosen.protocol(row, "synth1200")
    assert (synth.networks, synth.batch_size, synth.epochs) == ("veegan-512", 128, 4)
    assert select(TABLE_1, profile="paper", reading="veegan-nets").protocol(row, "synth1200").batch_size == 500


def test_own_networks_are_each_methods_released_code() -> None:
    chosen = select(TABLE_1, reading="own-nets", methods=["gan", "unrolled", "gaan_2"])
    networks = {row.id: chosen.protocol(row, "grid25").networks for row in chosen.rows}
    assert networks == {"gan": "ali", "unrolled": "unrolled", "gaan_2": "gaan-1"}
    module = make_module(chosen.run(chosen.rows[1], 0, "grid25"), (0,))
    assert isinstance(module, UnrolledGAN)
    assert (module.generator_objective, module.discriminator_rate, module.k) == ("minimax", 0.1, 5)
    assert chosen.protocol(chosen.rows[0], "synth1200").networks == "veegan-512"


def test_budgets_are_by_data_set() -> None:
    chosen = select(TABLE_1, profile="short")
    assert chosen.budget("ring8") == pytest.approx(0.2)
    assert chosen.budget("synth1200") == pytest.approx(0.02)


def test_a_part_of_the_data_sets_can_be_chosen() -> None:
    chosen = choose(TABLE_1, datasets=["synth1200", "ring8"], methods=["gan"])
    assert [run.dataset for run in chosen.runs(chosen.rows[0])] == ["ring8", "ring8", "synth1200", "synth1200"]
    assert {column.dataset for column in chosen.columns} == {"ring8", "synth1200"}
    with pytest.raises(UserError, match=r"did you mean 'grid25'"):
        choose(TABLE_1, datasets=["grid"])
    with pytest.raises(UserError, match="gaan_2 is not trained on synth1200"):
        choose(TABLE_1, datasets=["synth1200"])


@pytest.mark.parametrize("style", FORMATS)
def test_every_rendering_has_a_part_for_each_data_set(style: str, tmp_path: Path) -> None:
    chosen = choose(tables.TABLE_1, methods=["gan", "aeis"])
    store = Store(tmp_path)
    fill_store(store, chosen)
    text = render(aggregate(chosen, store), style)
    for name in tables.TABLE_1.datasets:
        assert name in text
    if style == "markdown":
        assert text.count("\n| AE + importance sampling") == 3
        assert "98." in text, "shares are shown as percentages"
        assert "paper 85.5 ± 0.6" in text
    if style == "csv":
        lines = text.splitlines()
        assert sum(line.startswith("aeis-1,aeis,ring8/") for line in lines) == 5


def test_a_row_that_is_not_trained_on_a_data_set_is_left_out_of_its_part(tmp_path: Path) -> None:
    chosen = choose(TABLE_1, methods=["gan", "gaan_2"])
    store = Store(tmp_path)
    fill_store(store, chosen)
    frame = aggregate(chosen, store).frame
    assert not len(frame[(frame["row"] == "gaan_2") & frame["column"].str.startswith("synth1200")])
    assert len(frame[(frame["row"] == "gan") & frame["column"].str.startswith("synth1200")]) == 7


def test_a_row_alone_has_the_columns_of_the_data_sets_that_it_is_trained_on(tmp_path: Path) -> None:
    chosen = choose(TABLE_1, methods=["gaan_2"])
    store = Store(tmp_path)
    fill_store(store, chosen)
    assert {column.dataset for column in chosen.columns} == {"ring8", "grid25"}
    assert {name.partition("/")[0] for name in aggregate(chosen, store).frame["column"]} == {"ring8", "grid25"}


def test_jsd_stands_beside_the_print_without_a_verdict(tmp_path: Path) -> None:
    chosen = choose(tables.TABLE_1, methods=["aeis"], seeds=[0, 1, 2])
    store = Store(tmp_path)
    fill_store(store, chosen)
    frame = aggregate(chosen, store).frame.set_index(["row", "column"])
    assert frame.loc[("aeis", "ring8/jsd"), "paper_mean"] == 0.172
    assert frame.loc[("aeis", "ring8/jsd"), "verdict"] == "-"
    assert frame.loc[("aeis", "ring8/high_quality_fraction"), "verdict"] == "~higher"


@pytest.mark.parametrize("table", SYNTHETIC, ids=lambda t: t.id)
def test_the_search_uses_seeds_of_its_own(table: Table) -> None:
    assert table.search
    tuned = {seed for chosen in candidates(table, table.search) for seed in chosen.seeds}
    others = {seed for name in ("paper", "short", "smoke") for seed in select(table, profile=name).seeds}
    assert tuned
    assert not tuned & others
    assert [chosen.reading for chosen in candidates(table, table.search)] == list(table.readings)


def test_the_misfit_is_the_mean_distance_from_the_print(tmp_path: Path) -> None:
    table = tables.TABLE_1
    assert table.search
    chosen = candidates(table, table.search, ["ring8"])
    store = Store(tmp_path)
    for selection in chosen:
        fill_store(store, selection)
        for row in selection.rows:
            good = selection.reading == "small-noise"
            wanted = {"captured_modes": 8.0, "high_quality_fraction": row.reported["ring8/high_quality_fraction"].mean}
            for run in selection.runs(row):
                bad = {"captured_modes": 4.0, "high_quality_fraction": 0.1}
                change(store, run, measures=wanted if good else bad)
    found = misfits(table, table.search, chosen, store).set_index("reading")
    assert next(iter(found.index)) == "small-noise"
    assert found.loc["small-noise", "misfit"] == pytest.approx(0)
    assert found.loc["gaan-nets", "misfit"] == pytest.approx((0.5 + 0.504 + 0.5 + 0.755) / 4)
    assert found.loc["gaan-nets", "entries"] == 4


def test_an_ablation_changes_one_thing_at_a_time() -> None:
    base = TABLE_2.row("gaan_2")
    for row in TABLE_2_ABLATION.rows[1:]:
        assert row.method == base.method
        assert len(row.overrides) + len(row.protocol) == 1 or row.id == "weights-1"
    chosen = select(find_table("gaan-2-ablation"), profile="short")  # type: ignore[arg-type]
    usual = select(TABLE_2, profile="short")
    assert chosen.run(chosen.rows[0], 0) == usual.run(base, 0), "the first row is the table's own model"
    assert chosen.run(chosen.rows[1], 0) == usual.run(TABLE_2.row("gaan_1"), 0)


def test_the_ablation_of_veegan_differs_from_its_first_rows_alone() -> None:
    table = TABLE_1_ABLATION
    first = {row.method: row for row in table.rows if row.id == row.method}
    for row in table.rows:
        assert len(dict(row.protocol)) == len(dict(first[row.method].protocol)) + (row.id != row.method)
        assert row.overrides == {}
    assert not table.selected, "nothing chose its reading"


def test_a_row_may_have_a_field_of_its_own_on_one_data_set() -> None:
    """VAE-GAN's authors weigh the likelihood by 1e-5 on CIFAR-10 and by 1e-6 on faces."""
    chosen = choose(TABLE_4, methods=["vae-gan"])
    (row,) = chosen.rows
    weights = {run.dataset: make_module(run, (0,)).gamma for run in chosen.runs(row)[:: len(chosen.seeds)]}
    assert weights == {"cifar10": 1e-5, "celeba": 1e-6}
    other = choose(TABLE_4, methods=["vae-gan"], datasets=["digits-1k"])
    assert dict(other.run(row, 0, "digits-1k").overrides)["gamma"] == 1e-5, "as on the first data set that is like it"
    for table in all_tables().values():
        if isinstance(table, Table):
            assert all(row.dataset_overrides.keys() <= set(table.datasets) for row in table.rows)


def test_every_reading_of_a_mixture_is_scaled_as_it_says() -> None:
    for reading, scaling in (("gaan-nets", "unit"), ("veegan-nets", "none")):
        chosen = choose(TABLE_1, reading=reading, methods=["gan"])
        module = make_module(chosen.run(chosen.rows[0], 0, "grid25"), (0,))
        assert (module.output, module.training_setup.scaling) == ("sigmoid" if scaling == "unit" else "linear", scaling)
    assert math.isclose(registry.dataset("synth1200").radius, 28.08)


@pytest.mark.parametrize(
    ("table", "dataset", "networks"),
    [
        ("gaan-3", "digits-1k", "metz-k4"),
        ("gaan-4", "mnist", "wgan-gp-cifar-half"),
        ("veegan-1", "cube27", "two-layers"),
    ],
)
def test_another_data_set_gets_the_settings_of_the_likest_of_a_tables_own(
    table: str, dataset: str, networks: str
) -> None:
    chosen = select(find_table(table), datasets=[dataset], methods=["gan"])  # type: ignore[arg-type]
    assert chosen.protocol(chosen.rows[0], dataset).networks == networks


@pytest.mark.parametrize("table", [t for t in all_tables().values() if isinstance(t, Table)], ids=lambda t: t.id)
def test_no_row_hides_what_a_reading_says_of_it(table: Table) -> None:
    for reading in table.readings.values():
        for row in table.rows:
            asked, own = reading.rows.get(row.id, {}), row.protocol
            assert {name: own[name] for name in asked if name in own} == {n: asked[n] for n in asked if n in own}
