"""Parse the options of a command with jsonargparse, and turn its errors into one line with a way out."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

import jsonargparse

from benchmark.cli.options import Options
from benchmark.errors import UserError, first_line, unknown

PROGRAM = "python -m benchmark"


class Parser(jsonargparse.ArgumentParser):
    """Parser of one command. Its errors are one line with a suggestion."""

    made: type[Options] = Options

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the ``UserError`` for an error message of the parser."""
        raise _explained(self.made, " ".join(message.split())) from ex


class _Repeat(argparse.Action):
    """Collect the values of a repeatable option.

    The values on the command line replace those of an options file. Of ``FIELD=VALUE`` assignments, only those of the
    same field are replaced.
    """

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        given = vars(parser).setdefault("given", {})
        before = given.setdefault(self.dest, [])
        before.append(values)
        kept = []
        if self.dest == "set":
            mine = {word.partition("=")[0] for word in before}
            base = given.setdefault("file's", list(getattr(namespace, self.dest, None) or []))
            kept = [word for word in base if word.partition("=")[0] not in mine]
        setattr(namespace, self.dest, [*kept, *before])


class _Word(argparse.Action):
    """Store a positional argument. If none is given, the value of the options file is kept."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if values is not None:
            setattr(namespace, self.dest, values)


def parse(made: type[Options], argv: Sequence[str]) -> Options:
    """Parse the words of a command to its options.

    Args:
        made: The command's dataclass of options.
        argv: Words after the command's name.

    Raises:
        UserError: An option is unknown, or a value is missing or has the wrong type.
    """
    for word in argv:
        if word.startswith("--") and word.endswith("=--"):
            raise UserError(f"{word}: -- is no value; write ./-- for a file of that name")
    words = _files_first(argv)
    try:
        found = make_parser(made).parse_args(words)
    except (ValueError, TypeError, LookupError, AttributeError, OSError, RecursionError) as error:
        if not words or not words[0].startswith("--config"):
            raise
        # jsonargparse raises these on files that it does not expect, such as binary ones or those with odd keys.
        raise UserError(f"--config: the file is no YAML of options, as table: 2: {first_line(error)}") from error
    hints = get_type_hints(made)
    return made(**{own.name: _as_typed(own.name, found[own.name], hints[own.name]) for own in dataclasses.fields(made)})


def _as_typed(name: str, value: Any, hint: Any) -> Any:
    """Convert switches and repeatable options, which an options file may write differently."""
    if get_origin(hint) is list and not isinstance(value, list):
        return [value]
    if hint is bool and not isinstance(value, bool):
        raise UserError(f"--{name.replace('_', '-')}: {value} is neither true nor false")
    return value


def make_parser(made: type[Options]) -> Parser:
    """Return the parser of one command. Its options are grouped by the dataclasses that define them."""
    parser = Parser(
        prog=f"{PROGRAM} {made.verb}",
        usage=f"{PROGRAM} {made.verb} {''.join(word + ' ' for word in _positionals(made))}[options]",
        description=inspect.getdoc(made),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.made = made
    hints = get_type_hints(made)
    groups: dict[str, Any] = {}
    for owner in reversed(made.__mro__[:-1]):
        for own in dataclasses.fields(owner) if dataclasses.is_dataclass(owner) else ():
            if own.name in vars(owner).get("__annotations__", {}):
                title = "options of this command" if owner is made else str(owner.__doc__)
                if title not in groups and not own.metadata["positional"]:
                    groups[title] = parser.add_argument_group(title)
                _add(parser if own.metadata["positional"] else groups[title], own, hints[own.name])
    parser.add_argument(
        "--config", action=jsonargparse.ActionConfigFile, metavar="FILE", help="options from a YAML file; words beat it"
    )
    return parser


def _positionals(made: type[Options]) -> list[str]:
    return [str(own.metadata["metavar"]) for own in dataclasses.fields(made) if own.metadata["positional"]]


def _add(place: Any, own: Field[Any], hint: Any) -> None:
    facts, name = own.metadata, own.name.replace("_", "-")
    choices = choices_of(hint)
    more: dict[str, Any] = {"help": facts["help"].replace("%", "%%"), "default": default_of(own)}
    if facts["positional"]:
        more |= {
            "nargs": "?",
            "action": _Word,
            "type": _reader(name.upper(), facts["read"]),
            "metavar": facts["metavar"],
        }
        place.add_argument(own.name, **more)
        return
    if hint is bool:
        more["action"] = "store_true"
    elif choices:
        more |= {"type": hint, "metavar": "{" + ",".join(choices) + "}"}
    else:
        more |= {"type": _reader(f"--{name}", facts["read"]), "metavar": facts["metavar"]}
        more |= {"action": _Repeat} if get_origin(hint) is list else {}
    place.add_argument(f"--{name}", *([f"--{facts['also']}"] if facts["also"] else []), dest=own.name, **more)


def default_of(own: Field[Any]) -> Any:
    """Return the default of an option."""
    return own.default if own.default_factory is MISSING else own.default_factory()


def choices_of(hint: Any) -> tuple[str, ...]:
    """Return the values of a type ``Literal[...]`` or ``Literal[...] | None``; empty for other types."""
    if get_origin(hint) in (Union, types.UnionType):
        return next((found for part in get_args(hint) if (found := choices_of(part))), ())
    return get_args(hint) if get_origin(hint) is Literal else ()


def _reader(name: str, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap a converter so that its errors name the option.

    They become ``UserError``, which argparse does not replace.
    """

    def wrapped(value: Any) -> Any:
        if value is None:
            return None
        try:
            return read(value)
        except ValueError as error:
            raise UserError(f"{name}: {error}") from error

    return wrapped


def _files_first(argv: Sequence[str]) -> list[str]:
    """Move ``--config FILE`` to the front, so that words on the command line override the file at any position."""
    front, rest, pending = [], [], list(argv)
    while pending:
        word = pending.pop(0)
        if word == "--config" and pending:
            front += [word, pending.pop(0)]
        elif word.startswith("--config="):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


def flags(made: type[Options]) -> tuple[str, ...]:
    """Return all option strings of a command."""
    return tuple(word for action in make_parser(made)._actions for word in action.option_strings if word != "-h")


def _explained(made: type[Options], message: str) -> UserError:
    """Translate an error message of jsonargparse."""
    see = f"see {PROGRAM} {made.verb} --help"
    if match := re.match(r"unrecognized arguments: (.*)", message, re.IGNORECASE):
        return _unknown_option(made, match[1].split(" ")[0], see)
    if match := re.match(r"Option '(.*?)' is not accepted", message):
        known = [field.name for field in dataclasses.fields(made)]
        return unknown(f"key for {made.verb} in --config", match[1], known)
    if match := re.match(r"Parser key \"(?:.*\.)?(\w+)\": (.*)", message):
        return _wrong_value(made, match[1], match[2])
    if match := re.match(r"argument (\S+?)(?:/\S+)?: (.*)", message):
        said = "it wants a value" if match[2].startswith("expected one argument") else match[2]
        return UserError(f"{match[1]}: {said}; {see}")
    if match := re.match(r"(?:Problems parsing|Unexpected) config: ?(.*)", message):
        return UserError(f"--config: the file is no YAML of options, as table: 2: {match[1] or 'it is empty'}")
    return UserError(f"{message}; {see}")


def _unknown_option(made: type[Options], word: str, see: str) -> UserError:
    near = difflib.get_close_matches(word.partition("=")[0], flags(made), n=1)
    hint = f"did you mean {near[0]}?" if near else see
    return UserError(f"unknown option for {made.verb}: {word}; {hint}")


def _wrong_value(made: type[Options], name: str, said: str) -> UserError:
    """Translate an error about a value of the wrong type, or about an unreadable options file."""
    if name == "config":
        return UserError(f"--config: {said[0].lower()}{said[1:]}")
    option, value = f"--{name.replace('_', '-')}", re.split(r"(?:Got|Given) value: ", said)[-1]
    if choices := choices_of(get_type_hints(made).get(name)):
        return unknown(f"value for {option}", value, choices)
    return UserError(f"{option}: {said}")
