"""Verifying stored models: what is the same, and what is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmark import registry, training
from benchmark.cells import Cell, Protocol
from benchmark.cli import main
from benchmark.records import Record, Store
from benchmark.runner import run_blocks, to_do
from benchmark.verification import Finding, reproduce, verify
from datamodules.synthetic import RING8
from modules.gan import GAN

PROTOCOL = Protocol(profile="test", epochs=3, width=2, batch_size=32, fresh_iterations=5, samples=200)
CELLS = [Cell("ring8", method, PROTOCOL, seed) for method in ("gan", "aeis") for seed in (0, 1)]
AUTOENCODER = {"pretraining_epochs": 1, "reference": 96}


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    overrides = tuple(sorted(AUTOENCODER.items()))
    return [dataclasses.replace(c, overrides=overrides if c.method == "aeis" else ()) for c in CELLS]


@pytest.fixture
def store(tmp_path: Path, cells: list[Cell]) -> Store:
    store = Store(tmp_path)
    store.prepare()
    assert not run_blocks(to_do(store, cells), store, lambda progress: None, "cpu").failed
    return store


def records(store: Store, cells: list[Cell]) -> list[Record]:
    return [record for cell in cells if (record := store.read(cell))]


def change(store: Store, cell: Cell, **fields: object) -> None:
    record = store.read(cell)
    assert record
    store.replace(cell, dataclasses.replace(record, **fields))


def by_cell(findings: list[Finding]) -> dict[Cell, Finding]:
    return {finding.cell: finding for finding in findings}


@pytest.mark.parametrize("epochs", [1, 3, 9])
def test_models_of_today_are_reproduced_and_stay_as_they_are(store: Store, cells: list[Cell], epochs: int) -> None:
    before = records(store, cells)
    findings = verify(cells, store, epochs, accelerator="cpu")
    assert [(f.cell, f.difference, f.stale) for f in findings] == [(cell, "", False) for cell in cells]
    assert records(store, cells) == before
    assert not list((store.folder / "unfinished").glob("*.ckpt"))


def test_another_number_is_named_with_its_epoch(store: Store, cells: list[Cell]) -> None:
    record = store.read(cells[1])
    assert record
    values = record.curves["loss.discrimination"]
    assert values[1]
    curve = [values[0], values[1] * (1 + 1e-15), *values[2:]]
    assert curve[1] != values[1]
    change(store, cells[1], curves=record.curves | {"loss.discrimination": curve})
    assert not by_cell(verify(cells[:2], store, 1, accelerator="cpu"))[cells[1]].difference
    found = by_cell(verify(cells[:2], store, 2, accelerator="cpu"))
    assert found[cells[1]].difference == f"loss.discrimination after epoch 2: {values[1]!r} instead of {curve[1]!r}"
    assert not found[cells[0]].difference


def test_measures_that_the_samples_do_not_have_are_found(store: Store, cells: list[Cell]) -> None:
    record = store.read(cells[0])
    assert record
    change(store, cells[0], measures=record.measures | {"captured_modes": 8.0, "jsd": 0.001})
    found = verify(cells[:1], store, 1, accelerator="cpu")
    assert "of the stored samples" in found[0].difference


def test_a_method_that_gives_other_numbers_is_found(
    store: Store, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GAN, "version", 99)
    discrimination = GAN.discrimination
    monkeypatch.setattr(GAN, "discrimination", lambda self, x, z: discrimination(self, x, z) * 1.01)
    before = records(store, cells[:1])
    (found,) = verify(cells[:1], store, 1, accelerator="cpu")
    assert found.stale
    assert found.difference
    assert records(store, cells[:1]) == before


def test_a_higher_version_alone_is_no_other_number(
    store: Store, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GAN, "version", 99)
    found = verify(cells[:2], store, 2, accelerator="cpu")
    assert [(f.difference, f.stale) for f in found] == [("", True)] * 2


def test_a_generator_that_was_inverted_is_compared_after_all_epochs(tmp_path: Path) -> None:
    networks = {"networks": "metz-k4", "scaling": "symmetric", "latent_dim": 4, "inverted": 1, "samples": 20}
    protocol = Protocol(profile="test", epochs=2, width=1, batch_size=8, fresh_iterations=1, **networks)  # type: ignore[arg-type]
    cell, store = Cell("digits", "gan", protocol, 0), Store(tmp_path)
    store.prepare()
    assert not run_blocks(to_do(store, [cell]), store, lambda progress: None, "cpu").failed
    (found,) = records(store, [cell])
    change(store, cell, measures={**found.measures, "ivom": 0.5})
    assert not verify([cell], store, epochs=1, accelerator="cpu")[0].difference
    (finding,) = verify([cell], store, epochs=2, accelerator="cpu")
    assert finding.difference.startswith("ivom: ") and finding.difference.endswith("instead of 0.5")


def test_only_what_is_stored_is_verified(store: Store, cells: list[Cell]) -> None:
    more = [dataclasses.replace(cell, seed=seed) for cell in cells[:1] for seed in (0, 4, 5)]
    assert [finding.cell for finding in verify(more, store, 1, accelerator="cpu")] == more[:1]


def test_a_cell_is_found_again_by_its_identity() -> None:
    for cell in CELLS:
        assert Cell.of(cell.identity()) == cell
    assert registry.dataset("ring8") == RING8


def test_a_model_is_reproduced_to_its_end(store: Store, cells: list[Cell], capsys: pytest.CaptureFixture[str]) -> None:
    for cell in cells[1:3]:
        assert main(["verify", "--cell", cell.id[:10], "--results", str(store.folder), "--accelerator", "cpu"]) == 0
        assert "reproduced to the last bit" in capsys.readouterr().out
    assert [path.name for path in store.unfinished.iterdir()] == [".gitignore"]


def test_what_is_not_reproduced_is_named(store: Store, cells: list[Cell]) -> None:
    record = store.read(cells[0])
    assert record
    curve = record.curves["jsd"]
    changed = {"jsd": [*curve[:2], 0.25]}
    facts = record.environment | {"processor": "another", "threads": 64}
    change(store, cells[0], curves=record.curves | changed, measures=record.measures | {"jsd": 0.25}, environment=facts)
    before = store.read(cells[0])
    found = reproduce(cells[0], store, lambda progress: None, "cpu")
    assert found.differences == (
        f"jsd after epoch 3: {curve[2]!r} instead of 0.25",
        f"jsd: {record.measures['jsd']!r} instead of 0.25",
    )
    assert any(fact.startswith("made with processor another, here ") for fact in found.elsewhere)
    assert any(fact.startswith("made with threads 64, here ") for fact in found.elsewhere)
    assert store.read(cells[0]) == before


def test_other_samples_are_not_reproduced(store: Store, cells: list[Cell]) -> None:
    record = store.read(cells[0])
    assert record
    store.write(cells[0], record, store.samples(cells[0], record) + 1, store.frames(cells[0], record))
    assert reproduce(cells[0], store, lambda progress: None, "cpu").differences == ("the samples are other ones",)


def test_a_model_that_fails_today_is_not_reproduced(
    store: Store, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "make_module", lambda *_: 1 / 0)
    (found,) = reproduce(cells[0], store, lambda progress: None, "cpu").differences
    assert found.startswith("it fails now: ZeroDivisionError")


def test_only_what_is_stored_can_be_reproduced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--cell", "0123", "--results", str(tmp_path)]) == 2
    assert "no cell" in capsys.readouterr().err
