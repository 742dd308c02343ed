"""The command ``report``: write one HTML page with everything that is stored."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmark.cli.options import DataOptions, NamedOptions, ResultsOptions, option
from benchmark.errors import one_line


@dataclass(kw_only=True)
class ReportOptions(DataOptions, ResultsOptions, NamedOptions):
    """Write one HTML file to look at all that is stored: tables, models, demonstrations, figures.

    Classes that records name from outside are not loaded, and their models left out, unless --method names them.
    """

    verb = "report"

    output: str | None = option("default: report/index.html of the results", metavar="FILE")


def run(options: ReportOptions) -> int:
    """Write the report and print its path."""
    from benchmark.cli.select import prepare
    from benchmark.render.report.write import write_report

    prepare(options)
    store = options.store_to_look_at()
    path = Path(options.output) if options.output else store.folder / "report" / "index.html"
    found = write_report(store, path)
    for line in found.left_out:
        print(f"not shown: {one_line(line)}", file=sys.stderr)
    print(f"{one_line(str(path))} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0
