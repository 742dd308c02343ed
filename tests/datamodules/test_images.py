"""Images: reading what lies on disk, what is missing or damaged, batches, known samples."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import images
from datamodules.image_sets import CELEBA, CIFAR10, DIGITS, DIGITS_1K, MNIST, MNIST_1K
from datamodules.images import DATA_VARIABLE, ImageSet, MissingData, read_images
from datamodules.lightning.images import ImageBatches, ImageDataModule
from tests.real_data import needs_data

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def forget() -> None:
    images._read.cache_clear()
    images._state.cache_clear()


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of six colour images in a training and a test part."""
    for part in ("train", "test"):
        for label in ("a", "b"):
            for number in range(6):
                save(tmp_path / part / label / f"{number}.png", RNG.integers(256, size=(5, 4, 3), dtype=np.uint8))
    return tmp_path


def test_digits_come_with_scikit_learn() -> None:
    train, test = DIGITS.images("train"), DIGITS.images("test")
    assert (train.shape, test.shape) == ((1_438, 1, 28, 28), (359, 1, 28, 28))
    assert train.dtype == np.uint8 and train.max() == 255
    assert set(DIGITS.labels("train")) == set(range(10))
    DIGITS.check()


def test_a_folder_is_read_by_part_and_class(folder: Path) -> None:
    pixels, labels = read_images(f"folder:{folder}", "test")
    assert pixels.shape == (12, 3, 5, 4)
    np.testing.assert_array_equal(labels, [0] * 6 + [1] * 6)
    np.testing.assert_array_equal(pixels[7], np.asarray(Image.open(folder / "test/b/1.png")).transpose(2, 0, 1))


def test_a_folder_without_parts_tests_on_every_tenth_image(tmp_path: Path) -> None:
    for number in range(20):
        save(tmp_path / f"{number:02d}.png", np.full((3, 3), number, dtype=np.uint8))
    test, labels = read_images(f"folder:{tmp_path}", "test")
    np.testing.assert_array_equal(test[:, 0, 0, 0], [9, 19])
    assert (labels == -1).all()
    assert len(read_images(f"folder:{tmp_path}", "train")[0]) == 18


def test_images_are_decoded_once_and_mapped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = np.array(read_images(f"folder:{folder}", "train")[0])
    images._read.cache_clear()
    monkeypatch.setattr(images, "read_folder", lambda *_: pytest.fail("decoded again"))
    again = read_images(f"folder:{folder}", "train")[0]
    assert isinstance(again, np.memmap)
    np.testing.assert_array_equal(again, first)
    assert not list((folder / ".modecov").glob("*.part"))


def test_changed_images_are_decoded_again(folder: Path) -> None:
    base = f"folder:{folder}"
    assert len(read_images(base, "train")[0]) == 12
    before = sorted(path.name for path in (folder / ".modecov").iterdir())
    (folder / "train" / "a" / "0.png").unlink()
    pixels = np.full((5, 4, 3), 7, dtype=np.uint8)
    save(folder / "train" / "a" / "1.png", pixels)
    images._read.cache_clear()
    images._state.cache_clear()
    found, labels = read_images(base, "train")
    assert (len(found), len(labels)) == (11, 11)
    np.testing.assert_array_equal(found[0], pixels.transpose(2, 0, 1))
    after = sorted(path.name for path in (folder / ".modecov").iterdir())
    assert len(after) == len(before) == 2 and not set(after) & set(before), "arrays of the old files are gone"


def test_features_of_changed_images_are_made_again(folder: Path) -> None:
    mine = ImageSet("mine", f"folder:{folder}", (3, 5, 4), "", "images")
    count = iter(range(9))
    assert [mine.cached("what", lambda: np.array(next(count))).item() for _ in range(2)] == [0, 0]
    (folder / "test" / "a" / "0.png").unlink()
    images._state.cache_clear()
    assert mine.cached("what", lambda: np.array(next(count))).item() == 1


def test_a_folder_that_cannot_be_written_is_decoded_into_the_cache(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    # Not by permissions, which do not bind root.
    (folder / ".modecov").write_text("no folder")
    assert len(read_images(f"folder:{folder}", "train")[0]) == 12
    assert len(list(cache.glob("modecov/*/*.npy"))) == 2
    (cache / "modecov").rename(cache / "moved")
    (cache / "modecov").write_text("no folder either")
    images._read.cache_clear()
    with pytest.raises(MissingData, match=r"cannot keep decoded images under .*\.modecov nor under .*XDG_CACHE_HOME"):
        read_images(f"folder:{folder}", "train")


def test_a_damaged_file_of_mnist_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST as Files

    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    for name, _ in Files.resources:
        path = tmp_path / "MNIST" / "raw" / name.removesuffix(".gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"cut short")
    with pytest.raises(MissingData, match=r"data set mnist under .* cannot be read"):
        read_images("mnist", "train")


def test_images_of_different_sizes_are_refused(folder: Path) -> None:
    save(folder / "train" / "b" / "9.png", np.zeros((5, 5, 3), dtype=np.uint8))
    with pytest.raises(MissingData, match=r"9\.png has shape \[3, 5, 5\], other images \[3, 5, 4\]"):
        read_images(f"folder:{folder}", "train")


def test_a_broken_image_and_a_broken_array_name_the_way_out(folder: Path) -> None:
    (folder / "train" / "a" / "0.png").write_bytes(b"no image")
    with pytest.raises(MissingData, match=r"a.0\.png cannot be read as an image; replace it or take it away"):
        read_images(f"folder:{folder}", "train")
    read_images(f"folder:{folder}", "test")
    images._read.cache_clear()
    (array,) = (folder / ".modecov").glob("*test-images-*.npy")
    array.write_bytes(array.read_bytes()[:40])
    with pytest.raises(MissingData, match="delete it to decode"):
        read_images(f"folder:{folder}", "test")


@pytest.mark.parametrize(
    ("base", "place"), [("mnist", "MNIST/raw"), ("cifar10", "cifar10/train"), ("celeba", "celeba")]
)
def test_what_is_missing_is_named_with_the_place_and_the_command(
    base: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(MissingData, match=rf"data set {base} is not there.*{place}.*python -m benchmark data {base}"):
        read_images(base, "train")


def test_the_reference_is_always_the_same_and_of_test_images() -> None:
    for dataset in (DIGITS, DIGITS_1K):
        found = dataset.reference(20)
        assert found.shape == (20, *dataset.shape)
        np.testing.assert_array_equal(found, dataset.reference(20))
        known = {image.tobytes() for image in DIGITS.images("test")}
        assert {channel.tobytes() for image in found for channel in image} <= known
    assert len(DIGITS.reference(10**6)) == 359, "no more than there are"


def test_an_image_set_of_another_shape_is_refused(folder: Path) -> None:
    with pytest.raises(MissingData, match=r"expected \[3, 8, 8\]"):
        ImageSet("mine", f"folder:{folder}", (3, 8, 8), "", "images").check()


# Batches ------------------------------------------------------------------------------------------------------------


def batches(image_set: ImageSet, *seeds: int, draws: int = 1, epoch: int = 0, fresh: int = 0) -> list[torch.Tensor]:
    return [b for group in ImageBatches(image_set, seeds, 64, draws, epoch, fresh) for b in group]


def test_a_pass_visits_every_image_once_in_an_order_of_the_seeds_own() -> None:
    found = torch.cat(batches(DIGITS, 0, 3), 2)
    assert found.shape == (1, 2, 1_438, 1, 28, 28)
    ours = (found[0] * 255).round().to(torch.uint8).flatten(2)
    expected = torch.from_numpy(np.array(DIGITS.images("train"))).flatten(1)
    for seed in range(2):
        assert torch.equal(ours[seed].unique(dim=0), expected.unique(dim=0))
    assert not torch.equal(ours[0], ours[1])
    assert torch.equal(torch.cat(batches(DIGITS, 3), 2)[0, 0], found[0, 1])
    assert not torch.equal(torch.cat(batches(DIGITS, 3, epoch=1), 2), found[:, 1:])


def test_stacks_are_three_independent_digits_new_in_every_epoch() -> None:
    first, second = (torch.cat(batches(DIGITS_1K, 0, epoch=e, fresh=5), 2)[0, 0] for e in (0, 1))
    assert first.shape == (320, 3, 28, 28)
    assert not torch.equal(first, second)
    digits = torch.from_numpy(np.array(DIGITS.images("train")))[:, 0].flatten(1).float() / 255
    assert (torch.cdist(first[:20].flatten(2), digits.unsqueeze(0)).amin(2) < 0.05).all()
    same = (first[:, 0] == first[:, 1]).flatten(1).all(1)
    assert same.float().mean() < 0.02


def test_fixed_stacks_are_the_same_for_every_seed_and_epoch() -> None:
    def kept(seed: int, epoch: int) -> torch.Tensor:
        return torch.cat(batches(DIGITS_1K, seed, epoch=epoch), 2)[0, 0].flatten(1).unique(dim=0)

    assert torch.equal(kept(0, 0), kept(5, 3))
    assert len(torch.cat(batches(DIGITS_1K, 0), 2)[0, 0]) == DIGITS_1K.fixed


def test_images_are_in_the_range_that_is_asked_for() -> None:
    for symmetric, low in ((False, 0.0), (True, -1.0)):
        data = ImageDataModule(DIGITS, (0,), 64, symmetric=symmetric)
        assert data.iterations_per_epoch == 23
        group = next(iter(data.train_dataloader()))
        assert (float(group[0].min()), float(group[0].max())) == (low, 1.0)


# Known samples ------------------------------------------------------------------------------------------------------


def test_real_images_are_test_images() -> None:
    found = DIGITS.sample(300, np.random.default_rng(0))
    assert len(np.unique(found.reshape(300, -1), axis=0)) > 290
    test = {image.tobytes() for image in np.array(DIGITS.images("test"))}
    assert all(image.tobytes() in test for image in found)
    assert DIGITS_1K.sample(900, np.random.default_rng(0)).shape == (900, 3, 28, 28)


def test_collapsed_stacks_spell_the_first_numbers() -> None:
    found = DIGITS_1K.sample_modes(200, np.random.default_rng(0), 12)
    labels = {image.tobytes(): label for image, label in zip(DIGITS.images("test"), DIGITS.labels("test"), strict=True)}
    spelt = {int("".join(str(labels[image[c : c + 1].tobytes()]) for c in range(3))) for image in found}
    assert spelt == set(range(12))


def test_samples_of_known_quality_are_none_of_those_they_are_compared_with(folder: Path) -> None:
    dataset = ImageSet("mine", f"folder:{folder}", (3, 5, 4), "", "images")
    train = {image.tobytes() for image in np.array(dataset.images("train"))}
    for found in (dataset.sample(12, np.random.default_rng(0)), dataset.sample_modes(50, np.random.default_rng(0), 1)):
        assert {image.tobytes() for image in found} <= train
    assert len({image.tobytes() for image in found}) == 6, "the first class"


def test_an_edition_tells_copies_apart(folder: Path) -> None:
    here = ImageSet("mine", f"folder:{folder}", (3, 5, 4), "", "images")
    first = here.fingerprint
    assert first.startswith("12 train and 12 test images of 3 x 5 x 4, ")
    images._fingerprint.cache_clear()
    assert here.fingerprint == first, "whatever the files' times"
    save(folder / "train" / "a" / "0.png", np.zeros((5, 4, 3), dtype=np.uint8))
    for kept in (images._fingerprint, images._read, images._state):
        kept.cache_clear()
    assert here.fingerprint.rpartition(",")[0] == first.rpartition(",")[0]
    assert here.fingerprint != first


def test_more_than_eight_bits_a_colour_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(MissingData, match="more than 8 bits"):
        images.decode([tmp_path / "deep.png"])


def test_images_without_classes_collapse_to_a_few(tmp_path: Path) -> None:
    for number in range(30):
        save(tmp_path / f"{number:02d}.png", np.full((3, 3), number, dtype=np.uint8))
    found = ImageSet("mine", f"folder:{tmp_path}", (1, 3, 3), "", "images").sample_modes(
        50, np.random.default_rng(0), 2
    )
    assert len(np.unique(found)) == 2


# Real data ----------------------------------------------------------------------------------------------------------


@needs_data
def test_mnist_is_mnist() -> None:
    assert MNIST.images("train").shape == (60_000, 1, 28, 28)
    np.testing.assert_array_equal(
        np.bincount(MNIST.labels("test")), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )
    assert MNIST_1K.sample(10, RNG).shape == (10, 3, 28, 28)


@needs_data
def test_cifar10_and_celeba_are_found_as_image_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(os.environ[DATA_VARIABLE])
    for part in ("train", "test"):
        for label in ("airplane", "truck"):
            (tmp_path / "cifar10" / part / label).mkdir(parents=True)
            for path in sorted((source / "cifar10" / part / label).iterdir())[:3]:
                shutil.copy(path, tmp_path / "cifar10" / part / label)
    (tmp_path / "celeba/img_align_celeba").mkdir(parents=True)
    for path in sorted((source / "celeba/img_align_celeba").iterdir())[:10]:
        shutil.copy(path, tmp_path / "celeba/img_align_celeba")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    CIFAR10.check()
    np.testing.assert_array_equal(CIFAR10.labels("train"), [0, 0, 0, 1, 1, 1])
    CELEBA.check()
    assert (len(CELEBA.images("train")), len(CELEBA.images("test"))) == (8, 2)
