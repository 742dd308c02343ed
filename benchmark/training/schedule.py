"""How long blocks take on several workers, on paper."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def make_span(seconds: Sequence[float], workers: int) -> float:
    """Seconds until the last block is done, if whichever of ``workers`` is free takes the longest that is left: list
    scheduling, longest first, which is at most a third above the shortest possible (Graham 1969, Theorem 2)."""
    free = [0.0] * workers
    for cost in sorted(seconds, reverse=True):
        heapq.heapreplace(free, free[0] + cost)
    return max(free)
