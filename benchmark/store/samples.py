"""Samples of users' models: from a file, from memory, or from a function."""

from __future__ import annotations

import io
import math
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from benchmark.errors import UserError, unknown
from benchmark.spec.registry import DataSet
from datamodules.files import read_array_header
from datamodules.images import ImageSet, decode, image_files
from evaluators.names import USUAL_COUNT

SUFFIXES = (".npy", ".npz", ".pt", ".csv")


#: Samples in memory.
Samples = np.ndarray | torch.Tensor
#: Default numbers of samples per model: points and images.
POINTS, IMAGES = 2_000, USUAL_COUNT


def take_samples(
    source: Samples | Callable[[int], Samples] | str | Path, dataset: DataSet, n: int | None = None
) -> np.ndarray:
    """Get samples from any source and check them.

    Args:
        source: An array, a file as in ``read_samples``, a folder of images, or a function that returns a given number
            of samples.
        dataset: The data set that the samples are compared with.
        n: Number of samples that a function is called with.

    Returns:
        Samples ``[n, *data_shape]``: float64 points in original units, or uint8 images.

    Raises:
        UserError: The source cannot be read or does not fit the data set.
    """
    images = isinstance(dataset, ImageSet)
    if isinstance(source, (str, Path)):
        return (read_image_samples if images else read_samples)(Path(source), dataset.data_shape)
    name = "samples"
    if callable(source):
        name = getattr(source, "__name__", "the sampler")
        count = n or (IMAGES if images else POINTS)
        try:
            source = source(count)
        except (Exception, SystemExit) as error:
            said = " ".join(str(error).split())
            raise UserError(f"{name}({count}) raised {type(error).__name__}: {said}") from error
    values = source.detach().cpu().numpy() if isinstance(source, torch.Tensor) else np.asarray(source)
    return _as_images(values, name, dataset.data_shape) if images else _checked(values, name, dataset.data_shape)


def read_samples(path: Path, data_shape: tuple[int, ...]) -> np.ndarray:
    """Read samples of points from a file. Nothing in the file is executed.

    Args:
        path: ``.npy``; ``.npz`` or ``.pt`` with one array or an array named ``samples``; or ``.csv`` with one sample
            per line, with or without a header, in any common dialect. The detected dialect is printed to stderr.
        data_shape: Shape of one sample.

    Returns:
        Samples float64 ``[n, *data_shape]`` in original units.

    Raises:
        UserError: The file cannot be read, or holds something else.
    """
    return _checked(_read(path, data_shape), path, data_shape)


def _read(path: Path, data_shape: tuple[int, ...]) -> np.ndarray:
    if not path.suffix and not path.exists():
        raise UserError(f"there is no file or folder {path}")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise unknown("kind of sample file", path.suffix or path.name, SUFFIXES)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        if suffix == ".csv":
            return _csv(path, math.prod(data_shape))
        return _READERS[suffix](path)
    except UserError:
        raise
    except OSError as error:
        if error.errno:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        raise _no_samples(path) from error
    except Exception as error:
        raise _no_samples(path) from error


_ROUNDING = 1e-5

#: Required content by kind of file.
_HELD = {
    ".npy": "an array of numbers, as numpy.save writes it",
    ".npz": "an array of numbers, as numpy.savez writes it",
    ".pt": "a tensor, as torch.save writes it",
    ".csv": "a table of numbers",
}


#: Largest size of an array in memory, as float64.
_MOST_BYTES = 8 * 2**30


def _no_samples(path: Path) -> UserError:
    """The error for unreadable files. The readers' own messages about pickles and magic numbers do not help users."""
    suffix = path.suffix.lower()
    return UserError(f"cannot read {path} as {suffix}: it must hold {_HELD[suffix]}, and no objects")


def _check_size(path: Path, numbers: int) -> None:
    """Refuse arrays that would need too much memory.

    Raises:
        UserError: The array is too large.
    """
    if numbers * 8 > _MOST_BYTES:
        said = f"tells of {numbers:,} numbers, which is more than {_MOST_BYTES // 2**30} GiB"
        raise UserError(f"{path} {said}; give fewer samples (tables take {POINTS:,} points or {IMAGES:,} images)")


def read_image_samples(path: Path, data_shape: tuple[int, ...]) -> np.ndarray:
    """Read samples of images from a file as in ``read_samples``, or from a folder of image files.

    Floating-point numbers must be in [0, 1]. They are rounded once.

    Args:
        path: The file or folder.
        data_shape: Channels, height and width.

    Returns:
        Images uint8 ``[n, C, H, W]``.

    Raises:
        UserError: The images cannot be read or have another shape or range.
    """
    if path.is_dir():
        files = image_files(path)
        if not files:
            raise UserError(f"there are no images in {path}")
        return _checked(_grey(decode(files), data_shape), path, data_shape).astype(np.uint8)
    return _as_images(_read(path, data_shape), path, data_shape)


def _grey(images: np.ndarray, data_shape: tuple[int, ...]) -> np.ndarray:
    """Keep one channel of grey images stored with three equal ones, as torchvision's ``save_image`` does."""
    expected = (3, *data_shape[1:])
    if data_shape[0] == 1 and images.shape[1:] == expected and (images == images[:, :1]).all():
        return images[:, :1]
    return images


def _as_images(whole: np.ndarray, name: object, data_shape: tuple[int, ...]) -> np.ndarray:
    whole = _grey(whole, data_shape)
    values = _checked(whole, name, data_shape)
    if whole.dtype.kind in "iu":
        if values.max() == 1:
            raise UserError(
                f"{name} holds the whole numbers 0 and 1 only, of which 255 is white; give images as uint8 from 0 to "
                "255, or as numbers with a fraction (float) in [0, 1]"
            )
        if values.min() < 0 or values.max() > 255:
            raise UserError(f"{name} holds {values.min():g} to {values.max():g}; whole numbers must be 0 to 255")
        return values.astype(np.uint8)
    # Rounding can move a network's outputs slightly out of [0, 1].
    if values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
        raise UserError(f"{name} holds {values.min():.3g} to {values.max():.3g}; give images as uint8, or in [0, 1]")
    pixels = np.round(values.clip(0, 1) * 255).astype(np.uint8)
    if pixels.max() <= 1 and values.max() > 0:
        said = f"holds nothing above {values.max():.3g}, which is black"
        raise UserError(f"{name} {said}; was it divided by 255 twice? give images as uint8, or in [0, 1]")
    return pixels


def _checked(values: np.ndarray, name: object, data_shape: tuple[int, ...]) -> np.ndarray:
    wanted = "[n, " + ", ".join(map(str, data_shape)) + "]"
    if values.dtype.kind not in "fiu":
        raise UserError(f"{name} holds {values.dtype}; samples must be real numbers")
    if values.ndim != len(data_shape) + 1 or values.shape[1:] != data_shape:
        raise UserError(f"{name} has shape {list(values.shape)}; samples must be {wanted}, in original units")
    if len(values) == 0:
        raise UserError(f"{name} holds no samples")
    values = values.astype(np.float64)
    bad = int((~np.isfinite(values).reshape(len(values), -1).all(1)).sum())
    if bad:
        raise UserError(f"{name} has NaN or infinity in {bad} of {len(values)} samples; leave them out or mend them")
    return values


def _only(found: Mapping[Any, object], path: Path) -> object:
    if "samples" in found:
        return found["samples"]
    if len(found) == 1:
        return next(iter(found.values()))
    raise UserError(f"{path} holds {', '.join(map(str, found)) or 'nothing'}; call the array of samples 'samples'")


def _npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        shape, _ = read_array_header(file, path.stat().st_size)
    _check_size(path, math.prod(shape))
    return np.load(path, allow_pickle=False)


def _npz(path: Path) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        info = _only(sizes, path)
        assert isinstance(info, zipfile.ZipInfo)
        with archive.open(info) as file:
            shape, _ = read_array_header(file, info.file_size)  # type: ignore[arg-type]
            _check_size(path, math.prod(shape))
    with np.load(path, allow_pickle=False) as arrays:
        return np.asarray(arrays[info.filename.removesuffix(".npy")])


def _pt(path: Path) -> np.ndarray:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_size(path, sum(info.file_size for info in archive.infolist()) // 8)
    with warnings.catch_warnings():
        # PyTorch warns of old pickles before it refuses them.
        warnings.simplefilter("ignore")
        content = torch.load(path, map_location="cpu", weights_only=True)
    tensor = _only(content, path) if isinstance(content, dict) else content
    if not isinstance(tensor, torch.Tensor):
        raise UserError(f"{path} holds a {type(tensor).__name__}; samples must be a tensor")
    # A tensor with a stride of 0 is large in memory although its file is small.
    _check_size(path, tensor.numel())
    return (tensor.double() if tensor.is_floating_point() else tensor).detach().numpy()


_READERS = {".npy": _npy, ".npz": _npz, ".pt": _pt}


# Tables of text -------------------------------------------------------------------------------------------------------


class _Dialect(NamedTuple):
    """Field separator and decimal point of a CSV file.

    Attributes:
        separator: Separator, as a regular expression of pandas.
        decimal: Decimal point or comma.
        words: Description for messages; empty for the standard dialect.
    """

    separator: str
    decimal: str
    words: str


_DIALECTS = (
    _Dialect(",", ".", ""),
    _Dialect(";", ".", "separated by semicolons"),
    _Dialect(";", ",", "separated by semicolons, with decimal commas"),
    _Dialect("\t", ".", "separated by tabs"),
    _Dialect("\t", ",", "separated by tabs, with decimal commas"),
    _Dialect(r"\s+", ".", "separated by blanks"),
    _Dialect(r"\s+", ",", "separated by blanks, with decimal commas"),
    _Dialect(",", ",", "quoted, with decimal commas"),
)
#: Number of lines used to detect the dialect.
_TRIED = 50


def _csv(path: Path, width: int) -> np.ndarray:
    """Read a table of numbers ``[n, width]`` in any common dialect and print the detected dialect to stderr."""
    raw = path.read_bytes()
    text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise UserError(f"{path} holds no samples")
    dialect = max(_DIALECTS, key=lambda each: _fitting(lines[:_TRIED], each, width))
    try:
        table = _table(lines, dialect)
    except ValueError as error:
        # The message of pandas names the line and its number of fields.
        said = " ".join(str(error).split()).partition("error: ")[2] or "its lines differ in length"
        raise UserError(f"cannot read {path}: {said}; one sample per line, {width} numbers each") from error
    numbers = _numbers(table, dialect)
    header = _has_header(table, numbers)
    values = numbers[1:] if header else numbers
    bad = [row for row in np.flatnonzero(np.isnan(values).any(1)) if not _says_nan(table.iloc[int(row) + header])]
    if bad:
        line = " ".join(lines[int(bad[0]) + header].split())[:40]
        raise UserError(f"{path}: no numbers in '{line}'; one sample per line, {width} numbers each")
    if values.shape[1] == width + 1 and len(values) and (values[:, 0] == np.arange(len(values))).all():
        raise UserError(f"the first column of {path} only counts the lines; save the table without it (index=False)")
    # What will be refused gets one line, its error.
    if len(values) and values.shape[1] == width and np.isfinite(values).all():
        understood = [f"{path}: {len(values):,} samples", "header skipped" if header else "no header", dialect.words]
        print(", ".join(filter(None, understood)), file=sys.stderr)
    return values


def _table(lines: Iterable[str], dialect: _Dialect) -> pd.DataFrame:
    """Read the fields as text.

    Raises:
        ValueError: Lines differ in length.
    """
    return pd.read_csv(
        io.StringIO("\n".join(lines)),
        sep=dialect.separator,
        header=None,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        comment="#",
        engine="c",
    )


def _numbers(table: pd.DataFrame, dialect: _Dialect) -> np.ndarray:
    """The fields as float64, NaN for those that are no numbers."""
    columns = []
    for name in table:
        words = table[name].str.strip()
        if dialect.decimal == ",":
            words = words.str.replace(".", "?", regex=False).str.replace(",", ".", regex=False)
        columns.append([_number(word) for word in words])
    return np.array(columns, dtype=np.float64).T.reshape(len(table), -1)


def _number(word: object) -> float:
    # Not with the fast parser of pandas, which may be wrong in the last bit.
    try:
        text = str(word)
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def _fitting(lines: list[str], dialect: _Dialect, width: int) -> tuple[int, int]:
    """How many lines have ``width`` numbers, and how many have at least two numbers and nothing else."""
    fitting = plain = 0
    for line in lines:
        try:
            found = _numbers(_table([line], dialect), dialect)[0]
        except ValueError:
            continue
        whole = bool(np.isfinite(found).all())
        fitting += whole and len(found) == width
        plain += whole and len(found) > 1
    return fitting, plain


def _has_header(table: pd.DataFrame, numbers: np.ndarray) -> bool:
    """Whether the first line names the columns.

    Names are words, or the numbers 0, 1, 2 (or 1, 2, 3) as pandas writes them, if the other lines have fractions.
    """
    if np.isnan(numbers[0]).all() and not _says_nan(table.iloc[0]):
        return True
    first = [str(word).strip() for word in table.iloc[0]]
    # Pandas leaves the name of its index column empty.
    first = first[1:] if not first[0] else first
    counts = [[str(start + index) for index in range(len(first))] for start in (0, 1)]
    written = table.iloc[1:].to_numpy().ravel()
    return first in counts and any(set(str(word)) & set(".,eE") for word in written)


def _says_nan(words: Iterable[object]) -> bool:
    """Whether a field is a literal NaN or infinity, as a diverged model produces."""
    return any(str(word).strip().lower().lstrip("+-") in ("nan", "inf", "infinity") for word in words)
