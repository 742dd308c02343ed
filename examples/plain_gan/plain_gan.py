"""A generator and a discriminator in ordinary PyTorch, trained and measured by modecov."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn import functional

from modules.base import AdversarialModule, Update
from modules.losses import per_seed
from modules.options import Training

ENDS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "linear": nn.Identity}


def points(inputs: int, outputs: int, width: int) -> nn.Sequential:
    """A generator or a discriminator of points."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)
    )


def image_generator(latent: int, channels: int, side: int, width: int) -> nn.Sequential:
    """A DCGAN (Radford et al. 2016, arXiv:1511.06434) for images whose side is a multiple of 4."""
    return nn.Sequential(
        nn.Unflatten(1, (latent, 1, 1)),
        nn.ConvTranspose2d(latent, 2 * width, side // 4),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
    )


def image_discriminator(channels: int, side: int, width: int) -> nn.Sequential:
    """Its other half, with dropout."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(2 * width * (side // 4) ** 2, 1),
    )


class PlainGAN(AdversarialModule):
    """GAN (Goodfellow et al. 2014, arXiv:1406.2661) of networks of its own: fully connected ones for points, a DCGAN
    for images.

    width: units of a hidden layer, or channels of the convolution next to the image.
    """

    name = "plain-gan"
    #: Its losses are means over samples, so that several devices can share a batch.
    batch_coupled_losses = ()

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int], *, width: int = 64) -> None:
        super().__init__(training, data_shape, seeds)
        latent, (channels, *side) = training.latent_dim, self.data_shape
        end = ENDS[self.output]

        def generator() -> nn.Module:
            net = image_generator(latent, channels, side[0], width) if side else points(latent, channels, width)
            return nn.Sequential(net, end())

        def discriminator() -> nn.Module:
            return image_discriminator(channels, side[0], width) if side else points(channels, 1, width)

        self.generator = self.replicate(generator, role="generator")
        self.discriminator = self.replicate(discriminator, role="discriminator")

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.generator,))

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z))), for a discriminator that gives logits."""
        real, fake = self.discriminator(x), self.discriminator(self.fake(z))
        return per_seed(functional.softplus(-real)) + per_seed(functional.softplus(fake))

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """-E log D(G(z))."""
        return per_seed(functional.softplus(-self.discriminator(self.generator(z))))
