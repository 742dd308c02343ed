"""The command line."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmark")
    verbs = parser.add_subparsers(dest="verb")
    run = verbs.add_parser("run")
    run.add_argument("--table")
    run.add_argument("--profile", default="paper")
    run.add_argument("--reading", default="corrected")
    run.add_argument("--methods", default="")
    run.add_argument("--seeds")
    run.add_argument("--results", default="results")
    run.add_argument("--threads", type=int)
    args = parser.parse_args(argv)
    from benchmark import runner
    from benchmark.records import Store
    from benchmark.table import find_table, select
    from benchmark.training import Stopped
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        seeds = None
        if args.seeds:
            a, _, b = args.seeds.partition("-")
            seeds = range(int(a), int(b) + 1) if b else range(int(a))
        s = select(
            find_table(args.table),
            profile=args.profile,
            reading=args.reading,
            methods=[m for m in args.methods.split(",") if m],
            seeds=seeds,
        )
        store = Store(Path(args.results))
        store.prepare()
        cells = [c for row in s.rows for c in s.cells(row)]
        t = [time.time()]

        def watch(p):
            if time.time() - t[0] > 30:
                t[0] = time.time()
                print(
                    p.block.first.method,
                    p.block.seeds,
                    p.epoch,
                    p.iteration,
                    p.losses,
                    {k: v.tolist() for k, v in list(p.measures.items())[:2]},
                    flush=True,
                )

        out = runner.run_blocks(runner.to_do(store, cells), store, watch, "auto")
        print(out)
    except UserError as e:
        print(e, file=sys.stderr)
        return 2
    except Stopped:
        print("stopped")
        return 130
    return 0
