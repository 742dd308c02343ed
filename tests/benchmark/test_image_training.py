"""Training on images from end to end, and judging anybody's images."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark import training
from benchmark.cells import Cell, Protocol
from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.evaluation import as_pixels, measure
from benchmark.records import Store
from benchmark.runner import run_blocks, to_do
from benchmark.samples import read_image_samples
from benchmark.sheet import known_samples
from benchmark.training import Progress
from datamodules.image_sets import DIGITS, DIGITS_1K

from .made import run

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
CELLS = [Cell("digits-1k", "gan", PROTOCOL, seed) for seed in (0, 1)]
SHAPE = (3, 28, 28)


def test_records_hold_modes_and_a_few_images(tmp_path: Path) -> None:
    records = run(tmp_path, CELLS)
    for cell, record in zip(CELLS, records, strict=True):
        assert record.status == "done"
        assert set(record.measures) == {"modes", "kl"}
        assert len(record.curves["modes"]) == 2
        kept = Store(tmp_path).samples(cell, record)
        assert kept.dtype == np.uint8
        assert kept.shape[1:] == SHAPE
        assert record.frames is None
    assert records[0].samples != records[1].samples


def test_killed_and_resumed_equals_straight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    straight = run(tmp_path / "straight", CELLS)

    def kill(progress: Progress) -> None:
        if progress.iteration > 4:
            raise KeyError("killed")

    with pytest.raises(KeyError):
        run(tmp_path / "killed", CELLS, kill)
    resumed = run(tmp_path / "killed", CELLS)
    for one, other in zip(straight, resumed, strict=True):
        assert (one.measures, one.curves, one.samples) == (other.measures, other.curves, other.samples)


def test_networks_for_vectors_fail_with_the_way_out(tmp_path: Path) -> None:
    cells = [dataclasses.replace(CELLS[0], protocol=dataclasses.replace(PROTOCOL, networks="gaan-1"))]
    store = Store(tmp_path)
    store.prepare()
    ((_, reason),) = run_blocks(to_do(store, cells), store, lambda progress: None, "cpu").failed
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
    monkeypatch.setattr("benchmark.sheet.measure", lambda *_: pytest.fail("measured again"))
    assert known_samples(DIGITS_1K, protocol, (0, 1), store) == known


# Anybody's images ---------------------------------------------------------------------------------------------------

PIXELS = DIGITS_1K.real(20, np.random.default_rng(0))


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
        (np.full((2, *SHAPE), np.nan), "NaN or infinity in 2 of 2 samples"),
    ],
)
def test_other_numbers_are_refused(values: np.ndarray, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", values)
    with pytest.raises(UserError) as caught:
        read_image_samples(tmp_path / "mine.npy", SHAPE)
    assert said in str(caught.value)


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
    found = measure(DIGITS, Protocol(), DIGITS.real(300, np.random.default_rng(0))[None])
    assert 8 <= found["modes"][0] <= 10
    assert DIGITS.modes == 10
    assert DIGITS_1K.modes == 1_000
