"""What ends a command early: what a user must change (one line, exit status 2), and a wish to stop."""

from __future__ import annotations

import difflib
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path


class Stopped(BaseException):
    """The user asked to stop; everything that is finished is on disk."""


class UserError(Exception):
    """A message for the user: one line that names the thing and the way out."""


class Damaged(UserError):
    """A file of a results folder that is not what it should be: what is wrong with it, and the way out."""


def one_line(text: str) -> str:
    """Text for a terminal: what cannot be printed is written out, line breaks and escape sequences among it, which
    names of files and records of others may hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: BaseException) -> str:
    """Of what an error says."""
    return (str(error).strip().splitlines() or ["no message"])[0]


#: Where the code is that is nobody's fault: this repository's packages, the standard library, and PyTorch and its kin.
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
    """File and line of the user's own code that raised, or that called what raised: empty if there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_near(Path(error.filename))}, line {error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        standard = path.is_relative_to(_STANDARD) and "site-packages" not in path.parts
        if path.is_absolute() and not standard and not any(path.is_relative_to(other) for other in _OTHERS):
            return f"{_near(path)}, line {frame.lineno}"
    return ""


def _near(path: Path) -> Path:
    """As seen from the working directory, where it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def unknown(kind: str, name: str, known: Iterable[str], prefix: str = "") -> UserError:
    """The error for a name that does not exist, with the nearest one that does. ``prefix`` is what all share, and says
    nothing of how near they are."""
    names = sorted(known)
    # Names may differ in case only, and the first is the one meant.
    folded = {known.removeprefix(prefix).casefold(): known for known in reversed(names)}
    near = difflib.get_close_matches(name.removeprefix(prefix).casefold(), folded, n=1, cutoff=0.5)
    hint = f"did you mean '{folded[near[0]]}'?" if near else f"there are: {', '.join(names)}"
    return UserError(f"unknown {kind} '{name}'; {hint}")
