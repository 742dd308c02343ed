"""Figures of the poster on autoencoding, from made-up records, and what a method lets the record keep."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.papers.discovery import find_figure, find_table
from benchmark.plotting.mosaic import as_read, reconstructions
from benchmark.render.figures import draw_figure
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol, frame_epochs
from benchmark.spec.run import Run
from benchmark.spec.selection import select
from benchmark.spec.table import Table
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training import callback
from benchmark.training.callback import Progress
from benchmark.training.trainer import load_module
from tests.benchmark.made import choose_figure, numbers, panels, run

pytestmark = pytest.mark.slow

PICTURES = ("gan-ae-mnist", "gan-ae-natural", "gan-ae-instability")
RNG = np.random.default_rng(0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Every run of the three picture tables, with images whose grey value is the epoch, and 99 in reconstructions."""

    def rebuilt(one_run: Run, record: Record, store: Store, n: int) -> np.ndarray:
        return np.full((2 * n, *registry.dataset(one_run.dataset).data_shape), 99, np.uint8)

    monkeypatch.setattr("benchmark.papers.gan_ae.figures.reconstructions", rebuilt)
    store = Store(tmp_path)
    for name in PICTURES:
        chosen = choose_figure(name)
        for row in chosen.rows:
            for one_run in chosen.runs(row):
                epochs, shape = one_run.protocol.named_frames, registry.dataset(one_run.dataset).data_shape
                frames = np.stack([np.full((25, *shape), epoch, np.uint8) for epoch in epochs])
                curves = {
                    c: list(RNG.random(one_run.protocol.epochs)) for c in ("loss.discriminator", "trace.gradient")
                }
                record = Record(one_run.id, one_run.identity(), "done", {}, {}, curves)
                store.write(one_run, record, frames[-1], frames)
    return store


def test_draws_the_same_bytes_again(store: Store) -> None:
    figure, chosen = find_figure("gan-ae-instability"), choose_figure("gan-ae-instability")
    first = draw_figure(figure, chosen, store).read_bytes()
    assert draw_figure(figure, chosen, store).read_bytes() == first


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_stored_names_the_command(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"run --figure {name}"):
        draw_figure(find_figure(name), choose_figure(name), Store(tmp_path))


def test_seven_methods_are_shown_at_both_moments(store: Store) -> None:
    shown = panels("gan-ae-mnist", choose_figure("gan-ae-mnist"), store)
    assert len(shown) == 2 * 7 + 1
    said = [ax.get_title().splitlines()[-1] for ax in shown]
    assert said == ["after 1 batch"] * 7 + ["after 10 batches"] * 7 + ["test images, G(E(x)) beside"]
    values = [ax.images[0].get_array()[0, 0] for ax in shown]
    assert values == [1] * 7 + [10] * 7 + [99]
    assert shown[-1].get_title().startswith("GAN + AE\n")
    titles = [" ".join(ax.get_title().splitlines()[:-1]) for ax in shown[:7]]
    assert titles == ["GAN", "LSGAN", "GMMN", "GAN + MMD", "GAN + MB", "GAN + UR", "GAN + AE"]


def test_natural_images_are_the_last_ones_of_both_sets(store: Store) -> None:
    shown = panels("gan-ae-natural", choose_figure("gan-ae-natural"), store)
    beside = "test images, G(E(x)) beside"
    assert [ax.get_title().splitlines()[-1] for ax in shown] == [
        *["cifar10, 1 batch"] * 7,
        beside,
        *["celeba, 1 batch"] * 7,
        beside,
    ]


def test_instability_has_curves_and_pictures_without_alpha_above_and_with_it_below(store: Store) -> None:
    shown = panels("gan-ae-instability", choose_figure("gan-ae-instability"), store)
    assert len(shown) == 2 * 6
    assert shown[0].get_title().startswith("GAN + AE\n") and shown[6].get_title().startswith("GAN + AE, alpha\n")
    assert [ax.images[0].get_array()[0, 0] for ax in (shown[5], shown[11])] == [99, 99]
    x, _ = shown[0].lines[0].get_data()
    assert (x[0], x[-1]) == (1, 20)
    for column in (0, 1):
        assert shown[column].get_ylim() == shown[6 + column].get_ylim()
    paper = choose_figure("gan-ae-instability", profile="paper")
    protocol = paper.protocol(paper.rows[0])
    assert [epoch * protocol.fresh_iterations for epoch in protocol.named_frames] == [10, 50, 100]


def test_records_without_pictures_say_how_to_get_them(store: Store) -> None:
    chosen = choose_figure("gan-ae-mnist")
    for row in chosen.rows:
        (run,) = chosen.runs(row)
        store.write(run, Record(run.id, run.identity(), "done", {}))
    with pytest.raises(UserError, match=r"protocol\.frames"):
        panels("gan-ae-mnist", choose_figure("gan-ae-mnist"), store)


def test_reconstructions_are_what_the_stored_networks_make_of_test_images(tmp_path: Path) -> None:
    protocol = Protocol(
        profile="test",
        networks="dcgan-mnist",
        latent_dim=4,
        prior="normal",
        batch_size=8,
        width=1,
        fresh_iterations=1,
        samples=10,
    )
    one_run = Run("digits", "gan-ae", protocol, 0, (("calibration", 20),))
    (record,) = run(tmp_path, [one_run])
    store = Store(tmp_path)
    # Networks that have hardly been trained make one grey: louder ones tell images apart.
    louder = {name: 4 * value for name, value in store.weights(one_run, record).items()}
    store.write(one_run, record, store.samples(one_run, record), weights=louder)
    record = store.read(one_run) or record
    found = reconstructions(one_run, record, store, 3)
    real = registry.dataset("digits").reference(3)
    np.testing.assert_array_equal(found[::2], real)
    module = load_module(one_run, record, store)
    made = module.generator(module.encoder(as_read(real, protocol)[None]))[0].detach().numpy()
    np.testing.assert_array_equal(found[1::2], (made * 255).round())
    assert found[1::2].std() > 0


# What a record keeps --------------------------------------------------------------------------------------------------

SHORT = Protocol(profile="test", epochs=3, width=2, prior="normal", batch_size=64, samples=50)


def gan_ae(*seeds: int, **fields: object) -> list[Run]:
    overrides = (("calibration", 100), ("decay", "adaptive"))
    protocol = dataclasses.replace(SHORT, **fields)  # type: ignore[arg-type]
    return [Run("grid25-gaan", "gan-ae", protocol, seed, overrides) for seed in seeds]


@pytest.mark.usefixtures("small_data")
def test_killed_and_resumed_equals_straight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of alpha, calibration and instance noise included."""
    monkeypatch.setattr(callback, "CHECKPOINT_SECONDS", 0.0)
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
    for name in ("loss.discriminator", "loss.autoencoder", "trace.alpha"):
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
    (record,) = run(tmp_path, [one_run := Run("digits-1k", "gan", protocol, 1)])
    frames = Store(tmp_path).frames(one_run, record)
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
        assert weights == {None, 0.0, 1e-4, 1e-3, 1e-1, 1.0}
