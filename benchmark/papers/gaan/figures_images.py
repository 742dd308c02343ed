"""Figures of GAAN (Tran et al. 2018) on images."""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib
import matplotlib.figure
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from benchmark.errors import UserError
from benchmark.papers.gaan.tables import CITATION
from benchmark.papers.gaan.tables_images import MNIST, TABLE_4
from benchmark.plotting.canvas import blank
from benchmark.plotting.figure import Figure, Records, line_style
from benchmark.plotting.images import (
    IN_A_LINE,
    digit_counts,
    digits_of_rows,
    draw_digit_bars,
    real_digit_counts,
    run_title,
    show_labelled,
)
from benchmark.plotting.mosaic import as_read, firsts, image_set
from benchmark.plotting.points import latents_of
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.store.store import Store
from benchmark.training.evaluation import as_pixels, draw_samples, reference_intensities, unit_images
from benchmark.training.trainer import load_module
from datamodules.images import ImageSet, data_folder
from evaluators.digits import digits
from evaluators.intensity import intensity_kl, mean_intensities
from modules.base import AdversarialModule
from modules.noise import draw

Array = np.ndarray

#: One colour for each of the ten digits.
_DIGITS = [matplotlib.colormaps["tab10"](place) for place in range(10)]
#: Dimensions of the prior in Fig. 4a, and number of draws for each.
_DIMENSIONS, _DRAWS = (1, 2, 10, 100), 10_000
#: Edges of the histogram bins of mean intensities.
_INTENSITIES = np.linspace(0, 1, 151).tolist()
#: Number of images on the line between two latents (ends included), and number of such pairs.
_BETWEEN = 10
_PAIRS = 8


def _latent_panel(ax: Axes, points: Array, labels: Array, title: str) -> None:
    """Draw latents ``[n, 2]`` in the colours of their digits; the title gives the share of the most frequent digit."""
    for digit in range(10):
        x, y = points[labels == digit].T
        ax.scatter(x, y, s=0.8, color=_DIGITS[digit], linewidths=0, rasterized=True, label=digit)
    share, common = digit_counts(labels).max() / len(labels), digit_counts(labels).argmax()
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.set_title(f"{title}\n{share:.0%} are a {common}")


def _made_of_latents(run: Run, module: AdversarialModule) -> tuple[Array, Array]:
    """Return the latents of a model's samples and the digits that a classifier sees in the samples."""
    samples = draw_samples(module, image_set(run), run.protocol, run.protocol.epochs)[0]
    return latents_of(run), digits(torch.from_numpy(samples))[:, 0].numpy()


def _encoded(run: Run, module: AdversarialModule, n: int) -> tuple[Array, Array]:
    """Return the codes of the first ``n`` training images and their labels."""
    images = image_set(run)
    encoder: Any = module.encoder
    with torch.no_grad():
        batches = as_read(images.images("train")[:n], run.protocol).split(500)
        codes = [encoder(batch[None])[0] for batch in batches]
    return torch.cat(codes).numpy(), images.labels("train")[:n]


def draw_latents(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw two-dimensional latents in the colours of the digits that are generated from them (Figs. 1 and 2).

    For models with an encoder, a second line shows the codes of training digits.

    Raises:
        UserError: If no selected model has two latents.
    """
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


def draw_means(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw the distribution of M_d, the mean over the coordinates (Fig. 4).

    The left panel shows M_d of the prior in several dimensions d, and the normal distribution that it approaches. The
    right panel shows M_d of the data and of each method's samples.
    """
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
        label = f"{run_title(row, run)}, KL {record.measures['intensity_kl']:.4f}"
        right.hist(means, _INTENSITIES, density=True, histtype="step", color=colour, ls=style, label=label)
        widest = max(widest, float(means.max()))
    right.set(xlabel="mean over the pixels of an image", xlim=(0, widest))
    right.set_title("of data and samples")
    right.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    return picture


def _draw_real_means(ax: Axes, images: ImageSet, n: int) -> Tensor:
    """Draw the mean intensities of the data and return them.

    The label gives the KL of ``n`` draws from the data. A perfect model with ``n`` samples would get this value.
    """
    real = reference_intensities(images, data_folder())
    drawn = real[torch.randint(len(real), (n,), generator=torch.Generator().manual_seed(0))]
    label = f"data; {n:,} draws from them have KL {float(intensity_kl(drawn, real)):.4f}"
    ax.hist(real, _INTENSITIES, density=True, color="0.85", label=label)
    return real


def draw_balance(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw the shares of the digits among samples and among training images (Fig. 8)."""
    picture = blank(8.0, 2.8)
    draw_digit_bars(picture.subplots(), list(digits_of_rows(selection, records, store)), real_digit_counts(selection))
    return picture


def draw_pictures(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw images of the data, and samples of each method's first seed (Figs. 9 and 10)."""
    shown = list(firsts(selection, records))
    images = image_set(shown[0][1][0])
    picture = blank(8.0, 0.55 * (len(shown) + 1))
    axes = picture.subplots(len(shown) + 1, 1)
    show_labelled(axes[0], images.sample(IN_A_LINE, np.random.default_rng(0)), IN_A_LINE, "data")
    for ax, (row, (run, record)) in zip(axes[1:], shown, strict=True):
        show_labelled(ax, store.samples(run, record)[:IN_A_LINE], IN_A_LINE, run_title(row, run))
    return picture


def draw_interpolations(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw what a generator makes on the straight line between two latents, for eight pairs of latents (Fig. 11)."""
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
        show_labelled(ax, as_pixels(made, "unit").numpy(), _BETWEEN)
        ax.set_title(run_title(row, run))
    return picture


GAAN_FIG_1 = Figure(
    id="gaan-fig1",
    title="Latents in the colours of the digits made of them, reconstructions labelled fake",
    citation=f"{CITATION}, Fig. 1",
    table=MNIST.id,
    draw=draw_latents,
    rows=("gaan-fake",),
)
GAAN_FIG_2 = Figure(
    id="gaan-fig2",
    title="Latents in the colours of the digits made of them; below, training digits where the encoder puts them",
    citation=f"{CITATION}, Fig. 2",
    table=MNIST.id,
    draw=draw_latents,
    rows=("gan", "wgan-gp", "gaan_1", "gaan_2"),
)
GAAN_FIG_4 = Figure(
    id="gaan-fig4",
    title="Density of means: of the prior's coordinates, and of the pixels of images",
    citation=f"{CITATION}, Fig. 4",
    table=MNIST.id,
    draw=draw_means,
    rows=("gan", "wgan-gp", "gaan_1", "gaan_2"),
)
GAAN_FIG_8 = Figure(
    id="gaan-fig8",
    title="Shares of the ten digits among samples, by our classifier",
    citation=f"{CITATION}, Fig. 8",
    table=MNIST.id,
    draw=draw_balance,
    rows=("gaan-100",),
)
GAAN_FIG_9 = Figure(
    id="gaan-fig9",
    title="CelebA: data and samples",
    citation=f"{CITATION}, Fig. 9",
    table=TABLE_4.id,
    draw=draw_pictures,
    datasets=("celeba",),
)
GAAN_FIG_10 = Figure(
    id="gaan-fig10",
    title="CIFAR-10: data and samples",
    citation=f"{CITATION}, Fig. 10",
    table=TABLE_4.id,
    draw=draw_pictures,
    datasets=("cifar10",),
)
GAAN_FIG_11 = Figure(
    id="gaan-fig11",
    title="On the straight way between two latents",
    citation=f"{CITATION}, Fig. 11",
    table=MNIST.id,
    draw=draw_interpolations,
    rows=("gaan_2", "gaan-100"),
)
