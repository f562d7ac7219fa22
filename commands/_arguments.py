"""What the verbs' own parsers share: misuse in one line, and arguments that many of them have."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from .._terminal import Answer

MISUSE = 2
"""Exit code of what was asked for wrongly."""


class Misuse(Exception):
    """A command line that cannot be read; its text is one line."""


class Parser(argparse.ArgumentParser):
    """argparse, but misuse is one line, and names what was probably meant."""

    def __init__(self, **more: Any) -> None:
        # Abbreviated flags would change their meaning with every flag that is added.
        super().__init__(**more, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise Misuse(f"{self.prog}: {message} (see {self.prog} --help)")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but an unknown flag is answered by the verb that was given it, with the nearest that it has."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            chosen = self._verb(found)
            flags = [flag for action in chosen._actions for flag in action.option_strings]
            chosen.error(f"unrecognized arguments: {' '.join(unknown)}{_meant(unknown[0].partition('=')[0], flags)}")
        return found

    def _verb(self, found: argparse.Namespace) -> Parser:
        """The parser of the verb that was asked for."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction) and getattr(found, action.dest, None) is not None:
                chosen: Parser = action.choices[getattr(found, action.dest)]
                return chosen
        return self

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            from ..contracts.nearest import one_of

            what = str(action.metavar or action.dest).lower()
            raise argparse.ArgumentError(None, f"unknown {what} {value!r}; {one_of(str(value), action.choices)}")


def _meant(name: str, known: list[str]) -> str:
    """A question for the name that was probably meant."""
    from ..contracts.nearest import nearest

    found = nearest(name, known)
    return f"; did you mean {found}?" if found else ""


def verb(verbs: Any, name: str, what: str, example: str, work: Callable[[argparse.Namespace], Answer]) -> Parser:
    """A verb's parser, with what all verbs have."""
    made: Parser = verbs.add_parser(
        name,
        help=what,
        description=textwrap.fill(what[0].upper() + what[1:] + ".", 100),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", action="store_true", help="strict JSON on stdout, all else on stderr")
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    made.set_defaults(work=work)
    return made


def device(made: Parser) -> None:
    """--device."""
    made.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu or cuda (default: cpu)")


def folder(made: Parser, flag: str, what: str) -> None:
    """A folder that must be given."""
    made.add_argument(flag, required=True, type=Path, metavar="DIR", help=what)


def count(text: str) -> int:
    """A number of at least 1."""
    return _at_least(text, 1)


def seed(text: str) -> int:
    """A number of at least 0."""
    return _at_least(text, 0)


def seconds(text: str) -> float:
    """A time above zero [s]."""
    try:
        found = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} s is no time; more than 0 is right")
    return found


def rate(text: str) -> float:
    """A learning rate, above 0 and below 1."""
    try:
        found = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 < found < 1:
        raise argparse.ArgumentTypeError(f"{text} is no learning rate; more than 0 and less than 1 is right")
    return found


def _at_least(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"{number} is too small; {least} or more is right")
    return number
