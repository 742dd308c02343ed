"""The example of ordinary modules, end to end: points and images, records, weights, divergence; and the tutorial."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.checks.conformance import CHECKS, Case
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run, dataset_of_run
from benchmark.store.store import Store
from benchmark.training.callback import _clear
from benchmark.training.evaluation import draw_samples
from benchmark.training.trainer import load_module, make_module
from tests.benchmark.made import run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
IMAGES = Protocol(
    profile="test",
    networks="metz-k4",
    scaling="symmetric",
    latent_dim=8,
    epochs=2,
    width=2,
    batch_size=16,
    fresh_iterations=4,
    samples=40,
)
RUNS = [Run("digits", "plain_gan:PlainGAN", IMAGES, seed, (("width", 4),)) for seed in (0, 1)]


@pytest.fixture(autouse=True)
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "plain_gan"))


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_a_stored_model_of_images_makes_its_samples_again(statistics: Any, tmp_path: Path) -> None:
    runs = [dataclasses.replace(c, protocol=dataclasses.replace(IMAGES, norm_at_evaluation=statistics)) for c in RUNS]
    records = run(tmp_path, runs)
    for one_run, record in zip(runs, records, strict=True):
        assert record.status == "done" and set(record.measures) >= {"modes", "kl"}
        store = Store(tmp_path)
        again = draw_samples(
            load_module(one_run, record, store), dataset_of_run(one_run), one_run.protocol, one_run.protocol.epochs
        )
        kept = store.samples(one_run, record).astype(int)
        assert np.abs(again[0][: len(kept)].astype(int) - kept).max() <= 1, "but for rounding"
        assert kept.std() > 0


def test_a_copy_that_diverged_is_cleared_and_the_other_stays() -> None:
    module = make_module(RUNS[0], (0, 1))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    _clear(module, 0)
    for name, value in module.state_dict().items():
        assert torch.equal(value[1], before[name][1])
        assert not value[0].any() or not name.startswith("generator")
    assert module.eval().sample(3, [np.random.default_rng(s) for s in (0, 1)]).isfinite().all()


def test_the_record_names_the_weights_that_it_started_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import plain_gan

    file = tmp_path / "g.pt"

    class Tuned(plain_gan.PlainGAN):
        def __init__(self, *words: Any, **fields: Any) -> None:
            super().__init__(*words, **fields)
            self.generator = self.replicate(plain, "generator", weights=file)

    def plain() -> torch.nn.Module:
        return torch.nn.Sequential(plain_gan.points(2, 2, 8), torch.nn.Sigmoid())

    torch.save(plain().state_dict(), file)
    monkeypatch.setattr(plain_gan, "Tuned", Tuned, raising=False)
    protocol = Protocol(profile="test", width=2, epochs=1, fresh_iterations=2, samples=50)
    record = run(tmp_path / "results", [Run("ring8", "plain_gan:PlainGAN", protocol, 0)])[0]
    assert not any(name.startswith("weights") for name in record.environment)
    monkeypatch.setattr(plain_gan, "PlainGAN", Tuned)
    record = run(tmp_path / "others", [Run("ring8", "plain_gan:PlainGAN", protocol, 0)])[0]
    assert len(record.environment["weights of generator"]) == 16


def block_of(name: str) -> str:
    text = (ROOT / "docs" / "your-own.md").read_text()
    return text.partition(f"<!-- {name} -->\n```python\n")[2].partition("```")[0]


def test_the_script_of_the_tutorial_trains(tmp_path: Path) -> None:
    steps = "range(1000)"
    assert steps in block_of("script")
    (tmp_path / "script.py").write_text(block_of("script").replace(steps, "range(20)"))
    with torch.random.fork_rng():
        done = runpy.run_path(str(tmp_path / "script.py"))
    assert done["loss"].isfinite()


@pytest.mark.parametrize(("name", "dataset"), [("Mine", None), ("MyDCGAN", "digits")])
def test_the_methods_of_the_tutorial_keep_their_promises(
    name: str, dataset: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_of_the_tutorial.py").write_text(block_of("points") + "\n\n" + block_of("images"))
    monkeypatch.syspath_prepend(str(tmp_path))
    case = Case.of(f"mine_of_the_tutorial:{name}", **({"dataset": dataset} if dataset else {}))
    for check in CHECKS[:-2] if name == "Mine" else CHECKS[:2]:
        check(case)
