"""Pictures for pages: from records and recorded weights, and of what simulators were held against."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ._arguments import Parser

if TYPE_CHECKING:
    from ..contracts import PhysicsCheck


def add_plots(made: Parser) -> None:
    """--plots and --into of `validate`."""
    what = "draw what was measured beside what is expected, as DIR/validate-DOMAIN.svg"
    made.add_argument("--plots", type=Path, metavar="DIR", help=what)
    what = "put the table, and the picture, between the marks of the page DIR/DOMAIN.md"
    made.add_argument("--into", type=Path, metavar="DIR", help=what)


def plotted(args: argparse.Namespace, found: Mapping[str, Sequence[PhysicsCheck]]) -> list[str]:
    """The pictures and pages that `validate` was asked for, by domain, written; their paths."""
    from ..bench.pictures import physics

    given = [f"{flag} {path.as_posix()}" for flag, path in (("--plots", args.plots), ("--into", args.into)) if path]
    written = []
    for name, checks in found.items():
        picture = None if args.plots is None else physics.draw(checks, args.plots / f"validate-{name}.svg")
        written += [] if picture is None else [str(picture)]
        if args.into is not None:
            page, said = (
                args.into / f"{name}.md",
                ["hedgefox validate", name, *(["--full"] if args.full else []), *given],
            )
            physics.write_into(page, name, checks, picture, " ".join(said))
            written.append(str(page))
    return written
