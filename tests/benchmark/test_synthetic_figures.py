"""Figures and movies of the synthetic tables, from made-up records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import energy_distance as scipy_energy_distance

from benchmark.errors import UserError
from benchmark.papers.discovery import find_figure, find_table
from benchmark.papers.veegan.figures import energy_distance, point_density, reconstruct
from benchmark.plotting.points import flat, latents_of
from benchmark.render.figures import draw_figure
from benchmark.render.movie import make_movie
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol, frame_epochs
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import Table
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training.evaluation import draw_samples, measure
from benchmark.training.trainer import make_module
from modules.noise import draw as draw_noise
from tests.benchmark.made import choose_figure, panels, run

pytestmark = pytest.mark.slow

FIGURES = ("veegan-fig1", "veegan-fig2", "aeis-fig1", "aeis-fig2")
#: The autoencoder of aeis-fig1 is trained for a moment only.
QUICK = ["protocol.fresh_iterations=6", "protocol.epochs=30", "protocol.batch_size=32"]


def choose(figure: str, **options: object) -> Selection:
    set_too = ["method.pretraining_epochs=2", "method.reference=96"] if figure.startswith("aeis") else []
    return choose_figure(figure, **{"datasets": ("ring8", "grid25"), "assignments": QUICK + set_too, **options})


def write(store: Store, run: Run, modes: int) -> None:
    mixture = registry.dataset(run.dataset)
    rng = np.random.default_rng((*run.id.encode(),))
    samples = mixture.sample_modes(run.protocol.samples, rng, modes).astype(np.float32)
    values = {name: float(v[0]) for name, v in measure(mixture, run.protocol, samples[None]).items()}
    frames = np.stack([mixture.sample_modes(100, rng, 1 + i % modes) for i in range(20)])
    store.write(run, Record(run.id, run.identity(), "done", {}, values), samples, frames)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Each row with as many modes as its place in the table."""
    store = Store(tmp_path)
    for name in FIGURES:
        chosen = choose(name)
        for place, row in enumerate(chosen.rows, 1):
            for one_run in chosen.runs(row):
                write(store, one_run, place)
    return store


@pytest.mark.parametrize("name", FIGURES)
def test_draws_the_same_bytes_again(name: str, store: Store) -> None:
    first = draw_figure(find_figure(name), choose(name), store).read_bytes()
    assert first.startswith(b"\x89PNG")
    assert draw_figure(find_figure(name), choose(name), store).read_bytes() == first


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_stored_names_the_command(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"run --figure {name}"):
        draw_figure(find_figure(name), choose(name), Store(tmp_path))


def test_densities_show_the_data_and_every_method_on_ring_and_grid(store: Store) -> None:
    titles = [ax.get_title() for ax in panels("veegan-fig2", choose("veegan-fig2"), store)]
    rows = [row.title for row in choose("veegan-fig2").rows]
    expected = [f"{t}\n{d}" for d in ("ring8", "grid25") for t in ("data", *(f"{row}, seed 0" for row in rows))]
    assert titles == expected


def test_a_density_is_where_the_points_are_and_of_mass_one() -> None:
    points = np.tile([[0.5, -0.25]], (100, 1))
    found = point_density(points, 1.0)
    y, x = np.unravel_index(found.argmax(), found.shape)
    assert np.allclose([x / 240 * 2 - 1, y / 240 * 2 - 1], [0.5, -0.25], atol=0.01)
    assert found.sum() == pytest.approx(1)


def test_the_training_is_shown_from_its_first_to_its_last_frame(store: Store) -> None:
    chosen = choose("aeis-fig2")
    shown = panels("aeis-fig2", chosen, store)
    assert len(shown) == 5 * 3 * 2, "five moments of three methods on two data sets"
    titles = [ax.get_title() for ax in shown[:5]]
    assert (titles[0], titles[-1]) == ("after 6 updates", "after 180 updates")
    assert len(panels("aeis-fig2", choose("aeis-fig2", methods=["aeis-real"]), store)) == 5 * 2


def test_a_third_coordinate_is_seen_at_a_slant() -> None:
    np.testing.assert_allclose(flat(np.array([[1.0, 2.0, 4.0]])), [[1 + 0.35 * 4, 2 + 0.25 * 4]])
    points = np.array([[1.0, 2.0]])
    assert flat(points) is points


@pytest.mark.parametrize(("reading", "scaled"), [("gaan-nets", True), ("small-noise", False)])
def test_latents_are_those_that_the_samples_came_from(reading: str, scaled: bool) -> None:
    chosen = choose("veegan-fig1", methods=["gan"], reading=reading)
    run, ring = chosen.run(chosen.rows[0], 3, "ring8"), registry.mixture("ring8")
    module = make_module(run, (3,))
    samples = draw_samples(module, ring, run.protocol, run.protocol.epochs)
    again = module.generate(torch.from_numpy(latents_of(run)).unsqueeze(0)).detach().numpy()
    np.testing.assert_array_equal(ring.unscale(again) if scaled else again, samples)


def test_a_reconstructor_learns_the_inverse_where_it_has_seen_samples() -> None:
    latents = draw_noise(np.random.default_rng(0), "uniform", (1_000, 2))
    codes = reconstruct(latents * 0.5 + 0.1, latents, latents[:200] * 0.5 + 0.1)
    assert np.abs(codes - latents[:200]).mean() < 0.05


def test_on_each_data_set_the_fewest_modes_stand_above_the_most(store: Store) -> None:
    titles = [ax.get_title() for ax in panels("veegan-fig1", choose("veegan-fig1"), store)]
    assert [title.split(",")[1].strip() for title in titles[::3]] == ["ring8", "ring8", "grid25", "grid25"]
    modes = [int(title.split(": ")[1].split(" of ")[0]) for title in titles[::3]]
    assert modes == [1, 5, 1, 5], "the first and the last of five rows"
    for title in titles[1::3] + titles[2::3]:
        assert float(title.split(": ")[1].split()[0]) > 0


def test_the_distance_to_the_prior_is_the_energy_distance() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(300, 1)), rng.normal(1.0, 2.0, size=(400, 1))
    # Of SciPy, in one dimension, which gives the square root.
    assert energy_distance(left, right) == pytest.approx(scipy_energy_distance(left[:, 0], right[:, 0]) ** 2)
    assert energy_distance(left, left) == pytest.approx(0, abs=1e-12)


def test_a_movie_has_a_frame_for_each_moment(store: Store) -> None:
    chosen = choose("aeis-fig2")
    run = chosen.run(chosen.rows[1], 1, "grid25")
    path = make_movie(store, run.id[:8])
    assert path.name == f"movie-{run.id}.gif"
    with Image.open(path) as movie:
        assert movie.n_frames == 20 == len(frame_epochs(Protocol(epochs=30)))


@pytest.mark.parametrize("table", ["veegan-1", "gan-ae-mnist"])
def test_a_movie_of_images_or_of_many_coordinates_shows_the_moments_that_a_run_was_told_to_keep(
    table: str, tmp_path: Path
) -> None:
    found, store = find_table(table), Store(tmp_path)
    assert isinstance(found, Table)
    few = ["protocol.epochs=3", "protocol.fresh_iterations=2", "protocol.samples=100"]
    dataset = "synth1200" if table == "veegan-1" else "digits"

    def trained(*assignments: str) -> Run:
        options = {"profile": "smoke", "methods": ["gan"], "datasets": [dataset], "seeds": [0]}
        chosen = select(found, **options, assignments=[*few, *assignments])  # type: ignore[arg-type]
        one_run = chosen.run(chosen.rows[0], 0, dataset)
        run(tmp_path, [one_run])
        return one_run

    one_run = trained("protocol.frames=1,3")
    with Image.open(make_movie(store, one_run.id)) as movie:
        assert movie.n_frames == 2
        first = np.asarray(movie.convert("RGB"))
        movie.seek(1)
        assert (np.asarray(movie.convert("RGB")) != first).any()

    with pytest.raises(UserError, match=r"protocol\.frames=1,3"):
        make_movie(store, trained("protocol.frames=").id)


def test_a_movie_of_nothing_says_so(store: Store) -> None:
    with pytest.raises(UserError, match="no run 'nothing'"):
        make_movie(store, "nothing")
    chosen = choose("aeis-fig2")
    run = chosen.run(chosen.rows[0], 0, "ring8")
    record = store.read(run)
    assert record
    (store.path(run).with_suffix(".frames.npy")).unlink()
    with pytest.raises(UserError, match="missing"):
        make_movie(store, run.id)
