"""Anybody's samples: from a file, from memory, from a function."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmark.errors import UserError, unknown
from benchmark.registry import Target
from datamodules.images import ImageSet, decode, image_files
from evaluators.distances import USUAL_COUNT

SUFFIXES = (".npy", ".npz", ".pt", ".csv")


#: Samples in memory.
Samples = np.ndarray | torch.Tensor
#: What tables take of a model: so many points, so many images.
POINTS, IMAGES = 2_000, USUAL_COUNT


def take_samples(
    source: Samples | Callable[[int], Samples] | str | Path, target: Target, n: int | None = None
) -> np.ndarray:
    """Samples ``[n, *target.data_shape]``, float64 points in original units or uint8 images, from anywhere: an array, a
    file as in ``read_samples``, a folder of images, or a function of the number of samples, which is asked for ``n``.

    Raises ``UserError`` for what cannot stand for the data set.
    """
    images = isinstance(target, ImageSet)
    if isinstance(source, (str, Path)):
        return (read_image_samples if images else read_samples)(Path(source), target.data_shape)
    name = "samples"
    if callable(source):
        name = getattr(source, "__name__", "the sampler")
        count = n or (IMAGES if images else POINTS)
        try:
            source = source(count)
        except Exception as error:
            said = " ".join(str(error).split())
            raise UserError(f"{name}({count}) raised {type(error).__name__}: {said}") from error
    values = source.detach().cpu().numpy() if isinstance(source, torch.Tensor) else np.asarray(source)
    return _as_images(values, name, target.data_shape) if images else _checked(values, name, target.data_shape)


def read_samples(path: Path, data_shape: tuple[int, ...]) -> np.ndarray:
    """Samples ``[n, *data_shape]`` float64 in original units.

    ``.npy``; ``.npz`` and ``.pt`` with one array, or one called ``samples``; ``.csv`` with one sample per line, with or
    without a header. Nothing in a file is executed. Raises ``UserError`` for anything else.
    """
    return _checked(_read(path), path, data_shape)


def _read(path: Path) -> np.ndarray:
    if not path.suffix and not path.exists():
        raise UserError(f"there is no file or folder {path}")
    if path.suffix not in SUFFIXES:
        raise unknown("kind of sample file", path.suffix or path.name, SUFFIXES)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        return _READERS[path.suffix](path)
    except UserError:
        raise
    except OSError as error:
        if error.errno:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        raise _no_samples(path) from error
    except Exception as error:
        raise _no_samples(path) from error


_ROUNDING = 1e-5

#: What a file must hold.
_HELD = {
    ".npy": "an array of numbers, as numpy.save writes it",
    ".npz": "an array of numbers, as numpy.savez writes it",
    ".pt": "a tensor, as torch.save writes it",
    ".csv": "a table of numbers",
}


def _no_samples(path: Path) -> UserError:
    """Readers' own words are of pickles and magic numbers."""
    return UserError(f"cannot read {path} as {path.suffix}: it must hold {_HELD[path.suffix]}, and no objects")


def read_image_samples(path: Path, data_shape: tuple[int, ...]) -> np.ndarray:
    """Images ``[n, C, H, W]`` uint8, from a file as in ``read_samples`` or a folder of image files.

    Numbers with a fraction are taken as images in [0, 1] and rounded once. Raises ``UserError`` for anything else.
    """
    if path.is_dir():
        files = image_files(path)
        if not files:
            raise UserError(f"there are no images in {path}")
        return _checked(decode(files), path, data_shape).astype(np.uint8)
    return _as_images(_read(path), path, data_shape)


def _as_images(whole: np.ndarray, name: object, data_shape: tuple[int, ...]) -> np.ndarray:
    values = _checked(whole, name, data_shape)
    if whole.dtype.kind in "iu":
        if values.min() < 0 or values.max() > 255:
            raise UserError(f"{name} holds {values.min():g} to {values.max():g}; whole numbers must be 0 to 255")
        return values.astype(np.uint8)
    # What a network gives in [0, 1] may be beyond it by a rounding.
    if values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
        raise UserError(f"{name} holds {values.min():.3g} to {values.max():.3g}; give images as uint8, or in [0, 1]")
    return np.round(values.clip(0, 1) * 255).astype(np.uint8)


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
    return np.load(path, allow_pickle=False)


def _npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        return np.asarray(_only({name: archive[name] for name in archive.files}, path))


def _pt(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        # Torch warns of old pickles before it refuses them.
        warnings.simplefilter("ignore")
        content = torch.load(path, map_location="cpu", weights_only=True)
    tensor = _only(content, path) if isinstance(content, dict) else content
    if not isinstance(tensor, torch.Tensor):
        raise UserError(f"{path} holds a {type(tensor).__name__}; samples must be a tensor")
    return (tensor.double() if tensor.is_floating_point() else tensor).detach().numpy()


def _csv(path: Path) -> np.ndarray:
    first = path.read_text(encoding="utf-8-sig").partition("\n")[0]
    try:
        [float(word) for word in first.split(",")]
        header = None
    except ValueError:
        header = 0
    return pd.read_csv(path, header=header, encoding="utf-8-sig").to_numpy()


_READERS = {".npy": _npy, ".npz": _npz, ".pt": _pt, ".csv": _csv}
