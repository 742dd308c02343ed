"""The command line ``python -m benchmark COMMAND``: dispatch, exit statuses and error messages.

Until a command runs, only the standard library and jsonargparse are imported. So ``--help`` and errors appear at once;
PyTorch alone takes over a second.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType

from benchmark.cli.options import Options
from benchmark.cli.parse import PROGRAM, Parser, make_parser, parse
from benchmark.errors import Stopped, UserError, one_line, unknown
from benchmark.spec.user_code import only_what_is_named

#: Exit status of a process that Ctrl-C ended.
INTERRUPTED = 130
#: What the system says where standard output is a file on a full disk.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Command:
    """A command. Its module of the same name has a dataclass of options and ``run(options)``, which returns the exit
    status.

    Attributes:
        group: Heading in ``--help``.
        summary: Description in one line.
        options: Name of the dataclass.
    """

    group: str
    summary: str
    options: str

    def load(self, name: str) -> tuple[type[Options], Callable[[Options], int], ModuleType]:
        """Return the dataclass of options, the function that runs the command, and its module."""
        module = importlib.import_module(f"benchmark.cli.commands.{name}")
        return getattr(module, self.options), module.run, module


_TABLES, _OWN, _TRUST, _HERE = (
    "tables and figures of papers",
    "methods and samples of your own",
    "checks",
    "this machine",
)
COMMANDS = {
    "list": Command(
        _TABLES, "what there is: tables, figures, methods, data sets, measures, what is stored", "ListOptions"
    ),
    "plan": Command(_TABLES, "what run would train, and how long it takes here", "PlanOptions"),
    "run": Command(_TABLES, "train what a table needs, then show it; stops and resumes freely", "RunOptions"),
    "show": Command(_TABLES, "a table from stored results", "ShowOptions"),
    "figure": Command(_TABLES, "a figure from stored results, or a film of one training", "FigureCommandOptions"),
    "report": Command(_TABLES, "one HTML page to look at all that is stored", "ReportOptions"),
    "tune": Command(_TABLES, "which reading of a paper fits its printed values best", "TuneOptions"),
    "check": Command(_OWN, "does a method, ours or yours, keep what every table relies on?", "CheckOptions"),
    "evaluate": Command(_OWN, "measure samples of a model that was trained anywhere", "EvaluateOptions"),
    "verify": Command(_TRUST, "train stored models again and compare every number", "VerifyOptions"),
    "doctor": Command(_TRUST, "check results, data, devices and libraries, and say what to do", "DoctorOptions"),
    "data": Command(_HERE, "download an image set, or look whether it is there", "DataCommandOptions"),
    "throughput": Command(_HERE, "what an iteration of each method costs", "ThroughputOptions"),
    "classifier": Command(_HERE, "train the classifier of digits that judges all methods", "ClassifierOptions"),
}
#: Commands of earlier versions, and what does their work now.
_GONE = {"reproduce": "verify --cell ID"}

_FIRST = f"""usage: {PROGRAM} COMMAND [options]

Regenerates the tables of papers on mode collapse: methods are trained from scratch over many seeds and set beside the
printed numbers. To begin with:

  show --table 2                                     a table at the paper's own budget, from stored results
  run --table 2 --profile smoke --results mine       the same trained here, in seconds: far too short for good numbers
  plan --table 2                                     how long the paper's own training takes on this machine
  evaluate --dataset grid25 --samples mine.npy       samples of a model of yours
  run --table 2 --methods ./mine.py:MyGAN            a method of yours in the table, beside the printed values
"""
_LAST = f"""
{PROGRAM} COMMAND --help says what a command takes.
--config FILE gives a command its options from a file, and --print_config writes such a file.
{PROGRAM} --version; {PROGRAM} --print_completion bash (or zsh): completion of words in a shell.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Words after ``python -m benchmark``; None takes those of the process.

    Returns:
        The exit status: 0; 1 if a method failed or numbers differ; 2 for an error that the user must fix; 130 after
        Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        _readable(words)
        return _dispatch(words)
    except UserError as error:
        return _refused(str(error))
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
        return _refused(f"cannot write what is to be shown: {error.strerror}")
    except Exception as error:
        # Data and weights that are not here say so by errors of their own packages, which are not loaded yet.
        if _is_missing(error):
            return _refused(str(error))
        raise


def _dispatch(words: Sequence[str]) -> int:
    if not words:
        raise UserError(f"say what to do, for example: {PROGRAM} list, or run --table 2 --profile short")
    verb, *rest = words
    if verb in ("-h", "--help"):
        print(overview())
        return 0
    if verb == "--version":
        print(f"modecov {_version()}")
        return 0
    if verb == "--print_completion":
        return _print_completion(rest)
    if verb in _GONE:
        raise UserError(f"the command {verb} is now {PROGRAM} {_GONE[verb]}")
    if verb.startswith("-"):
        raise UserError(f"say what to do, not {' '.join(words)}; see {PROGRAM} --help")
    if verb not in COMMANDS:
        raise unknown("command", verb, COMMANDS)
    made, run, _ = COMMANDS[verb].load(verb)
    try:
        options = parse(made, rest)
    except SystemExit as end:
        # --help and --print_config end so.
        return int(end.code or 0)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without the plus-minus sign shows a question mark instead of a traceback.
            stream.reconfigure(errors="replace")
    return _run(run, options)


def _version() -> str:
    """Return the version of the checkout, or of the installed package."""
    import tomllib
    from importlib import metadata
    from pathlib import Path

    checkout = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if checkout.exists():
        return str(tomllib.loads(checkout.read_text(encoding="utf-8"))["project"]["version"])
    return metadata.version("modecov")


def _run(run: Callable[[Options], int], options: Options) -> int:
    with _dying_of_interrupts():
        importlib.import_module("benchmark.cli.select")
    try:
        with only_what_is_named():
            status = run(options)
        sys.stdout.flush()
        return status
    except SystemExit as end:
        # Rich's answer to a closed pipe, and Lightning's to Ctrl-C.
        raise (end.__context__ if isinstance(end.__context__, BrokenPipeError) else Stopped()) from end


def _refused(said: str) -> int:
    print(f"benchmark: {one_line(said)}", file=sys.stderr)
    return 2


def _is_missing(error: Exception) -> bool:
    places = {"MissingData": "datamodules.images", "MissingWeights": "evaluators.features"}
    kinds = [getattr(sys.modules.get(module), kind, None) for kind, module in places.items()]
    return isinstance(error, tuple(kind for kind in kinds if kind))


def _readable(words: Sequence[str]) -> None:
    for word in words:
        with suppress(UnicodeEncodeError):
            word.encode()
            continue
        raise UserError(f"{word} is no text in this terminal's encoding; give the file or folder another name")


@contextmanager
def _dying_of_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the process at once while PyTorch is imported.

    Nothing has been started yet, and the imports would turn an interrupt into other errors.
    """
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    usual = usual and threading.current_thread() is threading.main_thread()
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if usual:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def overview() -> str:
    """Return the text of ``--help``."""
    lines = [_FIRST]
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        lines.append(f"{group}:")
        lines += [f"  {name:<12}{command.summary}" for name, command in COMMANDS.items() if command.group == group]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n" + _LAST.rstrip()


def whole_parser() -> Parser:
    """Return the parser of all commands, for shell completion."""
    parser = Parser(prog=PROGRAM, description="Regenerates the tables of papers on mode collapse.")
    commands = parser.add_subcommands(dest="command", required=False)
    for name, command in COMMANDS.items():
        made, _, _ = command.load(name)
        commands.add_subcommand(name, make_parser(made), help=command.summary)
    return parser


def _print_completion(words: Sequence[str]) -> int:
    from importlib.util import find_spec

    if find_spec("shtab") is None:
        raise UserError("--print_completion needs the package shtab: pip install -c constraints.txt -e '.[completion]'")
    import shtab

    if list(words) not in ([shell] for shell in shtab.SUPPORTED_SHELLS):
        raise UserError(f"--print_completion wants the shell: {', '.join(shtab.SUPPORTED_SHELLS)}")
    print(shtab.complete(whole_parser(), words[0]))
    return 0
