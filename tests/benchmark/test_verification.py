"""Verifying stored models: what is the same, and what is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmark.checks.reproduction import RunComparison, reproduce_run, verify_runs
from benchmark.cli import main
from benchmark.spec import registry
from benchmark.spec.methods import house_methods
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training import trainer
from datamodules.synthetic import RING8
from modules.gan import GAN
from tests.benchmark.made import train_all

pytestmark = pytest.mark.slow

PROTOCOL = Protocol(profile="test", epochs=3, width=2, batch_size=32, fresh_iterations=5, samples=200)
RUNS = [Run("ring8", method, PROTOCOL, seed) for method in ("gan", "aeis") for seed in (0, 1)]
AUTOENCODER = {"pretraining_epochs": 1, "reference": 96}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    overrides = tuple(sorted(AUTOENCODER.items()))
    return [dataclasses.replace(c, overrides=overrides if c.method == "aeis" else ()) for c in RUNS]


@pytest.fixture
def store(tmp_path: Path, runs: list[Run]) -> Store:
    store = Store(tmp_path)
    assert not train_all(store, runs).failed
    return store


def records(store: Store, runs: list[Run]) -> list[Record]:
    return [record for run in runs if (record := store.read(run))]


def change(store: Store, run: Run, **fields: object) -> None:
    record = store.read(run)
    assert record
    store.replace(run, dataclasses.replace(record, **fields))


def by_run(findings: list[RunComparison]) -> dict[Run, RunComparison]:
    return {finding.run: finding for finding in findings}


@pytest.mark.parametrize("epochs", [1, 3, 9])
def test_models_of_today_are_reproduced_and_stay_as_they_are(store: Store, runs: list[Run], epochs: int) -> None:
    before = records(store, runs)
    findings = verify_runs(runs, store, epochs, accelerator="cpu")
    assert [(f.run, f.difference, f.stale) for f in findings] == [(run, "", False) for run in runs]
    assert records(store, runs) == before
    assert not list((store.folder / "unfinished").glob("*.ckpt"))


def test_another_number_is_named_with_its_epoch(store: Store, runs: list[Run]) -> None:
    record = store.read(runs[1])
    assert record
    values = record.curves["loss.discriminator"]
    assert values[1]
    curve = [values[0], values[1] * (1 + 1e-15), *values[2:]]
    assert curve[1] != values[1]
    change(store, runs[1], curves=record.curves | {"loss.discriminator": curve})
    assert not by_run(verify_runs(runs[:2], store, 1, accelerator="cpu"))[runs[1]].difference
    found = by_run(verify_runs(runs[:2], store, 2, accelerator="cpu"))
    assert found[runs[1]].difference == f"loss.discriminator after epoch 2: {values[1]!r} instead of {curve[1]!r}"
    assert not found[runs[0]].difference


def test_measures_that_the_samples_do_not_have_are_found(store: Store, runs: list[Run]) -> None:
    record = store.read(runs[0])
    assert record
    change(store, runs[0], measures=record.measures | {"captured_modes": 8.0, "jsd": 0.001})
    found = verify_runs(runs[:1], store, 1, accelerator="cpu")
    assert "of the stored samples" in found[0].difference


def test_a_method_that_gives_other_numbers_is_found(
    store: Store, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {**house_methods(), "gan": dataclasses.replace(house_methods()["gan"], version=99)}
    monkeypatch.setattr(registry, "house_methods", lambda: changed)
    discriminator_loss = GAN.discriminator_loss
    monkeypatch.setattr(GAN, "discriminator_loss", lambda self, x, z: discriminator_loss(self, x, z) * 1.01)
    before = records(store, runs[:1])
    (found,) = verify_runs(runs[:1], store, 1, accelerator="cpu")
    assert found.stale
    assert found.difference
    assert records(store, runs[:1]) == before


def test_a_higher_version_alone_is_no_other_number(
    store: Store, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {**house_methods(), "gan": dataclasses.replace(house_methods()["gan"], version=99)}
    monkeypatch.setattr(registry, "house_methods", lambda: changed)
    found = verify_runs(runs[:2], store, 2, accelerator="cpu")
    assert [(f.difference, f.stale) for f in found] == [("", True)] * 2


def test_a_generator_that_was_inverted_is_compared_after_all_epochs(tmp_path: Path) -> None:
    networks = {"networks": "metz-k4", "scaling": "symmetric", "latent_dim": 4, "inverted": 1, "samples": 20}
    protocol = Protocol(profile="test", epochs=2, width=1, batch_size=8, fresh_iterations=1, **networks)  # type: ignore[arg-type]
    run, store = Run("digits", "gan", protocol, 0), Store(tmp_path)
    store.prepare()
    assert not train_all(store, [run]).failed
    (found,) = records(store, [run])
    change(store, run, measures={**found.measures, "ivom": 0.5})
    assert not verify_runs([run], store, epochs=1, accelerator="cpu")[0].difference
    (finding,) = verify_runs([run], store, epochs=2, accelerator="cpu")
    assert finding.difference.startswith("ivom: ") and finding.difference.endswith("instead of 0.5")


def test_only_what_is_stored_is_verified(store: Store, runs: list[Run]) -> None:
    more = [dataclasses.replace(run, seed=seed) for run in runs[:1] for seed in (0, 4, 5)]
    assert [finding.run for finding in verify_runs(more, store, 1, accelerator="cpu")] == more[:1]


def test_a_run_is_found_again_by_its_identity() -> None:
    for run in RUNS:
        assert Run.of(run.identity()) == run
    assert registry.dataset("ring8") == RING8


def test_a_model_is_reproduced_to_its_end(store: Store, runs: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    for run in runs[1:3]:
        assert main(["verify", "--cell", run.id[:10], "--results", str(store.folder), "--accelerator", "cpu"]) == 0
        assert "reproduced to the last bit" in capsys.readouterr().out
    assert [path.name for path in store.unfinished.iterdir()] == [".gitignore"]


def test_what_is_not_reproduced_is_named(store: Store, runs: list[Run]) -> None:
    record = store.read(runs[0])
    assert record
    curve = record.curves["jsd"]
    changed = {"jsd": [*curve[:2], 0.25]}
    facts = record.environment | {"processor": "another", "threads": 64}
    change(store, runs[0], curves=record.curves | changed, measures=record.measures | {"jsd": 0.25}, environment=facts)
    before = store.read(runs[0])
    found = reproduce_run(runs[0], store, lambda progress: None, "cpu")
    assert found.differences == (
        f"jsd after epoch 3: {curve[2]!r} instead of 0.25",
        f"jsd: {record.measures['jsd']!r} instead of 0.25",
    )
    assert any(fact.startswith("made with processor another, here ") for fact in found.elsewhere)
    assert any(fact.startswith("made with threads 64, here ") for fact in found.elsewhere)
    assert store.read(runs[0]) == before


def test_other_samples_are_not_reproduced(store: Store, runs: list[Run]) -> None:
    record = store.read(runs[0])
    assert record
    store.write(runs[0], record, store.samples(runs[0], record) + 1, store.frames(runs[0], record))
    assert reproduce_run(runs[0], store, lambda progress: None, "cpu").differences == ("the samples are other ones",)


def test_a_model_that_fails_today_is_not_reproduced(
    store: Store, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "make_module", lambda *_: 1 / 0)
    (found,) = reproduce_run(runs[0], store, lambda progress: None, "cpu").differences
    assert found.startswith("it fails now: ZeroDivisionError")


def test_only_what_is_stored_can_be_reproduced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--cell", "0123", "--results", str(tmp_path)]) == 2
    assert "no run" in capsys.readouterr().err
