"""Reduce a stored model to what the report shows, small enough for hundreds of models in one file."""

from __future__ import annotations

import base64
import io
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.analysis.coverage import updates_to_coverage
from benchmark.analysis.frame import is_stale
from benchmark.errors import UserError
from benchmark.plotting.points import updates
from benchmark.spec import registry
from benchmark.spec.block import Block
from benchmark.spec.columns import UPDATES
from benchmark.spec.protocol import frame_epochs
from benchmark.spec.registry import shows_people
from benchmark.spec.run import Run
from benchmark.spec.user_code import path_name
from benchmark.store.record import Record
from benchmark.store.store import Store
from datamodules.mixture import GaussianMixture

Array = np.ndarray

#: Largest number of points per model, and of values per curve.
POINTS, CURVE_POINTS = 1_000, 150
#: Points per moment of a model's training: minimum, maximum, and the total that all models share. Moments make up most
#: of the page.
_MOMENT_POINTS, _MOMENT_POINTS_OF_ALL = (40, 200), 24_000
#: Images along each side of a mosaic.
_SIDE = 6
#: Half the width of a picture, as a multiple of the data's largest coordinate.
_REACH = 1.35
#: Levels of a coordinate; 0 marks a point outside the picture. Twelve bits are finer than a screen.
_LEVELS = 4_095


#: The command that trains a model again.
_VERIFY = ("python", "-m", "benchmark", "verify", "--cell")


def moment_points(models: int) -> int:
    """Return the number of points per moment that keeps a page with this many models small."""
    least, most = _MOMENT_POINTS
    return max(least, min(most, _MOMENT_POINTS_OF_ALL // max(models, 1)))


def model(run: Run, record: Record, store: Store, points: int = _MOMENT_POINTS[1]) -> dict[str, Any]:
    """Return a record as JSON data, with shortened curves and a part of its samples.

    Args:
        run: The run.
        record: Its record.
        store: The results folder.
        points: Points for each moment of the training.
    """
    measures = dict(record.measures)
    if "captured_modes" in record.curves:
        measures[UPDATES] = updates_to_coverage(run, record)
    where = [] if store.folder == Path("results") else ["--results", str(store.folder)]
    kept = {
        "id": run.id,
        "label": Block((run,)).label,
        "dataset": run.dataset,
        "seed": run.seed,
        "status": record.status,
        "stale": is_stale(run, record),
        "reason": record.reason,
        "diverged_at": record.diverged_at,
        "measures": {name: _short(value, 10) for name, value in measures.items()},
        "curves": {name: _curve(values) for name, values in record.curves.items() if values},
        "updates": updates(run, 1) if isinstance(registry.dataset(run.dataset), GaussianMixture) else None,
        "cost": record.cost,
        "environment": record.environment,
        "cell": record.run,
        "reproduce": shlex.join([*_VERIFY, run.id, *_from_outside(run), *where]),
    }
    return kept | _pictures(run, record, store, points)


def _from_outside(run: Run) -> list[str]:
    """Return the options that let a command load the user's method and data set of a record."""
    named = (("--method", run.method), ("--datasets", run.dataset))
    return [word for option, name in named if ":" in name for word in (option, path_name(name))]


def _short(value: float | None, digits: int = 4) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def _curve(values: list[Any]) -> dict[str, list[Any]]:
    """Return at most ``CURVE_POINTS`` values of a curve, the first and the last included, with their epochs."""
    chosen = np.unique(np.linspace(0, len(values) - 1, CURVE_POINTS).round().astype(int)).tolist()
    return {"epochs": [index + 1 for index in chosen], "values": [_short(values[index]) for index in chosen]}


def _pictures(run: Run, record: Record, store: Store, count: int) -> dict[str, Any]:
    """Return the points or images at the end and during training, or the reason for their absence."""
    dataset = registry.dataset(run.dataset)
    if record.samples is None:
        return {}
    if shows_people(dataset):
        return {"no_pictures": "Photographs of people are not shown."}
    if isinstance(dataset, GaussianMixture) and dataset.data_shape[0] > 3:
        return {"no_pictures": f"Samples of {dataset.data_shape[0]:,} coordinates are not drawn."}
    try:
        samples, frames = store.samples(run, record), store.frames(run, record)
    except UserError as error:
        return {"no_pictures": str(error)}
    epochs = frame_epochs(run.protocol, samples[0].size) if frames is not None else []
    stages = list(zip(epochs, [] if frames is None else frames, strict=False))
    # The last epoch is left out here, as more of its samples are stored separately.
    stages = [(epoch, frame) for epoch, frame in stages if epoch < run.protocol.epochs]
    if not isinstance(dataset, GaussianMixture):
        sheets = [{"epoch": epoch, "image": image_sheet(images)} for epoch, images in stages]
        return {"images": [*sheets, {"epoch": run.protocol.epochs, "image": image_sheet(samples)}]}
    reach = _REACH * dataset.limit
    return {
        "points": {
            "dim": dataset.data_shape[0],
            "reach": reach,
            "levels": _LEVELS,
            "of": len(samples),
            "centres": [[_short(value, 6) for value in centre] for centre in dataset.centres],
            "frames": [{"epoch": epoch, "data": pack(points[:count], reach)} for epoch, points in stages],
            "last": {"epoch": run.protocol.epochs, "data": pack(samples[:POINTS], reach)},
        }
    }


def pack(points: Array, reach: float) -> str:
    """Encode points ``[n, d]`` as Base64 of little-endian ``uint16 [d, n]``.

    Levels 1 to ``_LEVELS`` cover ``[-reach, reach]``; 0 marks a point with a coordinate that is outside or not finite.
    """
    inside = (np.isfinite(points) & (np.abs(points) <= reach)).all(1, keepdims=True)
    levels = np.round((np.where(inside, points, 0) / reach + 1) / 2 * (_LEVELS - 1)) + 1
    return base64.b64encode(np.where(inside, levels, 0).T.astype("<u2").tobytes()).decode()


def image_sheet(images: Array) -> str:
    """Return the first images of ``[n, C, H, W]`` uint8 as a mosaic in a data URL.

    Stacks of three digits are in colour.
    """
    images = images[: _SIDE**2]
    rows = [np.concatenate(list(images[start : start + _SIDE]), axis=2) for start in range(0, len(images), _SIDE)]
    full = [row for row in rows if row.shape == rows[0].shape]
    sheet = np.concatenate(full, axis=1).transpose(1, 2, 0)
    return data_url(Image.fromarray(sheet[:, :, 0] if sheet.shape[2] == 1 else sheet))


def data_url(image: Image.Image) -> str:
    """Return an image as a data URL, without loss."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
