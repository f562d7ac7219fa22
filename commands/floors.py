"""What hot paths must at least take on this device, and what they take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .._terminal import Answer, show_lines, show_table
from ._arguments import device, verb

EXAMPLES = "hedgefox floors --quick\n  hedgefox floors --device cuda --into docs/performance.md"


def add_floors(verbs: Any) -> None:
    """`floors`."""
    what = (
        "the floor of every hot path on this device by its own count of bytes and operations, beside what is measured"
    )
    made = verb(verbs, "floors", what, EXAMPLES, do_floors)
    made.add_argument("--quick", action="store_true", help="small sizes and few samples")
    made.add_argument(
        "--only", action="append", metavar="PATH", help="a hot path's file, may be repeated; default: all"
    )
    made.add_argument("--into", type=Path, metavar="PAGE", help="put the table of this device between its marks there")
    made.add_argument("--note", default="", metavar="TEXT", help="said above that table, as: ran beside other work")
    device(made)


def do_floors(args: argparse.Namespace) -> Answer:
    """Measure and show; does not hold when a hot path failed."""
    from ..bench.floors import floors, page

    found = floors(args.device, quick=args.quick, only=args.only, progress=args.tell)
    if args.into is not None:
        page.write_into(args.into, found, args.note)

    def show(console: Any) -> None:
        show_table(console, [page.cells(row) for row in found["rows"]])
        show_lines(console, *(f"failed: {f['path']}: {f['error']}" for f in found["failures"]))

    return Answer(found, show, holds=not found["failures"])
