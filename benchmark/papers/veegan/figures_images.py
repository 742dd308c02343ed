"""The figure of VEEGAN (Srivastava et al. 2017) on images."""

from __future__ import annotations

from functools import partial

import matplotlib.figure
import numpy as np
import torch
from torch import Tensor

from benchmark.papers.veegan import tables as veegan
from benchmark.papers.veegan import tables_images
from benchmark.plotting.canvas import blank
from benchmark.plotting.figure import Figure, Records
from benchmark.plotting.images import run_title, show_labelled
from benchmark.plotting.mosaic import firsts, image_set
from benchmark.spec.run import Run
from benchmark.spec.selection import Selection
from benchmark.store.store import Store
from benchmark.training.evaluation import as_pixels, evaluation_generators, unit_images
from benchmark.training.trainer import load_module
from datamodules.images import ImageSet
from evaluators.inversion import RESTARTS, STEPS, invert
from modules.base import AdversarialModule
from modules.noise import draw

Array = np.ndarray
#: Number of test images whose nearest generated images are searched.
_TARGETS = 8


def draw_nearest(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw test images, the nearest image that each generator can make, and random samples of the last one (Fig. 3)."""
    shown = list(firsts(selection, records))
    images = image_set(shown[0][1][0])
    targets = images.reference(_TARGETS)
    lines = [("test images", targets)]
    for row, (run, record) in shown:
        made, error = _nearest(run, load_module(run, record, store), images, torch.from_numpy(targets).float() / 255)
        lines.append((f"{run_title(row, run)}, mean error of these {error:.4f}", made))
    row, (run, record) = shown[-1]
    lines.append((f"samples of {run_title(row, run)}", store.samples(run, record)[:_TARGETS]))
    picture = blank(6.4, 0.75 * len(lines))
    for ax, (label, line) in zip(picture.subplots(len(lines), 1), lines, strict=True):
        show_labelled(ax, line, _TARGETS, label)
    return picture


def _nearest(run: Run, module: AdversarialModule, images: ImageSet, targets: Tensor) -> tuple[Array, float]:
    """Find the generated images nearest to ``targets`` by inference via optimization (IvOM).

    Returns:
        The images, and their mean error.
    """
    protocol = run.protocol
    (generator,) = evaluation_generators(f"inversion {images.name}", (run.seed,), 0)
    shape = (len(targets), module.noise_dim)
    starts = [torch.from_numpy(draw(generator, protocol.prior, shape)) for _ in range(RESTARTS)]
    with module.evaluating("running"):
        errors, latents = invert(partial(unit_images, module, protocol, 0), targets, starts, STEPS)
        with torch.no_grad():
            made = unit_images(module, protocol, 0, latents)
    return as_pixels(made, "unit").numpy(), float(errors[-1].mean())


VEEGAN_FIG_3 = Figure(
    id="veegan-fig3",
    title="CIFAR-10: test images, the nearest image that each generator can make, random samples",
    citation=f"{veegan.CITATION}, Fig. 3",
    table=tables_images.TABLE_2.id,
    draw=draw_nearest,
    datasets=("cifar10",),
)
