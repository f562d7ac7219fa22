"""Data in other people's layouts: looked at, and written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .._terminal import Answer, as_pairs, show_table
from ._arguments import verb


def add_inspect(verbs: Any) -> None:
    """`inspect`."""
    what = "what a data set in another suite's layout holds, and what of it hedgefox reads"
    verb(verbs, "inspect", what, "hedgefox inspect 2D_LDC_2708_10kevery100", do_inspect).add_argument(
        "folder", type=Path, metavar="DIR"
    )


def do_inspect(args: argparse.Namespace) -> Answer:
    """Layout, splits, statistics and what is left out."""
    from ..datasets.foreign import open_set

    found = open_set(args.folder).described()
    return Answer(found, lambda console: show_table(console, as_pairs(found)))
