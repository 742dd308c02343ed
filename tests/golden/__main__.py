"""`python -m tests.golden --write [NAME ...]` computes golden values anew and stores them."""

from __future__ import annotations

import argparse

import numpy as np

from tests.golden.cases import ALL
from tests.golden.store import Case, as_json, read, write


def chosen(names: list[str]) -> list[Case]:
    """The cases that these names select: ``methods/gaan:digits``, ``methods/gaan`` with all its choices, ``methods``;
    all cases without a name."""
    for name in names:
        if not any(matches(case, name) for case in ALL):
            known = ", ".join(sorted({case.id.partition(":")[0] for case in ALL}))
            raise SystemExit(f"no golden value is called {name}; there are {known}")
    return [case for case in ALL if not names or any(matches(case, name) for name in names)]


def matches(case: Case, name: str) -> bool:
    """Whether a name selects a case."""
    return name in (case.kind, case.id, case.id.partition(":")[0])


def report(case: Case) -> str:
    """What changed since the values of a case were stored, and by how much."""
    stored, values = case.stored(), case.make()
    content = read(case.path)
    content[case.name] = {name: as_json(np.asarray(value)) for name, value in values.items()}
    write(case.path, content)
    if not stored:
        return f"{case.id}: new"
    lines = [f"{name!r} is {'new' if name in values else 'gone'}" for name in sorted(stored.keys() ^ values.keys())]
    for name in stored.keys() & values.keys():
        now, then = np.asarray(values[name]), stored[name]
        if now.shape != then.shape:
            lines.append(f"{name!r} has shape {list(now.shape)}, was {list(then.shape)}")
        elif (worst := case.excess(then, now).max(initial=0.0)) > 1:
            lines.append(f"{name!r} moved by {np.nanmax(np.abs(now - then)):.3g}, {worst:.3g} times the tolerance")
    return f"{case.id}: " + ("; ".join(lines) or "as before")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--write", nargs="*", metavar="NAME", required=True, help="KIND or KIND/NAME; all without one")
    cases = chosen(parser.parse_args().write)
    for case in cases:
        print(report(case), flush=True)
    for path in {case.path for case in cases}:
        here = {case.name for case in ALL if case.path == path}
        content = read(path)
        for name in content.keys() - here:
            print(f"{path.stem}/{name}: removed, as nothing gives it any more")
        write(path, {name: values for name, values in content.items() if name in here})


if __name__ == "__main__":
    main()
