"""Records: whole or not at all, and damage is named."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import UserError
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store import store as store_module
from benchmark.store.files import write_atomically
from benchmark.store.record import Record
from benchmark.store.store import Store
from tests.benchmark.made import make_record, store_with

RUN = Run("grid25-gaan", "gan", Protocol(epochs=3), 0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_with(tmp_path, RUN)


def test_what_is_written_is_read(store: Store) -> None:
    record, samples = make_record(RUN)
    found = store.read(RUN)
    assert found is not None
    assert (found.measures, found.curves, found.run) == (record.measures, record.curves, record.run)
    np.testing.assert_array_equal(store.samples(RUN, found), samples)


def test_lists_stand_on_one_line(store: Store) -> None:
    assert len(store.path(RUN).read_text().splitlines()) < 60


def test_no_record_is_no_error(tmp_path: Path) -> None:
    assert Store(tmp_path).read(RUN) is None


@pytest.mark.parametrize("length", [0, 1, 100, 1000])
def test_a_record_cut_short_is_named(store: Store, length: int) -> None:
    path = store.path(RUN)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=rf"{path.name} is damaged .* delete .* and run again"):
        store.read(RUN)
    assert path.exists()


def test_a_record_of_other_bytes_is_named(store: Store) -> None:
    path = store.path(RUN)
    path.write_bytes(b"\xff\xfe" + path.read_bytes())
    with pytest.raises(UserError, match=rf"{path.name} is damaged .* delete .* and run again"):
        store.read(RUN)


def test_results_that_are_a_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(UserError, match="results is no folder of results; choose another --results"):
        Store(tmp_path / "results").read(RUN)


def test_a_record_edited_by_hand_is_named(store: Store) -> None:
    path = store.path(RUN)
    content = json.loads(path.read_text())
    content["measures"]["registered_points"] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="edited"):
        store.read(RUN)


@pytest.mark.parametrize("text", ["[]", "null", "3", '{"checksum": 1}', '{"format": 2, "checksum": "0"}', "\x00"])
def test_nonsense_is_named(store: Store, text: str) -> None:
    store.path(RUN).write_text(text)
    with pytest.raises(UserError, match="damaged"):
        store.read(RUN)


def test_a_record_of_another_run_is_named(store: Store) -> None:
    other = Run("grid25-gaan", "gan", Protocol(epochs=3), 1)
    store.path(other).write_bytes(store.path(RUN).read_bytes())
    with pytest.raises(UserError, match="damaged"):
        store.read(other)


def test_a_newer_format_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "FORMAT", 0)
    with pytest.raises(UserError, match="record format 2"):
        store.read(RUN)


def test_other_samples_than_the_records_are_named(store: Store) -> None:
    record = store.read(RUN)
    assert record is not None
    path = store.path(RUN).with_suffix(".npy")
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(UserError, match="damaged"):
        store.samples(RUN, record)
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        store.samples(RUN, record)


def test_a_full_disk_leaves_the_old_file_and_no_rest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = store.path(RUN)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device; free or choose another folder"):
        write_atomically(path, b"new")
    assert path.read_bytes() == before
    assert {p.suffix for p in path.parent.iterdir()} == {".json", ".npy"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*--results"):
        Store(tmp_path / "file").prepare()


def test_checkpoints_lie_in_a_folder_that_git_ignores(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    assert (store.checkpoint("x").parent / ".gitignore").read_text() == "*\n"


def test_values_that_json_cannot_hold_are_refused(tmp_path: Path) -> None:
    record = Record("x", {}, "done", {}, measures={"cv": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        Store(tmp_path).write(RUN, record)
