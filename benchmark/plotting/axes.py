"""Axes of demonstrations: bands over seeds, labels and a faint grid."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

Array = np.ndarray


def band(ax: Axes, x: Array, values: Array, colour: str, label: str, style: str = "-") -> None:
    """Draw the mean over seeds as a line, and a band from the minimum to the maximum.

    Args:
        ax: Axes to draw on.
        x: Positions ``[T]``.
        values: Values ``[S, T]`` of S seeds.
        colour: Colour of line and band.
        label: Text in the legend.
        style: Line style.
    """
    ax.fill_between(x, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0.5)
    ax.plot(x, values.mean(0), color=colour, linestyle=style, linewidth=1.4, label=label)


def tidy(ax: Axes, x_label: str, y_label: str, title: str = "", legend: bool = True) -> None:
    """Add labels, a faint grid and a legend without a frame."""
    ax.set(xlabel=x_label, ylabel=y_label, title=title)
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    if legend:
        ax.legend(frameon=False, fontsize=7)
