"""Gaussian kernel density estimates of points of few dimensions, and one-to-one pairs between two sets of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from torch import Tensor

Array = np.ndarray

#: Bandwidths from which a kernel counts as 0: exp(-32) of its peak.
_REACH = 8.0
#: Queries that share one window of the sorted points.
_TOGETHER = 32


class SortedPoints:
    """Points ``[M, d]`` in order of their first coordinate, so that a query meets few of them.

    Kernels far narrower than the data (0.006 to 0.018 of its std on the mixtures) leave nearly all of a dense
    ``[n, M]`` matrix zero: the windows take 0.3 ms where the matrix takes 10 ms (128 queries, 5,000 points).
    """

    def __init__(self, points: Array) -> None:
        order = np.argsort(points[:, 0], kind="stable")
        self.columns = np.ascontiguousarray(points[order].T)

    def __len__(self) -> int:
        return self.columns.shape[1]

    def log_density(self, queries: Array, bandwidth: float, exact: Array | bool = False) -> Array:
        """Log of the mean kernel exp(-|q - p|^2 / 2 h^2) at ``queries [n, d]``: the density up to a factor that depends
        on the bandwidth and the dimension alone.

        Points further than 8 bandwidths in the first coordinate are left out, except for the queries marked in
        ``exact [n]``: what is left out is below exp(-32) in all.
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
    """The bandwidth under which the last share ``held_out`` of ``points [M, d]`` is likeliest, the others being the
    kernels' centres. Right for data of many modes, where the rules of Scott and Silverman smooth far too much."""
    count = len(points) - round(held_out * len(points))
    squares = cdist(points[count:].astype(np.float64), points[:count].astype(np.float64), "sqeuclidean")
    nearest, dim = squares.min(1), points.shape[1]
    # What counts is near the nearest, where single precision of the difference is enough.
    beyond = (squares - nearest[:, None]).astype(np.float32)
    likelihoods = []
    for h in bandwidths:
        logs = np.log(np.exp(beyond * np.float32(-0.5 / h**2)).sum(1, dtype=np.float64)) - nearest / (2 * h**2)
        likelihoods.append(float(logs.mean()) - dim * np.log(h))
    return float(bandwidths[int(np.argmax(likelihoods))])


def optimal_pairs(a: Array, b: Array) -> Array:
    """Partner in ``b [n, d]`` of each point of ``a [n, d]``, one to one, so that the sum of distances is least."""
    return linear_sum_assignment(cdist(a, b))[1]


def optimal_partners(a: Tensor, b: Tensor) -> Tensor:
    """The same for each seed of ``a`` and ``b [S, n, ...]``: places ``[S, n]`` in ``b``. A seed with values that are
    not finite keeps its order."""
    found = []
    for one, other in zip(*(x.detach().flatten(2).cpu().double().numpy() for x in (a, b)), strict=True):
        sound = np.isfinite(one).all() and np.isfinite(other).all()
        found.append(optimal_pairs(one, other) if sound else np.arange(len(one)))
    return torch.from_numpy(np.stack(found)).to(a.device)


def greedy_pairs(a: Array, b: Array) -> Array:
    """Partners taken one by one: each point of ``a``, in order, gets the nearest of ``b`` that is left."""
    distances = cdist(a, b)
    partners = np.empty(len(a), dtype=np.int64)
    for index in range(len(a)):
        partners[index] = distances[index].argmin()
        distances[:, partners[index]] = np.inf
    return partners
