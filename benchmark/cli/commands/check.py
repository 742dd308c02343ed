"""The command ``check``: test the promises of a method."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.cli.options import DataOptions, assignments, option


@dataclass(kw_only=True)
class CheckOptions(DataOptions):
    """Try a method, ours or yours, on tiny inputs: does it keep what every table relies on?

    check gan
    check ./hinge.py:Hinge
    check pacgan.pacgan:PacGAN --set method.packing=3
    """

    verb = "check"

    method: str | None = option(
        "a method: a name, package.module:Class, or path/to/file.py:Class", metavar="METHOD", positional=True
    )
    dataset: str | None = option(
        "what it is tried on, a name or one of yours; default: 80 points; for images digits or digits-1k",
        metavar="NAME",
        also="datasets",
    )
    set: list[str] = option(
        "a field of the method or of the protocol, as method.lambda_p=0.2; repeatable",
        [],
        metavar="FIELD=VALUE",
        read=assignments,
    )


def run(options: CheckOptions) -> int:
    """Print which promises a method keeps; return 1 if it breaks any."""
    from benchmark.checks.conformance import CHECKS, DATASET, Case, check_method
    from benchmark.cli.select import name, prepare
    from benchmark.errors import UserError

    if not options.method:
        raise UserError("check which method? for example check gan, or check ./hinge.py:Hinge")
    prepare(options)
    method, dataset = name("methods", options.method), name("datasets", options.dataset or DATASET)
    tried = found = 0
    for check, wrong in check_method(Case.of(method, options.set, dataset)):
        said = " ".join((check.__doc__ or "").split()).rstrip(".")
        print(f"{'failed' if wrong else 'ok':<8}{said}" + (f": {wrong}" if wrong else ""), flush=True)
        tried, found = tried + 1, found + bool(wrong)
    if tried < len(CHECKS):
        print(f"{options.method} breaks the first of {len(CHECKS)} promises; mend it and check again, for the others")
    else:
        print(f"{options.method} keeps {tried - found} of {len(CHECKS)} promises")
    return 1 if found else 0
