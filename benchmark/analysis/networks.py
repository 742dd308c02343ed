"""Build the table of network sizes from the networks of a method."""

from __future__ import annotations

import math
from dataclasses import asdict

import pandas as pd

from benchmark.analysis.frame import Entry, ResultTable
from benchmark.spec.selection import select
from benchmark.spec.table import NetworkTable
from benchmark.training.trainer import make_module
from modules.networks import MLP


def read_networks(table: NetworkTable) -> ResultTable:
    """Build the result table of network sizes from the networks that a method builds."""
    selection = select(table.of)
    row = table.of.row(table.method)
    module = make_module(selection.run(row, 0), (0,))
    entries = []
    for role, reported in table.reported.items():
        network = getattr(module, role)
        for column in table.columns:
            ours, paper = float(network_size(network)[column.measure]), float(reported[column.measure])
            nan = math.nan
            entries.append(
                Entry(
                    table=table.id,
                    row=role,
                    column=column.measure,
                    profile="-",
                    reading="-",
                    budget=1.0,
                    mean=ours,
                    std=nan,
                    ci_low=nan,
                    ci_high=nan,
                    fluctuation=nan,
                    paper_mean=paper,
                    paper_std=nan,
                    # Sizes are exact: only the same number is equivalent.
                    margin=0.0,
                    verdict="equivalent" if ours == paper else "higher" if ours > paper else "lower",
                    n=1,
                    n_diverged=0,
                    n_failed=0,
                    n_no_value=0,
                )
            )
    return ResultTable(
        name=table.id,
        title=table.title,
        citation=table.citation,
        header=f"read off the networks that {row.title} of table {table.of.id} builds; nothing is trained",
        columns=table.columns,
        rows={role: role.capitalize() for role in table.reported},
        known=(),
        frame=pd.DataFrame([asdict(entry) for entry in entries]),
        footer=table.notes,
    )


def network_size(network: MLP) -> dict[str, int]:
    """Return inputs, outputs, hidden layers and hidden width, from the shapes of the weights.

    Raises:
        ValueError: The hidden layers differ in width.
    """
    shapes = [tuple(parameter.shape) for name, parameter in network.named_parameters() if name.endswith("weight")]
    widths = {shape[2] for shape in shapes[:-1]}
    if len(widths) != 1:
        raise ValueError(f"hidden layers of different widths: {sorted(widths)}")
    return {
        "d_in": shapes[0][1],
        "d_out": shapes[-1][2],
        "hidden_layers": len(shapes) - 1,
        "hidden_width": widths.pop(),
    }
