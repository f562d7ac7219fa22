"""Pictures for pages: from records and recorded weights, and of what simulators were held against."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._terminal import Answer, show_lines
from ._arguments import Parser, folder, verb

if TYPE_CHECKING:
    from ..contracts import PhysicsCheck


PARTS = ("cost", "over-time", "architecture", "films")


def add_pictures(verbs: Any) -> None:
    """`pictures`."""
    what = "the pictures of README and docs, from records and recorded weights"
    made = verb(verbs, "pictures", what, "hedgefox pictures results --out docs/figures", do_pictures)
    made.add_argument("folder", type=Path, metavar="DIR", help="a folder of records")
    folder(made, "--out", "SVG and GIF go there")
    made.add_argument("--track", metavar="T", help="default: the one timed with the most training")
    made.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=f"of {', '.join(PARTS)} (default: all)"
    )


def do_pictures(args: argparse.Namespace) -> Answer:
    """Draw; films say which scene they show and that its errors are the recorded ones."""
    from ..bench.pictures import architecture, films, records

    drawn: list[str] = []
    shown: list[dict[str, Any]] = []
    if "architecture" in args.only:
        drawn.append(str(architecture.draw(args.out / "architecture.svg")))
    board = records.read(args.folder, args.track) if set(args.only) - {"architecture"} else None
    for name, draw in (("cost", records.cost), ("over-time", records.over_time)):
        if board is not None and name in args.only:
            drawn.append(str(draw(board, args.out / f"{name}.svg")))
    if board is not None and "films" in args.only:
        run = films.recorded_run(board.record["folders"])
        for k, domain in enumerate(board.domains):
            args.tell("films", k, len(board.domains))
            shown.append(films.film(run, domain, args.out / f"film-{domain}.gif"))
    lines = [*drawn, *(f"{f['file']}  {f['why']}" for f in shown)]
    return Answer({"drawn": drawn, "films": shown}, lambda console: show_lines(console, *lines))


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
