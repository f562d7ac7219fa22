"""Whole tracks and sealed rounds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .._terminal import Answer, as_pairs, show_lines, show_table
from ._arguments import device, folder, seconds, seed, verb
from ._status import show_status, told_where_it_stands
from .models import show_failures


def add_run(verbs: Any) -> None:
    """`run`."""
    example = "hedgefox run --track quick --out runs/quick"
    made = verb(
        verbs, "run", "the whole track: data, training, scores, timing, board, report; resumable", example, do_run
    )
    made.add_argument(
        "--track", required=True, metavar="T", help="a track, which fixes sizes and effort (see `hedgefox list tracks`)"
    )
    folder(made, "--out", "everything goes here")
    made.add_argument("--domain", action="append", metavar="D", help="may be repeated; default: all")
    made.add_argument(
        "--seed", action="append", type=seed, metavar="S", help="training seed, may be repeated; default: the track's"
    )
    what = "learned model or baseline that competes, may be repeated; default: the track's. Ranked with other records of the track"
    made.add_argument("--only", action="append", metavar="M", help=what)
    made.add_argument("--no-speed", action="store_true", help="measure accuracy alone; other work may go on beside it")
    stop = (
        "stop after so much time, what is finished stored; the same command goes on, also elsewhere with a copy of DIR"
    )
    made.add_argument("--until", type=seconds, metavar="SECONDS", help=stop)
    what = "what `hedgefox tune` wrote: batch sizes and learning rates to train with; of other models those of their presets"
    made.add_argument("--tuned", type=Path, metavar="DIR|FILE", help=what)
    what = "cpu or cuda (default: that of the track). A track of a GPU on cpu is a rehearsal: tiny, and never ranked"
    made.add_argument("--device", metavar="DEVICE", help=what)


def do_run(args: argparse.Namespace) -> Answer:
    """Run everything; shows the board, the time of each stage beside its budget, and where the report is."""
    from ..bench.run import run
    from ..contracts.deadline import TimeUp

    try:
        with told_where_it_stands(args):
            folder = run(
                args.track, args.out, domains=args.domain, device=args.device, progress=args.tell,
                seeds=args.seed, only=args.only, timed=not args.no_speed, until=args.until,
                tuned=args.tuned,
            )  # fmt: skip
    except TimeUp:
        return _stopped(args.out, args.until)
    return _finished(folder)


def _stopped(out: Path, after: float) -> Answer:
    """A run that stopped because its time was used up: how it stands."""
    from ..bench.status import status

    stands = status(out)

    def show(console: Any) -> None:
        show_lines(console, f"stopped after {after:g} s, as asked; the same command goes on from here")
        show_status(console, stands, short=True)

    return Answer({"out": str(out), "stopped": True, "status": stands}, show)


def add_status(verbs: Any) -> None:
    """`status`."""
    what = "where a run stands: every job as done, running, failed, stale or missing, and why; from its folder alone"
    example = "hedgefox status runs/quick\n  hedgefox status runs/quick --short"
    made = verb(verbs, "status", what, example, do_status)
    made.add_argument("folder", type=Path, metavar="RUN", help="the folder that `run --out` or `round --out` was given")
    made.add_argument("--short", action="store_true", help="jobs of a stage that stand alike in one line")


def do_status(args: argparse.Namespace) -> Answer:
    """The table of jobs; holds whatever it says, for it was asked where the run stands and not whether that is good."""
    from ..bench.status import status

    found = status(args.folder)
    return Answer(found, lambda console: show_status(console, found, args.short))


def add_round(verbs: Any) -> None:
    """`round`."""
    what = (
        "a sealed round: what runs trained, and models of your own, on states made from the hashes of all that entered"
    )
    example = (
        "hedgefox round runs/seed-0 runs/seed-1 ./my_model.py --out runs/round\n  hedgefox round --check runs/round"
    )
    made = verb(verbs, "round", what, example, do_round)
    made.add_argument("entries", nargs="*", metavar="RUN|FILE", help="folders of runs with their weights; Python files")
    made.add_argument("--out", type=Path, metavar="DIR", help="data, record, board and report go here")
    made.add_argument("--domain", action="append", metavar="D", help="may be repeated; default: those of the runs")
    made.add_argument("--no-speed", action="store_true", help="measure accuracy alone; other work may go on beside it")
    made.add_argument("--check", type=Path, metavar="DIR", help="derive the seal of a finished round again; no entries")
    device(made)


def do_round(args: argparse.Namespace) -> Answer:
    """Play a round and show its board; or derive a seal again, which holds when it is the record's."""
    from ..bench import record as records
    from ..bench.round import play_round
    from ..bench.seal import checked
    from ..contracts import MisuseError

    if args.check is not None:
        found = checked(records.read(args.check))
        return Answer(found, lambda console: show_table(console, as_pairs(found)), holds=found["holds"])
    if args.out is None:
        raise MisuseError("a round needs a folder of its own; give one with --out DIR")
    with told_where_it_stands(args):
        folder = play_round(
            args.entries, args.out, domains=args.domain, device=args.device, progress=args.tell, timed=not args.no_speed
        )
    return _finished(folder)


def _finished(folder: Path) -> Answer:
    """What a run or a round left: its board, the time of each stage, failures, the report."""
    from ..bench import leaderboard
    from ..bench import record as records
    from ..bench.board_terminal import print_board
    from ..bench.status import status

    made = records.read(folder)
    page, stands = folder / "report" / "index.html", status(folder)

    def show(console: Any) -> None:
        print_board(leaderboard.board(folder), console)
        show_table(
            console, [{"stage": s["name"], "seconds": s["seconds"], "budget": s["budget"]} for s in made["stages"]]
        )
        show_status(console, stands, short=True)
        show_failures(console, made)
        show_lines(console, f"report: {page}")

    data = {
        "out": str(folder),
        "report": str(page),
        "stages": made["stages"],
        "failures": made["failures"],
        "status": stands,
    }
    return Answer(data | {"rows": leaderboard.rows(folder)}, show, holds=not made["failures"])
