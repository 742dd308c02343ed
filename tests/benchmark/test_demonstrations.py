"""Demonstrations: each against a calculation of its own, and all of them from the command line to the picture."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, jensenshannon
from scipy.stats import entropy, wasserstein_distance, wasserstein_distance_nd

from benchmark.analysis.experiments import findings, is_experiment_stale
from benchmark.errors import UserError
from benchmark.papers.discovery import all_figures
from benchmark.papers.gan_ae import hungarian
from benchmark.papers.theory.divergences import asymmetry, dimension, identity, manifolds, noise, parallel_lines
from benchmark.papers.theory.games import gradients, transport
from benchmark.papers.theory.gradients import early_gradient, oscillation, vanishing
from benchmark.papers.theory.wasserstein import clipping, duality, lipschitz, transport_plan
from benchmark.papers.veegan import bound, constant
from benchmark.render.experiments import draw_experiment, experiment_small_print
from benchmark.spec import registry
from benchmark.spec.demonstration import Demonstration, Experiment, Findings, choose
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training.experiments import perform
from modules.networks import MLP
from tests.benchmark.command import call

pytestmark = pytest.mark.slow

ALL = {name: found for name, found in all_figures().items() if isinstance(found, Demonstration)}


def smoke(found: Demonstration, **settings: object) -> Findings:
    return found.measure(tuple(range(min(2, found.seeds))), **{**found.profiles["smoke"], **settings})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, tuple[Experiment, Record]]]:
    """Every demonstration at ``smoke``, with its record."""
    store = Store(tmp_path_factory.mktemp("results"))
    made = {}
    for name, found in ALL.items():
        experiment = choose(found, "smoke", (0, 1) if found.seeds else None)
        made[name] = (experiment, perform(experiment, store))
    return store, made


Stored = tuple[Store, dict[str, tuple[Experiment, Record]]]

# All of them -----------------------------------------------------------------------------------------------------


def test_thirteen_are_the_theorys() -> None:
    assert sum(name.startswith("theory-") for name in ALL) == 13
    assert all(name == found.id for name, found in ALL.items())


@pytest.mark.parametrize("name", ALL)
def test_a_record_holds_what_is_shown(name: str, stored: Stored) -> None:
    store, made = stored
    experiment, record = made[name]
    assert store.read(experiment) == record
    found = ALL[name]
    assert set(found.numbers) <= set(record.measures)
    assert found.judge(findings(record).numbers) in ("holds", "does not hold", "undecided")
    assert record.environment["torch"] and not is_experiment_stale(experiment, record)
    text = " ".join(experiment_small_print(experiment, record))
    assert found.claim in text and found.citation in text and "smoke" in text


def untimed(record: Record) -> list[dict[str, object]]:
    """Measures and curves without what depends on a clock."""
    clocked = ("milliseconds", "growth")
    both = (record.measures, record.curves)
    return [{name: value for name, value in part.items() if not name.startswith(clocked)} for part in both]


@pytest.mark.parametrize("name", ALL)
def test_the_same_seeds_give_the_same_record(name: str, stored: Stored, tmp_path: Path) -> None:
    experiment, record = stored[1][name]
    again = perform(experiment, Store(tmp_path))
    assert (again.id, again.versions) == (record.id, record.versions)
    assert untimed(again) == untimed(record)


@pytest.mark.parametrize("name", ALL)
def test_draws_png_and_svg(name: str, stored: Stored) -> None:
    store, made = stored
    png, svg = (draw_experiment(made[name][0], store, kind).read_bytes() for kind in ("png", "svg"))
    assert png.startswith(b"\x89PNG") and b"<svg" in svg


def test_draws_the_same_bytes_again(stored: Stored) -> None:
    experiment, store = stored[1]["theory-identity"][0], stored[0]
    first, again = (draw_experiment(experiment, store).read_bytes() for _ in range(2))
    assert first == again


def test_an_edited_record_is_named(stored: Stored, tmp_path: Path) -> None:
    experiment, record = stored[1]["theory-transport-plan"]
    store = Store(tmp_path)
    store.write(experiment, record)
    path = store.path(experiment)
    path.write_text(path.read_text().replace('"gamma_2": 6.0', '"gamma_2": 5.0'))
    with pytest.raises(UserError, match="edited"):
        store.read(experiment)


def test_settings_and_seeds_make_the_id_and_names_of_profiles_do_not() -> None:
    found = ALL["theory-transport-plan"]
    assert choose(found, "short").id == choose(found, "smoke").id
    found = ALL["theory-identity"]
    assert len({choose(found, "short").id, choose(found, "smoke").id, choose(found, "smoke", (7,)).id}) == 3
    assert choose(found, "smoke").name == "theory-identity-smoke"
    assert choose(found, "smoke", (7,)).name.startswith("theory-identity-smoke-")


@pytest.mark.parametrize("name", ALL)
def test_every_demonstration_states_its_version(name: str) -> None:
    assert ALL[name].version >= 1


# The command line ------------------------------------------------------------------------------------------------


def test_run_plan_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, results = "theory-identity", ("--profile", "smoke", "--results", str(tmp_path))
    status, out, err = call(capsys, "figure", name, *results)
    assert (status, out) == (2, "")
    assert f"first: python -m benchmark run --figure {name} --profile smoke --results {tmp_path}\n" in err
    assert call(capsys, "show", "--figure", name, *results)[:2] == (2, "")
    assert "to do" in call(capsys, "plan", "--figure", name, *results)[1]
    status, out, _ = call(capsys, "run", "--figure", name, *results)
    assert status == 0
    assert f"claim: {ALL[name].claim}" in out and "verdict: holds" in out
    assert call(capsys, "show", "--figure", name, *results) == (0, out, "")
    status, _, err = call(capsys, "show", "--figure", name, "--curves", *results)
    assert status == 2 and f"--curves means nothing to {name}" in err
    assert "done" in call(capsys, "plan", "--figure", name, *results)[1]
    before = [path.read_bytes() for path in sorted((tmp_path / "records" / name).iterdir())]
    assert "everything was done already" in call(capsys, "run", "--figure", name, *results)[2]
    assert before == [path.read_bytes() for path in sorted((tmp_path / "records" / name).iterdir())]
    status, out, _ = call(capsys, "figure", name, *results)
    assert status == 0
    assert [Path(line).name for line in out.splitlines()] == [f"{name}-smoke.png"]


def test_stale_records_are_made_again_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment, store = choose(ALL["theory-transport-plan"], "smoke"), Store(tmp_path)
    record = perform(experiment, store)
    store.write(experiment, dataclasses.replace(record, versions={"demonstration": 0}))
    words = ("--figure", "theory-transport-plan", "--profile", "smoke", "--results", str(tmp_path))
    assert "done, stale" in call(capsys, "plan", *words)[1]
    assert "to do, stale" in call(capsys, "plan", *words, "--redo-stale")[1]
    call(capsys, "run", *words, "--redo-stale")
    again = store.read(experiment)
    assert again is not None and again.versions == record.versions


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("run --figure theory-vanish", "did you mean 'theory-vanishing'?"),
        ("run --figure theory-vanishing --profile paper", "unknown profile of theory-vanishing 'paper'"),
        ("run --figure theory-vanishing --methods gan", "--methods means nothing to theory-vanishing"),
        ("run --figure theory-vanishing --set protocol.lr=1", "--set means nothing"),
        ("plan --figure theory-vanishing --reading corrected", "--reading means nothing"),
        ("figure theory-vanishing --datasets ring8", "--datasets means nothing"),
        ("run --figure theory-vanishing --format json", "--format means nothing"),
        ("run --figure theory-vanishing --accelerator cpu", "--accelerator means nothing"),
        ("run --figure theory-noise --seeds 2", "nothing in theory-noise is random"),
        ("run --figure theory-identity --seeds x", "write a count"),
        ("run --table 2 --figure theory-noise", "--table or --figure, not both"),
        ("figure theory-noise --results nowhere", "first: python -m benchmark run --figure theory-noise"),
    ],
)
def test_bad_input_is_one_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capsys, *words.split())
    assert (status, out) == (2, "")
    assert len(err.strip().splitlines()) == 1 and line in err


def test_list_shows_the_claims(capsys: pytest.CaptureFixture[str]) -> None:
    out = call(capsys, "list", "demonstrations")[1]
    assert all(name in out and found.claim in out for name, found in ALL.items())


# Each claim ------------------------------------------------------------------------------------------------------


def test_identity_against_scipy() -> None:
    rng = np.random.default_rng(3)
    for size in (2, 50):
        r, g = rng.dirichlet(np.ones(size), 2)
        value = -(g * np.log(r / (r + g))).sum()
        kl, js = entropy(g, r), jensenshannon(g, r) ** 2
        right = kl - 2 * js + 2 * math.log(2) + (r * np.log(r / (r + g))).sum()
        assert value == pytest.approx(right, abs=1e-10)
        a, b = torch.from_numpy(g), torch.from_numpy(r)
        assert float(identity.kl(a, b)) == pytest.approx(kl, abs=1e-12)
        assert float(identity.js(a, b)) == pytest.approx(js, abs=1e-12)
    found = smoke(identity.IDENTITY)
    assert max(found.numbers["value_gap"], found.numbers["gradient_gap"]) <= 1e-10
    assert found.numbers["drift"] > 0.01, "where D* follows G, it is another loss"


def test_plans_cost_two_and_six() -> None:
    numbers = smoke(transport_plan.TRANSPORT_PLAN).numbers
    assert (numbers["gamma_1"], numbers["gamma_2"]) == (1 + 1, 3 + 3)
    boxes, wanted = np.array([4.0, 4, 6, 6]), np.array([3.0, 4, 6, 7])
    costs = np.abs(boxes[:, None] - wanted)
    assert numbers["best"] == pytest.approx(costs[linear_sum_assignment(costs)].sum())
    assert numbers["distance"] == pytest.approx(wasserstein_distance(boxes, wanted))
    assert numbers["dual"] == pytest.approx(2)
    assert numbers["overprice"] <= 1e-12


@pytest.mark.parametrize("dim", [1, 3])
def test_both_sides_of_the_duality_are_scipys_distance(dim: int) -> None:
    rng = np.random.default_rng(dim)
    x, y = rng.standard_normal((2, 7, dim))
    r, g = rng.dirichlet(np.ones(7), 2)
    expected = wasserstein_distance_nd(x, y, r, g)
    assert duality.best_plan(cdist(x, y), r, g)[0] == pytest.approx(expected)
    both = np.concatenate([x, y])
    value, critic = duality.best_critic(both, np.concatenate([r, -g]), 3.0)
    assert value / 3 == pytest.approx(expected)
    slopes = np.abs(critic[:, None] - critic) / (cdist(both, both) + np.eye(14))
    assert slopes.max() == pytest.approx(3)


def test_parallel_lines() -> None:
    found = smoke(parallel_lines.PARALLEL_LINES, moments=(20, 60, 200))
    assert found.numbers["outside"] == 0
    assert found.numbers["js_gap"] < 0.03 and found.numbers["js_at_0"] < 0.03
    assert found.numbers["kl_growth"] > 1.1
    points = np.random.default_rng(0).random((2, 30))
    a, b = (np.stack([np.full(30, x), y], 1) for x, y in zip((0.0, 0.4), points, strict=True))
    assert transport(a, b) == pytest.approx(wasserstein_distance_nd(a, b))


def test_noisy_densities_against_samples() -> None:
    rng, std, n = np.random.default_rng(0), 0.3, 400_000
    e = rng.standard_normal((2 * n, 2))
    e = e[np.linalg.norm(e, axis=1) <= noise.CUT][:n] * std
    assert (e**2).sum(1).mean() == pytest.approx(noise.variance(std), rel=0.01)
    points = e + np.stack([np.zeros(n), rng.random(n)], 1)
    edges = [np.linspace(-1, 1, 11), np.linspace(-1, 2, 16)]
    counted = np.histogram2d(*points.T, bins=edges)[0] / n
    fine = 40
    x, y = ((np.arange(k * fine) + 0.5) / fine * w + low for k, w, low in ((10, 0.2, -1), (15, 0.2, -1)))
    runs = noise.density(x[:, None], y[None], std) * (0.2 / fine) ** 2
    exact = runs.reshape(10, fine, 15, fine).sum((1, 3))
    assert exact.sum() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(counted, exact, atol=5 * math.sqrt(0.05 / n))


def test_noise_makes_js_informative_and_bounds_the_distance() -> None:
    found = smoke(noise.NOISE)
    assert noise.judge(found.numbers) == "holds"
    assert noise.smoothed_js(1.0, 0.1, 200) == pytest.approx(math.log(2)), "the noise does not reach"
    assert noise.smoothed_js(0.0, 0.1, 200) == 0
    assert noise.smoothed_js(0.3, 0.2, 200) == pytest.approx(noise.smoothed_js(0.3, 0.2, 600), rel=1e-3)


def test_missing_modes_against_a_count() -> None:
    found = smoke(asymmetry.ASYMMETRY)
    for index, kept in enumerate(range(7, 0, -1)):
        r, g = np.full(8, 1 / 8), np.repeat([1 / kept, 0.0], [kept, 8 - kept])
        assert found.series["missing_kl"][index] == pytest.approx(entropy(g, r), abs=1e-9)
        assert found.series["missing_twice_js"][index] == pytest.approx(2 * jensenshannon(g, r) ** 2, abs=1e-9)
    assert found.numbers["as_one_gap"] < 1e-9
    assert asymmetry.judge(found.numbers) == "holds"
    assert found.numbers["least_cost"] > 0, "taken together, no error is rewarded"


def test_circles_cross_under_the_angle_that_geometry_says() -> None:
    apart = np.array([0.01, 0.5, 1.0, 1.9, 1.9999, 2.1])
    directions = np.arange(6.0)
    shifts = apart[:, None] * np.stack([np.cos(directions), np.sin(directions)], 1)
    which, sines = manifolds.crossings(manifolds.CURVES["circle"], shifts, 64)
    assert np.bincount(which, minlength=6).tolist() == [2, 2, 2, 2, 2, 0]
    expected = np.sin(2 * np.arcsin(apart[which] / 2))
    np.testing.assert_allclose(sines, expected, rtol=1e-6)


def test_nearly_aligned_circles_are_as_rare_as_rayleighs_law_says() -> None:
    rng, n, std = np.random.default_rng(0), 20_000, 0.3
    shifts = rng.normal(0, std, (n, 2)) - rng.normal(0, std, (n, 2))
    which, sines = manifolds.crossings(manifolds.CURVES["circle"], shifts, 64)
    share = len(set(which[sines < 0.3])) / n

    def beyond(d: float) -> float:
        return math.exp(-(d**2) / (4 * std**2))

    half = math.asin(0.3) / 2
    expected = 1 - beyond(2 * math.sin(half)) + beyond(2 * math.cos(half)) - beyond(2)
    assert share == pytest.approx(expected, abs=5 * math.sqrt(expected / n))


def test_curves_have_their_tangents() -> None:
    t = np.linspace(0.1, 6, 40)
    for shape in manifolds.CURVES.values():
        low, high = (manifolds.point(shape, t + d)[0] for d in (-1e-6, 1e-6))
        np.testing.assert_allclose(manifolds.point(shape, t)[1], (high - low) / 2e-6, atol=1e-6)
        np.testing.assert_allclose(manifolds.implicit_value(shape, low), 0, atol=1e-12)
    assert manifolds.judge(smoke(manifolds.MANIFOLDS).numbers) == "holds"


def test_dimension() -> None:
    found = smoke(dimension.DIMENSION)
    assert dimension.judge(found.numbers) == "holds"
    assert found.numbers["reached"] == 1
    network = MLP("generator", 2, 5, seeds=(0, 1), hidden=1, width=8, activation="tanh").double()
    z = torch.randn(2, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    jacobian = dimension.jacobians(network, z)
    assert jacobian.shape == (2, 3, 5, 2)
    for axis in range(2):
        move = torch.zeros(2, dtype=torch.float64)
        move[axis] = 1e-6
        difference = (network(z + move) - network(z - move)).detach() / 2e-6
        torch.testing.assert_close(jacobian[..., axis], difference, atol=1e-8, rtol=1e-6)


def test_a_sampler_with_noise_of_its_own_would_not_pass_for_low_dimensional() -> None:
    class Noisy(MLP):
        def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
            generator = torch.Generator().manual_seed(x.shape[1])
            return super().forward(x) + 1e-7 * torch.randn(*x.shape[:2], 16, generator=generator)

    noisy = Noisy("generator", 2, 16, seeds=(0,), hidden=1, width=8).double()
    values = dimension.local_values(noisy, torch.zeros(1, 2, 2).double(), np.random.default_rng(0), 32)
    assert (values > 1e-5).sum(-1).min() == 16


def test_lipschitz_constants() -> None:
    found = smoke(lipschitz.LIPSCHITZ)
    assert lipschitz.judge(found.numbers) == "holds"
    network = MLP("critic", 3, 1, seeds=(0, 1), hidden=2, width=6).double()
    matrices = [layer.weight.detach().numpy() for layer in lipschitz.layers_of(network)]
    for seed in range(2):
        expected = math.prod(np.linalg.norm(matrix[seed], 2) for matrix in matrices)
        assert lipschitz.product(network)[seed] == pytest.approx(expected)
    steep = lipschitz.steepest(network, np.random.default_rng(0), 200, 3)
    x = torch.randn(2, 500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    slopes = (network(x + 1e-6) - network(x)).abs().amax((1, 2)) / (1e-6 * math.sqrt(3))
    assert (slopes.detach().numpy() <= lipschitz.product(network)).all() and (steep > 0).all()
    assert lipschitz.judge({**found.numbers, "largest_ratio": 1.01}) == "does not hold"


def test_critics_against_the_exact_distance() -> None:
    found = smoke(clipping.CLIPPING, points=32, steps=200)
    estimate, slope, distance = (found.series[name] for name in ("estimate", "slope", "distance"))
    penalty = list(clipping.CRITICS).index("penalty")
    assert np.median(estimate[penalty] / distance) == pytest.approx(1, abs=0.15)
    # The dual with the critic's own constant, up to the slope that the samples miss.
    assert (estimate <= 1.05 * slope * distance).all()
    one, hundredth = (np.median(estimate[list(clipping.CRITICS).index(name)]) for name in ("c = 1", "c = 0.01"))
    assert one > 1e6 * hundredth, "K depends on c: no value is a distance by itself"
    assert clipping.judge({**found.numbers, "spread_1": 1.2, "spread_001": 1.2}) == "holds"


def test_vanishing_gradient_and_its_bound() -> None:
    found = smoke(vanishing.VANISHING)
    assert vanishing.judge(found.numbers) == "holds"
    assert found.numbers["violations"] == 0 and found.numbers["bounded"] > 0
    last = {name: found.series[name][..., -1].mean() for name in vanishing.LOSSES}
    assert last["non-saturating"] > 100 * last["minimax"]
    assert vanishing.judge({**found.numbers, "violations": 1}) == "does not hold"


def test_the_jacobian_of_the_bound_against_autograd() -> None:
    network = MLP("generator", 3, 4, seeds=(0, 1), hidden=1, width=5, output="tanh")
    z = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    found = vanishing.mean_square_jacobian(network, z)
    parameters = list(network.parameters())
    for seed in range(2):
        norms = []
        for n in range(6):
            outputs = network(z)[seed, n]
            rows = [torch.autograd.grad(value, parameters, retain_graph=True) for value in outputs]
            jacobian = torch.stack([torch.cat([part[seed].flatten() for part in row]) for row in rows])
            norms.append(float(torch.linalg.matrix_norm(jacobian, 2)) ** 2)
        assert float(found[seed]) == pytest.approx(np.mean(norms), rel=1e-5)


def test_early_gradients() -> None:
    found = smoke(early_gradient.EARLY_GRADIENT, steps=10)
    assert found.numbers["logit_gap"] < 1e-12, "the two gradients differ by D / (1 - D)"
    first = {name: found.series[name][:, :, 0] for name in ("non-saturating", "minimax", "fake")}
    assert all((values[0] == values[1]).all() for values in first.values()), "one initialisation, one order"
    assert early_gradient.judge({"ratio": 0.9, "largest_ratio": 1.2}) == "undecided"


def test_gradients_of_a_seed_do_not_depend_on_its_neighbours() -> None:
    rows = [
        torch.stack([gradients((network(torch.ones(len(seeds), 2, 3)) ** 2).mean((1, 2)), network)[-1]])
        for seeds in ((4, 5), (5,))
        for network in [MLP("generator", 3, 2, seeds=seeds, hidden=1, width=4)]
    ]
    torch.testing.assert_close(rows[0], rows[1])


def test_the_pulls_oppose_each_other_and_their_sum_does_not_turn() -> None:
    pulls, cost, turn = oscillation._flow((0,), 20, 200)
    assert (pulls < 0).all()
    assert (np.diff(cost) < 0).all() and (turn[1:] > 0).all()
    found = smoke(oscillation.OSCILLATION)
    assert found.numbers["flow_turns"] == 0
    assert oscillation.judge(found.numbers) == "does not hold"
    turning: Mapping[str, float] = {**found.numbers, "flow_turns": 0.2, "turns_non-saturating": 0.9}
    judge: Callable[[Mapping[str, float]], str] = oscillation.judge
    assert judge({**turning, "turns_minimax": 0.1, "turns_wasserstein": 0.1}) == "holds"


# VEEGAN ----------------------------------------------------------------------------------------------------------


def test_both_sides_of_veegans_bound_are_the_integrals() -> None:
    """Closed forms against sums over a fine grid, for one case."""
    mean, std, slope, shift, noise, gain, offset, spread = 0.7, 0.8, -1.1, 0.4, 0.6, 0.9, -0.2, 0.5
    z, dz = np.linspace(-9, 9, 1_501, retstep=True)
    x, dx = np.linspace(-9, 9, 1_501, retstep=True)

    def normal(value: np.ndarray, centre: np.ndarray | float, width: float) -> np.ndarray:
        return np.exp(-0.5 * ((value - centre) / width) ** 2) / (width * math.sqrt(2 * math.pi))

    p0, data = normal(z, 0, 1), normal(x, mean, std)
    code = normal(z[:, None], slope * x + shift, noise)
    codes = (code * data).sum(1) * dx
    left = -(p0 * np.log(codes)).sum() * dz
    assert bound.cross_entropy(mean, std, slope, shift, noise) == pytest.approx(left, abs=1e-6)
    joint = normal(x, gain * z[:, None] + offset, spread) * p0[:, None]
    kl = (joint * np.log(np.maximum(joint, 1e-300) / np.maximum(code * data, 1e-300))).sum() * dx * dz
    right = kl - (p0 * np.log(p0)).sum() * dz
    found = bound.objective(mean, std, slope, shift, noise, gain, offset, spread)
    assert found == pytest.approx(right, abs=1e-6)
    posterior = (code * data) / codes[:, None]
    best_gain, best_offset, best_spread = bound.posterior(mean, std, slope, shift, noise)
    centres = (posterior * x).sum(1) * dx
    np.testing.assert_allclose(centres[600:900], (best_gain * z + best_offset)[600:900], atol=1e-6)
    assert best_spread == pytest.approx(math.sqrt((posterior[750] * (x - centres[750]) ** 2).sum() * dx), abs=1e-6)


def test_a_constant_discriminator_gives_the_generator_no_gradient_and_one_at_play_does() -> None:
    numbers = smoke(constant.CONSTANT).numbers
    assert numbers["slope_constant"] == 0 < numbers["slope_playing"]
    lesson = constant.Lesson((0,), 5, constant=True)
    x, z = torch.randn(1, 128, 2), torch.randn(1, 128, 2)
    update, parameters = lesson.steps[-1]
    here, elsewhere = (torch.autograd.grad(update.loss(data, z).sum(), parameters) for data in (x, 100 * x))
    assert all(torch.equal(a, b) for a, b in zip(here, elsewhere, strict=True)), "the data play no part"


def test_the_claim_on_constant_discriminators_can_fail() -> None:
    judge = constant.judge
    sound = {"slope_constant": 0.0, "slope_playing": 1.0, "left_constant": 0.9, "left_playing": 0.1}
    assert judge(sound) == "holds"
    assert judge(sound | {"left_constant": 0.2}) == "does not hold"
    assert judge(sound | {"left_playing": 0.8}) == "undecided"


# Hungarian ---------------------------------------------------------------------------------------------------------


def test_an_autoencoder_that_is_perfect_pairs_every_datum_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hungarian, "rebuilt", lambda module, mixture, points: points + 1e-6)
    found = smoke(hungarian.HUNGARIAN)
    assert found.numbers["own"] == 1 and found.numbers["excess"] == pytest.approx(0, abs=1e-6)
    x, y = found.series["data"][0, :, -1], found.series["autoencoder"][0, :, -1]
    assert (y < 1e-5).all() and (x > 1e-3).all()


def test_generated_samples_are_matched_as_other_data_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that gives data back is as far from data as other data are, on average."""
    monkeypatch.setattr(
        hungarian, "generated", lambda module, mixture, n, rngs: np.stack([mixture.sample(n, rng) for rng in rngs])
    )
    series = smoke(hungarian.HUNGARIAN).series
    assert series["generated"].mean() == pytest.approx(series["data"].mean(), rel=0.3)


def test_samples_of_an_autoencoder_are_in_the_units_of_the_data() -> None:
    ring, rngs = registry.mixture("ring8"), [np.random.default_rng(seed) for seed in (0, 1)]
    made = hungarian.generated(hungarian.trained(ring, (0, 1), 30), ring, 50, rngs)
    assert made.shape == (2, 50, 2) and np.abs(made).max() <= ring.limit


def test_what_matching_costs_is_fitted_and_what_it_leaves_is_the_least() -> None:
    counts = np.array([10.0, 20, 40, 80])
    assert hungarian.growth(counts, 3 * counts**2.5) == pytest.approx(2.5)
    series = smoke(hungarian.HUNGARIAN).series
    assert (series["exact"] <= series["autoencoder"] + 1e-12).all()


def test_the_claim_on_matching_can_fail() -> None:
    sound = {"excess": 0.01, "own": 1.0, "against_data": 1.0, "growth_exact": 2.2, "growth_autoencoder": 0.9}
    assert hungarian.judge(sound) == "holds"
    assert hungarian.judge(sound | {"excess": 2.0}) == "does not hold"
    assert hungarian.judge(sound | {"growth_exact": 1.5}) == "undecided"
