"""Predict how long blocks take on several workers."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def make_span(seconds: Sequence[float], workers: int) -> float:
    """Return the seconds until the last block is done under list scheduling, longest first.

    Each free worker takes the longest remaining block. The result is at most a third above the optimum (Graham 1969,
    Theorem 2).

    Args:
        seconds: Cost of each block.
        workers: Number of workers.
    """
    free = [0.0] * workers
    for cost in sorted(seconds, reverse=True):
        heapq.heapreplace(free, free[0] + cost)
    return max(free)
