"""Data in other people's layouts: looked at, and written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .._terminal import Answer, as_pairs, show_lines, show_table
from ._arguments import folder, verb


def add_inspect(verbs: Any) -> None:
    """`inspect`."""
    what = "what a data set in another suite's layout holds, and what of it hedgefox reads"
    verb(verbs, "inspect", what, "hedgefox inspect 2D_LDC_2708_10kevery100", do_inspect).add_argument(
        "folder", type=Path, metavar="DIR", help="a set in another layout"
    )


def do_inspect(args: argparse.Namespace) -> Answer:
    """Layout, splits, statistics and what is left out."""
    from ..datasets.foreign import described

    found = described(args.folder)
    return Answer(found, lambda console: show_table(console, as_pairs(found)))


def add_export(verbs: Any) -> None:
    """`export`."""
    what = "write a data set in another layout, or the cards that describe it"
    made = verb(verbs, "export", what, "hedgefox export data/fluid --layout huggingface --out hf", do_export)
    made.add_argument("folder", type=Path, metavar="DIR", help="the folder DIR/DOMAIN that generate wrote")
    what = "lagrangebench, huggingface, or card: README.md and croissant.json of the data as they are"
    made.add_argument("--layout", required=True, metavar="L", help=what)
    folder(made, "--out", "goes into DIR, which must be empty")
    made.add_argument("--url", default="", metavar="URL", help="where the data will lie, for the cards")


def do_export(args: argparse.Namespace) -> Answer:
    """What was left out."""
    from ..datasets.export import export

    left_out = export(
        args.folder, args.layout, args.out, url=args.url,
        progress=lambda done, total: args.tell(f"export {args.layout}", done, total),
    )  # fmt: skip
    lines = [f"{args.out}", *(f"left out: {what}" for what in left_out)]
    return Answer({"folder": str(args.out), "left_out": left_out}, lambda console: show_lines(console, *lines))
