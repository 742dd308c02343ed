"""Write the records of a trained block."""

from __future__ import annotations

import dataclasses
import resource
import sys

import numpy as np

from benchmark.spec.block import Block
from benchmark.spec.versions import versions_of
from benchmark.store.environment import environment
from benchmark.store.record import Record
from benchmark.store.store import Store
from benchmark.training.callback import Evaluation
from datamodules.images import ImageSet
from evaluators.digits import weights_hash
from evaluators.features import extractor_hash
from modules.base import AdversarialModule
from modules.replicate import Replicated

#: Limits of the stored final samples, as a count of numbers: for points, and for images, whose numbers are bytes. With
#: them, a record keeps all samples of the tables in up to three dimensions, the first 50 in 1,200 dimensions, 65 images
#: of CIFAR-10 or 16 faces.
KEPT_VALUES, KEPT_PIXELS = 60_000, 200_000


def write_records(store: Store, evaluation: Evaluation) -> None:
    """Write a record, with samples and weights, for each pending run of a trained block."""
    block, iterations = evaluation.block, evaluation.module.iteration
    assert evaluation.samples is not None
    trained = iterations + evaluation.module.pretraining_epochs * evaluation.data.iterations_per_epoch
    milliseconds = 1000 * evaluation.seconds / (trained * len(block.seeds))
    for slot, run in block.slots.items():
        diverged = evaluation.diverged_at[slot] is not None
        samples = evaluation.samples[slot]
        curves = {name: [_number(v[slot]) for v in rows] for name, rows in evaluation.curves.items()}
        record = Record(
            id=run.id,
            run=run.identity(),
            status="diverged" if diverged else "done",
            versions=evaluation.versions,
            measures={} if diverged else {name: _number(v[slot]) for name, v in evaluation.measures.items()},
            curves=curves,
            diverged_at=evaluation.diverged_at[slot],
            cost={
                "block_seconds": round(evaluation.seconds, 3),
                "seconds": round(evaluation.seconds / len(block.pending), 3),
                "milliseconds_per_iteration_and_seed": round(milliseconds, 4),
                "iterations": iterations,
                "peak_memory_mib": round(peak_memory_mib(), 1),
            },
            environment=environment()
            | evaluation.environment
            | _images_of(evaluation)
            | _given_weights(evaluation.module),
        )
        if diverged:
            store.write(run, record)
        else:
            frames = np.stack([frame[slot] for frame in evaluation.frames]) if evaluation.frames else None
            weights = evaluation.module.weights_of(slot) if isinstance(evaluation.data.dataset, ImageSet) else None
            kept = KEPT_VALUES if weights is None else KEPT_PIXELS
            store.write(run, record, samples[: max(1, kept // samples[0].size)], frames, weights)


def _images_of(evaluation: Evaluation) -> dict[str, str]:
    """Return the fingerprint of the images, and the hash of the digit classifier or of the feature network."""
    name, dataset = evaluation.protocol.features, evaluation.data.dataset
    if not isinstance(dataset, ImageSet):
        return {}
    found = {"images": dataset.fingerprint}
    if dataset.measures == "digits":
        found["classifier"] = weights_hash()
    elif name != "none":
        found["features"] = extractor_hash(name)
    return found


def _given_weights(module: AdversarialModule) -> dict[str, str]:
    """Return the hashes of the weight files that the method's own networks were initialised from, by role."""
    networks = [network for network in module.modules() if isinstance(network, Replicated) and network.weights_hash]
    return {f"weights of {network.role}": network.weights_hash for network in networks}


def write_failures(block: Block, store: Store, reason: str) -> None:
    """Write failure records for a block whose method raised. Finished records of earlier runs are kept."""
    for run in block.pending:
        before = store.read(run)
        if before is None or before.status == "failed":
            record = Record(run.id, run.identity(), "failed", versions_of(run), reason=reason)
            store.write(run, dataclasses.replace(record, environment=environment()))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def peak_memory_mib() -> float:
    """Return the peak resident memory of this process in MiB, earlier blocks included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
