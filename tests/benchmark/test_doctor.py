"""The doctor finds what is wrong, says what to do, and leaves everything as it is."""

from __future__ import annotations

import dataclasses
import json
from collections import namedtuple
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.checks import doctor
from benchmark.checks.doctor import check_results
from benchmark.cli import main
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.store import Store
from benchmark.training import callback, trainer
from benchmark.training.callback import Progress
from benchmark.training.engines.runner import to_do
from datamodules import decoded, images
from datamodules.images import DATA_VARIABLE, PARTS
from tests.benchmark.made import make_record, train_all

PROTOCOL = Protocol(profile="test", epochs=3, width=2, batch_size=32, fresh_iterations=5, samples=200)
RUNS = [Run("ring8", "gan", PROTOCOL, seed) for seed in range(4)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One finished block."""
    store = Store(tmp_path / "results")
    train_all(store, RUNS[:2])
    return store


def said(store: Store, level: str) -> list[str]:
    return [finding.said for finding in check_results(store) if finding.level == level]


def snapshot(store: Store) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}


def test_demonstrations_are_looked_at_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["run", "--figure", "theory-transport-plan", "--results", str(store.folder)]) == 0
    assert "1 demonstrations" in said(store, "ok")
    (path,) = store.folder.glob("records/theory-*/*.json")
    monkeypatch.setattr(doctor, "is_experiment_stale", lambda experiment, record: True)
    assert any(line.startswith("theory-transport-plan-short is of an earlier version") for line in said(store, "note"))
    path.write_text(path.read_text().replace("2.0", "3.0"))
    assert any("edited after it was written" in line for line in said(store, "wrong"))
    path.write_text(path.read_text().replace("theory-transport-plan", "theory-of-everything"))
    assert any("no record" in line for line in said(store, "wrong"))


def test_weights_that_are_elsewhere_are_no_trouble_and_other_ones_are(store: Store) -> None:
    protocol = dataclasses.replace(PROTOCOL, networks="metz-k4", epochs=1, samples=20, width=1, batch_size=8)
    run = Run("digits", "gan", protocol, 0)
    train_all(store, [run])
    weights = store.path(run).with_suffix(".safetensors")
    content = weights.read_bytes()
    weights.unlink()
    assert not said(store, "wrong")
    weights.write_bytes(content[:-1] + b"x")
    assert any("not the weights that the record names" in line for line in said(store, "wrong"))


def test_images_of_people_may_be_elsewhere(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run("digits", "gan", PROTOCOL, 0)
    images = np.zeros((4, 1, 28, 28), np.uint8)
    store.write(run, make_record(run)[0], images, images[None])
    for kept in store.path(run).parent.glob("*.npy"):
        kept.unlink()
    assert any("samples of a record are missing" in line for line in said(store, "wrong"))
    monkeypatch.setattr(registry, "PEOPLE", {"digits"})
    assert not said(store, "wrong")


def test_records_of_a_data_set_that_is_not_installed_are_no_damage(store: Store) -> None:
    run = Run("elsewhere", "gan", PROTOCOL, 0)
    record, samples = make_record(RUNS[0])
    store.write(run, dataclasses.replace(record, id=run.id, run=run.identity()), samples)
    assert not said(store, "wrong")
    assert any("cannot be compared with today's code" in note for note in said(store, "note"))


def test_a_sound_folder(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(store)
    assert main(["doctor", "--results", str(store.folder)]) == 0
    out = capsys.readouterr().out
    assert "2 finished and 0 diverged models" in out
    assert "nothing is wrong" in out
    assert "libraries are within their ranges" in out
    assert (said(store, "wrong"), said(store, "note")) == ([], [])
    assert snapshot(store) == before


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _edit(path: Path) -> None:
    path.write_text(path.read_text().replace('"captured_modes": ', '"captured_modes": 1', 1))


def _newer(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))


def _move(path: Path) -> None:
    elsewhere = path.parent.parent / "ali" / path.name
    elsewhere.parent.mkdir()
    path.rename(elsewhere)


def _other_samples(path: Path) -> None:
    np.save(path.with_suffix(".npy"), np.zeros((200, 2), np.float32))


def _no_frames(path: Path) -> None:
    path.with_suffix(".frames.npy").unlink()


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (_cut, "cut short"),
        (_edit, "edited after it was written"),
        (_newer, "record format 99"),
        (_move, "not where its run belongs"),
        (_other_samples, "not the samples that the record names"),
        (_no_frames, "missing"),
    ],
)
def test_a_bad_record(
    store: Store, damage: Callable[[Path], None], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(store.path(RUNS[0]))
    before = snapshot(store)
    (found,) = said(store, "wrong")
    assert line in found
    assert "delete " in found or "use another --results" in found
    assert main(["doctor", "--results", str(store.folder)]) == 1
    assert "one thing is wrong" in capsys.readouterr().out
    assert snapshot(store) == before


def test_what_is_no_folder_of_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "below"):
        assert main(["doctor", "--results", str(folder)]) == 1
        assert f"wrong  {folder} is no folder of results" in capsys.readouterr().out


def test_a_folder_where_a_record_belongs(store: Store) -> None:
    path = store.path(RUNS[0])
    path.unlink()
    path.mkdir()
    assert said(store, "wrong") == [f"{path} is a folder where a record belongs; delete it"]


def test_what_is_left_over(store: Store) -> None:
    record = store.path(RUNS[0])
    record.unlink()
    (record.parent / f".{record.name}.x1").write_text("{")
    (store.unfinished / "0123.part77").write_text("")
    (store.unfinished / "0123.claim").write_text("process 1 on nowhere")
    notes = said(store, "note")
    assert any("samples without a record" in note and f"{record.stem}.npy" in note for note in notes)
    assert any("1 files left by writers" in note for note in notes)
    assert any("2 files left by processes" in note for note in notes)
    assert not said(store, "wrong")


def test_records_of_earlier_versions(store: Store) -> None:
    record = store.read(RUNS[0])
    assert record
    store.replace(RUNS[0], dataclasses.replace(record, versions={"method": 0}))
    assert any("1 records were made with earlier versions" in note for note in said(store, "note"))


def test_checkpoints(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback, "CHECKPOINT_SECONDS", 0.0)

    def stop(progress: Progress) -> None:
        if progress.iteration > 7:
            raise KeyboardInterrupt

    with pytest.raises(BaseException):  # noqa: B017, PT011
        train_all(store, RUNS[2:], watch=stop)
    (path,) = store.unfinished.glob("*.ckpt")
    assert any("unfinished: gan on ring8, seeds 2-3" in note for note in said(store, "note"))
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    assert any("damaged" in line and f"delete {path}" in line for line in said(store, "wrong"))
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert any("not as it was written" in line and f"delete {path}" in line for line in said(store, "wrong"))
    path.write_bytes(whole)
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "versions_of", lambda run: {"method": 99})
        assert any("other versions" in line for line in said(store, "wrong"))
    path.rename(path.with_suffix(".kept"))
    train_all(store, RUNS[2:])
    path.with_suffix(".kept").rename(path)
    assert any("of blocks that are done" in note for note in said(store, "note"))


def test_who_trains_now(store: Store) -> None:
    (block,) = to_do(store, RUNS[2:])
    with store.claimed(block) as ours:
        assert ours
        assert any("a block is being trained by process" in note for note in said(store, "note"))


def test_libraries_out_of_their_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning 2.6.3 was a compromised release."""
    version = metadata.version
    monkeypatch.setattr(
        doctor.metadata, "version", lambda name: "2.6.3" if name == "pytorch-lightning" else version(name)
    )
    (found,) = [finding.said for finding in doctor.check_libraries() if finding.level == "wrong"]
    assert "pytorch-lightning 2.6.3 is outside >=2.6.4; pip install 'pytorch-lightning>=2.6.4'" in found


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    wrong = [finding.said for finding in doctor.check_libraries() if finding.level == "wrong"]
    assert any(line.startswith("torch is not installed; pip install") for line in wrong)
    assert not any("ray" in line.split()[0] for line in wrong), "nobody needs an extra"


def test_little_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(2**28))
    (found,) = doctor.check_space([tmp_path / "not" / "yet"])
    assert (found.level, found.said[:14]) == ("wrong", "0.2 GiB free f")


def test_a_folder_that_cannot_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryDirectory", refuse)
    assert any("cannot be written: Permission denied" in line for line in said(store, "wrong"))


def test_image_data_that_are_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert {finding.level for finding in doctor.check_data()} == {"ok", "note"}
    names = [name for part in PARTS for name in images._arrays("cifar10", part, tmp_path)]
    decoded.keep(tmp_path, {name: np.zeros((4, 3, 32, 32), np.uint8) for name in names})
    path = tmp_path / ".modecov" / f"{names[0]}.npy"
    path.write_bytes(path.read_bytes()[:300])
    (found,) = [finding.said for finding in doctor.check_data() if finding.level == "wrong"]
    assert "damaged" in found and "delete it" in found


def test_a_gpu_that_does_not_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(index: int) -> None:
        raise RuntimeError("uncorrectable ECC error")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "H100")
    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    (found,) = [finding.said for finding in doctor.check_gpus() if finding.level == "wrong"]
    assert "GPU 0, H100, cannot compute: uncorrectable ECC error" in found
