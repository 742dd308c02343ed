"""Figures: drawn from records alone, the same bytes for the same records, nothing drawn that is not stored."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import matplotlib
import matplotlib.figure
import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from benchmark.errors import UserError
from benchmark.papers.discovery import all_figures, find_figure, find_table
from benchmark.papers.gaan.figures import mode_shares
from benchmark.plotting.canvas import own_style
from benchmark.plotting.figure import Figure, line_style, records_by_row
from benchmark.render.figures import compose_figure, draw_figure, figure_small_print
from benchmark.spec import registry
from benchmark.spec.commands import file_name
from benchmark.spec.run import Run
from benchmark.spec.selection import select
from benchmark.spec.table import Table
from benchmark.store.record import Record, Status
from benchmark.store.store import Store
from benchmark.training.evaluation import measure
from tests.benchmark.made import choose_figure, panels

FIGURES = ("gaan-fig5", "gaan-fig6", "gaan-fig7")
EPOCHS = 30


choose = partial(choose_figure, seeds=(0, 1, 2), assignments=[f"protocol.epochs={EPOCHS}"])


def record(run: Run, status: Status = "done", modes: int = 25) -> tuple[Record, np.ndarray]:
    """A made-up record: samples of some modes, and curves that climb to their measures."""
    mixture = registry.dataset(run.dataset)
    rng = np.random.default_rng((*run.id.encode(), modes))
    samples = (mixture.sample_modes(500, rng, modes) if modes else np.full((500, 2), 4.9)).astype(np.float32)
    measures = {name: float(v[0]) for name, v in measure(mixture, run.protocol, samples[None]).items()}
    names = ("registered_modes", "registered_points")
    curves = {name: (measures[name] * np.sort(rng.random(run.protocol.epochs))).tolist() for name in names}
    known: dict[str, float | None] = {name: value for name, value in measures.items() if np.isfinite(value)}
    return Record(run.id, run.identity(), status, {}, known, curves), samples


def fill(store: Store, runs: Iterable[Run], status: Status = "done", modes: int = 25) -> None:
    for run in runs:
        content, samples = record(run, status, modes)
        store.write(run, content, samples if status == "done" else None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def mixed(store: Store) -> Store:
    """Three rows with records, and one seed each that is missing, diverged and failed."""
    chosen = choose("gaan-fig5")
    gan, dan, gaan = (chosen.runs(chosen.table.row(name)) for name in ("gan", "dan-2s", "gaan_2"))
    fill(store, gan[:2], modes=7)
    fill(store, [dan[0], dan[2]])
    fill(store, [dan[1]], "diverged")
    fill(store, gaan[1:])
    fill(store, [gaan[0]], "failed")
    return store


def test_figures_of_the_paper_are_found() -> None:
    assert set(FIGURES) <= set(all_figures())
    with pytest.raises(UserError, match="did you mean 'gaan-fig5'"):
        find_figure("gaan-fig55")


@pytest.mark.parametrize("figure", [find_figure(name) for name in FIGURES], ids=FIGURES)
def test_draws_png_and_svg_and_the_same_bytes_again(figure: Figure, mixed: Store) -> None:
    selection = choose(figure.id)
    paths = [draw_figure(figure, selection, mixed, kind) for kind in ("png", "svg")]
    folder = mixed.folder / "figures"
    assert paths == [folder / f"{file_name(selection, figure.id)}.{kind}" for kind in ("png", "svg")]
    first = [path.read_bytes() for path in paths]
    assert first[0].startswith(b"\x89PNG") and b"<svg" in first[1]
    # A user's own style must not show.
    with matplotlib.rc_context({"font.size": 20.0, "axes.facecolor": "red"}):
        assert [draw_figure(figure, selection, mixed, kind) for kind in ("png", "svg")] == paths
    assert [path.read_bytes() for path in paths] == first
    assert sorted(folder.iterdir()) == sorted(paths), "temporary files were left behind"


@pytest.mark.parametrize("figure", [find_figure(name) for name in FIGURES], ids=FIGURES)
@pytest.mark.parametrize("rows", [("gan",), None])
def test_no_text_is_cut_off_or_lies_on_another(figure: Figure, rows: tuple[str, ...] | None, store: Store) -> None:
    selection = choose(figure.id, seeds=(0,), methods=rows or ())
    fill(store, [run for row in selection.rows for run in selection.runs(row)])
    with own_style(figure.id):
        picture = compose_figure(figure, selection, store)
        FigureCanvasAgg(picture).draw()
        boxes = {text: text.get_window_extent() for text in _shown_texts(picture)}
    for text, box in boxes.items():
        assert picture.bbox.x0 <= box.x0 and box.x1 <= picture.bbox.x1, text
        assert picture.bbox.y0 <= box.y0 and box.y1 <= picture.bbox.y1, text
    clashes = [(a, b) for a, b in itertools.combinations(boxes, 2) if boxes[a].overlaps(boxes[b])]
    assert not clashes


def test_curves_are_the_records_means(mixed: Store) -> None:
    selection = choose("gaan-fig5")
    axes = panels("gaan-fig5", selection, mixed)
    used = {"gan": (0, 1), "dan-2s": (0, 2), "gaan_2": (1, 2)}
    for ax, name in zip(axes, ("registered_modes", "registered_points"), strict=True):
        lines = {str(line.get_label()): line for line in ax.lines}
        assert set(lines) == {"GAN", "DAN-2S", "GAAN_2", "exact sampler"}
        for band, (row_id, seeds) in zip(ax.collections, used.items(), strict=True):
            row = selection.table.row(row_id)
            curves = np.array([_stored(mixed, selection.run(row, seed)).curves[name] for seed in seeds], dtype=float)
            assert np.array_equal(lines[row.title].get_xdata(), np.arange(1, EPOCHS + 1))
            np.testing.assert_allclose(np.asarray(lines[row.title].get_ydata()), curves.mean(0))
            extent = band.get_datalim(ax.transData)
            np.testing.assert_allclose((extent.y0, extent.y1), (curves.min(), curves.max()))


def test_samples_are_the_first_finished_seeds(mixed: Store) -> None:
    selection = choose("gaan-fig6")
    real, *others = panels("gaan-fig6", selection, mixed)
    assert real.get_title().startswith("real data\n25 modes")
    assert [ax.get_title().split("\n")[0] for ax in others] == ["GAN, seed 0", "DAN-2S, seed 0", "GAAN_2, seed 1"]
    assert "\n7 modes" in others[0].get_title()
    run = selection.run(selection.table.row("gaan_2"), 1)
    points = others[2].collections[-1].get_offsets()
    np.testing.assert_array_equal(points, mixed.samples(run, _stored(mixed, run)))
    assert all(ax.get_xlim() == ax.get_ylim() == (-5.5, 5.5) for ax in (real, *others))


def test_bars_are_mean_shares(mixed: Store) -> None:
    selection = choose("gaan-fig7")
    for ax in panels("gaan-fig7", selection, mixed):
        heights = [bar.get_height() for bar in ax.patches]  # type: ignore[attr-defined]
        assert len(heights) == 25
        assert sum(heights) == pytest.approx(1)
    gan = panels("gaan-fig7", selection, mixed)[0]
    assert sum(bar.get_height() > 0 for bar in gan.patches) == 7  # type: ignore[attr-defined]


def test_a_seed_that_registers_nothing_is_left_out_of_the_shares(store: Store) -> None:
    selection = choose("gaan-fig7", methods=("gan",))
    good, bad, worse = selection.runs(selection.rows[0])
    fill(store, [good])
    fill(store, [bad, worse], modes=0)
    (panel,) = panels("gaan-fig7", selection, store)
    assert panel.get_title() == "GAN\n1 of 3 seeds register any point"
    assert sum(bar.get_height() for bar in panel.patches) == pytest.approx(1)  # type: ignore[attr-defined]
    fill(store, [good], modes=0)
    assert draw_figure(find_figure("gaan-fig7"), selection, store)


def test_shares_per_mode_sum_to_one() -> None:
    mixture = registry.dataset("grid25-gaan")
    rng = np.random.default_rng(0)
    samples = np.stack([mixture.sample(400, rng), mixture.sample_uniform(400, rng), np.full((400, 2), 4.9)])
    shares = mode_shares(samples, np.array(mixture.centres), 0.1414)
    assert shares.shape == (3, 25)
    np.testing.assert_allclose(shares[:2].sum(-1), 1)
    assert np.isnan(shares[2]).all()


def test_small_print_tells_what_is_missing(mixed: Store) -> None:
    selection = choose("gaan-fig5")
    text = " ".join(figure_small_print(find_figure("gaan-fig5"), selection, records_by_row(selection, mixed)))
    assert "arXiv:1803.08887 v1, Fig. 5." in text
    assert all(part in text for part in ("profile smoke", "reading corrected", "6 % of the paper's", "seeds 0-2"))
    assert "No record, left out: VAE-GAN, ALI, WGAN-GP, GAAN_1." in text
    assert "Not run yet: GAN 1 (models)." in text
    assert "Diverged, not drawn: DAN-2S 1 (models)." in text
    assert "Failed, not drawn: GAAN_2 1 (models)." in text


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_stored_names_the_command(name: str, store: Store) -> None:
    table = find_table("2")
    assert isinstance(table, Table)
    plain = f"python -m benchmark run --figure {name}"
    with pytest.raises(UserError) as caught:
        draw_figure(find_figure(name), select(table), Store(Path("results/none")))
    assert str(caught.value).endswith(f"first: {plain} --results results/none")
    chosen = choose(name, reading="released", methods=("gan", "gaan_2"))
    with pytest.raises(UserError) as caught:
        draw_figure(find_figure(name), chosen, store)
    options = "--profile smoke --reading released --methods gan,gaan_2 --seeds 0-2 --set protocol.epochs=30"
    assert f"{plain} {options} --results {store.folder}" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="--seeds 4-4 "):
        draw_figure(find_figure(name), choose(name, seeds=(4,)), store)
    assert not (store.folder / "figures").exists()


def test_only_diverged_seeds_is_nothing_stored(store: Store) -> None:
    selection = choose("gaan-fig6", methods=("gan",))
    fill(store, selection.runs(selection.rows[0]), "diverged")
    with pytest.raises(UserError, match=r"no finished record in .* \(3 diverged\)"):
        draw_figure(find_figure("gaan-fig6"), selection, store)


def test_methods_keep_their_colour_whatever_is_chosen() -> None:
    everything, few = choose("gaan-fig5"), choose("gaan-fig5", methods=("gaan_2", "gan"))
    styles = [line_style(everything, row.id) for row in everything.rows]
    assert len(set(styles)) == len(styles)
    assert [line_style(few, row.id) for row in few.rows] == [styles[-1], styles[0]]


def _shown_texts(picture: matplotlib.figure.Figure) -> list[Text]:
    """Every text that is drawn: tick labels too, but only those of ticks within the limits."""
    ticks = {id(t) for ax in picture.axes for axis in (ax.xaxis, ax.yaxis) for t in axis.findobj(Text)} - {
        id(t) for ax in picture.axes for axis in (ax.xaxis, ax.yaxis) for t in _drawn(axis)
    }
    texts = [text for text in picture.findobj(Text) if isinstance(text, Text) and id(text) not in ticks]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def _drawn(axis: Axis) -> list[Text]:
    low, high = sorted(axis.get_view_interval())
    labels = [
        tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_visible()
    ]
    return [*labels, axis.label]


def _stored(store: Store, run: Run) -> Record:
    content = store.read(run)
    assert content is not None
    return content
