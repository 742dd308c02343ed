"""Families of networks: named choices of layers. A description loads no PyTorch; building a network of it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from modules.convolutions import ConvEncoder, ConvGenerator
    from modules.networks import MLP

Output = Literal["linear", "sigmoid", "tanh"]
Activation = Literal["relu", "tanh", "maxout"]
Initialisation = Literal["he", "orthogonal", "normal"]


@dataclass(frozen=True)
class MLPFamily:
    """A named choice of fully connected layers. Every method builds its networks for vectors from one family.

    Discriminators end linearly. Their sigmoid (GAAN, Table 1) is part of the losses, which take logits.

    Attributes:
        hidden: Number of hidden layers.
        width: Units per hidden layer.
        source: Where the choice comes from.
        activation: Nonlinearity of the hidden layers.
        batch_norm: Whether hidden layers have batch norm.
        initialisation: Initialisation of the weights.
        roles: Fields that differ for the network of a role.
        version: Raise this when a change alters the results of these networks.
    """

    hidden: int
    width: int
    source: str
    activation: Activation = "relu"
    batch_norm: bool = False
    initialisation: Initialisation = "he"
    roles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    version: int = 1

    def generator(
        self, role: str, latent: int, shape: Sequence[int], seeds: Sequence[int], output: Output, norm: bool = True
    ) -> MLP:
        """A network from latents ``[S, B, latent]`` to data ``[S, B, *shape]``.

        Args:
            role: Name of the network. Its initial weights depend on it.
            latent: Number of inputs.
            shape: Shape of one sample.
            seeds: One integer per copy.
            output: Output function.
            norm: False builds it without batch norm.
        """
        return self._changed(role, norm).build(role, latent, self.dim(shape), seeds, output)

    def encoder(
        self, role: str, shape: Sequence[int], outputs: int, seeds: Sequence[int], extra: int = 0, norm: bool = True
    ) -> MLP:
        """A network from data ``[S, B, *shape]`` to ``[S, B, outputs]``.

        Args:
            role: Name of the network. Its initial weights depend on it.
            shape: Shape of one sample.
            outputs: Number of outputs.
            seeds: One integer per copy.
            extra: Number of further inputs, given as a condition.
            norm: False builds it without batch norm, so that samples of a batch do not affect one another.
        """
        return self._changed(role, norm).build(role, self.dim(shape) + extra, outputs, seeds)

    def _changed(self, role: str, norm: bool) -> MLPFamily:
        if norm:
            return self
        unmixed = {**self.roles.get(role, {}), "batch_norm": False}
        return replace(self, batch_norm=False, roles={**self.roles, role: unmixed})

    @staticmethod
    def dim(shape: Sequence[int]) -> int:
        if len(shape) != 1:
            raise ValueError(f"these networks read vectors, not images of shape {list(shape)}: set protocol.networks")
        return shape[0]

    def build(self, role: str, inputs: int, outputs: int, seeds: Sequence[int], output: Output = "linear") -> MLP:
        from modules.networks import MLP

        layers = {
            "hidden": self.hidden,
            "width": self.width,
            "activation": self.activation,
            "batch_norm": self.batch_norm,
            "initialisation": self.initialisation,
        }
        return MLP(role, inputs, outputs, seeds=seeds, output=output, **{**layers, **self.roles.get(role, {})})


@dataclass(frozen=True)
class ConvFamily:
    """A named choice of convolutional layers. Every method builds its networks for images from one family.

    Attributes:
        generator_channels: Channels as in ``ConvGenerator``.
        discriminator_channels: Channels of discriminators as in ``ConvEncoder``.
        encoder_channels: Channels of encoders as in ``ConvEncoder``.
        source: Where the choice comes from.
        kernel: Side of the kernels.
        last_kernel: Side of the kernel of the generator's last convolution; 0 for none.
        generator_norm: Whether generators have batch norm.
        discriminator_norm: Whether discriminators and encoders have batch norm. A method with a gradient penalty per
            sample asks for a critic without it.
        first_norm: Whether batch norm also follows the discriminator's first convolution.
        slope: Negative slope of the discriminator's leaky ReLU.
        generator_slope: Negative slope of the generator's leaky ReLU; 0 for ReLU.
        hidden: Units of the hidden layers next to the latent and to the discriminator's output; 0 for none.
        initialisation: Initialisation of networks with batch norm, where the scale of the weights does not matter.
        bare_initialisation: Initialisation of networks without batch norm, where N(0, 0.02^2) lets almost no signal
            through.
        version: Raise this when a change alters the results of these networks.
    """

    generator_channels: tuple[int, ...]
    discriminator_channels: tuple[int, ...]
    encoder_channels: tuple[int, ...]
    source: str
    kernel: int = 5
    last_kernel: int = 0
    generator_norm: bool = True
    discriminator_norm: bool = True
    first_norm: bool = False
    slope: float = 0.2
    generator_slope: float = 0.0
    hidden: int = 0
    initialisation: Initialisation = "normal"
    bare_initialisation: Initialisation = "he"
    version: int = 1

    def generator(
        self, role: str, latent: int, shape: Sequence[int], seeds: Sequence[int], output: Output, norm: bool = True
    ) -> ConvGenerator:
        """A network from latents ``[S, B, latent]`` to images ``[S, B, *shape]``.

        Args:
            role: Name of the network. Its initial weights depend on it.
            latent: Number of inputs.
            shape: Channels, height and width of the images.
            seeds: One integer per copy.
            output: Output function.
            norm: False builds it without batch norm.
        """
        from modules.convolutions import ConvGenerator

        norm = self.generator_norm and norm
        return ConvGenerator(
            role,
            latent,
            self.image(shape),
            seeds=seeds,
            channels=self.generator_channels,
            kernel=self.kernel,
            batch_norm=norm,
            last_kernel=self.last_kernel,
            slope=self.generator_slope,
            hidden=self.hidden,
            output=output,
            kind=self.initialisation if norm else self.bare_initialisation,
        )

    def encoder(
        self, role: str, shape: Sequence[int], outputs: int, seeds: Sequence[int], extra: int = 0, norm: bool = True
    ) -> ConvEncoder:
        """A network from images ``[S, B, *shape]`` to ``[S, B, outputs]``.

        Args:
            role: Name of the network. Its initial weights depend on it, and so do its channels.
            shape: Channels, height and width of the images.
            outputs: Number of outputs.
            seeds: One integer per copy.
            extra: Number of further inputs, given as a condition.
            norm: False builds it without batch norm, so that samples of a batch do not affect one another.
        """
        from modules.convolutions import ConvEncoder

        norm = self.discriminator_norm and norm
        return ConvEncoder(
            role,
            self.image(shape),
            outputs,
            seeds=seeds,
            channels=self.encoder_channels if role in ("encoder", "reconstructor") else self.discriminator_channels,
            kernel=self.kernel,
            batch_norm=norm,
            first_norm=self.first_norm,
            slope=self.slope,
            extra=extra,
            hidden=self.hidden,
            kind=self.initialisation if norm else self.bare_initialisation,
        )

    @staticmethod
    def image(shape: Sequence[int]) -> Sequence[int]:
        if len(shape) != 3:
            raise ValueError(f"these networks read images, not data of shape {list(shape)}: set protocol.networks")
        return shape


_VEEGAN = "VEEGAN's notebook as re-posted: two hidden layers, one in the discriminator"
_ALI = "ALI's released toy code, as PacGAN (Lin et al. 2018, arXiv:1712.04086) uses it"

NETWORKS: dict[str, MLPFamily] = {
    "gaan-1": MLPFamily(hidden=3, width=128, source="Tran et al. 2018 (arXiv:1803.08887), Table 1"),
    "gaan-1-shallow": MLPFamily(
        hidden=3,
        width=128,
        source="Tran et al. 2018, Table 1, but one hidden layer in the discriminator (an ablation)",
        roles={"discriminator": {"hidden": 1}},
    ),
    "gaan-1-quarter": MLPFamily(
        hidden=3,
        width=128,
        source="Tran et al. 2018, Table 1, but a quarter of the width in the discriminator (an ablation)",
        roles={"discriminator": {"width": 32}},
    ),
    "veegan": MLPFamily(hidden=2, width=128, source=_VEEGAN, roles={"discriminator": {"hidden": 1}}),
    "veegan-512": MLPFamily(
        hidden=2,
        width=512,
        source=f"{_VEEGAN}, wider for 1,200 dimensions (ours)",
        roles={"discriminator": {"hidden": 1}},
    ),
    "two-layers": MLPFamily(hidden=2, width=128, source=f"{_VEEGAN}; here two (ours)"),
    "two-layers-512": MLPFamily(hidden=2, width=512, source=f"{_VEEGAN}; here two, and wider (ours)"),
    "unrolled": MLPFamily(
        hidden=2,
        width=128,
        activation="tanh",
        initialisation="orthogonal",
        source="released notebook of Metz et al. 2017 (arXiv:1611.02163)",
    ),
    "ali": MLPFamily(
        hidden=4,
        width=400,
        batch_norm=True,
        initialisation="normal",
        source=_ALI,
        roles={
            "encoder": {"hidden": 2},
            "discriminator": {"hidden": 3, "width": 200, "activation": "maxout", "batch_norm": False},
        },
    ),
}

#: After Metz et al. 2017 as PacGAN's released code (Lin et al. 2018) reads their appendix.
_METZ = "MNIST-1K network of Metz et al. 2017 (arXiv:1611.02163) in PacGAN's released code"


def _metz(channels: int, name: str) -> ConvFamily:
    return ConvFamily(
        generator_channels=(64, 32, 16, 8),
        discriminator_channels=(channels, 2 * channels, 4 * channels),
        encoder_channels=(8, 16, 32),
        source=f"{_METZ}, discriminator {name}",
        kernel=3,
        last_kernel=3,
        first_norm=True,
        slope=0.3,
    )


def _dcgan(width: int, layers: int, what: str) -> ConvFamily:
    up = tuple(width * 2**i for i in range(layers))
    return ConvFamily(up[::-1], up, up, what)


CONVOLUTIONS: dict[str, ConvFamily] = {
    "metz-k4": _metz(2, "K/4"),
    "metz-k2": _metz(4, "K/2"),
    "dcgan-mnist": replace(
        _dcgan(64, 3, "MNIST network of WGAN-GP's released code (Gulrajani et al. 2017)"),
        generator_norm=False,
        discriminator_norm=False,
    ),
    "dcgan-28": _dcgan(64, 3, "DCGAN (Radford et al. 2016) for 28 x 28 pixels, 64 to 256 channels"),
    "dcgan-32": _dcgan(64, 4, "DCGAN (Radford et al. 2016) for 32 x 32 pixels, 64 to 512 channels"),
    "dcgan-32-quarter": _dcgan(16, 4, "DCGAN for 32 x 32 pixels at a quarter of its width, for short trainings (ours)"),
    "dcgan-64": _dcgan(64, 4, "DCGAN (Radford et al. 2016) for 64 x 64 pixels, 64 to 512 channels"),
    "wgan-gp-cifar": _dcgan(128, 3, "CIFAR network of WGAN-GP's released code, 128 to 512 channels"),
    "lucic": ConvFamily(
        generator_channels=(128, 64),
        discriminator_channels=(64, 128),
        encoder_channels=(64, 128),
        source="the network that Lucic et al. 2018 (arXiv:1711.10337) compare GANs with, after InfoGAN",
        kernel=4,
        generator_slope=0.2,
        hidden=1024,
        bare_initialisation="normal",
    ),
    "wgan-gp-cifar-half": _dcgan(64, 3, "CIFAR network of WGAN-GP's released code at half the width"),
}


def families() -> dict[str, MLPFamily | ConvFamily]:
    """Every network family by name."""
    return {**NETWORKS, **CONVOLUTIONS}


def find_family(name: str) -> MLPFamily | ConvFamily:
    """The network family of that name."""
    return families()[name]
