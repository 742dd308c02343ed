"""Image data sets: found on disk, decoded once, and then read from memory-mapped arrays."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from datamodules import decoded
from datamodules.files import files_below, is_ordinary

Array = np.ndarray
Part = Literal["train", "test"]
PARTS: tuple[Part, Part] = ("train", "test")

#: Environment variable that names the folder of image data; the command line's ``--data`` sets it.
DATA_VARIABLE = "MODECOV_DATA"
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


class MissingData(Exception):
    """A data set is missing or cannot be read. The message says what, where, and how to fix it, in one line."""


def data_folder() -> Path:
    """Folder of image data: ``$MODECOV_DATA``, or ``data`` in the working directory."""
    return Path(os.environ.get(DATA_VARIABLE) or "data")


@dataclass(frozen=True)
class ImageSet:
    """Images of one shape, in a training and a test part.

    Attributes:
        name: Name on the command line.
        base: Data set on disk that the images come from: a key of ``READERS``, or ``folder:PATH``.
        shape: Channels, height and width.
        source: Origin of the data.
        measures: How samples are evaluated: ``digits`` (modes, by a classifier of the digit in each channel) or
            ``images``.
        stack: Number of base images that form one image, one per channel, drawn independently; 0 for plain base images.
        fixed: Number of stacks in the fixed training set.
        version: Raise this when a change alters the images drawn. 0 stands for data sets without a version.
    """

    name: str
    base: str
    shape: tuple[int, int, int]
    source: str
    measures: Literal["digits", "images"]
    stack: int = 0
    fixed: int = 0
    version: int = 0

    @property
    def data_shape(self) -> tuple[int, ...]:
        return self.shape

    def images(self, part: Part) -> Array:
        """Images of the base, uint8 ``[n, C, H, W]``, memory-mapped."""
        return read_images(self.base, part)[0]

    def labels(self, part: Part) -> Array:
        """Class labels of the base's images, int64 ``[n]``; -1 in a data set without labels."""
        return read_images(self.base, part)[1]

    def check(self) -> None:
        """Check that both parts can be read.

        Raises:
            MissingData: A part is missing, cannot be read, or has images of another shape.
        """
        for part in PARTS:
            shape = self.images(part).shape[1:]
            expected = (1, *self.shape[1:]) if self.stack else self.shape
            if shape != expected:
                raise MissingData(f"data set {self.name}: images of shape {list(shape)}, expected {list(expected)}")

    @property
    def modes(self) -> int:
        """Number of modes: of classes, of numbers that stacks can show, or, without labels, of test images."""
        labels = self.labels("test")
        return len(labels) if labels[0] < 0 else (int(labels.max()) + 1) ** max(1, self.stack)

    @property
    def training_size(self) -> int:
        """Size of the fixed training set."""
        return self.fixed if self.stack else len(self.images("train"))

    @property
    def fingerprint(self) -> str:
        """Description of the data on disk: number and size of the images, and a hash of some of them.

        It distinguishes smaller or lossy copies of the same data set.
        """
        return _fingerprint(self.base, _folder_of(self.base))

    def draw(self, n: int, rng: np.random.Generator, part: Part) -> Array:
        """Draw ``n`` images with replacement, uint8 ``[n, C, H, W]``."""
        return self.take(rng.integers(len(self.images(part)), size=(n, max(1, self.stack))), part)

    def take(self, indices: Array, part: Part) -> Array:
        """Return images by index.

        Args:
            indices: Indices of base images, ``[n, channels]`` for stacks, else ``[n, 1]``.
            part: Training or test images.

        Returns:
            Images uint8 ``[n, C, H, W]``.
        """
        found = self.images(part)[indices.ravel()]
        return found.reshape(len(indices), *self.shape)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw ``n`` real images, as a perfect model would.

        They are drawn without replacement if there are enough images and they are not stacks.
        """
        part = self.known_part
        count = len(self.images(part))
        if self.stack or n > count:
            return self.draw(n, rng, part)
        return self.take(rng.permutation(count)[:n, None], part)

    def reference(self, n: int) -> Array:
        """The test images that samples are compared with, at most ``n``.

        They are the same at every call. For stacked data sets they are stacks of test images.
        """
        rng = np.random.default_rng((*b"reference ", *self.name.encode()))
        if self.stack:
            return self.draw(n, rng, "test")
        chosen = rng.permutation(len(self.images("test")))[:n]
        return self.take(np.sort(chosen)[:, None], "test")

    def cached(self, what: str, make: Callable[[], Array]) -> Array:
        """Return the array that ``make`` computes from this data set, from the cache on disk if it is there.

        Args:
            what: Name of the array in the cache.
            make: Function that computes the array.
        """
        folder = _folder_of(self.base)
        name = f"{_name_of(self.base)}-{what}-{_state(self.base, folder)}"
        with contextlib.suppress(OSError, ValueError):
            if path := decoded.find(folder, name):
                return np.load(path)
        made = make()
        with contextlib.suppress(OSError):
            decoded.keep(folder, {name: made})
        return made

    @property
    def known_part(self) -> Part:
        """Part that samples of known quality come from: usually the test part.

        It is the training part if samples are compared with the test images.
        """
        return "train" if self.measures == "images" else "test"

    def sample_modes(self, n: int, rng: np.random.Generator, modes: int) -> Array:
        """Draw ``n`` images of the first ``modes`` modes only.

        Modes are classes, or numbers that stacks show. In a data set without labels the first ``modes`` images are
        repeated.
        """
        labels, part = self.labels(self.known_part), self.known_part
        if labels[0] < 0:
            return self.take(rng.integers(modes, size=(n, 1)), part)
        digits = max(1, self.stack)
        classes = int(labels.max()) + 1
        numbers = rng.integers(modes, size=n)
        wanted = np.stack([numbers // classes**place % classes for place in reversed(range(digits))], 1)
        indices = np.empty_like(wanted)
        for label in range(classes):
            hit = wanted == label
            indices[hit] = rng.choice(np.flatnonzero(labels == label), size=int(hit.sum()))
        return self.take(indices, part)

    def sample_uniform(self, n: int, rng: np.random.Generator) -> Array:
        """Draw ``n`` images of uniform noise, uint8 ``[n, C, H, W]``."""
        return rng.integers(256, size=(n, *self.shape), dtype=np.uint8)


# Reading --------------------------------------------------------------------------------------------------------------


def read_images(base: str, part: Part) -> tuple[Array, Array]:
    """Read a data set from disk.

    Images are decoded at the first call and again when files were added, removed or replaced. The arrays are kept under
    ``.modecov`` in the data folder (or beside the images of a ``folder:PATH``), or in the user's cache if that cannot
    be written.

    Args:
        base: A key of ``READERS``, or ``folder:PATH``.
        part: Training or test images.

    Returns:
        Images uint8 ``[n, C, H, W]`` and labels int64 ``[n]``.

    Raises:
        MissingData: The data set is missing or cannot be read.
    """
    return _read(base, part, _folder_of(base))


@cache
def _fingerprint(base: str, folder: Path) -> str:
    found, counts = hashlib.sha256(), []
    for part in PARTS:
        images = read_images(base, part)[0]
        found.update(np.ascontiguousarray(images[:: max(1, len(images) // 64)]).tobytes())
        counts.append(f"{len(images):,} {part}")
    size = " x ".join(map(str, images.shape[1:]))
    return f"{' and '.join(counts)} images of {size}, {found.hexdigest()[:12]}"


def is_decoded(base: str) -> bool:
    """Whether the decoded arrays of a named data set are cached, so that reading it takes no time."""
    folder = data_folder()
    names = [name for part in PARTS for name in _arrays(base, part, folder)]
    return base == "digits" or all(decoded.find(folder, name) for name in names)


def _folder_of(base: str) -> Path:
    return Path(base.removeprefix("folder:")) if base.startswith("folder:") else data_folder()


def _name_of(base: str) -> str:
    """Name of a data set in file names."""
    return "images" if base.startswith("folder:") else base


#: What of the data folder a set is read from.
_SOURCES = {
    "mnist": ("MNIST/raw",),
    "cifar10": ("cifar-10-batches-py", "cifar10"),
    "celeba": ("celeba/img_align_celeba",),
    "digits": (),
}


@cache
def _state(base: str, folder: Path) -> str:
    """Hash of the state of the files that a data set is read from."""
    if base.startswith("folder:"):
        return decoded.state_of(filter(is_ordinary, image_files(folder)), folder)
    files = (file for name in _SOURCES[base] for file in files_below(folder / name))
    return decoded.state_of(filter(is_ordinary, files), folder)


def _arrays(base: str, part: Part, folder: Path) -> tuple[str, str]:
    """Names of a part's images and labels in the cache."""
    start = f"{_name_of(base)}-{part}"
    return f"{start}-images-{_state(base, folder)}", f"{start}-labels-{_state(base, folder)}"


@cache
def _read(base: str, part: Part, folder: Path) -> tuple[Array, Array]:
    if base == "digits":
        return read_digits(folder, part)
    names = _arrays(base, part, folder)
    if not all(decoded.find(folder, name) for name in names):
        read = read_folder if base.startswith("folder:") else READERS[base]
        try:
            arrays = read(folder, part)
        except MissingData:
            raise
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise MissingData(f"data set {base} under {folder} cannot be read: {said}; {_way_out(base)}") from error
        try:
            decoded.keep(folder, dict(zip(names, arrays, strict=True)))
        except OSError as error:
            tried = " nor under ".join(map(str, decoded.places(folder)))
            raise MissingData(
                f"cannot keep decoded images under {tried}: {error.strerror}; free space there, or name another "
                "cache with XDG_CACHE_HOME"
            ) from error
    images, labels = (decoded.find(folder, name) for name in names)
    assert images and labels
    try:
        return np.load(images, mmap_mode="r"), np.load(labels)
    except (OSError, ValueError) as error:
        raise MissingData(f"{images.parent} is damaged ({error}); delete it to decode the images again") from error


def _way_out(base: str) -> str:
    if base.startswith("folder:"):
        return "give a folder of images of one size as folder:PATH"
    return f"python -m benchmark data {base} downloads it, --data DIR names another folder"


def missing(base: str, *places: Path) -> MissingData:
    """The error for a data set that was not found in ``places``, with the command that downloads it."""
    looked = " or ".join(map(str, places))
    return MissingData(f"data set {base} is not there, looked for {looked}; {_way_out(base)}")


#: Size in bytes and MD5 of MNIST's four files as published, unpacked. Copies of another size are somebody's own choice.
_MNIST_FILES = {
    "train-images-idx3-ubyte": (47_040_016, "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": (60_008, "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": (7_840_016, "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": (10_008, "27ae3e4e09519cfbb04c329615203637"),
}


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def read_mnist(folder: Path, part: Part) -> tuple[Array, Array]:
    """Read MNIST from the four original files where torchvision keeps them (``MNIST/raw``)."""
    from torchvision.datasets import MNIST

    raw = folder / "MNIST" / "raw"
    if not all((raw / name.removesuffix(".gz")).exists() for name, _ in MNIST.resources):
        raise missing("mnist", raw)
    for name, (size, md5) in _MNIST_FILES.items():
        if (raw / name).stat().st_size == size and _md5(raw / name) != md5:
            said = "has the size of the published file and another checksum, so it is damaged"
            raise MissingData(f"{raw / name} {said}; {_way_out('mnist')}")
    found = MNIST(str(folder), train=part == "train", download=False)
    return found.data.numpy()[:, None], found.targets.numpy()


def read_cifar10(folder: Path, part: Part) -> tuple[Array, Array]:
    """Read CIFAR-10 from torchvision's files, or from an image folder ``cifar10/{train,test}/CLASS``."""
    from torchvision.datasets import CIFAR10

    if (folder / "cifar-10-batches-py").exists():
        found = CIFAR10(str(folder), train=part == "train", download=False)
        return found.data.transpose(0, 3, 1, 2), np.array(found.targets)
    place = folder / "cifar10" / part
    if not place.is_dir():
        raise missing("cifar10", folder / "cifar-10-batches-py", place)
    return read_folder(folder / "cifar10", part)


def read_digits(folder: Path, part: Part) -> tuple[Array, Array]:
    """Read scikit-learn's 1,797 digits of 8 x 8 pixels, resized to 28 x 28. Every fifth is a test image."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.round(found.images * (255 / 16)).astype(np.uint8)
    large = [Image.fromarray(image).resize((28, 28), Image.Resampling.BILINEAR) for image in pixels]
    images = np.stack([np.asarray(image) for image in large])
    chosen = (np.arange(len(images)) % 5 == 4) == (part == "test")
    return images[chosen, None], found.target[chosen]


#: Side of the centre crop of CelebA's 178 x 218 images, resized to 64 (released GAAN code).
_FACE_CROP, _FACE_WIDTH, _FACE_SIZE = 108, 178, 64
#: Last image of the official split's training and validation parts, which are for training here; of fewer images, the
#: first eight tenths are.
_FACES_FOR_TRAINING, _ALL_FACES = 182_637, 202_599


def read_celeba(folder: Path, part: Part) -> tuple[Array, Array]:
    """Read aligned faces from ``celeba/img_align_celeba``, crop the centre and resize it to 64 x 64.

    Smaller copies are cropped in proportion. There are no labels.
    """
    place = folder / "celeba" / "img_align_celeba"
    files = sorted(path for path in place.glob("[!.]*.jpg")) if place.is_dir() else []
    if not files:
        raise missing("celeba", place)
    border = _FACES_FOR_TRAINING if len(files) == _ALL_FACES else len(files) * 8 // 10
    chosen = files[:border] if part == "train" else files[border:]
    images = np.empty((len(chosen), 3, _FACE_SIZE, _FACE_SIZE), np.uint8)
    for index, path in enumerate(chosen):
        with _opened(path) as image:
            half = image.width * _FACE_CROP / _FACE_WIDTH / 2
            middle = (image.width / 2, image.height / 2)
            box = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
            face = image.convert("RGB").resize((_FACE_SIZE, _FACE_SIZE), Image.Resampling.BILINEAR, box=box)
            images[index] = np.asarray(face).transpose(2, 0, 1)
    return images, np.full(len(images), -1)


def read_folder(folder: Path, part: Part) -> tuple[Array, Array]:
    """Read a folder of images of one size, with subfolders as classes.

    If there are folders ``train`` and ``test``, they are the two parts. Otherwise every tenth image is a test image.
    """
    whole = not (folder / part).is_dir()
    root = folder if whole else folder / part
    files = image_files(root)
    if whole:
        files = [path for index, path in enumerate(files) if (index % 10 == 9) == (part == "test")]
    if not files:
        raise missing(f"folder:{folder}", root)
    classes = sorted({path.parent for path in files})
    labels = np.array([classes.index(path.parent) for path in files]) if len(classes) > 1 else np.full(len(files), -1)
    return decode(files), labels


def decode(files: Sequence[Path]) -> Array:
    """Decode image files of one size.

    Args:
        files: Paths of the files, in the order of the result.

    Returns:
        Images uint8 ``[n, C, H, W]``, with three channels unless all files are grey.

    Raises:
        MissingData: A file cannot be read or differs in shape from the first, or no pixel exceeds 1 of 255.
    """
    images: Array | None = None
    for index, path in enumerate(files):
        pixels = _decode_one(path)
        if images is None:
            images = np.empty((len(files), *pixels.shape), np.uint8)
        if pixels.shape != images.shape[1:]:
            raise MissingData(f"{path} has shape {list(pixels.shape)}, other images {list(images.shape[1:])}")
        images[index] = pixels
    assert images is not None
    if images.max() == 1:
        raise MissingData(f"the images in {files[0].parent} hold 0 and 1 only, which is black; save them as 0 to 255")
    return images


def _decode_one(path: Path) -> Array:
    """Decode one file to pixels uint8 ``[C, H, W]``.

    Raises:
        MissingData: The file cannot be decoded, or has more than 8 bits per colour.
    """
    with _opened(path) as image:
        if image.mode.startswith(("I", "F")):
            raise MissingData(f"{path} has more than 8 bits a colour; save it with 8")
        pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file. Any error of Pillow becomes a ``MissingData`` that names the file."""
    if not is_ordinary(path):
        raise MissingData(f"{path} is no ordinary file (a pipe, a device, or a link to nothing); take it away")
    try:
        with warnings.catch_warnings():
            # Pillow warns of images that are suspiciously large, and then decodes them.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except MissingData:
        raise
    # Decoders raise nearly anything: ValueError for a large text chunk, SyntaxError, struct.error.
    except Exception as error:
        said = "" if isinstance(error, OSError) else f" ({' '.join(str(error).split())})"
        raise MissingData(f"{path} cannot be read as an image{said}; replace it or take it away") from error


def image_files(folder: Path) -> list[Path]:
    """List all images in a folder and its subfolders, sorted. Links are followed, hidden files are left out.

    Raises:
        MissingData: A folder cannot be read.
    """
    try:
        return [path for path in files_below(folder) if path.suffix.lower() in _SUFFIXES]
    except OSError as error:
        raise MissingData(f"cannot look through {folder}: {error.strerror or error}; mend or name another") from error


READERS: dict[str, Callable[[Path, Part], tuple[Array, Array]]] = {
    "mnist": read_mnist,
    "cifar10": read_cifar10,
    "celeba": read_celeba,
    "digits": read_digits,
}


#: What torchvision keeps below the data folder of a set whose files it does not look into again.
_DOWNLOADED = {"mnist": ("MNIST",), "cifar10": ("cifar-10-batches-py", "cifar-10-python.tar.gz")}


def set_aside(base: str) -> list[Path]:
    """Rename the downloaded files of a data set, so that torchvision downloads them again.

    Returns:
        The new paths.
    """
    moved = []
    for path in (data_folder() / name for name in _DOWNLOADED.get(base, ())):
        if path.exists():
            number = next(n for n in itertools.count(1) if not path.with_name(f"{path.name}.damaged-{n}").exists())
            moved.append(path.rename(path.with_name(f"{path.name}.damaged-{number}")))
    return moved


def download(base: str) -> None:
    """Download a data set to the data folder with torchvision, which verifies checksums.

    Raises:
        MissingData: The download failed.
    """
    from torchvision import datasets

    folder = str(data_folder())
    fetch: dict[str, Callable[[], object]] = {
        "mnist": lambda: datasets.MNIST(folder, download=True),
        "cifar10": lambda: datasets.CIFAR10(folder, download=True),
        "celeba": lambda: datasets.CelebA(folder, download=True),
        "digits": lambda: None,
    }
    try:
        fetch[base]()
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise MissingData(f"data set {base} cannot be downloaded to {folder}: {said}") from error
    finally:
        _state.cache_clear()


# Batches --------------------------------------------------------------------------------------------------------------
