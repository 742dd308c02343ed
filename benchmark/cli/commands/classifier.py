"""The command ``classifier``: train the digit classifier that evaluates all methods."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmark.cli.options import DataOptions, ThreadOptions, count, option


@dataclass(kw_only=True)
class ClassifierOptions(DataOptions, ThreadOptions):
    """Train the classifier of digits that judges all methods, and write its weights. Ours come with the package."""

    verb = "classifier"

    epochs: int = option("default: 12", 12, metavar="N", read=count)
    output: str | None = option("default: digits.safetensors in this folder", metavar="FILE")


def run(options: ClassifierOptions) -> int:
    """Train the classifier, print its accuracy and write its weights."""
    from benchmark.cli.select import prepare, set_threads
    from benchmark.training.classifier import train_classifier
    from datamodules.image_sets import MNIST
    from evaluators.digits import WEIGHTS

    prepare(options)
    set_threads(options.threads)
    path = Path(options.output or WEIGHTS.name)
    accuracy = train_classifier(MNIST, path, options.epochs, report=lambda line: print(line, file=sys.stderr))
    print(f"{100 * accuracy.test:.2f} % of the test digits right ({100 * accuracy.validation:.2f} % in validation)")
    print(f"written: {path}")
    return 0
