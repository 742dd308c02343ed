"""Train the digit classifier that evaluates all methods."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import LightningDataModule, LightningModule
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmark.store.files import write_atomically
from benchmark.training.surroundings import IsolatedTrainer
from benchmark.training.trainer import quiet
from datamodules.images import ImageSet
from evaluators.digits import DigitClassifier

#: Training images that are held out to choose the best epoch.
VALIDATION = 5_000
_BATCH, _RATE, _DECAY = 128, 5e-3, 1e-4
#: Limits of the augmentation: rotation (radians), shift (fraction of half the side) and relative change of size.
_TURN, _SHIFT, _SIZE = math.radians(12), 0.15, 0.12


@dataclass(frozen=True)
class Accuracy:
    """Shares of digits that are classified correctly."""

    validation: float
    test: float


def train_classifier(
    digits: ImageSet, path: Path, epochs: int, seed: int = 0, report: Callable[[str], None] = lambda line: None
) -> Accuracy:
    """Train the digit classifier and store the weights of its best epoch.

    The last 5,000 training digits (a tenth of a smaller data set) are held out, and the epoch with the best accuracy on
    them is kept.

    Args:
        digits: Data set of single digits.
        path: File for the weights.
        epochs: Epochs to train.
        seed: Seed of the weights and of the order of the data.
        report: Receives one line after every epoch.

    Returns:
        The accuracy on the held-out digits and on the test digits.
    """
    torch.manual_seed(seed)
    data = DigitData(digits, seed)
    module = DigitTraining(DigitClassifier(), epochs * data.batches, report)
    with quiet():
        IsolatedTrainer(max_epochs=epochs, accelerator="auto", devices=1).fit(module, data)
    classifier = DigitClassifier()
    classifier.load_state_dict(module.best)
    accuracy = Accuracy(module.best_accuracy, share_right(classifier.eval(), *data.test))
    write_atomically(path, save({name: value.contiguous() for name, value in module.best.items()}))
    return accuracy


class DigitData(LightningDataModule):
    """Grey digits in [0, 1] and their labels, split into training, validation and test."""

    def __init__(self, digits: ImageSet, seed: int) -> None:
        super().__init__()
        pixels, labels = _tensors(digits, "train")
        border = len(labels) - min(VALIDATION, len(labels) // 10)
        self.train = TensorDataset(pixels[:border], labels[:border])
        self.validation, self.test = (pixels[border:], labels[border:]), _tensors(digits, "test")
        self.seed = seed

    @property
    def batches(self) -> int:
        return math.ceil(len(self.train) / _BATCH)

    def train_dataloader(self) -> DataLoader:
        generator = torch.Generator().manual_seed(self.seed)
        return DataLoader(self.train, batch_size=_BATCH, shuffle=True, generator=generator)


class DigitTraining(LightningModule):
    """Cross-entropy on randomly rotated, shifted and scaled digits, with AdamW and a one-cycle learning rate."""

    def __init__(self, classifier: DigitClassifier, steps: int, report: Callable[[str], None]) -> None:
        super().__init__()
        self.classifier, self.steps, self.report = classifier, steps, report
        self.best_accuracy = -1.0
        self.best: dict[str, Tensor] = {}

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        return functional.cross_entropy(self.classifier(moved(images)), labels)

    def on_train_epoch_end(self) -> None:
        accuracy = share_right(self.classifier.eval(), *self.trainer.datamodule.validation)  # type: ignore[attr-defined]
        self.classifier.train()
        self.report(f"epoch {self.current_epoch + 1}: {100 * accuracy:.2f} % of the validation digits right")
        if accuracy > self.best_accuracy:
            self.best_accuracy = accuracy
            self.best = {name: value.detach().cpu().clone() for name, value in self.classifier.state_dict().items()}

    def configure_optimizers(self) -> dict[str, object]:  # type: ignore[override]
        optimizer = torch.optim.AdamW(self.parameters(), lr=_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=_RATE, total_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def moved(images: Tensor) -> Tensor:
    """Rotate, shift and scale each digit ``[n, 1, H, W]`` a little, at random."""
    turn, size, x, y = torch.rand(4, len(images), device=images.device) * 2 - 1
    cosine, sine = torch.cos(_TURN * turn) * (1 + _SIZE * size), torch.sin(_TURN * turn) * (1 + _SIZE * size)
    rows = [torch.stack([cosine, -sine, _SHIFT * x], 1), torch.stack([sine, cosine, _SHIFT * y], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


@torch.no_grad()
def share_right(classifier: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """Return the share of images that are classified correctly.

    Args:
        classifier: Returns logits ``[n, classes]``.
        pixels: Images ``[n, 1, 28, 28]`` in [0, 1].
        labels: Digits ``[n]``.
    """
    device = next(classifier.parameters()).device
    right = [classifier(part.to(device)).argmax(1).cpu() for part in pixels.split(1_000)]
    return float((torch.cat(right) == labels).double().mean())


def _tensors(digits: ImageSet, part: str) -> tuple[Tensor, Tensor]:
    pixels, labels = digits.images(part), digits.labels(part)  # type: ignore[arg-type]
    return torch.from_numpy(np.array(pixels)).float() / 255, torch.from_numpy(np.array(labels))
