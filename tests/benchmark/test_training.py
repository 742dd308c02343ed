"""Training a block: resuming, seeds and slots, divergence, failure."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.errors import Stopped, UserError
from benchmark.spec.block import drop_finished, make_blocks
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.store import Store
from benchmark.training import callback, checkpoints, trainer
from benchmark.training.callback import Progress
from benchmark.training.engines.runner import run_blocks, to_do
from tests.benchmark.made import numbers, run

pytestmark = [pytest.mark.usefixtures("small_data"), pytest.mark.slow]

SHORT = Protocol(profile="test", epochs=3, width=2, beta1=0.8, lr_decay=0.9, batch_size=64, lr_decay_every=20)


def runs(method: str, *seeds: int, protocol: Protocol = SHORT) -> list[Run]:
    return [Run("grid25-gaan", method, protocol, seed) for seed in seeds]


def test_killed_and_resumed_equals_straight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback, "CHECKPOINT_SECONDS", 0.0)
    chosen = runs("wgan-gp", 0, 1, protocol=dataclasses.replace(SHORT, draws="update"))
    straight = run(tmp_path / "straight", chosen)

    def kill_in_second_epoch(progress: Progress) -> None:
        if progress.iteration > 30:
            raise KeyError("killed")

    with pytest.raises(KeyError):
        run(tmp_path / "killed", chosen, kill_in_second_epoch)
    assert list((tmp_path / "killed" / "unfinished").glob("*.ckpt"))
    seen: list[int] = []
    resumed = run(tmp_path / "killed", chosen, lambda progress: seen.append(progress.iteration))
    assert min(seen) > 25, "it started anew instead of resuming"
    assert [numbers(r) for r in resumed] == [numbers(r) for r in straight]
    assert not list((tmp_path / "killed" / "unfinished").glob("*.ckpt"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_interrupt_finishes_the_epoch_and_the_same_command_goes_on(
    number: signal.Signals, tmp_path: Path
) -> None:
    chosen = runs("gan", 0, 1)
    straight = run(tmp_path / "straight", chosen)

    def interrupt(progress: Progress) -> None:
        if progress.iteration == 17:
            os.kill(os.getpid(), number)

    with pytest.raises(Stopped):
        run(tmp_path / "stopped", chosen, interrupt)
    seen: list[int] = []
    resumed = run(tmp_path / "stopped", chosen, lambda progress: seen.append(progress.iteration))
    assert min(seen) > 25
    assert [numbers(r) for r in resumed] == [numbers(r) for r in straight]


def test_a_record_names_every_device_that_it_was_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = runs("gan", 0, 1)

    def interrupt(progress: Progress) -> None:
        if progress.iteration == 17:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(callback, "device_name", lambda device: "Fast 9000")
        with pytest.raises(Stopped):
            run(tmp_path, chosen, interrupt)
    assert [record.environment["device"] for record in run(tmp_path, chosen)] == ["Fast 9000, cpu"] * 2


def test_an_interrupt_in_the_last_epoch_stops_after_the_block(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.iteration == 2 * 25 + 17:
            os.kill(os.getpid(), signal.SIGINT)

    store = Store(tmp_path)
    store.prepare()
    chosen = runs("gan", 0, 1, 2, 3)
    with pytest.raises(Stopped):
        run_blocks(to_do(store, chosen), store, interrupt, "cpu")
    assert [store.read(run) is not None for run in chosen] == [True, True, False, False]


def test_a_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    seen: list[int] = []

    def interrupt(progress: Progress) -> None:
        seen.append(progress.iteration)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped):
        run(tmp_path, runs("gan", 0, 1), interrupt)
    assert seen == [17, 25]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_seed_does_not_depend_on_its_neighbours_or_its_slot(tmp_path: Path) -> None:
    alone = run(tmp_path / "alone", runs("gaan", 5))
    pair = run(tmp_path / "pair", runs("gaan", 2, 5))
    assert numbers(alone[0]) == numbers(pair[1])
    assert alone[0].samples != pair[0].samples


def test_one_diverging_seed_leaves_the_other_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = runs("gan", 0, 1)
    expected = run(tmp_path / "sound", chosen)[1]
    make = trainer.make_module

    def with_a_poisoned_seed(one_run: Run, seeds: tuple[int, ...]):
        module = make(one_run, seeds)
        generator_loss = module.generator_loss

        def poisoned(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
            bad = torch.tensor([float("nan") if module.iteration >= 30 and s == 0 else 1.0 for s in seeds])
            return generator_loss(x, z) * bad

        module.generator_loss = poisoned
        return module

    monkeypatch.setattr(trainer, "make_module", with_a_poisoned_seed)
    diverged, sound = run(tmp_path / "poisoned", chosen)
    assert (diverged.status, diverged.diverged_at, diverged.measures) == ("diverged", 31, {})
    assert (sound.measures, sound.samples, sound.status) == (expected.measures, expected.samples, "done")


def test_a_method_that_raises_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = runs("gaan", 0, 1) + runs("gan", 0, 1)
    make = trainer.make_module

    def broken(run: Run, seeds: tuple[int, ...]):
        if run.method == "gaan":
            raise ValueError("no such luck")
        return make(run, seeds)

    monkeypatch.setattr(trainer, "make_module", broken)
    store = Store(tmp_path)
    store.prepare()
    outcome = run_blocks(to_do(store, chosen), store, lambda progress: None, "cpu")
    assert set(outcome.seconds) == {"gan", "gaan"}
    assert "no such luck" in outcome.failed[0][1]
    records = [store.read(run) for run in chosen]
    assert [r.status for r in records if r] == ["failed", "failed", "done", "done"]
    assert len(to_do(store, chosen)) == 1, "failed runs are tried again, done ones are not"


def test_a_failure_leaves_what_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = runs("gan", 0, 1)
    finished = run(tmp_path, chosen)
    monkeypatch.setattr(trainer, "make_module", lambda *_: 1 / 0)
    store = Store(tmp_path)
    outcome = run_blocks(to_do(store, chosen, [one_run.id for one_run in chosen]), store, lambda progress: None, "cpu")
    assert "ZeroDivisionError" in outcome.failed[0][1]
    assert [store.read(one_run) for one_run in chosen] == finished


@pytest.mark.parametrize("damage", ["cut", "format", "versions", "nonsense", "bit", "weight", "missing"])
def test_a_checkpoint_that_does_not_fit_is_refused(damage: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(callback, "CHECKPOINT_SECONDS", 0.0)
    chosen = runs("gan", 0, 1)

    def stop(progress: Progress) -> None:
        if progress.iteration > 30:
            raise KeyError("killed")

    with pytest.raises(KeyError):
        run(tmp_path, chosen, stop)
    (path,) = (tmp_path / "unfinished").glob("*.ckpt")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "format":
        monkeypatch.setattr(checkpoints, "FORMAT", 99)
    elif damage == "versions":
        monkeypatch.setattr(trainer, "versions_of", lambda one_run: {"method": 99})
    elif damage == "nonsense":
        path.write_text("not a checkpoint")
    elif damage == "bit":
        weight = next(iter(torch.load(path, weights_only=True)["state_dict"].values())).numpy().tobytes()
        content = bytearray(path.read_bytes())
        content[content.index(weight)] ^= 1
        path.write_bytes(content)
    else:
        edited = torch.load(path, weights_only=True)
        name = next(iter(edited["state_dict"]))
        edited["state_dict"][name] += 1
        if damage == "missing":
            del edited["state_dict"][name]
        torch.save(edited, path)
    with pytest.raises(UserError, match=r"delete .* to start this block again"):
        run(tmp_path, chosen)
    assert path.exists(), "a refusal must not delete anything"


def test_blocks_are_laid_out_before_finished_runs_are_left_out() -> None:
    chosen = runs("gan", *range(5))
    blocks = make_blocks(chosen)
    assert [[c.seed for c in b.runs] for b in blocks] == [[0, 1], [2, 3], [4]]
    left = drop_finished(blocks, {chosen[0].id, chosen[2].id, chosen[3].id})
    assert [b.seeds for b in left] == [(1, 1), (4, 4)]


def test_a_seed_has_one_slot_whatever_else_is_asked_for() -> None:
    protocol = dataclasses.replace(SHORT, width=3)
    for seeds in [(4,), (3, 4), (4, 5), (0, 4, 8), (3, 4, 5)]:
        (block,) = [b for b in make_blocks(runs("gan", *seeds, protocol=protocol)) if b.runs[0].seed // 3 == 1]
        (left,) = drop_finished([block], ())
        assert left.slots[1].seed == left.seeds[1] == 4


def test_a_seed_is_the_same_in_a_part_of_its_block(tmp_path: Path) -> None:
    protocol = dataclasses.replace(SHORT, width=3)
    straight = run(tmp_path / "straight", runs("gan", 0, 1, 2, protocol=protocol))
    run(tmp_path / "parts", runs("gan", 1, protocol=protocol))
    parts = run(tmp_path / "parts", runs("gan", 0, 1, 2, protocol=protocol))
    assert [numbers(r) for r in parts] == [numbers(r) for r in straight]


def test_lightnings_global_step_is_no_count_of_iterations(tmp_path: Path) -> None:
    record = run(tmp_path, runs("gaan", 0, 1))[0]
    assert record.cost["iterations"] == 3 * 25
    assert np.shape(record.curves["registered_modes"]) == (3,)
