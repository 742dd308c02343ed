"""The command line as tests call it."""

from __future__ import annotations

import pytest

from benchmark.cli import main


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    status = main(words)
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a user gets."""
    status, out, err = call(capsys, *words)
    assert (status, out) == (2, ""), (words, err)
    assert "Traceback" not in err
    assert err.startswith("benchmark: ") and len(err.strip().splitlines()) == 1, err
    return err
