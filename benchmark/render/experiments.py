"""Draw demonstrations with title and small print, as PNG and SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib.figure

from benchmark.analysis.experiments import findings, four_digits, is_experiment_stale, read_experiment
from benchmark.errors import Damaged
from benchmark.plotting.canvas import Kind, add_title_and_small_print, own_style, save
from benchmark.spec.demonstration import Experiment
from benchmark.store.record import Record
from benchmark.store.store import Store


def experiment_small_print(experiment: Experiment, record: Record) -> list[str]:
    """Return the lines below the drawing: claim, numbers, verdict, setting and source."""
    demonstration, numbers = experiment.demonstration, findings(record).numbers
    measured = "; ".join(f"{what}: {four_digits(numbers[name])}" for name, what in demonstration.numbers.items())
    return [
        f"Claim: {demonstration.claim}",
        f"Measured: {measured}.",
        f"Verdict: {demonstration.judge(numbers)}. It holds if {demonstration.rule}.",
        demonstration.setting,
        f"{demonstration.citation}. Ours: {experiment.header}.",
        "Stale: made with an earlier version (run with --redo-stale)."
        if is_experiment_stale(experiment, record)
        else "",
    ]


def compose_experiment(experiment: Experiment, store: Store) -> matplotlib.figure.Figure:
    """Draw a demonstration with title and small print. Call this within ``canvas.own_style``.

    Raises:
        UserError: There is no record.
        Damaged: The record lacks what is drawn.
    """
    record = read_experiment(experiment, store)
    try:
        picture = experiment.demonstration.draw(findings(record))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        said = f"is damaged (its curves are not what is drawn, {type(error).__name__}: {error})"
        path, command = store.path(experiment), experiment.command(store.folder)
        raise Damaged(f"{path} {said}; delete it and give again: {command}") from error
    add_title_and_small_print(picture, experiment.demonstration.title, experiment_small_print(experiment, record))
    return picture


def draw_experiment(experiment: Experiment, store: Store, kind: Kind = "png") -> Path:
    """Draw a stored demonstration.

    Returns:
        The path of the file.

    Raises:
        UserError: There is no record.
    """
    with own_style(experiment.demonstration.id):
        folder = store.writable(store.pictures() / experiment.name).parent
        return save(compose_experiment(experiment, store), folder, experiment.name, kind)
