"""What records say: boards, comparisons, reports, explanations, claims."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .._terminal import Answer, show_lines, show_table
from ._arguments import verb

KEYS = ("track", "domain", "split")
"""What a board can be narrowed to."""


def add_leaderboard(verbs: Any) -> None:
    """`leaderboard`."""
    what = "the board of all records under a folder"
    narrowed = "hedgefox leaderboard results --track hour --split test --into README.md"
    example = f"hedgefox leaderboard runs/quick --domain fluid\n  {narrowed}"
    made = verb(verbs, "leaderboard", what, example, do_leaderboard)
    made.add_argument("folder", type=Path, metavar="DIR", help="a run, or a folder of several records")
    for name in KEYS:
        made.add_argument(f"--{name}", metavar=name[0].upper(), help=f"only this {name}; default: all")
    made.add_argument(
        "--into", type=Path, metavar="FILE", help="put the tables into a Markdown page, between its marks"
    )


def do_leaderboard(args: argparse.Namespace) -> Answer:
    """Rows, sorted and ranked."""
    from ..bench import board_short
    from ..bench.board_terminal import print_board
    from ..bench.board_text import write_into
    from ..bench.leaderboard import board
    from ..contracts import MisuseError
    from ..contracts.nearest import one_of

    entries = board(args.folder)
    for key in KEYS:
        wanted, known = getattr(args, key), list(dict.fromkeys(e.row[key] for e in entries))
        if wanted is not None and wanted not in known:
            raise MisuseError(f"the board has no {key} {wanted!r}; {one_of(wanted, known)}")
        entries = [e for e in entries if wanted in (None, e.row[key])]
    if args.into is not None:
        write_into(args.into, entries, board_short.table(entries))
    return Answer({"rows": [e.row for e in entries]}, lambda console: print_board(entries, console))


def add_compare(verbs: Any) -> None:
    """`compare`."""
    what = (
        "two contestants, the factors in which they differ first; every generalist against the specialists; or two records of one "
        "track: what got better or worse, faster or slower, beyond its interval (exit 1 when something got worse, slower or fails)"
    )
    example = "hedgefox compare persistence linear runs/quick\n  hedgefox compare runs/quick\n  hedgefox compare runs/old runs/new"
    made = verb(verbs, "compare", what, example, do_compare)
    made.usage = "hedgefox compare [-h] [--json] [--debug] [A B] DIR | OLD NEW"
    made.add_argument(
        "what",
        nargs="+",
        metavar="[A B] DIR | OLD NEW",
        help="two models and a folder of records, a folder alone, or the folders of two records",
    )


def do_compare(args: argparse.Namespace) -> Answer:
    """Two models and a folder, a folder alone, or two records; those hold when nothing got worse or slower, nor fails anew."""
    from .._terminal import show_titled
    from ..bench.compare import compared
    from ..bench.compare_tables import tables
    from ..bench.regression import holds

    found = compared(args.what)
    return Answer(found, lambda console: show_titled(console, tables(found)), "verdicts" not in found or holds(found))


def add_report(verbs: Any) -> None:
    """`report`."""
    made = verb(
        verbs, "report", "a page that opens from disk, made from records", "hedgefox report runs/quick", do_report
    )
    made.add_argument("folder", type=Path, metavar="DIR", help="a run, or a folder of several records")
    made.add_argument("--out", type=Path, metavar="DIR", help="default: DIR/report")


def do_report(args: argparse.Namespace) -> Answer:
    """Write the page."""
    from ..bench.report import report

    page = report(args.folder, args.out, progress=lambda done, total: args.tell("report", done, total))
    return Answer({"report": str(page)}, lambda console: show_lines(console, str(page)))


def add_explain(verbs: Any) -> None:
    """`explain`."""
    what = "a figure of the board traced back: its formula, records and samples, and the figure made again from them"
    made = verb(verbs, "explain", what, "hedgefox explain hour/fluid/test/jepa/position_rmse_20 results", do_explain)
    cell = "[TRACK/]DOMAIN/SPLIT/MODEL/COLUMN; a column of `leaderboard --json`, rank, or metrics/NAME@V"
    made.add_argument("cell", metavar="BOARD_CELL", help=cell)
    made.add_argument("folder", type=Path, metavar="DIR", help="a folder of records")


def do_explain(args: argparse.Namespace) -> Answer:
    """All that is behind a cell; does not hold when the samples give another figure."""
    from .._terminal import show_titled
    from ..bench.explain.cell import explain, tables, verdict

    found = explain(args.cell, args.folder)

    def show(console: Any) -> None:
        show_titled(console, tables(found))
        show_lines(console, *found["notes"], verdict(found))

    return Answer(found, show, holds=found["agrees"] is not False)


def add_claims(verbs: Any) -> None:
    """`claims`."""
    what = (
        "what the records say of claims that people make: supported, refuted, undecided or untested, with the figures"
    )
    made = verb(verbs, "claims", what, "hedgefox claims results --out results/claims.md", do_claims)
    made.add_argument("folder", type=Path, metavar="DIR", help="a folder of records")
    made.add_argument("--out", type=Path, metavar="FILE", help="write the page there; default: show the verdicts")


def do_claims(args: argparse.Namespace) -> Answer:
    """Judge, and show or write."""
    from ..bench import record as records
    from ..bench.claims import page as claims

    found = claims.judged(args.folder, progress=lambda done, total: args.tell("judge claims", done, total))
    if args.out is not None:
        records.write_text(args.out, claims.markdown(found, claims.command_of(args.folder, args.out)))

    def show(console: Any) -> None:
        show_table(console, claims.table(found))
        if args.out is not None:
            show_lines(console, f"page: {args.out}")

    return Answer({"claims": found}, show)
