"""Generative adversarial network with an autoencoder and importance sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from modules.base import Update
from modules.density import SortedPoints, greedy_pairs, held_out_bandwidth, optimal_pairs
from modules.gan import GAN
from modules.losses import squared_distance
from modules.options import Training
from modules.ranks import all_gather

Array = np.ndarray

#: Candidate bandwidths, in standard deviations of the codes. For mixtures the best are at the lower end; for codes of
#: images, with tens of dimensions, they are above 0.5.
_BANDWIDTHS = [*np.geomspace(0.002, 0.5, 16).tolist(), 0.6, 0.7, 0.85, 1.0]
#: Log density, relative to a kernel's peak, below which a code counts as isolated.
_LONELY = -4.5


class AEIS(GAN):
    """GAN with autoencoder and importance sampling (Lee and Lee 2018, poster): the generator also matches codes of the
    data.

    An autoencoder is trained on the data and frozen. Real and fake codes are paired one to one. The generator lowers
    its adversarial loss plus the weighted squared distance of the pairs, W_ir W_if |X_ir - X_if|^2 W_l. Weights and
    pairs are constants to the gradient. Real batches come from the data, not from the density estimate.

    The poster leaves nearly everything else open. The fields below are our choices. p_r and p_g are kernel density
    estimates of the real and the generated codes.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy.
        pair_weight: W_l; 1 because the codes are standardised.
        real_weights: W_ir at the real code. ``missing``: 2 p_r / (p_r + p_g), larger where fakes are missing.
            ``covered``: 2 p_g / (p_r + p_g). ``none``: 1.
        fake_weights: W_if at the fake code. ``typical``: p_g over its mean in the batch, clipped to [0.1, 10].
            ``none``: 1.
        pairing: ``optimal`` (least sum of distances) or ``greedy``.
        store_iterations: N, the number of iterations whose fake codes are kept to estimate p_g.
        code_dim: Dimension of the codes; 0 for the data's dimension.
        bandwidth: Bandwidth of all kernels in standard deviations of the codes. 0 chooses among 20 values from 0.002 to
            1 by the likelihood of held-out real codes.
        reference: Number of real codes that estimate p_r, rounded up to whole batches. They are the last ones of the
            pre-training.
        pretraining_epochs: Epochs of the autoencoder's training.

    Raises:
        ValueError: A field is below its smallest useful value.
    """

    name = "aeis"
    version = 1
    batch_coupled_losses = ("autoencoder_loss", "generator_loss")

    bandwidths: Tensor
    reference_points: Tensor
    code_mean: Tensor
    code_std: Tensor
    fake_codes: Tensor

    def __init__(
        self,
        training: Training,
        data_shape: Sequence[int],
        seeds: Sequence[int],
        *,
        pair_weight: float = 1.0,
        real_weights: Literal["missing", "covered", "none"] = "missing",
        fake_weights: Literal["typical", "none"] = "typical",
        pairing: Literal["optimal", "greedy"] = "optimal",
        store_iterations: int = 20,
        code_dim: int = 0,
        bandwidth: float = 0.0,
        reference: int = 5_000,
        pretraining_epochs: int = 40,
    ) -> None:
        if min(store_iterations, pretraining_epochs, reference - 4) < 1 or min(code_dim, bandwidth) < 0:
            raise ValueError(
                "aeis needs 1 epoch of pre-training, a store of 1 iteration and 5 reference codes, or more"
            )
        super().__init__(training, data_shape, seeds)
        code_dim = code_dim or self.data_dim
        # No batch norm: a code depends on its own sample only.
        self.encoder = self.build_encoder("encoder", code_dim, norm=False)
        self.decoder = self.build_generator("decoder", code_dim)
        self.pair_weight, self.real_weights, self.fake_weights = pair_weight, real_weights, fake_weights
        self.pairing, self.bandwidth = pairing, bandwidth
        self.pretraining_epochs = pretraining_epochs
        count, batch = len(self.seeds), training.batch_size
        self.reference_batches = math.ceil(reference / batch)
        nowhere = float("nan")
        self.register_buffer(
            "reference_points", torch.full((count, self.reference_batches, batch, *data_shape), nowhere)
        )
        self.register_buffer("fake_codes", torch.full((count, store_iterations, batch, code_dim), nowhere))
        self.register_buffer("code_mean", torch.zeros(count, 1, code_dim))
        self.register_buffer("code_std", torch.ones(count, 1, code_dim))
        self.register_buffer("bandwidths", torch.zeros(count))
        self._real: list[SortedPoints | None] = []

    def pretraining(self) -> Iterator[Update]:
        """Train the autoencoder."""
        yield Update(self.autoencoder_loss, params=(self.encoder, self.decoder))

    def autoencoder_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """|x - decoder(E(x))|^2, and keep the last batches as reference data."""
        place = self.iteration + self.reference_batches
        if place >= 0:
            seen = all_gather(x)
            self.reference_points[:, place, : seen.shape[1]] = seen
        return squared_distance(x, self.decoder(self.encoder(x)))

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(G(z)) plus the mean of W_ir W_if |X_ir - X_if|^2 W_l over the pairs."""
        self.prepare()
        sample = self.generator(z)
        with torch.no_grad():
            real = all_gather(self.codes(x))
        fake = all_gather(self.codes(sample))
        self.fake_codes[:, self.iteration % self.fake_codes.shape[1], : fake.shape[1]] = fake.detach()
        partners, weights = self.pairs(real, fake.detach())
        paired = fake.gather(1, partners.unsqueeze(2).expand_as(fake))
        adversarial = self.adversarial_loss(self.discriminator.logits(sample))
        return adversarial + self.pair_weight * (weights * (real - paired).square().sum(2)).mean(1)

    def codes(self, x: Tensor) -> Tensor:
        """Codes ``[S, B, code_dim]`` in standard deviations of the real codes."""
        return (self.encoder(x) - self.code_mean) / self.code_std

    @torch.no_grad()
    def prepare(self) -> None:
        """Once after pre-training, compute the scale of the codes, the bandwidths and the density of the real codes.

        Raises:
            ValueError: The autoencoder was not trained.
        """
        if self._real:
            return
        for seed, points in enumerate(self.reference_points.flatten(1, 2)):
            known = points[points.flatten(1).isfinite().all(1)]
            if len(known) < 5:
                raise ValueError("the autoencoder saw no data before the game: method.pretraining_epochs")
            codes = self.encoder(known.expand(len(self.seeds), *known.shape))[seed]
            if not self.bandwidths[seed]:
                self.code_mean[seed], self.code_std[seed] = codes.mean(0), codes.std(0)
            codes = ((codes - self.code_mean[seed]) / self.code_std[seed]).cpu().numpy()
            # An autoencoder that diverged has no finite codes. The seed's losses become NaN and show it.
            sound = bool(np.isfinite(codes).all())
            if sound and not self.bandwidths[seed]:
                self.bandwidths[seed] = self.bandwidth or held_out_bandwidth(codes, _BANDWIDTHS)
            self._real.append(SortedPoints(codes) if sound else None)

    def pairs(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Pair real with fake codes.

        Args:
            real: Real codes ``[S, B, code_dim]``.
            fake: Fake codes ``[S, B, code_dim]``.

        Returns:
            Index of each real code's partner among the fakes, and the weight of the pair, ``[S, B]`` each.
        """
        a, b = real.cpu().numpy(), fake.cpu().numpy()
        stored = self.fake_codes.flatten(1, 2).cpu().numpy()
        found = [self._pairs_of_seed(seed, a[seed], b[seed], stored[seed]) for seed in range(len(a))]
        partners, weights = (torch.from_numpy(np.stack(part)).to(real.device) for part in zip(*found, strict=True))
        return partners, weights.to(real.dtype)

    def _pairs_of_seed(self, seed: int, real: Array, fake: Array, stored: Array) -> tuple[Array, Array]:
        density = self._real[seed]
        if density is None or not (np.isfinite(real).all() and np.isfinite(fake).all()):
            return np.arange(len(real)), np.full(len(real), np.nan)
        partners = (optimal_pairs if self.pairing == "optimal" else greedy_pairs)(real, fake)
        weights = np.ones(len(real))
        if self.real_weights == self.fake_weights == "none":
            return partners, weights
        width = float(self.bandwidths[seed])
        made = SortedPoints(stored[np.isfinite(stored).all(1)])
        if self.real_weights != "none":
            log_real = density.log_density(real, width)
            lonely = log_real < _LONELY - math.log(len(density))
            log_real = density.log_density(real, width, exact=lonely) if lonely.any() else log_real
            # If only the fakes are far away, the weight is 0 or 2 to the last bit for any density of theirs.
            log_made = made.log_density(real, width, exact=lonely)
            sign = 1 if self.real_weights == "missing" else -1
            weights *= 2 / (1 + np.exp(np.clip(sign * (log_made - log_real), -80, 80)))
        if self.fake_weights != "none":
            # The stored codes include these fakes, so that none of them is isolated.
            density_of_fakes = np.exp(made.log_density(fake, width))
            weights *= np.clip(density_of_fakes / density_of_fakes.mean(), 0.1, 10)[partners]
        return partners, weights
