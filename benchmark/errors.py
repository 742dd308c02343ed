"""Exceptions that end a command: errors that the user must fix (one line, exit status 2), and requests to stop."""

from __future__ import annotations

import difflib
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path


class Stopped(BaseException):
    """The user asked to stop. Everything that is finished is on disk."""


class UserError(Exception):
    """An error that the user must fix: one line that says what is wrong and how to go on."""


class Damaged(UserError):
    """A damaged file in a results folder; the message says what is wrong and how to go on."""


def one_line(text: str) -> str:
    """Escape unprintable characters, line breaks and escape sequences included.

    File names and records of others may contain them.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip().splitlines() or ["no message"])[0]


#: Folders whose code is not the user's: this repository's packages, PyTorch and related libraries, and the standard
#: library.
_ROOT = Path(__file__).parents[1]
_OTHERS = [
    *(_ROOT / name for name in ("benchmark", "modules", "datamodules", "evaluators")),
    *(
        Path(sysconfig.get_path("purelib")) / name
        for name in ("lightning_fabric", "numpy", "pytorch_lightning", "safetensors", "scipy", "torch", "torchvision")
    ),
]
_STANDARD = Path(sysconfig.get_path("stdlib"))


def own_place(error: BaseException) -> str:
    """Return file and line of the user's code that raised an error, or called the code that did; empty without any."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_near(Path(error.filename))}, line {error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        standard = path.is_relative_to(_STANDARD) and "site-packages" not in path.parts
        if path.is_absolute() and not standard and not any(path.is_relative_to(other) for other in _OTHERS):
            return f"{_near(path)}, line {frame.lineno}"
    return ""


def _near(path: Path) -> Path:
    """Return the path relative to the working directory if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def unknown(kind: str, name: str, known: Iterable[str], prefix: str = "") -> UserError:
    """Create the error for an unknown name; it suggests the most similar known one.

    Args:
        kind: What the name stands for.
        name: The unknown name.
        known: The known names.
        prefix: Common prefix of all names, which the comparison ignores.
    """
    names = sorted(known)
    # Names may differ only in case; the first one in order is suggested.
    folded = {known.removeprefix(prefix).casefold(): known for known in reversed(names)}
    near = difflib.get_close_matches(name.removeprefix(prefix).casefold(), folded, n=1, cutoff=0.5)
    hint = f"did you mean '{folded[near[0]]}'?" if near else f"there are: {', '.join(names)}"
    return UserError(f"unknown {kind} '{name}'; {hint}")
