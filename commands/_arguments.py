"""What the verbs' own parsers share: misuse in one line, and arguments that many of them have."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from .._terminal import Answer

MISUSE = 2
"""Exit code of what was asked for wrongly."""


class Parser(argparse.ArgumentParser):
    """argparse, but misuse is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISUSE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def verb(verbs: Any, name: str, what: str, example: str, work: Callable[[argparse.Namespace], Answer]) -> Parser:
    """A verb's parser, with what all verbs have."""
    made: Parser = verbs.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
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


def _at_least(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"{number} is too small; {least} or more is right")
    return number
