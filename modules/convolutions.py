"""Convolutional networks with a leading seeds axis: S independent copies as groups of channels.

Inside a network images are ``[B, S * C, H, W]``, so that one grouped convolution computes all copies. Outside they are
``[S, B, C, H, W]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.families import Initialisation, Output
from modules.networks import SeedBatchNorm, SeedLinear, finish, to_float32
from modules.ranks import batch_norm

#: Standard deviation of the weights of DCGAN and what follows it (Radford et al. 2016, section 4).
_STD = 0.02


def merge_seeds(x: Tensor) -> Tensor:
    """Reshape ``[S, B, C, H, W]`` to ``[B, S * C, H, W]``."""
    return x.transpose(0, 1).flatten(1, 2)


def split_seeds(x: Tensor, seeds: int) -> Tensor:
    """Reshape ``[B, S * C, H, W]`` to ``[S, B, C, H, W]``."""
    return x.unflatten(1, (seeds, -1)).transpose(0, 1)


def set_memory_format_and_compile(module: nn.Module, *, channels_last: bool = False, compiled: bool = False) -> None:
    """Set the memory format of the convolutional networks inside a module, and compile their layers.

    Layers compiled by ``torch.compile`` have no second derivatives. Discriminators and encoders of a method with
    ``second_derivatives`` are therefore not compiled.

    Args:
        module: The module.
        channels_last: Whether images lie in memory with the channels last.
        compiled: Whether to compile the layers with ``torch.compile``.
    """
    twice = getattr(module, "second_derivatives", False)
    for network in module.modules():
        if isinstance(network, (ConvGenerator, ConvEncoder)):
            network.memory_format = torch.channels_last if channels_last else torch.contiguous_format
            if compiled and not (twice and isinstance(network, ConvEncoder)):
                network.layers.compile()


class SeedConv(nn.Module):
    """``S`` independent convolutions or transposed convolutions, on ``[B, S * in, H, W]``.

    Weights are ``[S, out, in, k, k]``, or ``[S, in, out, k, k]`` if transposed. Biases are zero at first.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Side of the kernel, k.
        generators: One source of initial weights per seed.
        stride: Stride.
        transposed: Whether it is a transposed convolution.
        output_padding: Rows and columns added to the output of a transposed convolution.
        kind: Initialisation of the weights. ``normal``: N(0, 0.02^2). ``he``: N(0, 2 / n), with n the fan-in (He et al.
            2015, Eq. 10).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        generators: Sequence[np.random.Generator],
        *,
        stride: int = 1,
        transposed: bool = False,
        output_padding: int = 0,
        kind: Initialisation = "normal",
    ) -> None:
        super().__init__()
        pair = (inputs, outputs) if transposed else (outputs, inputs)
        shape = (*pair, kernel, kernel)
        # A transposed convolution spreads each input over its kernel, of which a number meets every stride-th.
        summed = inputs * kernel**2 / (stride**2 if transposed else 1)
        std = np.float32((2.0 / summed) ** 0.5 if kind == "he" else _STD)
        weights = np.stack([g.standard_normal(shape, dtype=np.float32) * std for g in generators])
        self.weight = nn.Parameter(torch.from_numpy(weights))
        self.bias = nn.Parameter(torch.zeros(len(generators), outputs))
        self.stride, self.transposed, self.output_padding = stride, transposed, output_padding
        self.padding = (kernel - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        seeds, weight, bias = len(self.weight), self.weight.flatten(0, 1), self.bias.flatten()
        if self.transposed:
            return functional.conv_transpose2d(
                x, weight, bias, self.stride, self.padding, self.output_padding, groups=seeds
            )
        return functional.conv2d(x, weight, bias, self.stride, self.padding, groups=seeds)

    def extra_repr(self) -> str:
        seeds, a, b, kernel, _ = self.weight.shape
        inputs, outputs = (a, b) if self.transposed else (b, a)
        kind = ", transposed" if self.transposed else ""
        return f"{inputs}, {outputs}, kernel={kernel}, stride={self.stride}, seeds={seeds}{kind}"


class ImageBatchNorm(nn.Module):
    """Batch normalisation of ``[B, S * C, ...]`` (Ioffe and Szegedy 2015, Alg. 1), per seed and channel.

    It uses running statistics in evaluation mode.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, seeds: int, channels: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(seeds, channels))
        self.bias = nn.Parameter(torch.zeros(seeds, channels))
        self.register_buffer("running_mean", torch.zeros(seeds * channels))
        self.register_buffer("running_var", torch.ones(seeds * channels))
        self.momentum = momentum

    def forward(self, x: Tensor) -> Tensor:
        return batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight.flatten(),
            self.bias.flatten(),
            self.training,
            self.momentum,
        )


def sizes(height: int, steps: int) -> list[int]:
    """Heights of an image that is halved ``steps`` times, rounded up: 28, 14, 7, 4."""
    found = [height]
    for _ in range(steps):
        found.append(-(-found[-1] // 2))
    return found


class ConvGenerator(nn.Module):
    """Convolutional generator, from latents ``[S, B, latent]`` to images ``[S, B, *shape]``.

    A linear layer makes a small image. Transposed convolutions of stride 2 double it. With ``last_kernel`` a
    convolution at full size follows.

    Args:
        role: Name of the network. Its initial weights depend on it.
        latent: Number of inputs.
        shape: Channels, height and width of the images.
        seeds: One integer per copy.
        channels: Channels of the small image and of each larger one but the last.
        kernel: Side of the kernels of the transposed convolutions.
        batch_norm: Whether hidden layers have batch norm.
        last_kernel: Side of the kernel of the convolution at full size; 0 for none.
        slope: Negative slope of the leaky ReLU; 0 for ReLU.
        hidden: Units of a hidden layer before the small image; 0 for none.
        output: Output function.
        kind: Initialisation of all weights.
    """

    memory_format = torch.contiguous_format

    def __init__(
        self,
        role: str,
        latent: int,
        shape: Sequence[int],
        *,
        seeds: Sequence[int],
        channels: Sequence[int],
        kernel: int,
        batch_norm: bool,
        last_kernel: int = 0,
        slope: float = 0.0,
        hidden: int = 0,
        output: Output = "linear",
        kind: Initialisation = "normal",
    ) -> None:
        super().__init__()
        generators = [np.random.default_rng((*b"initialisation", *role.encode(), seed)) for seed in seeds]
        count, colours, side = len(seeds), shape[0], shape[1]
        steps = len(channels) - 1 if last_kernel else len(channels)
        heights = sizes(side, steps)[::-1]
        self.seeds, self.start, self.output = count, (channels[0], heights[0], heights[0]), output
        activation = partial(nn.LeakyReLU, slope, inplace=True) if slope else partial(nn.ReLU, inplace=True)
        self.hidden: nn.Module | None = None
        if hidden:
            norm = SeedBatchNorm(count, hidden) if batch_norm else nn.Identity()
            self.hidden = nn.Sequential(SeedLinear(latent, hidden, generators, kind), norm, activation())
        self.first = SeedLinear(hidden or latent, int(np.prod(self.start)), generators, kind)
        outputs = list(channels[1:]) if last_kernel else [*channels[1:], colours]
        layers: list[nn.Module] = []
        self.norm = ImageBatchNorm(count, channels[0]) if batch_norm else nn.Identity()
        self.activation = activation()
        for index, (inputs, out) in enumerate(zip(channels, outputs, strict=False)):
            padding = heights[index + 1] - ((heights[index] - 1) * 2 - 2 * ((kernel - 1) // 2) + kernel)
            double = partial(SeedConv, stride=2, transposed=True, output_padding=padding, kind=kind)
            layers.append(double(inputs, out, kernel, generators))
            if last_kernel or index < len(outputs) - 1:
                layers += [ImageBatchNorm(count, out)] if batch_norm else []
                layers.append(activation())
        if last_kernel:
            layers.append(SeedConv(outputs[-1], colours, last_kernel, generators, kind=kind))
        self.layers = nn.Sequential(*layers)
        self.mixes_batch = batch_norm

    def logits(self, z: Tensor) -> Tensor:
        """Images before the output function."""
        small = self.first(z if self.hidden is None else self.hidden(z)).unflatten(2, self.start)
        hidden = self.activation(self.norm(merge_seeds(small).contiguous(memory_format=self.memory_format)))
        return to_float32(split_seeds(self.layers(hidden), self.seeds))

    def forward(self, z: Tensor) -> Tensor:
        return self.finish(self.logits(z))

    def finish(self, logits: Tensor) -> Tensor:
        """Apply the output function."""
        return finish(logits, self.output)


class ConvEncoder(nn.Module):
    """Convolutional discriminator or encoder, from images ``[S, B, *shape]`` to ``[S, B, outputs]``.

    Convolutions of stride 2 with leaky ReLU are followed by a linear layer. ``logits`` returns the output, ``features``
    the input of the linear layer.

    Args:
        role: Name of the network. Its initial weights depend on it.
        shape: Channels, height and width of the images.
        outputs: Number of outputs.
        seeds: One integer per copy.
        channels: Channels after each convolution.
        kernel: Side of the kernels.
        batch_norm: Whether hidden layers have batch norm.
        first_norm: Whether batch norm also follows the first convolution.
        slope: Negative slope of the leaky ReLU.
        extra: Number of further inputs, given as a condition. They are concatenated to the features and pass through a
            hidden layer (discriminators of pairs in ALI and VEEGAN).
        joint_width: Units of that hidden layer.
        hidden: Units of a hidden layer before the last, with batch norm if the others have it; 0 for none.
        kind: Initialisation of all weights.
    """

    memory_format = torch.contiguous_format

    def __init__(
        self,
        role: str,
        shape: Sequence[int],
        outputs: int,
        *,
        seeds: Sequence[int],
        channels: Sequence[int],
        kernel: int,
        batch_norm: bool,
        first_norm: bool = True,
        slope: float = 0.2,
        extra: int = 0,
        joint_width: int = 200,
        hidden: int = 0,
        kind: Initialisation = "normal",
    ) -> None:
        super().__init__()
        generators = [np.random.default_rng((*b"initialisation", *role.encode(), seed)) for seed in seeds]
        self.seeds = len(seeds)
        layers: list[nn.Module] = []
        for index, (inputs, out) in enumerate(zip([shape[0], *channels], channels, strict=False)):
            layers.append(SeedConv(inputs, out, kernel, generators, stride=2, kind=kind))
            if batch_norm and (index or first_norm):
                layers.append(ImageBatchNorm(self.seeds, out))
            layers.append(nn.LeakyReLU(slope))
        self.layers = nn.Sequential(*layers)
        height = sizes(shape[1], len(channels))[-1]
        self.feature_dim = channels[-1] * height * height
        width = hidden or (joint_width if extra else 0)
        self.joint: nn.Module | None = None
        if width:
            norm = SeedBatchNorm(self.seeds, width) if hidden and batch_norm else nn.Identity()
            joint = SeedLinear(self.feature_dim + extra, width, generators, kind)
            self.joint = nn.Sequential(joint, norm, nn.LeakyReLU(slope))
        self.last = SeedLinear(width or self.feature_dim, outputs, generators, kind)
        self.mixes_batch = batch_norm

    def features(self, x: Tensor) -> Tensor:
        """Output of the convolutions for images, ``[S, B, feature_dim]``."""
        folded = merge_seeds(x).contiguous(memory_format=self.memory_format)
        return to_float32(split_seeds(self.layers(folded), self.seeds).flatten(2))

    def logits(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Outputs ``[S, B, outputs]`` for images, and for a condition ``[S, B, extra]`` if there is one."""
        hidden = self.features(x)
        if condition is not None:
            hidden = torch.cat([hidden, condition], 2)
        return to_float32(self.last(hidden if self.joint is None else self.joint(hidden)))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.logits(x, condition)
