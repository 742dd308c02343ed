"""Numbers must not change unless a version is raised; and the comparison tells a slip from rounding."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.spec.registry import dataset, methods, mixture
from benchmark.training.evaluation import measure
from datamodules.mixture import GaussianMixture
from evaluators.digits import kl_to
from modules.base import AdversarialModule, Update
from modules.families import ConvFamily, find_family
from modules.losses import bce_fake
from modules.networks import activate, initial_weights
from modules.noise import Noise
from tests.golden import store
from tests.golden.__main__ import chosen, report
from tests.golden.cases import (
    ALL,
    IMAGES,
    POINTS,
    POINTS_ONLY,
    mixture_values,
    near_modes,
    network_values,
    trained,
)
from tests.golden.store import Case, Values, read

pytestmark = pytest.mark.slow

CASES = {case.id: case for case in ALL}


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_values_are_the_stored_ones(case: Case) -> None:
    if change := case.change(case.make()):
        pytest.fail(change, pytrace=False)


def test_every_stored_value_is_compared() -> None:
    found = {f"{path.stem}/{name}" for path in store.FOLDER.glob("*.json") for name in read(path)}
    assert found == set(CASES), "python -m tests.golden --write does both"


@pytest.mark.parametrize("name", sorted(POINTS_ONLY))
def test_methods_for_points_say_so(name: str) -> None:
    with pytest.raises(ValueError, match="is for vectors; networks metz-k4 are for images"):
        trained(name, "digits", IMAGES)


# Slips that must show -------------------------------------------------------------------------------------------------


def caught(case: Case, values: Values | None = None) -> None:
    """Assert that values are refused, by more than a narrow margin, and with the version to raise."""
    values = case.make() if values is None else values
    said = case.change(values)
    assert said, f"{case.id} passes"
    assert case.remedy in said and f"--write {case.id}" in said and len(said.splitlines()) == 2
    stored = case.stored()
    assert max(case.excess(stored[name], value).max(initial=0) for name, value in values.items()) > 3, said


def test_the_sign_of_a_term(monkeypatch: pytest.MonkeyPatch) -> None:
    home = sys.modules[methods()["gan"].__module__]
    monkeypatch.setattr(home, bce_fake.__name__, lambda logits: -bce_fake(logits))
    caught(CASES["methods/gan"])
    caught(CASES["methods/gan:digits"])


WEIGHTS = {
    "aeis": "pair_weight",
    "began": "lambda_k",
    "gaan": "lambda_r",
    "gan-ae": "adversarial_weight",
    "gan-mmd": "mmd_weight",
    "mdgan": "adversarial_weight",
    "vae-gan": "gamma",
    "veegan": "reconstruction_weight",
    "wgan-gp": "lambda_p",
}


@pytest.mark.parametrize("case", ["", ":digits"], ids=["points", "images"])
@pytest.mark.parametrize(("name", "weight"), [*WEIGHTS.items(), ("gaan", "lambda_w"), ("gaan", "lambda_p")])
def test_a_term_that_is_left_out(name: str, weight: str, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The field is set as ever, and read as 0.
    monkeypatch.setattr(methods()[name], weight, property(lambda self: 0.0, lambda self, value: None), raising=False)
    caught(CASES[f"methods/{name}{case}"])


IN_TURN = [name for name, method in methods().items() if not method.simultaneous]


@pytest.mark.parametrize("name", [name for name in IN_TURN if name not in ("gmmn", "gan-hungarian")])
def test_updates_in_another_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, case = methods()[name], CASES[f"methods/{name}"]
    updates = method.updates
    monkeypatch.setattr(method, "updates", lambda self: reversed(list(updates(self))))
    values = dict(case.make())
    losses = [key for key in values if key.startswith("loss")]
    # Those of pre-training stay where they are.
    game = [key for key in losses if len(values[key]) == POINTS.epochs]
    assert len(game) > 1
    reordered = dict(zip(game, [values[key] for key in reversed(game)], strict=True))
    caught(case, values | reordered)


@pytest.mark.parametrize("name", ["gan", "ali", "veegan", "began"])
def test_updates_one_after_another_or_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods()[name], "simultaneous", not methods()[name].simultaneous)
    caught(CASES[f"methods/{name}"])


def test_an_update_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    updates = methods()["wgan"].updates

    def more(self: AdversarialModule) -> list[Update]:
        first, *others = updates(self)
        return [first._replace(n_steps=first.n_steps + 1), *others]

    monkeypatch.setattr(methods()["wgan"], "updates", more)
    caught(CASES["methods/wgan"])


@pytest.mark.parametrize("name", ["decay", "decay-by-calls"])
def test_the_exponent_of_the_learning_rates_decay(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rate = AdversarialModule.learning_rate
    monkeypatch.setattr(
        AdversarialModule,
        "learning_rate",
        lambda self, factor=1.0: rate(self, factor) ** 2 / (factor * self.training_setup.lr),
    )
    caught(CASES[f"training/{name}"])


def test_an_updates_own_learning_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    rate = AdversarialModule.learning_rate
    monkeypatch.setattr(AdversarialModule, "learning_rate", lambda self, factor=1.0: rate(self))
    caught(CASES["training/rates"])


def test_one_batch_for_all_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdversarialModule, "draws_per_iteration", property(lambda self: 1))
    caught(CASES["training/draws-by-update"])


@pytest.mark.parametrize("name", ["instance-noise", "instance-noise-linear"])
def test_no_instance_noise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdversarialModule, "add_instance_noise", lambda self, x: x)
    caught(CASES[f"training/{name}"])


def test_noise_of_the_next_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    at = Noise.__call__
    monkeypatch.setattr(Noise, "__call__", lambda self, name, iteration, *more: at(self, name, iteration + 1, *more))
    caught(CASES["methods/gan"])


def test_an_optimizer_that_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    configure = AdversarialModule.configure_optimizers

    def forgetful(self: AdversarialModule) -> list[torch.optim.Optimizer]:
        optimizers = configure(self)
        for optimizer in optimizers:
            optimizer.param_groups[0]["alpha"] = 0.9
            optimizer.param_groups[0]["betas"] = (0.8, 0.999)
        return optimizers

    monkeypatch.setattr(AdversarialModule, "configure_optimizers", forgetful)
    for name in ("adam", "betas", "rmsprop"):
        caught(CASES[f"training/{name}"])


@pytest.mark.parametrize("name", ["grid25", "ring8", "cube27"])
def test_a_percent_of_the_radius(name: str) -> None:
    data = mixture(name)
    samples = near_modes(data, data.radius)
    caught(CASES[f"measures/quality:{name}"], measure(replace(data, radius=1.01 * data.radius), POINTS, samples))


def test_a_percent_of_the_protocols_radius() -> None:
    data, radius = mixture("grid25-gaan"), POINTS.mode_radius
    wider = replace(POINTS, mode_radius=1.01 * radius)
    caught(CASES["measures/registered:grid25-gaan"], measure(data, wider, near_modes(data, radius)))


def test_a_divergence_the_other_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[measure.__module__], kl_to.__name__, lambda counts, real: kl_to(real, counts))
    caught(CASES["measures/digits:digits"])


def test_a_percent_of_a_mixtures_deviation() -> None:
    data = dataset("ring8")
    assert isinstance(data, GaussianMixture)
    caught(CASES["datasets/ring8"], mixture_values(replace(data, std=1.01 * data.std)))


def test_another_stream_of_training_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np.random, "default_rng", lambda seed, make=np.random.default_rng: make((*np.ravel(seed), 1)))
    caught(CASES["datasets/grid25"])
    caught(CASES["datasets/digits"])


@pytest.mark.parametrize("name", ["networks/two-layers", "methods/gan", "training/rmsprop"])
def test_another_activation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = sys.modules[activate.__module__]
    monkeypatch.setattr(home, activate.__name__, lambda x, kind: torch.where(x > 0, x, 0.01 * x))
    caught(CASES[name])


def test_another_slope() -> None:
    family = find_family("metz-k4")
    assert isinstance(family, ConvFamily)
    caught(CASES["networks/metz-k4"], network_values(replace(family, slope=0.2)))


def test_a_percent_of_the_initial_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    home = sys.modules[initial_weights.__module__]
    monkeypatch.setattr(home, initial_weights.__name__, lambda *words: initial_weights(*words) * np.float32(1.01))
    caught(CASES["networks/two-layers"])
    caught(CASES["methods/gan"])


# Rounding that must not show ------------------------------------------------------------------------------------------

TRAINED = [case for case in ALL if case.kind in ("methods", "training")]
PLAIN = [case for case in TRAINED if "=" not in case.id]


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.id)
def test_last_digits_of_data_and_weights(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many times the last digit as sums in another order differ by."""
    generator, iterate = torch.Generator().manual_seed(0), AdversarialModule.iterate

    def near(x: Tensor) -> Tensor:
        return x * (1 + 1e-7 * torch.randn(x.shape, generator=generator))

    def disturbed(self: AdversarialModule, draws: Tensor) -> None:
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(near(parameter))
        iterate(self, near(draws))

    monkeypatch.setattr(AdversarialModule, "iterate", disturbed)
    values = case.make()
    assert case.change(values) == ""
    stored = case.stored()
    assert any((values[name] != stored[name]).any() for name in stored), "nothing was disturbed"


@pytest.mark.parametrize("name", ["gaan:digits", "gan:digits", "ali"])
def test_two_threads(name: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        assert CASES[f"methods/{name}"].change(CASES[f"methods/{name}"].make()) == ""
    finally:
        torch.set_num_threads(before)


# The comparison -------------------------------------------------------------------------------------------------------


def case_of(make: Callable[[], Values]) -> Case:
    return Case("methods", "mine", make, "Mine.version in mine.py", 1e-3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "FOLDER", tmp_path / "values")
    return tmp_path


def test_writing_says_what_moved(folder: Path) -> None:
    before = {"a": np.array([[1.0, 2.0], [3.0, np.nan]]), "b": np.array(0.0)}
    case = case_of(lambda: before)
    assert "has no values of mine" in case.change(before)
    assert report(case) == "methods/mine: new"
    assert case.change(before) == "" and report(case) == "methods/mine: as before"
    moved = case_of(lambda: before | {"a": before["a"] + 0.5})
    first, second = moved.change(moved.make()).splitlines()
    assert "methods.json: mine: 'a'[0, 0] is 1.5, stored 1" in first
    assert "raise Mine.version in mine.py, then run `python -m tests.golden --write methods/mine`" in second
    assert "'a' moved by 0.5" in report(moved) and moved.change(moved.make()) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": np.array([1.0, np.nan])}, "'a'[1] is nan, stored 2"),
        ({"a": np.array([1.0])}, "'a' has shape [1], stored [2]"),
        ({}, "'a' on one side only"),
        ({"a": np.array([1.0, 2.0]), "c": np.array(1.0)}, "'c' on one side only"),
        ({"a": np.array([1.0, np.inf])}, "'a'[1] is inf, stored 2"),
    ],
)
def test_what_is_no_number_or_not_there_shows(folder: Path, value: Values, said: str) -> None:
    report(case_of(lambda: {"a": np.array([1.0, 2.0])}))
    case = case_of(lambda: value)
    assert said in case.change(value)


def test_names_choose_kinds_things_and_variants() -> None:
    assert {case.kind for case in chosen(["networks"])} == {"networks"}
    assert {"methods/gaan", "methods/gaan:digits"} < {case.id for case in chosen(["methods/gaan"])}
    assert [case.id for case in chosen(["methods/gaan:digits"])] == ["methods/gaan:digits"]
    assert len(chosen([])) == len(ALL)
    with pytest.raises(SystemExit, match="no golden value is called nothing"):
        chosen(["nothing"])
