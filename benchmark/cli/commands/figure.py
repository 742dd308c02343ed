"""The command ``figure``: draw a figure from stored results, or the movie of one training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark.cli.options import (
    DataOptions,
    FeatureOptions,
    FigureOptions,
    PrecisionOptions,
    ResultsOptions,
    SeedOptions,
    SelectionOptions,
    option,
)
from benchmark.errors import one_line


@dataclass(kw_only=True)
class FigureCommandOptions(
    DataOptions, ResultsOptions, FeatureOptions, PrecisionOptions, SeedOptions, SelectionOptions, FigureOptions
):
    """Draw a figure or a demonstration from stored results, as PNG and SVG, or the film of one training.

    figure gaan-fig5
    figure gaan-fig5 --format svg
    figure movie --cell ID
    """

    verb = "figure"

    figure: str | None = option(
        "gaan-fig5, or movie (all: python -m benchmark list figures)", metavar="FIGURE", positional=True
    )
    cell: str | None = option("of a movie: the name of a file under records/, or its beginning", metavar="ID")
    format: Literal["png", "svg"] = option("of the picture; a movie is a GIF; default: png", "png")


def run(options: FigureCommandOptions) -> int:
    """Draw the figure and print the path of its file."""
    from benchmark.cli.select import TableChoice, choose
    from benchmark.errors import UserError
    from benchmark.render.experiments import draw_experiment
    from benchmark.render.figures import draw_figure
    from benchmark.spec.demonstration import Experiment

    if options.figure == "movie":
        return _movie(options)
    if options.cell:
        raise UserError("--cell belongs to figure movie; a figure of a table has --methods and --seeds")
    chosen = choose(options)
    if isinstance(chosen, Experiment):
        path = draw_experiment(chosen, options.store_to_look_at(), options.format)
    else:
        assert isinstance(chosen, TableChoice) and chosen.figure, "other tables have no figures"
        path = draw_figure(chosen.figure, chosen.selection, options.store_to_look_at(), options.format)
    print(one_line(str(path)))
    return 0


def _movie(options: FigureCommandOptions) -> int:
    from benchmark.cli.select import name, prepare, words_of
    from benchmark.errors import UserError
    from benchmark.render.movie import make_movie

    if not options.cell:
        raise UserError("movie of which model? figure movie --cell ID, the name of a file under records/")
    prepare(options)
    for word in words_of("datasets", options.datasets):
        name("datasets", word)
    print(one_line(str(make_movie(options.store_to_look_at(), options.cell))))
    return 0
