"""Figures of images, from models that trained for a moment on digits that need no download."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
import torch

from benchmark.errors import UserError
from benchmark.papers.discovery import find_figure, find_table
from benchmark.papers.gaan.tables_images import MNIST
from benchmark.papers.veegan import figures_images
from benchmark.plotting.canvas import own_style
from benchmark.plotting.figure import Figure, records_by_row
from benchmark.plotting.mosaic import mosaic
from benchmark.render.figures import compose_figure, draw_figure
from benchmark.render.movie import make_movie
from benchmark.spec.commands import file_name
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection, select
from benchmark.spec.table import Table
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training.evaluation import draw_samples
from benchmark.training.trainer import load_module
from datamodules.image_sets import DIGITS
from evaluators.digits import digits
from tests.benchmark.made import run

pytestmark = pytest.mark.slow

ON_DIGITS = dataclasses.replace(MNIST, data={"mnist": "digits"})
ROWS = ("gan", "gaan_2")
QUICK = ["protocol.batch_size=4", "protocol.samples=60"]


def choose(rows: tuple[str, ...] = ROWS) -> Selection:
    return select(ON_DIGITS, profile="smoke", methods=rows, assignments=QUICK)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("results")
    chosen = choose()
    run(folder, [one_run for row in chosen.rows for one_run in chosen.runs(row)])
    return Store(folder)


def drawn(name: str, store: Store, rows: tuple[str, ...] = ROWS) -> matplotlib.figure.Figure:
    figure = find_figure(name)
    assert isinstance(figure, Figure)
    with own_style(figure.id):
        return compose_figure(figure, choose(rows), store)


def test_latents_have_the_colours_of_what_is_made_of_them(store: Store) -> None:
    picture = drawn("gaan-fig2", store)
    above, below, encoded = picture.axes[0], picture.axes[1], picture.axes[2:]
    chosen = choose()
    (run,) = chosen.runs(chosen.rows[0])
    record = store.read(run)
    assert record
    samples = draw_samples(load_module(run, record, store), DIGITS, run.protocol, run.protocol.epochs)[0]
    counts = np.bincount(digits(torch.from_numpy(samples))[:, 0].numpy(), minlength=10)
    assert [len(points.get_offsets()) for points in above.collections] == counts.tolist()
    assert f"{counts.max() / 60:.0%} are a {counts.argmax()}" in above.get_title()
    assert "GAAN, seed 0" in below.get_title()
    assert ["E(x) of training digits" in ax.get_title() for ax in encoded] == [True], "GAN has no encoder"


def test_latents_of_many_dimensions_are_refused(store: Store, tmp_path: Path) -> None:
    chosen = choose(("gaan-100",))
    run(tmp_path, chosen.runs(chosen.rows[0]))
    figure = find_figure("gaan-fig1")
    with pytest.raises(UserError, match="two latents"):
        draw_figure(figure, chosen, Store(tmp_path))


def test_means_are_beside_their_divergence(store: Store) -> None:
    picture = drawn("gaan-fig4", store)
    chosen = choose()
    labels = [text.get_text() for text in picture.axes[1].get_legend().get_texts()]
    for label, row in zip(labels[1:], chosen.rows, strict=True):
        record = store.read(chosen.runs(row)[0])
        assert record
        kl = record.measures["intensity_kl"]
        assert kl is not None
        assert label == f"{row.title}, seed 0, KL {kl:.4f}", "the record's, not of samples drawn again"


@pytest.mark.parametrize(("name", "panels"), [("gaan-fig8", 1), ("aeis-fig3", 3), ("gaan-fig11", 2), ("gaan-fig10", 3)])
def test_every_method_is_drawn(name: str, panels: int, store: Store) -> None:
    assert len(drawn(name, store).axes) == panels


def test_nearest_images_are_near(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("STEPS", (2,)), ("RESTARTS", 1), ("_TARGETS", 3)):
        monkeypatch.setattr(figures_images, name, value)
    labels = [ax.get_ylabel().replace("\n", " ") for ax in drawn("veegan-fig3", store).axes]
    assert labels[0] == "test images"
    errors = [float(label.rpartition(" ")[2]) for label in labels[1:3]]
    assert all(0 < error < 0.5 for error in errors)
    assert labels[3] == "samples of GAAN, seed 0"


def test_a_figure_of_other_data_is_refused(store: Store) -> None:
    figure = find_figure("gaan-fig10")
    assert isinstance(figure, Figure) and figure.datasets == ("cifar10",)
    table = find_table(figure.table)
    assert isinstance(table, Table)
    with pytest.raises(UserError, match="gaan-fig10 is of cifar10, not of celeba"):
        draw_figure(figure, select(table, profile="smoke", datasets=["celeba"]), store)


def test_pictures_of_people_lie_apart(tmp_path: Path) -> None:
    store, protocol = Store(tmp_path), Protocol(networks="dcgan-64", epochs=1, frames="1", profile="smoke")
    run = Run("celeba", "gan", protocol, 0)
    faces = np.full((4, 3, 64, 64), 128, np.uint8)
    store.write(run, Record(run.id, run.identity(), "done", {}, {"fid": 1.0}), faces, faces[None])
    assert make_movie(store, run.id).parent == tmp_path / "figures" / "people"
    ignored = (Path(__file__).parents[2] / ".gitignore").read_text().splitlines()
    assert "results/figures/people/" in ignored


def test_a_mosaic_is_its_images_in_reading_order() -> None:
    tiles = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 2, 4), np.uint8)
    sheet = mosaic(tiles, 3)
    assert sheet.shape == (4, 12, 3)
    assert [sheet[0, 0, 0], sheet[1, 5, 1], sheet[2, 3, 2], sheet[3, 7, 0], sheet[3, 11, 0]] == [0, 1, 3, 4, 255]
    assert mosaic(tiles[:, :1], 3).shape == (4, 12)
    apart = mosaic(tiles, 3, gap=1)
    assert apart.shape == (5, 14, 3) and [apart[0, 4, 0], apart[2, 0, 0], apart[3, 5, 0]] == [255, 255, 4]


def test_a_figure_needs_its_own_rows_and_data_sets_alone() -> None:
    for name, rows, datasets in (("gaan-fig1", ["gaan-fake"], ("mnist",)), ("gaan-fig9", None, ("celeba",))):
        figure = find_figure(name)
        assert isinstance(figure, Figure)
        table = find_table(figure.table)
        assert isinstance(table, Table)
        usual = figure.usual(select(table, profile="smoke"))
        assert usual.datasets == datasets
        assert rows is None or [row.id for row in usual.rows] == rows
        assert file_name(usual, name, usual) == f"{name}-smoke-corrected"


def test_pictures_without_weights_name_the_way_out(store: Store, tmp_path: Path) -> None:
    figure = find_figure("gaan-fig8")
    assert isinstance(figure, Figure)
    chosen = choose(("gan",))
    ((run, record),) = records_by_row(chosen, store)["gan"]
    Store(tmp_path).write(run, dataclasses.replace(record, weights=None), store.samples(run, record))
    with pytest.raises(UserError, match="weights of a record are missing"):
        draw_figure(figure, chosen, Store(tmp_path))
