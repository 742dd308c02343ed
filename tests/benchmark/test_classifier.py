"""Training the classifier of digits."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmark.training.classifier import DigitData, moved, share_right, train_classifier
from datamodules.image_sets import DIGITS
from evaluators.digits import DigitClassifier


def test_training_writes_the_weights_of_its_best_epoch(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    told: list[str] = []
    accuracy = train_classifier(DIGITS, path, 4, report=told.append)
    assert len(told) == 4
    assert accuracy.validation > 0.5
    classifier = DigitClassifier()
    classifier.load_state_dict(load_file(path))
    data = DigitData(DIGITS, 0)
    assert share_right(classifier.eval(), *data.validation) == accuracy.validation
    assert share_right(classifier, *data.test) == accuracy.test


def test_validation_digits_are_training_digits_that_are_not_trained_on() -> None:
    data = DigitData(DIGITS, 0)
    assert len(data.train) + len(data.validation[1]) == len(DIGITS.labels("train"))
    assert len(data.test[1]) == len(DIGITS.labels("test"))


def test_digits_are_moved_a_little_and_each_in_its_own_way() -> None:
    torch.manual_seed(0)
    images = torch.zeros(200, 1, 28, 28)
    images[:, :, 12:16, 12:16] = 1
    found = moved(images)
    place = torch.stack([(found.sum(3) * torch.arange(28)).sum((1, 2)), (found.sum(2) * torch.arange(28)).sum((1, 2))])
    centre = place / found.sum((1, 2, 3))
    assert centre.std(1).min() > 0.5
    assert (centre - 13.5).abs().max() < 28 / 2 * 0.15 * 1.2 + 0.5
