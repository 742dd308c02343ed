"""Mixtures of Gaussians: data whose modes are known."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of isotropic Gaussians with equal weights.

    Attributes:
        name: Name on the command line.
        centres: ``K`` centres of ``d`` coordinates, in original units.
        std: Standard deviation per coordinate, in original units.
        per_mode: Points per mode in the fixed training set. The set is the same for every seed.
        limit: Largest absolute coordinate. Coordinates of training points beyond it are drawn again. Networks with
            scaled data see ``(x / limit + 1) / 2``, which is in [0, 1].
        source: Origin of these numbers.
        measures: How samples are evaluated: ``registered`` (GAAN) or ``quality`` (VEEGAN).
        radius: Distance to a centre within which ``quality`` counts a sample as high-quality, in original units.
        reported_radius: The paper's own radius if it must be an error. Results are also computed for it.
        noisy: Number of coordinates with noise, counted from the first; 0 for all. The others equal those of the
            centre.
        projected: Whether the noise lies in a random subspace of dimension ``noisy`` instead.
        version: Raise this when a change alters the points drawn. 0 stands for data sets without a version.
    """

    name: str
    centres: tuple[tuple[float, ...], ...]
    std: float
    per_mode: int
    limit: float
    source: str
    measures: Literal["registered", "quality"] = "quality"
    radius: float = 0.0
    reported_radius: float = 0.0
    noisy: int = 0
    projected: bool = False
    version: int = 0

    @property
    def data_shape(self) -> tuple[int, ...]:
        return (len(self.centres[0]),)

    @property
    def modes(self) -> int:
        return len(self.centres)

    @property
    def training_size(self) -> int:
        """Size of the fixed training set."""
        return len(self.centres) * self.per_mode

    @property
    def fingerprint(self) -> str:
        """Hash of the numbers that define the mixture; its source and its version do not count."""
        numbers = dataclasses.replace(self, source="", version=0)
        return hashlib.sha256(repr(numbers).encode()).hexdigest()[:16]

    def scale(self, points: Array) -> Array:
        """Map original units to the networks' [0, 1]."""
        return (points / self.limit + 1) / 2

    def unscale(self, points: Array) -> Array:
        """Map the networks' [0, 1] to original units."""
        return (points * 2 - 1) * self.limit

    def training_points(self) -> Array:
        """The training set, float32 ``[K * per_mode, d]`` in original units, ordered by mode."""
        rng = np.random.default_rng((*self.name.encode(), self.per_mode))
        points = np.repeat(np.array(self.centres), self.per_mode, axis=0)
        noise = self._noise(rng, len(points))
        while (beyond := np.abs(points + noise) > self.limit).any():
            noise[beyond] = rng.standard_normal(int(beyond.sum())) * self.std
        return (points + noise).astype(np.float32)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw ``n`` new points of the mixture, as a perfect model would: float64 ``[n, d]``."""
        return self.sample_modes(n, rng, len(self.centres))

    def sample_modes(self, n: int, rng: np.random.Generator, modes: int) -> Array:
        """Draw ``n`` new points of the first ``modes`` modes only."""
        centres = np.array(self.centres)[rng.integers(modes, size=n)]
        return centres + self._noise(rng, n)

    def sample_uniform(self, n: int, rng: np.random.Generator) -> Array:
        """Draw ``n`` points from the uniform distribution over the box of the data. They cover every mode without
        quality.
        """
        return rng.uniform(-self.limit, self.limit, (n, *self.data_shape))

    def _noise(self, rng: np.random.Generator, n: int) -> Array:
        dim = len(self.centres[0])
        drawn = rng.standard_normal((n, self.noisy or dim)) * self.std
        if not self.noisy:
            return drawn
        if self.projected:
            return drawn @ _orthonormal_rows(self.noisy, dim)
        return np.concatenate([drawn, np.zeros((n, dim - self.noisy))], axis=1)


@cache
def _orthonormal_rows(rows: int, columns: int) -> Array:
    """A fixed random matrix ``[rows, columns]`` with orthonormal rows."""
    rng = np.random.default_rng((*b"projection", rows, columns))
    return np.linalg.qr(rng.standard_normal((columns, rows)))[0].T
