"""Training on images from end to end, and judging anybody's images."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.analysis.frame import aggregate
from benchmark.analysis.known_samples import known_samples
from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.papers.discovery import find_table
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.spec.selection import select
from benchmark.spec.table import Table
from benchmark.store.samples import read_image_samples
from benchmark.store.store import Store
from benchmark.training import callback
from benchmark.training.callback import Progress
from benchmark.training.engines.runner import run_blocks, to_do
from benchmark.training.estimate import estimate
from benchmark.training.evaluation import as_pixels, draw_samples, measure
from benchmark.training.trainer import load_module
from datamodules.image_sets import DIGITS, DIGITS_1K
from datamodules.images import ImageSet
from tests.benchmark.made import run
from tests.real_data import needs_data

pytestmark = pytest.mark.slow

PROTOCOL = Protocol(
    profile="test",
    networks="metz-k4",
    scaling="symmetric",
    latent_dim=8,
    epochs=2,
    width=2,
    batch_size=16,
    fresh_iterations=4,
    samples=40,
    norm_at_evaluation="batch",
)
RUNS = [Run("digits-1k", "gan", PROTOCOL, seed) for seed in (0, 1)]
SHAPE = (3, 28, 28)


def test_records_hold_modes_and_a_few_images(tmp_path: Path) -> None:
    records = run(tmp_path, RUNS)
    for one_run, record in zip(RUNS, records, strict=True):
        assert record.status == "done"
        assert set(record.measures) == {"modes", "kl"}
        assert len(record.curves["modes"]) == 2
        kept = Store(tmp_path).samples(one_run, record)
        assert kept.dtype == np.uint8
        assert kept.shape[1:] == SHAPE
        assert record.frames is None
    assert records[0].samples != records[1].samples


def test_a_stored_model_makes_its_samples_again(tmp_path: Path) -> None:
    records, store = run(tmp_path, RUNS), Store(tmp_path)
    kept = [store.samples(one_run, record).astype(float) for one_run, record in zip(RUNS, records, strict=True)]
    for one_run, record, expected in zip(RUNS, records, kept, strict=True):
        again = draw_samples(load_module(one_run, record, store), DIGITS_1K, one_run.protocol, one_run.protocol.epochs)[
            0
        ]
        differences = [np.abs(again[: len(images)] - images).mean() for images in kept]
        # Weights are rounded to 16 bits.
        assert np.abs(again[: len(expected)] - expected).mean() < 0.5 < max(differences)
    changed, removed = (store.path(one_run).with_suffix(".safetensors") for one_run in RUNS)
    changed.write_bytes(b"something else")
    with pytest.raises(UserError, match="not the weights that the record names"):
        load_module(RUNS[0], records[0], store)
    removed.unlink()
    with pytest.raises(UserError, match="the weights of a record are missing"):
        load_module(RUNS[1], records[1], store)


def test_killed_and_resumed_equals_straight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback, "CHECKPOINT_SECONDS", 0.0)
    straight = run(tmp_path / "straight", RUNS)

    def kill(progress: Progress) -> None:
        if progress.iteration > 4:
            raise KeyError("killed")

    with pytest.raises(KeyError):
        run(tmp_path / "killed", RUNS, kill)
    resumed = run(tmp_path / "killed", RUNS)
    for one, other in zip(straight, resumed, strict=True):
        assert (one.measures, one.curves, one.samples) == (other.measures, other.curves, other.samples)


@pytest.mark.parametrize("judged", ["samples", "inverted"])
def test_estimates_count_the_judging_of_images(judged: str, tmp_path: Path) -> None:
    store = Store(tmp_path)

    def seconds(count: int) -> float:
        runs = [dataclasses.replace(RUNS[0], protocol=dataclasses.replace(PROTOCOL, **{judged: count}))]
        ((_, found),) = estimate(to_do(store, runs), store, "cpu").items()
        assert not found.problem
        return found.seconds_left

    assert seconds(4_000_000) > 100 * seconds(40), "a hundred thousand times as many"


def test_networks_for_vectors_fail_with_the_way_out(tmp_path: Path) -> None:
    runs = [dataclasses.replace(RUNS[0], protocol=dataclasses.replace(PROTOCOL, networks="gaan-1"))]
    store = Store(tmp_path)
    store.prepare()
    ((_, reason),) = run_blocks(to_do(store, runs), store, lambda progress: None, "cpu").failed
    assert "set protocol.networks" in reason


def test_pixels_are_rounded_once() -> None:
    values = torch.tensor([-1.0, 0.0, 1.0, 3.0, float("nan")])
    assert as_pixels(values, "symmetric").tolist() == [0, 128, 255, 255, 0]
    assert as_pixels(torch.tensor([0.0, 0.5, 100 / 255]), "unit").tolist() == [0, 128, 100]


def test_known_images_rank_as_they_must_and_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    protocol = dataclasses.replace(PROTOCOL, samples=300)
    known = known_samples(DIGITS_1K, protocol, (0, 1), store)
    mean = {row: np.mean(values["modes"]) for row, values in known.items()}
    assert mean["real"] > mean["collapsed"] > mean["spread"]
    monkeypatch.setattr("benchmark.training.evaluation.measure", lambda *_: pytest.fail("measured again"))
    assert known_samples(DIGITS_1K, protocol, (0, 1), store) == known


# Anybody's images ---------------------------------------------------------------------------------------------------

PIXELS = DIGITS_1K.sample(20, np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["uint8", "int64", "float", "torch"])
def test_images_in_any_form_are_the_same_images(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("mine.pt" if kind == "torch" else "mine.npy")
    if kind == "torch":
        torch.save(torch.from_numpy(PIXELS).float() / 255, path)
    else:
        np.save(path, PIXELS / 255 if kind == "float" else PIXELS.astype(kind))
    np.testing.assert_array_equal(read_image_samples(path, SHAPE), PIXELS)


def test_a_folder_of_images_is_read(tmp_path: Path) -> None:
    for number, image in enumerate(PIXELS[:5]):
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / f"{number}.png")
    np.testing.assert_array_equal(read_image_samples(tmp_path, SHAPE), PIXELS[:5])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (PIXELS / 127.5 - 1, "give images as uint8, or in [0, 1]"),
        (PIXELS.astype(int) + 300, "whole numbers must be 0 to 255"),
        (PIXELS[:, 0], "samples must be [n, 3, 28, 28]"),
        (PIXELS / 255 + 1e-4, "give images as uint8, or in [0, 1]"),
        (np.full((2, *SHAPE), np.nan), "NaN or infinity in 2 of 2 samples"),
    ],
)
def test_other_numbers_are_refused(values: np.ndarray, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", values)
    with pytest.raises(UserError) as caught:
        read_image_samples(tmp_path / "mine.npy", SHAPE)
    assert said in str(caught.value)


def test_a_rounding_beyond_the_range_is_none(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", (PIXELS / 255 * 2 - 1e-7 - 1).clip(-1 - 1e-7, 1) / 2 + 0.5)
    np.testing.assert_array_equal(read_image_samples(tmp_path / "mine.npy", SHAPE), PIXELS)


def test_a_folder_that_is_not_there_is_no_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file or folder"):
        read_image_samples(tmp_path / "pictures", SHAPE)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no images in"):
        read_image_samples(tmp_path, SHAPE)


def test_evaluate_prints_modes_and_divergence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "mine.npy", PIXELS)
    assert (
        main(["evaluate", "--dataset", "digits-1k", "--samples", str(tmp_path / "mine.npy"), "--format", "json"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    expected = measure(DIGITS_1K, Protocol(), PIXELS[None])
    assert found == {"modes": int(expected["modes"][0]), "kl": float(expected["kl"][0]), "n": 20}


def test_single_digits_have_ten_modes() -> None:
    found = measure(DIGITS, Protocol(), DIGITS.sample(300, np.random.default_rng(0))[None])
    assert 8 <= found["modes"][0] <= 10
    one = measure(DIGITS, Protocol(), DIGITS.sample_modes(300, np.random.default_rng(0), 1)[None])
    assert found["digit_kl"][0] < 1 < one["digit_kl"][0]
    assert found["intensity_kl"][0] < one["intensity_kl"][0]
    assert DIGITS.modes == 10
    assert DIGITS_1K.modes == 1_000


# Distances and the generator itself -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 small colour images, 54 for training."""
    path = tmp_path_factory.mktemp("images")
    for number, image in enumerate(DIGITS_1K.sample(60, np.random.default_rng(1))):
        Image.fromarray(image.transpose(1, 2, 0)).save(path / f"{number:02}.png")
    return path


def test_evaluate_prints_distances_beside_their_floor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--dataset", f"folder:{folder}", "--samples", str(folder), "--format", "json"]
    assert main([*words, "--features", "efficientnet-lite0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["n_real"]) == (60, 6)
    assert found["recall_effnetlite0"] == 1
    assert {"fd_effnetlite0", "fd_effnetlite0_floor", "kd_effnetlite0", "kd_effnetlite0_floor"} <= set(found)
    assert not any("fid" in name for name in found)


def test_known_images_rank_by_distance(folder: Path, tmp_path: Path) -> None:
    protocol = dataclasses.replace(PROTOCOL, samples=40, features="efficientnet-lite0")
    dataset = registry.dataset(f"folder:{folder}")
    known = known_samples(dataset, protocol, (0,), Store(tmp_path))
    assert known["real"]["fd_effnetlite0"] < known["spread"]["fd_effnetlite0"]
    real = known["real"]
    assert set(real) == {"fd_effnetlite0", "kd_effnetlite0", "precision_effnetlite0", "recall_effnetlite0"}


def test_weights_that_are_missing_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODECOV_FID_WEIGHTS", "")
    words = ["evaluate", "--dataset", f"folder:{folder}", "--samples", str(folder), "--fid-weights", "nowhere.pth"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("benchmark: there is no file nowhere.pth of Inception's weights")
    assert said.count("\n") == 1


def test_too_few_images_for_a_distance_are_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "few.npy", PIXELS[:2])
    words = ["evaluate", "--dataset", f"folder:{folder}", "--samples", str(tmp_path / "few.npy")]
    assert main([*words, "--features", "efficientnet-lite0"]) == 2
    assert "at least 4" in capsys.readouterr().err


def test_the_last_epoch_is_evaluated_whatever_lies_between(tmp_path: Path) -> None:
    protocol = dataclasses.replace(PROTOCOL, epochs=3, evaluate_every=2)
    (record,) = run(tmp_path, [Run("digits-1k", "gan", protocol, 0)])
    first, *others = record.curves["modes"]
    assert first is None
    assert all(value is not None for value in others)
    assert record.measures["modes"] == others[-1]
    assert len(record.curves["loss.discriminator"]) == 3


def test_generators_are_inverted_after_training_each_seed_by_itself(tmp_path: Path) -> None:
    protocol = dataclasses.replace(PROTOCOL, inverted=2, epochs=1)
    runs = [Run("digits", "gan", protocol, seed) for seed in (0, 1)]
    both = run(tmp_path / "both", runs)
    for record in both:
        ends = [record.measures[name] for name in ("ivom_5", "ivom_50", "ivom")]
        assert ends == sorted(ends, reverse=True)
        assert "ivom" not in record.curves
    (alone,) = run(tmp_path / "alone", runs[1:])
    assert alone.measures["ivom"] == pytest.approx(both[1].measures["ivom"], rel=1e-3)
    assert both[0].measures["ivom"] != both[1].measures["ivom"]


@pytest.mark.parametrize("when", ["in the loss", "at the last step"])
def test_a_model_that_diverges_takes_no_other_with_it(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels of NaN are black, and L-BFGS does not survive NaN."""
    protocol = dataclasses.replace(PROTOCOL, inverted=2, epochs=1)
    judge = callback.Evaluation._judge

    def ruined(self: callback.Evaluation, epoch: int) -> None:
        with torch.no_grad():
            for parameter in self.module.generator.parameters():  # type: ignore[union-attr]
                parameter.unflatten(0, (2, -1))[0].fill_(torch.nan)
        if when == "in the loss":
            self.diverged_at[0] = 3
        judge(self, epoch)

    monkeypatch.setattr(callback.Evaluation, "_judge", ruined)
    lost, sound = run(tmp_path, [Run("digits", "gan", protocol, seed) for seed in (0, 1)])
    assert (lost.status, lost.diverged_at, lost.measures) == ("diverged", 3 if when == "in the loss" else 4, {})
    assert sound.status == "done"
    assert sound.measures["ivom"] is not None


def test_known_images_are_measured_again_on_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, protocol = Store(tmp_path), dataclasses.replace(PROTOCOL, samples=50)
    known_samples(DIGITS_1K, protocol, (0,), store)
    monkeypatch.setattr(ImageSet, "fingerprint", "other images")
    known_samples(DIGITS_1K, protocol, (0,), store)
    assert len(list((tmp_path / "known").iterdir())) == 2


def test_tables_say_that_records_are_of_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = find_table("gan-ae-1")
    assert isinstance(table, Table)
    few = ["protocol.samples=30", "protocol.fresh_iterations=1"]
    chosen = select(table, profile="smoke", methods=["gan"], datasets=["digits-1k"], assignments=few)
    (record,) = run(tmp_path, chosen.runs(chosen.rows[0]))
    assert record.environment["images"] == DIGITS_1K.fingerprint
    said = "Trained and judged on other images than those that lie here: GAN."
    assert said not in aggregate(chosen, Store(tmp_path)).footer
    monkeypatch.setattr(ImageSet, "fingerprint", "other images")
    assert said in aggregate(chosen, Store(tmp_path)).footer


def test_values_that_hang_on_the_number_of_samples_say_it() -> None:
    table = find_table("3")
    assert isinstance(table, Table)
    modes = select(table, profile="short").columns[0]
    assert (modes.title, modes.comparable) == ("modes", True)
    modes = select(table, profile="short", assignments=["protocol.samples=300"]).columns[0]
    assert (modes.title, modes.comparable) == ("modes, 300 samples", False)
    table = find_table("veegan-2")
    assert isinstance(table, Table)
    titles = [column.title for column in select(table, profile="short", datasets=["cifar10"]).columns]
    assert titles == ["IvOM, 64 images", "IvOM, 50 steps, 64 images", "IvOM, 5 steps, 64 images"]


@needs_data
def test_the_share_of_the_papers_training_is_that_of_its_own_faces() -> None:
    table = find_table("4")
    assert isinstance(table, Table)
    paper, short = (select(table, profile=name) for name in ("paper", "short"))
    # 50 passes through 182,637 faces in batches of 64.
    assert short.budget("celeba") == pytest.approx(60 / (50 * 2_854))
    faces = registry.dataset("celeba")
    assert paper.budget("celeba") == pytest.approx(-(-faces.training_size // 64) / 2_854)
    assert paper.budget("cifar10") == 1


@needs_data
def test_table_4_has_columns_for_either_network_and_says_the_counts() -> None:
    table = find_table("4")
    assert isinstance(table, Table)
    usual = select(table, datasets=["cifar10"])
    assert [column.id for column in usual.columns] == [f"cifar10/{m}" for m in ("fid", "kid", "precision", "recall")]
    lite = select(table, datasets=["cifar10"], assignments=["protocol.features=efficientnet-lite0"])
    assert {column.reported_title for column in lite.columns} == {None}
    assert lite.columns[0].title == "FD-EffNetLite0"
    few = select(table, profile="smoke", datasets=["cifar10"]).columns[0]
    assert (few.id, few.title, few.comparable) == ("cifar10/fid_16_32", "FID, 16 against 32", False)


def test_optional_rows_are_trained_where_they_are_named() -> None:
    table = find_table("4")
    assert isinstance(table, Table)
    assert "mdgan" not in [row.id for row in select(table).rows]
    assert [row.id for row in select(table, methods=["mdgan"]).rows] == ["mdgan"]
