"""Numbers that claims of several papers are judged by."""

import math

from benchmark.spec.claims import Comparison, Models, Statistic
from benchmark.spec.table import Direction, Table

DIVERGENCE = Statistic("JSD", "jsd", lost=math.log(2))


def on_each(statistic: Statistic, table: Table, left: str, direction: Direction, right: str) -> tuple[Comparison, ...]:
    """One comparison on each of a table's data sets."""
    return tuple(
        Comparison(statistic, Models(table, left, name), direction, Models(table, right, name))
        for name in table.datasets
    )
