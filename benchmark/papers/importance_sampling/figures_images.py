"""The figure of the importance-sampling poster (Lee and Lee 2018) on digits."""

from __future__ import annotations

import matplotlib.figure

from benchmark.papers.importance_sampling import tables
from benchmark.plotting.canvas import blank
from benchmark.plotting.figure import Figure, Records
from benchmark.plotting.images import (
    IN_A_LINE,
    digits_of_rows,
    draw_digit_bars,
    real_digit_counts,
    run_title,
    show_labelled,
)
from benchmark.plotting.mosaic import firsts
from benchmark.spec.selection import Selection
from benchmark.store.store import Store


def draw_digits(selection: Selection, records: Records, store: Store) -> matplotlib.figure.Figure:
    """Draw samples, one line for each method, and the shares of the digits among them (Fig. 3)."""
    shown = list(firsts(selection, records))
    picture = blank(9.0, 1.3 * len(shown) + 2.6)
    axes = picture.subplots(len(shown) + 1, 1, squeeze=False, height_ratios=[1.0] * len(shown) + [1.8])[:, 0]
    for ax, (row, (run, record)) in zip(axes, shown, strict=False):
        show_labelled(ax, store.samples(run, record)[: 2 * IN_A_LINE], IN_A_LINE, run_title(row, run))
    draw_digit_bars(axes[-1], list(digits_of_rows(selection, records, store)), real_digit_counts(selection))
    return picture


AEIS_FIG_3 = Figure(
    id="aeis-fig3",
    title="MNIST: samples and their digits",
    citation=f"{tables.CITATION}, Fig. 3",
    table=tables.MNIST.id,
    draw=draw_digits,
)
