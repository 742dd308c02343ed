"""Figures of the papers on images: GAAN (2018), VEEGAN (2017) and the importance-sampling poster (2018)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import matplotlib
import matplotlib.figure
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from benchmark.cells import Run
from benchmark.errors import UserError
from benchmark.evaluation import as_pixels, draw_samples, evaluation_generators, reference_intensities, unit_images
from benchmark.figure import Figure, Records, line_style
from benchmark.figures.mosaic import as_read, firsts, image_set, show
from benchmark.figures.synthetic import latents_of
from benchmark.page import blank
from benchmark.records import Record, Store
from benchmark.schema import Row, Selection
from benchmark.tables import aeis, gaan, gaan_images, veegan, veegan_images
from benchmark.training import load_module
from datamodules.images import ImageSet, data_folder
from evaluators.digits import digits, kl_to
from evaluators.intensity import intensity_kl, mean_intensities
from evaluators.inversion import RESTARTS, STEPS, invert
from modules.base import AdversarialModule
from modules.noise import draw

Array = np.ndarray
Pair = tuple[Run, Record]

#: Colours of the ten digits.
_DIGITS = [matplotlib.colormaps["tab10"](place) for place in range(10)]
#: Dimensions of the prior whose means are shown, and draws of each (Fig. 4a).
_DIMENSIONS, _DRAWS = (1, 2, 10, 100), 10_000
#: Bins of mean intensities.
_INTENSITIES = np.linspace(0, 1, 151).tolist()
#: Images side by side, and between two latents.
_IN_A_LINE, _BETWEEN = 16, 10
#: Pairs of latents, and test images that generators are asked for.
_PAIRS, _TARGETS = 8, 8


def _titled(row: Row, run: Run) -> str:
    """A row and which of its models is shown."""
    return f"{row.title}, seed {run.seed}"


def _counts(found: Array) -> Array:
    return np.bincount(found, minlength=10)


def _show(ax: Axes, images: Array, columns: int, label: str = "") -> None:
    show(ax, images, columns)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_ylabel("\n".join(textwrap.wrap(label, 16)), rotation=0, ha="right", va="center", fontsize=7)


# Latents of digits ------------------------------------------------------------------------------------------------


def _latent_panel(ax: Axes, points: Array, labels: Array, title: str) -> None:
    """Latents ``[n, 2]`` in the colours of their digits, and how much of them the commonest digit has."""
    for digit in range(10):
        x, y = points[labels == digit].T
        ax.scatter(x, y, s=0.8, color=_DIGITS[digit], linewidths=0, rasterized=True, label=digit)
    share, common = _counts(labels).max() / len(labels), _counts(labels).argmax()
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.set_title(f"{title}\n{share:.0%} are a {common}")


def _made_of_latents(run: Run, module: AdversarialModule) -> tuple[Array, Array]:
    """The latents of a model's samples and the digits that these show."""
    samples = draw_samples(module, image_set(run), run.protocol, run.protocol.epochs)[0]
    return latents_of(run), digits(torch.from_numpy(samples))[:, 0].numpy()


def _encoded(run: Run, module: AdversarialModule, n: int) -> tuple[Array, Array]:
    """Codes of the first ``n`` training images and their labels."""
    images = image_set(run)
    encoder: Any = module.encoder
    with torch.no_grad():
        batches = as_read(images.images("train")[:n], run.protocol).split(500)
        codes = [encoder(batch[None])[0] for batch in batches]
    return torch.cat(codes).numpy(), images.labels("train")[:n]


def draw_latents(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Two-dimensional latents in the colours of the digits that are made of them, and below, where there is an encoder,
    training digits where it puts them (Figs. 1 and 2)."""
    shown = [(row, pair) for row, pair in firsts(selection, records) if pair[0].protocol.latent_dim == 2]
    if not shown:
        raise UserError("this figure shows models with two latents; --methods names none that has them")
    loaded = [(row, run, load_module(run, record, store)) for row, (run, record) in shown]
    lines = 2 if any(hasattr(module, "encoder") for _, _, module in loaded) else 1
    picture = blank(max(5.0, 2.5 * len(loaded)), 2.7 * lines)
    axes = picture.subplots(lines, len(loaded), squeeze=False)
    for column, (row, run, module) in zip(axes.T, loaded, strict=True):
        title = "\n".join(textwrap.wrap(row.title, 24))
        _latent_panel(column[0], *_made_of_latents(run, module), f"{title}, seed {run.seed}\nG(z)")
        column[0].set(xlim=(-1, 1), ylim=(-1, 1))
        if hasattr(module, "encoder"):
            _latent_panel(column[1], *_encoded(run, module, run.protocol.samples), "E(x) of training digits")
        elif lines == 2:
            column[1].remove()
    axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), markerscale=6, frameon=False, fontsize=7)
    return picture


# Means ---------------------------------------------------------------------------------------------------------------


def draw_means(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """M_d of the prior for some d beside the normal law that it goes to, and M_d of data and samples (Fig. 4)."""
    picture = blank(9.6, 3.8)
    left, right = picture.subplots(1, 2)
    rng = np.random.default_rng(0)
    grid = np.linspace(-1, 1, 401)
    for place, d in enumerate(_DIMENSIONS):
        colour = f"C{place}"
        prior = draw(rng, "uniform", (_DRAWS, d)).mean(1)
        left.hist(prior, bins=80, range=(-1, 1), density=True, histtype="step", color=colour, label=f"d = {d}")
        if d > 1:
            left.plot(grid, np.exp(-1.5 * d * grid**2) * np.sqrt(1.5 * d / np.pi), color=colour, lw=0.7, ls=":")
    left.set(xlabel="mean over d coordinates of U[-1, 1]^d", ylabel="density", xlim=(-1, 1))
    left.set_title("of the prior (dotted: normal, variance 1/3d)")
    left.legend(frameon=False)
    real: Tensor | None = None
    widest = 0.4
    for row, (run, record) in firsts(selection, records):
        if real is None:
            real = _draw_real_means(right, image_set(run), run.protocol.samples)
        samples = draw_samples(load_module(run, record, store), image_set(run), run.protocol, run.protocol.epochs)
        means = mean_intensities(torch.from_numpy(samples[0]))
        colour, style = line_style(selection, row.id)
        label = f"{_titled(row, run)}, KL {record.measures['intensity_kl']:.4f}"
        right.hist(means, _INTENSITIES, density=True, histtype="step", color=colour, ls=style, label=label)
        widest = max(widest, float(means.max()))
    right.set(xlabel="mean over the pixels of an image", xlim=(0, widest))
    right.set_title("of data and samples")
    right.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    return picture


def _draw_real_means(ax: Axes, images: ImageSet, n: int) -> Tensor:
    """The data's, and the KL of as many draws from them as models have samples: what a perfect model gets."""
    real = reference_intensities(images, data_folder())
    drawn = real[torch.randint(len(real), (n,), generator=torch.Generator().manual_seed(0))]
    label = f"data; {n:,} draws from them have KL {float(intensity_kl(drawn, real)):.4f}"
    ax.hist(real, _INTENSITIES, density=True, color="0.85", label=label)
    return real


# Digits --------------------------------------------------------------------------------------------------------------


def _digit_bars(ax: Axes, shown: Sequence[tuple[str, str, Array]], real: Array) -> None:
    """Shares of the ten digits beside the data's."""
    width = 0.8 / (len(shown) + 1)
    reference = torch.from_numpy(real)
    bars = [("data", "0.8", real)] + [
        (f"{title}, KL {float(kl_to(torch.from_numpy(counts), reference)):.3f}", colour, counts)
        for title, colour, counts in shown
    ]
    for place, (label, colour, counts) in enumerate(bars):
        ax.bar(np.arange(10) + place * width, counts / counts.sum(), width, color=colour, label=label)
    ax.set(xticks=np.arange(10) + 0.4 - width / 2, xticklabels=list(range(10)), xlabel="digit", ylabel="share")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)


def _counted(selection: Selection, records: Records, store: Store) -> Iterator[tuple[str, str, Array]]:
    for row, (run, record) in firsts(selection, records):
        module = load_module(run, record, store)
        samples = draw_samples(module, image_set(run), run.protocol, run.protocol.epochs)[0]
        yield (
            _titled(row, run),
            line_style(selection, row.id)[0],
            _counts(digits(torch.from_numpy(samples))[:, 0].numpy()),
        )


def _real_digits(selection: Selection) -> Array:
    dataset = selection.table.dataset(selection.datasets[0])
    assert isinstance(dataset, ImageSet)
    return _counts(dataset.labels("train"))


def draw_balance(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Shares of the digits among samples, beside the training digits' (Fig. 8)."""
    picture = blank(8.0, 2.8)
    _digit_bars(picture.subplots(), list(_counted(selection, records, store)), _real_digits(selection))
    return picture


def draw_digits(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Samples, a line for each method, and the shares of their digits (Fig. 3)."""
    shown = list(firsts(selection, records))
    picture = blank(9.0, 1.3 * len(shown) + 2.6)
    axes = picture.subplots(len(shown) + 1, 1, squeeze=False, height_ratios=[1.0] * len(shown) + [1.8])[:, 0]
    for ax, (row, (run, record)) in zip(axes, shown, strict=False):
        _show(ax, store.samples(run, record)[: 2 * _IN_A_LINE], _IN_A_LINE, _titled(row, run))
    _digit_bars(axes[-1], list(_counted(selection, records, store)), _real_digits(selection))
    return picture


# Pictures ------------------------------------------------------------------------------------------------------------


def draw_pictures(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Samples of each method's first seed, below as many of the data (Figs. 9 and 10)."""
    shown = list(firsts(selection, records))
    images = image_set(shown[0][1][0])
    picture = blank(8.0, 0.55 * (len(shown) + 1))
    axes = picture.subplots(len(shown) + 1, 1)
    _show(axes[0], images.sample(_IN_A_LINE, np.random.default_rng(0)), _IN_A_LINE, "data")
    for ax, (row, (run, record)) in zip(axes[1:], shown, strict=True):
        _show(ax, store.samples(run, record)[:_IN_A_LINE], _IN_A_LINE, _titled(row, run))
    return picture


def draw_interpolations(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """What a generator makes on the straight way between two latents, eight times for each method (Fig. 11)."""
    shown = list(firsts(selection, records))
    picture = blank(3.6 * len(shown), 3.6)
    axes = picture.subplots(1, len(shown), squeeze=False)[0]
    for ax, (row, (run, record)) in zip(axes, shown, strict=True):
        module, protocol = load_module(run, record, store), run.protocol
        ends = draw(np.random.default_rng(0), protocol.prior, (2, _PAIRS, 1, module.noise_dim))
        way = np.linspace(0, 1, _BETWEEN, dtype=np.float32)[:, None]
        z = torch.from_numpy((ends[0] * (1 - way) + ends[1] * way).reshape(-1, module.noise_dim))
        with torch.no_grad(), module.evaluating(protocol.norm_at_evaluation):
            made = unit_images(module, protocol, 0, z)
        _show(ax, as_pixels(made, "unit").numpy(), _BETWEEN)
        ax.set_title(_titled(row, run))
    return picture


def draw_nearest(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Test images, the image nearest to each that every generator can make, and samples of the last (Fig. 3)."""
    shown = list(firsts(selection, records))
    images = image_set(shown[0][1][0])
    targets = images.reference(_TARGETS)
    lines = [("test images", targets)]
    for row, (run, record) in shown:
        made, error = _nearest(run, load_module(run, record, store), images, torch.from_numpy(targets).float() / 255)
        lines.append((f"{_titled(row, run)}, mean error of these {error:.4f}", made))
    row, (run, record) = shown[-1]
    lines.append((f"samples of {_titled(row, run)}", store.samples(run, record)[:_TARGETS]))
    picture = blank(6.4, 0.75 * len(lines))
    for ax, (label, line) in zip(picture.subplots(len(lines), 1), lines, strict=True):
        _show(ax, line, _TARGETS, label)
    return picture


def _nearest(run: Run, module: AdversarialModule, images: ImageSet, targets: Tensor) -> tuple[Array, float]:
    """The images that come nearest to ``targets`` (IvOM), and their mean error."""
    protocol = run.protocol
    (generator,) = evaluation_generators(f"inversion {images.name}", (run.seed,), 0)
    shape = (len(targets), module.noise_dim)
    starts = [torch.from_numpy(draw(generator, protocol.prior, shape)) for _ in range(RESTARTS)]
    with module.evaluating("running"):
        errors, latents = invert(partial(unit_images, module, protocol, 0), targets, starts, STEPS)
        with torch.no_grad():
            made = unit_images(module, protocol, 0, latents)
    return as_pixels(made, "unit").numpy(), float(errors[-1].mean())


GAAN_FIG_1 = Figure(
    id="gaan-fig1",
    title="Latents in the colours of the digits made of them, reconstructions labelled fake",
    citation=f"{gaan.CITATION}, Fig. 1",
    table=gaan_images.MNIST.id,
    draw=draw_latents,
    rows=("gaan-fake",),
)
GAAN_FIG_2 = Figure(
    id="gaan-fig2",
    title="Latents in the colours of the digits made of them; below, training digits where the encoder puts them",
    citation=f"{gaan.CITATION}, Fig. 2",
    table=gaan_images.MNIST.id,
    draw=draw_latents,
    rows=("gan", "wgan-gp", "gaan_1", "gaan_2"),
)
GAAN_FIG_4 = Figure(
    id="gaan-fig4",
    title="Density of means: of the prior's coordinates, and of the pixels of images",
    citation=f"{gaan.CITATION}, Fig. 4",
    table=gaan_images.MNIST.id,
    draw=draw_means,
    rows=("gan", "wgan-gp", "gaan_1", "gaan_2"),
)
GAAN_FIG_8 = Figure(
    id="gaan-fig8",
    title="Shares of the ten digits among samples, by our classifier",
    citation=f"{gaan.CITATION}, Fig. 8",
    table=gaan_images.MNIST.id,
    draw=draw_balance,
    rows=("gaan-100",),
)
GAAN_FIG_9 = Figure(
    id="gaan-fig9",
    title="CelebA: data and samples",
    citation=f"{gaan.CITATION}, Fig. 9",
    table=gaan_images.TABLE_4.id,
    draw=draw_pictures,
    datasets=("celeba",),
)
GAAN_FIG_10 = Figure(
    id="gaan-fig10",
    title="CIFAR-10: data and samples",
    citation=f"{gaan.CITATION}, Fig. 10",
    table=gaan_images.TABLE_4.id,
    draw=draw_pictures,
    datasets=("cifar10",),
)
GAAN_FIG_11 = Figure(
    id="gaan-fig11",
    title="On the straight way between two latents",
    citation=f"{gaan.CITATION}, Fig. 11",
    table=gaan_images.MNIST.id,
    draw=draw_interpolations,
    rows=("gaan_2", "gaan-100"),
)
VEEGAN_FIG_3 = Figure(
    id="veegan-fig3",
    title="CIFAR-10: test images, the nearest image that each generator can make, random samples",
    citation=f"{veegan.CITATION}, Fig. 3",
    table=veegan_images.TABLE_2.id,
    draw=draw_nearest,
    datasets=("cifar10",),
)
AEIS_FIG_3 = Figure(
    id="aeis-fig3",
    title="MNIST: samples and their digits",
    citation=f"{aeis.CITATION}, Fig. 3",
    table=aeis.MNIST.id,
    draw=draw_digits,
)
