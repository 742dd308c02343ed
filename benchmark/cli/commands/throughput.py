"""The command ``throughput``: measure the cost of an iteration of each method on this machine."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Literal

from benchmark.cli.options import DataOptions, SelectionOptions, TableOptions, ThreadOptions, option


@dataclass(kw_only=True)
class ThroughputOptions(DataOptions, ThreadOptions, SelectionOptions, TableOptions):
    """Measure what an iteration of each method costs on this machine, against the machine's limits.

    throughput --table 2 --methods gan
    """

    verb = "throughput"

    format: Literal["text", "csv", "json"] = option("of what is printed; default: text", "text")


def run(options: ThroughputOptions) -> int:
    """Measure the throughput and print it."""
    from benchmark.checks import throughput
    from benchmark.cli.output import write
    from benchmark.cli.select import TableChoice, choose_rows, set_threads
    from benchmark.errors import UserError

    chosen = choose_rows(options)
    if not isinstance(chosen, TableChoice):
        raise UserError(f"table {chosen.id} trains nothing; throughput --table {chosen.of.id} measures its networks")
    set_threads(options.threads)
    try:
        frame = throughput.measure_throughput(chosen.selection, report=lambda line: print(line, file=sys.stderr))
    except Exception as error:
        said = " ".join(str(error).split())
        raise UserError(f"a method cannot be timed, as it raises {type(error).__name__}: {said}") from error
    facts = frame.attrs
    if options.format == "csv":
        write(frame.to_csv(index=False, lineterminator="\n"))
    elif options.format == "json":
        write(json.dumps(facts | {"entries": frame.to_dict("records")}, indent=1) + "\n")
    else:
        write(f"{facts['processor']}, {facts['threads']} threads, peak {facts['peak_gflops']:.0f} GFLOP/s\n")
        plain = ", ".join(f"{name} {value:.2f} ms" for name, value in facts["plain_ms"].items())
        write(f"plain loop, one seed, per iteration: {plain}\n")
        write(frame.to_string(index=False, float_format="%.3f") + "\n")
    return 0
