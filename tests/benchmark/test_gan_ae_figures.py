"""Figures of the poster on autoencoding, from made-up records, and what a method lets the record keep."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from benchmark import registry, training
from benchmark.cells import Cell, Protocol
from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.figure import draw, find_figure, read, with_status
from benchmark.figures.gan_ae import (
    compare_costs,
    matching_distance,
    measure_costs,
    mosaic,
    reconstruction_distance,
    trained_again,
)
from benchmark.page import own_style
from benchmark.records import Record, Store
from benchmark.schema import Selection, Table, find_table, select
from benchmark.training import Progress, frame_epochs
from datamodules.grid25_gaan import GRID25_GAAN

from .made import fill_store, run

PICTURES = ("gan-ae-mnist", "gan-ae-natural", "gan-ae-instability")
RNG = np.random.default_rng(0)


def choose(figure: str, **options: object) -> Selection:
    table = find_table(find_figure(figure).table)
    assert isinstance(table, Table)
    return select(table, **{"profile": "smoke", **options})  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Every cell of the three picture tables, with images whose grey value is the epoch."""
    store = Store(tmp_path)
    for name in PICTURES:
        chosen = choose(name)
        for row in chosen.rows:
            for cell in chosen.cells(row):
                epochs, shape = cell.protocol.named_frames, registry.dataset(cell.dataset).data_shape
                frames = np.stack([np.full((25, *shape), epoch, np.uint8) for epoch in epochs])
                curves = {c: list(RNG.random(cell.protocol.epochs)) for c in ("loss.discrimination", "trace.gradient")}
                record = Record(cell.id, cell.identity(), "done", "made up", {}, curves)
                store.write(cell, record, frames[-1], frames)
    return store


def panels(name: str, store: Store, **options: object) -> list[Axes]:
    figure, chosen = find_figure(name), choose(name, **options)
    with own_style(figure.id):
        return figure.draw(chosen, with_status(read(chosen, store), "done"), store).axes


def test_draws_the_same_bytes_again(store: Store) -> None:
    figure, chosen = find_figure("gan-ae-instability"), choose("gan-ae-instability")
    first = [path.read_bytes() for path in draw(figure, chosen, store)]
    assert [path.read_bytes() for path in draw(figure, chosen, store)] == first


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_stored_names_the_command(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"run --figure {name}"):
        draw(find_figure(name), choose(name), Store(tmp_path))


def test_seven_methods_are_shown_at_both_moments(store: Store) -> None:
    shown = panels("gan-ae-mnist", store)
    assert len(shown) == 2 * 7
    assert [ax.get_title().splitlines()[-1] for ax in shown] == ["after 1 batch"] * 7 + ["after 10 batches"] * 7
    values = {ax.images[0].get_array().max() for ax in shown[7:]}
    assert values == {10}
    titles = [" ".join(ax.get_title().splitlines()[:-1]) for ax in shown[:7]]
    assert titles == ["GAN", "LSGAN", "GMMN", "GAN + MMD", "GAN + MB", "GAN + UR", "GAN + AE"]


def test_natural_images_are_the_last_ones_of_both_sets(store: Store) -> None:
    shown = panels("gan-ae-natural", store)
    assert [ax.get_title().splitlines()[-1] for ax in shown] == ["cifar10, 1 batch"] * 7 + ["celeba, 1 batch"] * 7


def test_instability_has_curves_and_pictures_without_alpha_above_and_with_it_below(store: Store) -> None:
    shown = panels("gan-ae-instability", store)
    assert len(shown) == 2 * 5
    assert shown[0].get_title().startswith("GAN + AE\n") and shown[5].get_title().startswith("GAN + AE, alpha\n")
    x, _ = shown[0].lines[0].get_data()
    assert (x[0], x[-1]) == (1, 20)
    for column in (0, 1):
        assert shown[column].get_ylim() == shown[5 + column].get_ylim()
    paper = choose("gan-ae-instability", profile="paper")
    protocol = paper.protocol(paper.rows[0])
    assert [epoch * protocol.fresh_iterations for epoch in protocol.named_frames] == [10, 50, 100]


def test_a_mosaic_keeps_images_in_order() -> None:
    images = np.arange(1, 6, dtype=np.uint8)[:, None, None, None].repeat(2, 2).repeat(3, 3)
    found = mosaic(images)
    assert found.shape == (5, 7, 3)
    assert [found[0, 0, 0], found[0, 4, 0], found[3, 0, 0], found[3, 4, 0]] == [1, 2, 3, 4]
    assert not found[2].any()


def test_records_without_pictures_say_how_to_get_them(store: Store) -> None:
    chosen = choose("gan-ae-mnist")
    for row in chosen.rows:
        (cell,) = chosen.cells(row)
        store.write(cell, Record(cell.id, cell.identity(), "done", "made up"))
    with pytest.raises(UserError, match=r"protocol\.frames"):
        panels("gan-ae-mnist", store)


# Hungarian against autoencoder ----------------------------------------------------------------------------------------


def test_the_matching_distance_is_the_least_over_all_permutations() -> None:
    real, made = RNG.random((6, 2)), RNG.random((6, 2))
    every = (np.linalg.norm(real - made[list(p)], axis=1).mean() for p in itertools.permutations(range(6)))
    assert matching_distance(real, made) == pytest.approx(min(every))
    line = np.sort(RNG.random((50, 1)), 0)
    assert matching_distance(line, line[::-1] + 0.25) == pytest.approx(0.25), "a shift is its own distance"


def test_costs_are_measured_for_every_count() -> None:
    seen: list[int] = []
    costs = measure_costs(lambda n: seen.append(n) or n / 2, [2, 4])  # type: ignore[func-returns-value]
    assert [(cost.n, cost.distance) for cost in costs] == [(2, 1.0), (4, 2.0)]
    assert seen == [2] + [2] * 3 + [4] * 3
    assert all(cost.milliseconds >= 0 for cost in costs)


def test_the_autoencoders_distance_falls_with_training() -> None:
    chosen = choose("gan-ae-hungarian", assignments=["protocol.fresh_iterations=150"])
    cell = chosen.cell(chosen.table.row("gan-ae"), 0, "ring8")
    ring = registry.mixture("ring8")
    points = ring.real(500, RNG)
    before = reconstruction_distance(training.make_module(cell, (0,)), points, ring)  # type: ignore[arg-type]
    assert reconstruction_distance(trained_again(cell), points, ring) < before / 2


def test_matching_is_measured_once_and_shown_beside_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = choose("gan-ae-hungarian", datasets=["ring8"], methods=["gan", "gan-ae"], seeds=[0])
    store = Store(tmp_path)
    fill_store(store, chosen)
    monkeypatch.setattr("benchmark.figures.gan_ae._COUNTS", (8, 16))
    figure = find_figure("gan-ae-hungarian")
    first = [path.read_bytes() for path in draw(figure, chosen, store)]
    monkeypatch.setattr("benchmark.figures.gan_ae.compare_costs", lambda *_: pytest.fail("measured again"))
    assert [path.read_bytes() for path in draw(figure, chosen, store)] == first
    monkeypatch.undo()
    monkeypatch.setattr("benchmark.figures.gan_ae._COUNTS", (8, 16))
    pairs = [(row, next(iter(read(chosen, store)[row.id]))) for row in chosen.rows]
    found = compare_costs(pairs, store)
    assert list(found) == ["Hungarian, data", "Hungarian, GAN", "Hungarian, GAN + AE", "autoencoder of GAN + AE"]
    assert {cost.n for costs in found.values() for cost in costs} == {8, 16}


# What a record keeps --------------------------------------------------------------------------------------------------

SHORT = Protocol(profile="test", epochs=3, width=2, prior="normal", batch_size=64, samples=50)


@pytest.fixture
def small_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,600 points, 25 iterations an epoch."""
    small = dataclasses.replace(GRID25_GAAN, per_mode=64)
    monkeypatch.setattr(registry, "dataset", lambda name: small)


def gan_ae(*seeds: int, **fields: object) -> list[Cell]:
    overrides = (("calibration", 100), ("decay", "adaptive"))
    protocol = dataclasses.replace(SHORT, **fields)  # type: ignore[arg-type]
    return [Cell("grid25-gaan", "gan-ae", protocol, seed, overrides) for seed in seeds]


def numbers(record: Record) -> tuple:
    return record.measures, record.curves, record.samples, record.frames


@pytest.mark.usefixtures("small_data")
def test_killed_and_resumed_equals_straight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of alpha, calibration and instance noise included."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    noise = {"instance_noise": 0.1, "instance_noise_schedule": "linear"}
    chosen = gan_ae(0, 1, **noise)
    straight = run(tmp_path / "straight", chosen)

    def kill(progress: Progress) -> None:
        if progress.iteration > 30:
            raise KeyError("killed")

    with pytest.raises(KeyError):
        run(tmp_path / "killed", chosen, kill)
    seen: list[int] = []
    resumed = run(tmp_path / "killed", chosen, lambda progress: seen.append(progress.iteration))
    assert min(seen) > 25
    assert [numbers(r) for r in resumed] == [numbers(r) for r in straight]
    (alone,) = run(tmp_path / "alone", gan_ae(1, **noise))
    assert numbers(alone) == numbers(straight[1])
    curves = straight[0].curves
    assert len(curves["trace.alpha"]) == len(curves["trace.gradient"]) == 3
    assert all(0 < alpha <= 1 for alpha in curves["trace.alpha"])


@pytest.mark.usefixtures("small_data")
def test_evaluating_more_often_changes_no_loss(tmp_path: Path) -> None:
    often, once = (run(tmp_path / str(n), gan_ae(0, evaluate_every=n))[0] for n in (1, 3))
    for name in ("loss.discrimination", "loss.autoencoding", "trace.alpha"):
        assert often.curves[name] == once.curves[name]
    assert often.samples == once.samples


def test_named_frames_of_images_are_kept_and_evaluated(tmp_path: Path) -> None:
    protocol = Protocol(
        profile="test",
        networks="metz-k4",
        latent_dim=8,
        epochs=4,
        width=2,
        batch_size=8,
        fresh_iterations=1,
        samples=30,
        evaluate_every=4,
        frames="1,3,9",
    )
    (record,) = run(tmp_path, [cell := Cell("digits-1k", "gan", protocol, 1)])
    frames = Store(tmp_path).frames(cell, record)
    assert frames is not None
    assert (frames.dtype, frames.shape) == (np.uint8, (2, 25, 3, 28, 28))
    assert [value is None for value in record.curves["modes"]] == [False, True, False, False]


def test_frames_of_points_are_the_usual_ones_unless_they_are_named() -> None:
    assert frame_epochs(Protocol(epochs=3)) == [1, 2, 3]
    assert frame_epochs(Protocol(epochs=3, frames="2,5")) == [2]
    assert frame_epochs(Protocol(epochs=3), dim=784) == []


def test_a_bad_list_of_frames_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for text, said in (
        ("frames=a", "write epochs"),
        ("frames=0", "write epochs"),
        ("instance_noise=-1", "0 or greater"),
    ):
        assert main(["run", "--table", "gan-ae-2", "--set", f"protocol.{text}"]) == 2
        assert said in capsys.readouterr().err


def test_the_eight_methods_stand_in_the_tables_and_sweeps_where_they_are_named() -> None:
    for name in ("gan-ae-1", "gan-ae-2"):
        table = find_table(name)
        assert isinstance(table, Table)
        usual = [row.id for row in select(table).rows]
        eight = ["gan", "lsgan", "gmmn", "gan-mmd", "gan-mb", "unrolled", "gan-ae", "gan-ae-alpha"]
        assert usual[:8] == eight
        weights = {dict(row.overrides).get("adversarial_weight") for row in table.rows if row.method == "gan-ae"}
        assert weights == {None, 1e-4, 1e-3, 1e-1, 1.0}
