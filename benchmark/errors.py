"""What ends a command early: what a user must change (one line, exit status 2), and a wish to stop."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


def unknown(kind: str, name: str, known: Iterable[str], prefix: str = "") -> UserError:
    """The error for a name that does not exist, with the nearest one that does. ``prefix`` is what all share, and says
    nothing of how near they are."""
    names = sorted(known)
    # Names may differ in case only, and the first is the one meant.
    folded = {known.removeprefix(prefix).casefold(): known for known in reversed(names)}
    near = difflib.get_close_matches(name.removeprefix(prefix).casefold(), folded, n=1, cutoff=0.5)
    hint = f"did you mean '{folded[near[0]]}'?" if near else f"there are: {', '.join(names)}"
    return UserError(f"unknown {kind} '{name}'; {hint}")
