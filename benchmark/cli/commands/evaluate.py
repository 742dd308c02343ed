"""The command ``evaluate``: compute every measure of a data set on samples of any model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchmark.cli.options import DataOptions, FeatureOptions, MeasureOptions, count, option

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.spec.registry import DataSet

#: Names of measures that count modes of the data, and of those that count samples.
_OF_MODES = ("registered_modes", "captured_modes", "captured_modes_literal", "modes")
_OF_SAMPLES = ("registered_points",)
#: Measures of known samplers, by title of the column.
Columns = Mapping[str, Mapping[str, float]]


@dataclass(kw_only=True)
class EvaluateOptions(DataOptions, FeatureOptions, MeasureOptions):
    """Measure samples of a model that was trained anywhere, beside what the data and a collapsed sampler get.

    evaluate --dataset grid25 --samples mine.npy
    evaluate --dataset mnist --samples images/ --format json
    evaluate --dataset grid25 --sampler ./mine.py:sample --n 2000
    """

    verb = "evaluate"

    dataset: str | None = option(
        "what the samples stand for (all: python -m benchmark list datasets), package.module:NAME or "
        "path/to/file.py:NAME",
        metavar="NAME",
        also="datasets",
    )
    samples: str | None = option("a file .npy .npz .pt .csv, or a folder of images", metavar="FILE")
    sampler: str | None = option(
        "a function of yours that makes n samples, package.module:function or path/to/file.py:function",
        metavar="FUNCTION",
    )
    n: int | None = option("how many --sampler makes; default: 2000 points or 10000 images", metavar="N", read=count)
    format: Literal["text", "json"] = option("of what is printed; default: text", "text")


def run(options: EvaluateOptions) -> int:
    """Compute the measures and print them."""
    from benchmark import api
    from benchmark.cli.output import write
    from benchmark.cli.select import name, prepare
    from benchmark.errors import UserError
    from benchmark.spec import registry

    if not options.dataset:
        raise UserError(
            "evaluate for which data set? for example --dataset grid25; all: python -m benchmark list datasets"
        )
    if (options.samples is None) == (options.sampler is None):
        raise UserError("give --samples FILE, or --sampler package.module:function")
    if options.n and not options.sampler:
        raise UserError("--n says how many samples --sampler makes; a file has as many as it has")
    prepare(options)
    dataset = name("datasets", options.dataset)
    measures = [name("measures", word) for word in options.measure]
    data = registry.dataset(dataset)
    settings: Any = {"dataset": dataset, "measures": measures, "features": options.features or "inception"}
    source: Any = _sampler(options.sampler) if options.sampler else options.samples
    values = _line(api.evaluate(source, n=options.n, **settings))
    if options.format == "json":
        print(json.dumps({k: v if math.isfinite(v) else None for k, v in values.items()}, indent=1))
        return 0
    write(_table(data, values, _known(data, values, settings)))
    return 0


def _line(frame: pd.DataFrame) -> dict[str, float]:
    """Return the single line of the frame of ``api.evaluate``. Counts remain integers."""
    return {str(name): value for name, value in frame.to_dict("records")[0].items()}


def _sampler(word: str) -> Any:
    from benchmark.errors import UserError
    from benchmark.spec import user_code

    found = user_code.load("--sampler", user_code.trust(user_code.short_name(word)))
    if not callable(found):
        raise UserError(f"--sampler {word} is no function of the number of samples")
    return found


def _known(dataset: DataSet, values: Mapping[str, float], settings: Mapping[str, Any]) -> Columns:
    """Return the measures of as many new samples of the data, and of a sampler with half of its modes.

    Distances between images take minutes, so for them only the data's value is returned, which ``evaluate`` computes
    anyway.
    """
    import numpy as np

    from benchmark import api
    from benchmark.analysis.known_samples import collapsed_modes

    if dataset.measures == "images":
        return {"data": {key.removesuffix("_floor"): value for key, value in values.items() if key.endswith("_floor")}}
    n, half = int(values["n"]), collapsed_modes(dataset)
    samples = {
        "data": dataset.sample(n, np.random.default_rng(0)),
        f"collapsed ({half} modes)": dataset.sample_modes(n, np.random.default_rng(1), half),
    }
    return {title: _line(api.evaluate(found, **settings)) for title, found in samples.items()}


def _table(dataset: DataSet, values: Mapping[str, float], known: Columns) -> str:
    """Format the columns measure, value, maximum of a count, and the values of the known samplers."""
    n = int(values["n"])
    of = dict.fromkeys(_OF_MODES, dataset.modes) | dict.fromkeys(_OF_SAMPLES, n)
    rows = [["measure", "value", "of", *known]]
    for measure, value in values.items():
        if measure not in ("n", "n_real") and not measure.endswith("_floor"):
            others = [_number(column[measure]) if measure in column else "" for column in known.values()]
            rows.append([measure, _number(value), f"{of[measure]:,}" if measure in of else "", *others])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{n:,} samples for {dataset.name}"]
    for name, *words in rows:
        count = [word.rjust(width) for word, width in zip(words, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *count]).rstrip())
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else "no value"
