"""Gaussian kernel density estimates in few dimensions, and one-to-one pairs between two sets of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from torch import Tensor

Array = np.ndarray

#: Distance in bandwidths beyond which a kernel counts as 0: it is exp(-32) of its peak there.
_REACH = 8.0
#: Number of queries that share one window of the sorted points.
_TOGETHER = 32


class SortedPoints:
    """Points sorted by their first coordinate, so that a query is compared with nearby points only.

    The kernels are far narrower than the data (0.006 to 0.018 of its standard deviation on the mixtures), so that a
    dense ``[n, M]`` matrix would be nearly all zeros. With 128 queries and 5,000 points the windows take 0.3 ms and the
    matrix 10 ms.

    Args:
        points: Points ``[M, d]``.
    """

    def __init__(self, points: Array) -> None:
        order = np.argsort(points[:, 0], kind="stable")
        self.columns = np.ascontiguousarray(points[order].T)

    def __len__(self) -> int:
        return self.columns.shape[1]

    def log_density(self, queries: Array, bandwidth: float, exact: Array | bool = False) -> Array:
        """Logarithm of the mean of the kernels exp(-|q - p|^2 / 2 h^2), with h the bandwidth.

        This is the log density up to a term that depends on bandwidth and dimension only. Points further than 8
        bandwidths away in the first coordinate are left out. Together they would contribute less than exp(-32).

        Args:
            queries: Where to evaluate it, ``[n, d]``.
            bandwidth: Standard deviation of the kernels, h.
            exact: Which queries use all points, ``[n]`` or one value for all.

        Returns:
            Log density ``[n]``.
        """
        found = np.full(len(queries), -np.inf)
        order = np.argsort(queries[:, 0], kind="stable")
        ordered = queries[order]
        low = np.searchsorted(self.columns[0], ordered[:, 0] - _REACH * bandwidth)
        high = np.searchsorted(self.columns[0], ordered[:, 0] + _REACH * bandwidth, side="right")
        start = 0
        while start < len(queries):
            end, reach = start + 1, high[start]
            while end < len(queries) and end - start < _TOGETHER and low[end] < reach:
                reach = high[end]
                end += 1
            if reach > low[start]:
                exponents = self._exponents(ordered[start:end], low[start], reach, bandwidth)
                with np.errstate(divide="ignore"):
                    found[order[start:end]] = np.log(np.exp(exponents, out=exponents).sum(1))
            start = end
        for query in np.flatnonzero(np.broadcast_to(exact, len(queries))):
            found[query] = logsumexp(self._exponents(queries[query : query + 1], 0, len(self), bandwidth))
        return found - np.log(len(self))

    def _exponents(self, queries: Array, low: int, high: int, bandwidth: float) -> Array:
        squares = np.zeros((len(queries), high - low), dtype=self.columns.dtype)
        for coordinate, column in enumerate(self.columns):
            difference = queries[:, coordinate, None] - column[low:high]
            difference *= difference
            squares += difference
        squares *= -0.5 / bandwidth**2
        return squares


def held_out_bandwidth(points: Array, bandwidths: Sequence[float], held_out: float = 0.2) -> float:
    """Choose the bandwidth that gives held-out points the largest likelihood.

    It suits data of many modes, where the rules of Scott and Silverman smooth far too much.

    Args:
        points: Points ``[M, d]``.
        bandwidths: Candidates.
        held_out: Share of the points, the last ones, that are held out. The others are the centres of the kernels.
    """
    count = len(points) - round(held_out * len(points))
    squares = cdist(points[count:].astype(np.float64), points[:count].astype(np.float64), "sqeuclidean")
    nearest, dim = squares.min(1), points.shape[1]
    # Only points about as near as the nearest one matter, and single precision suffices for the difference.
    beyond = (squares - nearest[:, None]).astype(np.float32)
    likelihoods = []
    for h in bandwidths:
        logs = np.log(np.exp(beyond * np.float32(-0.5 / h**2)).sum(1, dtype=np.float64)) - nearest / (2 * h**2)
        likelihoods.append(float(logs.mean()) - dim * np.log(h))
    return float(bandwidths[int(np.argmax(likelihoods))])


def optimal_pairs(a: Array, b: Array) -> Array:
    """Pair the points of two sets ``[n, d]`` one to one with the least sum of distances.

    Returns:
        Index ``[n]`` in ``b`` of the partner of each point of ``a``.
    """
    return linear_sum_assignment(cdist(a, b))[1]


def optimal_partners(a: Tensor, b: Tensor) -> Tensor:
    """Apply ``optimal_pairs`` to each seed of ``a`` and ``b [S, n, ...]``.

    Returns:
        Indices ``[S, n]`` in ``b``. A seed with values that are not finite gets pairs in the given order.
    """
    found = []
    for one, other in zip(*(x.detach().flatten(2).cpu().double().numpy() for x in (a, b)), strict=True):
        sound = np.isfinite(one).all() and np.isfinite(other).all()
        found.append(optimal_pairs(one, other) if sound else np.arange(len(one)))
    return torch.from_numpy(np.stack(found)).to(a.device)


def greedy_pairs(a: Array, b: Array) -> Array:
    """Pair the points of two sets ``[n, d]``: each point of ``a``, in order, gets the nearest remaining point of ``b``.

    Returns:
        Index ``[n]`` in ``b`` of the partner of each point of ``a``.
    """
    distances = cdist(a, b)
    partners = np.empty(len(a), dtype=np.int64)
    for index in range(len(a)):
        partners[index] = distances[index].argmin()
        distances[:, partners[index]] = np.inf
    return partners
