"""Kinds of files that people have: tables of text, arrays, folders of images. Each comes out right or is refused in one
line; none is read as something else."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from benchmark.errors import UserError
from benchmark.spec import registry
from benchmark.store.samples import read_image_samples, read_samples, take_samples
from datamodules import decoded, images
from datamodules.files import files_below, read_array_header
from datamodules.images import DATA_VARIABLE, MissingData, read_images

pytestmark = pytest.mark.slow

POINTS = np.random.default_rng(0).normal(size=(40, 2)).round(6)
FRAME = pd.DataFrame(POINTS)
ROOT = Path(__file__).resolve().parents[2]

#: How each is written, and what is said of it.
TABLES = {
    # pandas' to_csv writes the header 0,1 unless told not to.
    "header of numbers": (FRAME.to_csv(index=False), "header skipped"),
    "header from 1": (FRAME.to_csv(index=False, header=["1", "2"]), "header skipped"),
    "all fields quoted": (FRAME.to_csv(index=False, header=False, quoting=1), "no header"),
    "quoted header": (FRAME.to_csv(index=False, header=["x", "y"], quoting=1), "header skipped"),
    "blank first line": ("\n" + FRAME.to_csv(index=False, header=False), "no header"),
    "semicolons": (FRAME.to_csv(index=False, header=False, sep=";"), "semicolons"),
    "decimal commas": (FRAME.to_csv(index=False, header=["x", "y"], sep=";", decimal=","), "decimal commas"),
    "quoted decimal commas": (FRAME.to_csv(index=False, header=False, quoting=1, decimal=","), "quoted, with decimal"),
    "tabs": (FRAME.to_csv(index=False, header=False, sep="\t"), "tabs"),
    "blanks": (FRAME.to_csv(index=False, header=False, sep=" "), "blanks"),
    "blanks after commas": (FRAME.to_csv(index=False, header=False).replace(",", ", "), "no header"),
    "header in a comment": ("# x,y\n" + FRAME.to_csv(index=False, header=False), "no header"),
    "lines of Windows": (FRAME.to_csv(index=False, lineterminator="\r\n"), "header skipped"),
    "byte order mark": ("\ufeff" + FRAME.to_csv(index=False, header=False), "no header"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_text(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, said = TABLES[kind]
    (tmp_path / "a.CSV").write_text(text, newline="", encoding="utf-8")
    np.testing.assert_array_equal(read_samples(tmp_path / "a.CSV", (2,)), POINTS)
    err = capsys.readouterr().err
    assert "40 samples" in err and said in err


def test_a_table_as_numpy_writes_it(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "a.csv", POINTS)
    np.testing.assert_array_equal(read_samples(tmp_path / "a.csv", (2,)), POINTS)


def test_excels_unicode_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(FRAME.to_csv(index=False, header=False, sep="\t"), encoding="utf-16")
    np.testing.assert_array_equal(read_samples(tmp_path / "a.csv", (2,)), POINTS)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (FRAME.to_csv(), "only counts the lines"),
        ("1.5,2\n1.5,x\n", "no numbers in '1.5,x'"),
        ("1.5,\n2,3\n", "no numbers in '1.5,'"),
        ("1.5,2\n1,2,3\n", "one sample per line, 2 numbers each"),
        ("1.5,2\nnan,3\n", "NaN or infinity in 1 of 2"),
        ("x,y\n", "holds no samples"),
        ("\n\n", "holds no samples"),
        ("1.5,2,3\n2.5,3,4\n", r"shape \[2, 3\]"),
    ],
)
def test_tables_that_are_refused_in_one_line(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=complaint) as caught:
        read_samples(tmp_path / "a.csv", (2,))
    assert "\n" not in str(caught.value)


def test_whole_numbers_that_count_are_samples_where_all_are_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,1\n2,3\n")
    assert read_samples(tmp_path / "a.csv", (2,)).tolist() == [[0, 1], [2, 3]]


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.tuples(*[st.floats(-1e6, 1e6, width=32).filter(lambda x: x != int(x))] * 3), min_size=2, max_size=6
    ),
    separator=st.sampled_from([",", ";", "\t", " "]),
    decimal=st.sampled_from([".", ","]),
    header=st.sampled_from([False, True, ["x", "y", "z"]]),
    quoting=st.sampled_from([0, 1]),
    blank=st.integers(0, 2),
)
def test_every_dialect_gives_the_same_numbers(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[tuple[float, ...]],
    separator: str,
    decimal: str,
    header: bool | list[str],
    quoting: int,
    blank: int,
) -> None:
    path = tmp_path_factory.mktemp("dialects") / "a.csv"
    options = {"sep": separator, "decimal": decimal, "header": header, "quoting": quoting}
    path.write_text("\n" * blank + pd.DataFrame(values).to_csv(index=False, **options))
    np.testing.assert_array_equal(read_samples(path, (3,)), np.array(values))


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="01.,;\t \"'-e#xn\n\u00e9\x00", max_size=60))
def test_no_table_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("tables") / "a.csv"
    path.write_text(text, encoding="utf-8")
    try:
        found = read_samples(path, (2,))
    except UserError as error:
        assert str(path) in str(error)
    else:
        assert found.shape[1:] == (2,) and np.isfinite(found).all()


# Arrays ---------------------------------------------------------------------------------------------------------------


def header_of(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + content


@pytest.mark.parametrize("content", [b"", bytes(64)])
def test_a_header_of_16_gigabytes_asks_for_no_memory(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(header_of((2**30, 2), content))
    with pytest.raises(UserError, match=r"a\.npy"):
        read_samples(tmp_path / "a.npy", (2,))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("samples.npy", header_of((2**30, 2), content))
    with pytest.raises(UserError, match=r"a\.npz"):
        read_samples(tmp_path / "a.npz", (2,))


def test_a_tensor_that_repeats_one_number_asks_for_no_memory(tmp_path: Path) -> None:
    torch.save(torch.zeros(1).expand(2**31, 2), tmp_path / "a.pt")
    with pytest.raises(UserError, match="more than 8 GiB"):
        read_samples(tmp_path / "a.pt", (2,))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_damage_to_an_array_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = header_of((3, 2), np.arange(6.0).tobytes())
    content = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("arrays") / "a.npy"
    path.write_bytes(content)
    try:
        assert read_samples(path, (2,)).shape[1:] == (2,)
    except UserError as error:
        assert str(path) in str(error)


def test_the_header_of_an_array_that_is_longer_than_it_says() -> None:
    content = header_of((3, 2), bytes(49))
    with pytest.raises(ValueError, match="48 bytes, and it has 49"):
        read_array_header(io.BytesIO(content), len(content))


# Folders of images ----------------------------------------------------------------------------------------------------


def digit(seed: int) -> np.ndarray:
    one = np.zeros((28, 28), np.uint8)
    one[4:24, 12 + seed % 5 : 15 + seed % 5] = 255
    return one


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(digit(index)).save(folder / f"{index}.png")
    return folder


def count(folder: Path) -> int:
    return len(read_image_samples(folder, (1, 28, 28)))


def test_hidden_files_and_folders_are_no_samples(digits: Path) -> None:
    """pytorch/vision 2831: .ipynb_checkpoints holds copies. macOS adds ._x.png to archives."""
    for name in (".ipynb_checkpoints", "__MACOSX"):
        (digits / name).mkdir()
        Image.fromarray(digit(0)).save(digits / name / "0.png")
    (digits / "._0.png").write_bytes(b"\x00\x05\x16\x07")
    assert count(digits) == 6


def test_grey_digits_saved_as_rgb_are_taken(digits: Path) -> None:
    """pytorch/vision 64: a grey image is saved with its channel three times, as save_image does."""
    for path in digits.iterdir():
        Image.open(path).convert("RGB").save(path)
    assert count(digits) == 6
    np.save(digits.parent / "a.npy", np.stack([digit(i) for i in range(3)])[:, None].repeat(3, 1))
    assert count(digits.parent / "a.npy") == 3


def test_coloured_digits_are_refused(digits: Path) -> None:
    for path in digits.iterdir():
        Image.fromarray(np.stack([digit(0), digit(1), digit(2)], 2)).save(path)
    with pytest.raises(UserError, match=r"shape \[6, 3, 28, 28\]"):
        count(digits)


def test_a_large_text_chunk_names_its_file(digits: Path) -> None:
    """python-pillow/Pillow 5610: "Decompressed data too large" is a ValueError."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("workflow", "x" * (2 << 20), zip=True)
    Image.fromarray(digit(0)).save(digits / "3.png", pnginfo=info)
    with pytest.raises(MissingData, match=r"3\.png cannot be read as an image .*replace it or take it away"):
        count(digits)


def test_a_decompression_bomb_names_its_file(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(MissingData, match=r"0\.png cannot be read as an image"):
        count(digits)


def test_a_pipe_does_not_hang_and_a_link_to_nothing_is_named(digits: Path) -> None:
    os.mkfifo(digits / "pipe.png")
    with pytest.raises(MissingData, match=r"pipe\.png is no ordinary file"):
        count(digits)
    (digits / "pipe.png").unlink()
    (digits / "lost.png").symlink_to("nowhere.png")
    with pytest.raises(MissingData, match=r"lost\.png is no ordinary file"):
        count(digits)


def test_links_in_circles_come_to_an_end(digits: Path) -> None:
    (digits / "again").symlink_to(digits)
    (digits / "below").mkdir()
    (digits / "below" / "up").symlink_to("..")
    assert count(digits) == 6
    assert [path.name for path in files_below(digits)] == [f"{i}.png" for i in range(6)]


def test_images_that_change_behind_a_link_are_seen(tmp_path: Path) -> None:
    """A data set whose parts and classes are links."""
    store, linked = tmp_path / "store", tmp_path / "linked"
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("a", "b"):
            (store / part / name).mkdir(parents=True)
            for index in range(3):
                pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(store / part / name / f"{index}.png")
    (linked / "test").mkdir(parents=True)
    (linked / "train").symlink_to(Path("..") / "store" / "train")
    for name in ("a", "b"):
        (linked / "test" / name).symlink_to(store / "test" / name)
    base = f"folder:{linked}"
    assert [read_images(base, part)[1].tolist() for part in ("train", "test")] == [[0, 0, 0, 1, 1, 1]] * 2
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(store / "train" / "b" / "2.png")
    images._read.cache_clear()
    images._state.cache_clear()
    assert (read_images(base, "train")[0][5] == 9).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_images_of_0_and_1_as_whole_numbers_are_refused(dtype: type, digits: Path) -> None:
    """Lightning-AI/torchmetrics 1244: images in [0, 1] where those from 0 to 255 are expected."""
    dataset = registry.dataset("digits")
    black_or_white = np.stack([digit(i) for i in range(3)])[:, None] // 255
    with pytest.raises(UserError, match="0 and 1 only"):
        take_samples(black_or_white.astype(dtype), dataset)
    assert take_samples(black_or_white.astype(float), dataset).max() == 255
    for path in digits.iterdir():
        Image.fromarray(digit(0) // 255).save(path)
    with pytest.raises(MissingData, match="0 and 1 only"):
        count(digits)


def test_images_divided_by_255_twice_are_refused() -> None:
    values = np.stack([digit(i) for i in range(3)])[:, None] / 255**2
    with pytest.raises(UserError, match="divided by 255 twice"):
        take_samples(values, registry.dataset("digits"))
    assert take_samples(np.zeros((3, 1, 28, 28)), registry.dataset("digits")).max() == 0, "a collapsed model's"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_to_an_image_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(digit(0)).save(buffer, data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "WEBP"])))
    content = bytearray(buffer.getvalue()[: data.draw(st.integers(1, len(buffer.getvalue())))])
    for _ in range(data.draw(st.integers(0, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("images") / "x.png"
    path.write_bytes(content)
    try:
        assert read_image_samples(path.parent, (1, 28, 28)).shape == (1, 1, 28, 28)
    except (MissingData, UserError) as error:
        assert str(path.parent) in str(error)


# The data themselves --------------------------------------------------------------------------------------------------


def test_a_damaged_copy_of_mnist_of_the_right_size_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST as Files

    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, _ in Files.resources:
        (raw / name.removesuffix(".gz")).touch()
    os.truncate(raw / "t10k-labels-idx1-ubyte", 10_008)
    with pytest.raises(MissingData, match=r"t10k-labels-idx1-ubyte has the size of the published file and another"):
        read_images("mnist", "test")


def test_the_checksums_are_those_of_the_published_files() -> None:
    """Where the files are here: two ways to the same number would be one too few."""
    raw = images.data_folder() / "MNIST" / "raw"
    if not raw.is_dir():
        pytest.skip("MNIST is not here")
    for name, (size, md5) in images._MNIST_FILES.items():
        assert (raw / name).stat().st_size == size and images._md5(raw / name) == md5


def test_nobody_without_a_home_is_asked_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert decoded.places(tmp_path) == (tmp_path / ".modecov",)


#: A process of a user whom the password file does not know.
NOBODY = """
import pwd, runpy, sys

def getpwuid(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = getpwuid
sys.argv = ["benchmark", *sys.argv[1:]]
runpy.run_module("benchmark", run_name="__main__")
"""


def test_evaluate_in_a_container_without_home_and_user(tmp_path: Path) -> None:
    """umich-brcf-bioinf/Connor 7: in a container, no HOME and no entry in the password file."""
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    words = [sys.executable, "-c", NOBODY, "evaluate", "--dataset", "grid25-gaan", "--samples", "a.csv"]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "registered_modes" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
