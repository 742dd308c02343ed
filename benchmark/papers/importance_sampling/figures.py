"""Figures of the importance-sampling poster (Lee and Lee 2018) on mixtures."""

from __future__ import annotations

import textwrap

import matplotlib.figure
import numpy as np
import torch

from benchmark.errors import UserError
from benchmark.papers.importance_sampling import tables
from benchmark.plotting.canvas import blank
from benchmark.plotting.figure import Figure, Records, line_style
from benchmark.plotting.points import firsts_by_dataset, real_points, scatter, updates
from benchmark.spec import registry
from benchmark.spec.protocol import frame_epochs
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.store.store import Store
from benchmark.training.trainer import make_data, make_module, make_trainer, quiet
from datamodules.mixture import GaussianMixture
from modules.aeis import AEIS

Array = np.ndarray
#: Number of moments of the training that are shown side by side.
_MOMENTS = 5
#: Rows that are drawn if the user names none: the poster's two methods, and GAAN.
_COMPARED = ("veegan", "aeis", "gaan_2")


def draw_progress(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw samples of each method's first seed at five moments of the training (Fig. 2)."""
    if selection.rows == selection.table.rows:
        records = {row: pairs for row, pairs in records.items() if row in _COMPARED} or records
    shown = firsts_by_dataset(selection, records, selection.table.datasets)
    lines = [(name, row, pair) for name, rows in shown.items() for row, pair in rows if pair[1].frames]
    if not lines:
        raise UserError("none of the stored models kept samples along its training; run them again")
    picture = blank(1.6 * _MOMENTS + 1.2, 1.6 * len(lines))
    axes = picture.subplots(len(lines), _MOMENTS, squeeze=False)
    for line, (name, row, (run, record)) in zip(axes, lines, strict=True):
        frames, epochs = store.frames(run, record), frame_epochs(run.protocol)
        assert frames is not None
        chosen = np.unique(np.linspace(0, len(frames) - 1, _MOMENTS).round().astype(int))
        for spare in line[len(chosen) :]:
            spare.remove()
        for ax, index in zip(line, chosen, strict=False):
            scatter(ax, frames[index], registry.mixture(name), line_style(selection, row.id)[0])
            ax.set_title(f"after {updates(run, epochs[index]):,} updates", fontsize=6.5)
        title = "\n".join(textwrap.wrap(row.title, 18))
        line[0].set_ylabel(f"{title}\n{name}", fontsize=6.5)
    return picture


def draw_steps(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw the steps of importance sampling on one batch, early in the training of one stored model (Fig. 1).

    Networks are not stored on mixtures. The autoencoder is therefore trained again, from the same seed and data. The
    generated points are the model's stored samples.
    """
    stored = [pair for pairs in records.values() for pair in pairs if registry.method(pair[0].method) is AEIS]
    stored = [pair for pair in stored if pair[1].frames and len(registry.mixture(pair[0].dataset).centres[0]) == 2]
    if not stored:
        raise UserError("this figure needs a model of aeis on ring8 or grid25 with samples along its training")
    run, record = max(stored, key=lambda pair: (pair[0].overrides == (), pair[0].dataset == "grid25"))
    frames, mixture = store.frames(run, record), registry.mixture(run.dataset)
    assert frames is not None
    module, index = pretrained(run), min(1, len(frames) - 1)
    scale = mixture.scale if run.protocol.scaling == "unit" else lambda points: points
    real = real_points(mixture, run.protocol.batch_size)
    made = frames[index]
    with torch.no_grad():
        seen, codes, fakes = (torch.from_numpy(scale(p)).float().unsqueeze(0) for p in (real, real, made))
        rebuilt = module.decoder(module.encoder(seen))[0].numpy()
        codes, fakes = module.codes(codes), module.codes(fakes)
    for batch, kept in zip(fakes.split(run.protocol.batch_size, 1), module.fake_codes[0], strict=False):
        kept[: batch.shape[1]] = batch[0]
    partners, weights = module.pairs(codes, fakes[:, : codes.shape[1]])
    return _steps(run, mixture, index, real, rebuilt, made, codes[0].numpy(), partners[0].numpy(), weights[0].numpy())


def pretrained(run: Run) -> AEIS:
    """Build the run's model for one seed and train it to the end of its pre-training."""
    module = make_module(run, (run.seed,))
    assert isinstance(module, AEIS)
    with quiet():
        trainer = make_trainer(run, [], "cpu", max_epochs=module.pretraining_epochs)
        trainer.fit(module, make_data(run, (run.seed,), module))
    module.prepare()
    return module


def _steps(
    run: Run,
    mixture: GaussianMixture,
    index: int,
    real: Array,
    rebuilt: Array,
    made: Array,
    codes: Array,
    partners: Array,
    weights: Array,
) -> matplotlib.figure.Figure:
    picture = blank(10.4, 3.4)
    axes = picture.subplots(1, 4)
    shown = mixture.unscale(rebuilt) if run.protocol.scaling == "unit" else rebuilt
    scatter(axes[0], real, mixture, "#0072B2")
    axes[0].scatter(shown[:, 0], shown[:, 1], s=3, marker="x", color="#D55E00", linewidths=0.5)
    axes[0].set_title("1. autoencoder: data (blue)\nand reconstructions (crosses)")
    axes[1].scatter(codes[:, 0], codes[:, 1], s=4, color="#0072B2", linewidths=0)
    axes[1].set(title="2. codes of a batch of data,\nstandardised", aspect="equal")
    count = updates(run, frame_epochs(run.protocol)[index])
    scatter(axes[2], made, mixture, "0.6")
    points = axes[2].scatter(real[:, 0], real[:, 1], c=weights, s=6, cmap="viridis", linewidths=0)
    axes[2].set_title(f"3. samples after {count:,} updates (grey),\ndata by the weight of their pair")
    picture.colorbar(points, ax=axes[2], shrink=0.6)
    scatter(axes[3], made, mixture, "0.6")
    fakes = made[partners]
    axes[3].plot(*np.stack([real, fakes], 1).transpose(2, 1, 0), color="#009E73", linewidth=0.5, alpha=0.7)
    axes[3].set_title("4. one-to-one pairs of\nleast total distance between codes")
    return picture


AEIS_FIG_2 = Figure(
    id="aeis-fig2",
    title="Samples along the training (circles: the data's modes)",
    citation=f"{tables.CITATION}, Fig. 2",
    table=tables.TABLE_1.id,
    draw=draw_progress,
)
AEIS_FIG_1 = Figure(
    id="aeis-fig1",
    title="GAN with autoencoder and importance sampling: the steps of one iteration",
    citation=f"{tables.CITATION}, Fig. 1",
    table=tables.TABLE_1.id,
    draw=draw_steps,
)
