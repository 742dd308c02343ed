"""SIGKILL at any moment loses nothing (``python -m tests.kill --times 20`` for more)."""

from pathlib import Path

import pytest

from tests.kill import kill

pytestmark = pytest.mark.slow


def test_a_killed_table_goes_on_to_the_same_records(tmp_path: Path) -> None:
    hits = kill(3, seed=0, folder=tmp_path)
    assert sum(hits.values()) == 3
