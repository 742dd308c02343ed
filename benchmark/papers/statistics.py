"""Statistics that claims of several papers use."""

import math

from benchmark.spec.claims import Comparison, Models, Statistic
from benchmark.spec.table import Direction, Table

DIVERGENCE = Statistic("JSD", "jsd", lost=math.log(2))


def on_each(statistic: Statistic, table: Table, left: str, direction: Direction, right: str) -> tuple[Comparison, ...]:
    """Compare two rows of a table on each of its data sets.

    Args:
        statistic: What is compared.
        table: Table of both rows.
        left: Id of the first row.
        direction: How the first row is said to compare with the second.
        right: Id of the second row.

    Returns:
        One comparison for each data set.
    """
    return tuple(
        Comparison(statistic, Models(table, left, name), direction, Models(table, right, name))
        for name in table.datasets
    )
