"""The command ``doctor``: diagnose the results folder and this machine."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.cli.options import DataOptions, NamedOptions, ResultsOptions
from benchmark.errors import one_line


@dataclass(kw_only=True)
class DoctorOptions(DataOptions, ResultsOptions, NamedOptions):
    """Check a results folder, the data, the devices and the libraries, and say what to do. Nothing is changed.

    Classes that records name from outside are not loaded unless --method names them.
    """

    verb = "doctor"


def run(options: DoctorOptions) -> int:
    """Print the diagnosis; return 1 if anything is wrong."""
    from benchmark.checks.doctor import diagnose
    from benchmark.cli.select import prepare

    prepare(options)
    wrong = 0
    for finding in diagnose(options.store()):
        print(f"{finding.level:<6} {one_line(finding.said)}", flush=True)
        wrong += finding.level == "wrong"
    print({0: "nothing is wrong", 1: "one thing is wrong"}.get(wrong, f"{wrong} things are wrong"))
    return 1 if wrong else 0
