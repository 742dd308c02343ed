"""The command line: ``python -m benchmark VERB``."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence

from benchmark.cli.aside import check, classifier, data, evaluate, list_all, throughput
from benchmark.cli.parser import VERBS, make_parser
from benchmark.cli.planning import plan
from benchmark.cli.stored import doctor, figure, report, reproduce, show, verify
from benchmark.cli.training import run, tune
from benchmark.errors import Stopped, UserError, one_line, unknown
from datamodules.images import MissingData
from evaluators.features import MissingWeights

#: Exit status of a process that Ctrl-C ended.
INTERRUPTED = 130
#: What the system says where standard output is a file on a full disk.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0, 1 for methods that failed, 2 for what the user must change."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words:
            raise UserError("say what to do, for example: python -m benchmark list, or run --table 2 --profile short")
        if words[0] not in VERBS and not words[0].startswith("-"):
            raise unknown("command", words[0], VERBS)
        args = make_parser().parse(words)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal without the plus-minus sign shows a question mark instead of a traceback.
                stream.reconfigure(errors="replace")
        try:
            status = COMMANDS[args.verb](args)
            sys.stdout.flush()
            return status
        except SystemExit as end:
            # Rich's answer to a closed pipe, and Lightning's to Ctrl-C.
            raise (end.__context__ if isinstance(end.__context__, BrokenPipeError) else Stopped()) from end
    except (UserError, MissingData, MissingWeights) as error:
        print(f"benchmark: {one_line(str(error))}", file=sys.stderr)
        return 2
    except (Stopped, KeyboardInterrupt):
        print("stopped; what is finished is kept. To go on, give the same command again.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        # What Python still holds for the disk would fail again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"benchmark: cannot write what is to be shown: {error.strerror}", file=sys.stderr)
        return 2


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": list_all,
    "plan": plan,
    "run": run,
    "show": show,
    "tune": tune,
    "check": check,
    "verify": verify,
    "reproduce": reproduce,
    "doctor": doctor,
    "figure": figure,
    "report": report,
    "data": data,
    "classifier": classifier,
    "evaluate": evaluate,
    "throughput": throughput,
}
