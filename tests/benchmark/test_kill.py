"""SIGKILL at any moment loses nothing (``python -m tests.kill --times 20`` for more)."""

from pathlib import Path

from tests.kill import kill


def test_a_killed_table_goes_on_to_the_same_records(tmp_path: Path) -> None:
    hits = kill(3, seed=0, folder=tmp_path)
    assert sum(hits.values()) == 3
