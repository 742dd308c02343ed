"""The command ``list``: print everything that has a name."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.cli.options import ResultsOptions, option

#: The sections, in this order.
SECTIONS = (
    "tables",
    "figures",
    "demonstrations",
    "methods",
    "networks",
    "datasets",
    "measures",
    "engines",
    "loggers",
    "protocols",
    "stored",
)
#: Texts in the overview for sections of tables and files, which have no names to count.
_WORDS = {
    "protocols": "rows, profiles and readings of every table",
    "stored": "how much of each table is in the results folder",
}
#: Number of examples per section in the overview, and its width in characters.
_EXAMPLES, _WIDTH = 3, 100


@dataclass(kw_only=True)
class ListOptions(ResultsOptions):
    """Say what there is: sections with counts and examples, or all of one section.

    list
    list tables
    list protocols      rows, profiles and readings of every table
    list stored         how much of each table is in the results folder
    """

    verb = "list"

    section: str | None = option(f"{', '.join(SECTIONS)}, or all", metavar="SECTION", positional=True)


def run(options: ListOptions) -> int:
    """Print the overview, one section, or all sections."""
    from benchmark.cli.output import write
    from benchmark.errors import UserError, one_line, unknown
    from benchmark.render.listing import entries

    if options.section not in (None, "all", *SECTIONS):
        raise unknown("section", options.section, [*SECTIONS, "all"])
    store = options.store()
    if store.folder.exists() and not store.folder.is_dir():
        raise UserError(f"{store.folder} is no folder of results; choose another --results DIR")
    if options.section is None:
        for name in SECTIONS:
            found = [] if name in _WORDS else [word for _, lines in entries(name, store) for word in lines]
            write(_summary(name, found))
        write("\nall of one section: python -m benchmark list SECTION, as list tables; everything: list all\n")
        return 0
    for name in SECTIONS if options.section == "all" else [options.section]:
        for title, lines in entries(name, store):
            write(one_line(title) + "\n")
            for word, text in lines.items():
                write(one_line(f"  {word:<31}{text}".rstrip()) + "\n")
    return 0


def _summary(name: str, found: list[str]) -> str:
    """Return a section's line in the overview: the number of its names and the first few."""
    said = _WORDS.get(name) or ", ".join(found[:_EXAMPLES]) + (", ..." if len(found) > _EXAMPLES else "")
    return f"{name:<15}{len(found) or '':>4}  {said}"[:_WIDTH] + "\n"
