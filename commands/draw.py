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
    board = records.read(args.folder, args.track) if set(args.only) - {"architecture"} else None
    if "architecture" in args.only:
        drawn.append(str(architecture.draw(args.out / "architecture.svg")))
    for name, draw in (("cost", records.cost), ("over-time", records.over_time)):
        if board is not None and name in args.only:
            drawn.append(str(draw(board, args.out / f"{name}.svg")))
    if board is not None and "films" in args.only:
        run = films.recorded_run(board.folders)
        for k, domain in enumerate(board.domains):
            args.tell("films", k, len(board.domains))
            shown.append(films.film(run, domain, args.out / f"film-{domain}.gif"))
    lines = [*drawn, *(f"{f['file']}  {f['why']}" for f in shown)]
    return Answer({"drawn": drawn, "films": shown}, lambda console: show_lines(console, *lines))


def add_plots(made: Parser) -> None:
    """--plots and --into of `validate`."""
    what = "draw what was measured beside what is expected, as DIR/validate-DOMAIN-CHECK.svg"
    made.add_argument("--plots", type=Path, metavar="DIR", help=what)
    what = "put what was made between the marks of the page DIR/DOMAIN.md: the pictures of --plots, or else the table"
    made.add_argument("--into", type=Path, metavar="DIR", help=what)


def plotted(args: argparse.Namespace, found: Mapping[str, Sequence[PhysicsCheck]]) -> list[str]:
    """The pictures and pages that `validate` was asked for, by domain, written; their paths."""
    from ..bench.pictures import physics

    written = []
    for name, checks in found.items():
        drawn = {} if args.plots is None else physics.draw(name, checks, args.plots)
        written += [str(path) for path in drawn.values()]
        if args.into is not None and args.plots is None:
            physics.write_table(args.into / f"{name}.md", checks, args.full)
        elif args.into is not None:
            physics.write_plots(args.into / f"{name}.md", checks, drawn, _said(args))
    return written + ([] if args.into is None else [str(args.into / f"{name}.md") for name in found])


def _said(args: argparse.Namespace) -> str:
    """The command that draws the pictures of all domains again."""
    full = " --full" if args.full else ""
    return f"hedgefox validate{full} --plots {args.plots.as_posix()} --into {args.into.as_posix()}"
