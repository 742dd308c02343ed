"""Generative moment matching network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from modules.base import AdversarialModule, Training, Update
from modules.losses import squared_mmd

#: Squared bandwidths of the released code for MNIST's 784 numbers in [0, 1].
_BANDWIDTHS, _DIM = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0), 784
#: Where two batches are equal the square root has no derivative: the floor keeps it finite.
_LEAST = 1e-12


def gaussian_bandwidths(training: Training, dim: int, scale: float) -> list[float]:
    """The released code's squared bandwidths times ``scale``; 0 stands for the growth of squared distances with the
    dimension and with the width of the data's range."""
    width = 2.0 if training.scaling == "symmetric" else 1.0
    return [(scale or width**2 * dim / _DIM) * bandwidth for bandwidth in _BANDWIDTHS]


class GMMN(AdversarialModule):
    """GMMN (Li et al. 2015, arXiv:1502.02761, section 3.3): the generator lowers the square root of the squared maximum
    mean discrepancy between a batch of data and one of samples. There is no discriminator.

    bandwidth_scale: factor on the squared bandwidths 2, 5, 10, 20, 40 and 80 of the released code, which are for 784
        numbers in [0, 1]; 0 for D / 784 times the squared width of the data's range.
    """

    name = "gmmn"

    def __init__(
        self, training: Training, data_shape: Sequence[int], seeds: Sequence[int], *, bandwidth_scale: float = 0.0
    ) -> None:
        super().__init__(training, data_shape, seeds)
        self.generator = self.build_generator()
        self.bandwidths = gaussian_bandwidths(training, self.data_dim, bandwidth_scale)

    def updates(self) -> Iterator[Update]:
        yield Update(self.matching, moves=(self.generator,))

    def matching(self, x: Tensor, z: Tensor) -> Tensor:
        """sqrt(MMD^2(x, G(z))), the biased estimator (Eqs. 3 and 6)."""
        return squared_mmd(x, self.generator(z), self.bandwidths).clamp_min(_LEAST).sqrt()
