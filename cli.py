"""`hedgefox VERB`: parses, calls, prints. Results go to stdout and all else to stderr; heavy imports happen inside the verbs."""

from __future__ import annotations

import os

# Before torch and numpy are imported: threads that spin while they wait starve a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "0")

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from ._terminal import Answer, console_on, interruptible, print_answer, print_json, said, stdout_kept_clean
from .commands import about, boards, data, draw, floors, layouts, look, models, runs, tune
from .commands._arguments import MISUSE, Misuse, Parser
from .commands._progress import progress

OK, DID_NOT_HOLD, INTERRUPTED = 0, 1, 130
STOPPED = "interrupted; the same command goes on from here"

EXAMPLES = """\
examples:
  hedgefox run --track quick --out runs/quick
  hedgefox leaderboard runs/quick
  hedgefox compare persistence linear runs/quick
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = Parser(
        prog="hedgefox",
        description="Benchmark suite for neural physics surrogates: accuracy, speed-up and size under one measure.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    for add in (
        about.add_list,
        about.add_doctor,
        data.add_generate,
        data.add_verify,
        data.add_regenerate,
        layouts.add_inspect,
        layouts.add_export,
        models.add_train,
        tune.add_tune,
        models.add_score,
        models.add_speed,
        floors.add_floors,
        runs.add_run,
        runs.add_status,
        runs.add_round,
        boards.add_leaderboard,
        boards.add_compare,
        boards.add_report,
        look.add_play,
        draw.add_pictures,
        boards.add_explain,
        boards.add_claims,
        data.add_validate,
    ):
        add(verbs)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _answered(words)
    except KeyboardInterrupt:  # also while things are still being imported
        return _ended("interrupted", STOPPED, INTERRUPTED, words)


def _answered(words: list[str]) -> int:
    top = parser()
    try:
        args = top.parse_args(words)
    except Misuse as error:
        return _ended("misuse", str(error), MISUSE, words)
    except SystemExit as done:
        return int(done.code or 0)
    if args.version:
        from importlib.metadata import version

        print(f"hedgefox {version('hedgefox')}")
        return OK
    if args.verb is None:
        return _ended("misuse", "hedgefox: which verb? (see hedgefox --help)", MISUSE, words)
    # What a verb has to say even when it fails: for JSON, and for people.
    args.beside, args.last_words = {}, None
    return _carry_out(args, words)


def _carry_out(args: argparse.Namespace, words: list[str]) -> int:
    from .contracts.errors import CheckFailed, MisuseError

    who = f"hedgefox {args.verb}: "
    try:
        with interruptible(), stdout_kept_clean(), progress(args.verb) as args.tell:
            answer: Answer = args.work(args)
        # Of the processes that torchrun starts, one answers.
        if os.environ.get("RANK", "0") == "0":
            print_answer(answer, args.json)
    except KeyboardInterrupt:
        return _failed(args, "interrupted", who + STOPPED, INTERRUPTED, words)
    except Exception as error:
        if args.debug:
            traceback.print_exc()
        kind = "misuse" if isinstance(error, MisuseError | OSError) else "check"
        kind = kind if isinstance(error, MisuseError | OSError | CheckFailed) else "fault"  # ours to fix
        return _failed(args, kind, who + said(error), MISUSE if kind == "misuse" else DID_NOT_HOLD, words)
    return OK if answer.holds else DID_NOT_HOLD


def _failed(args: argparse.Namespace, kind: str, text: str, code: int, words: Sequence[str]) -> int:
    if args.last_words is not None:
        args.last_words(console_on(sys.stderr))
    return _ended(kind, text, code, words, args.beside)


def _ended(kind: str, text: str, code: int, words: Sequence[str], beside: dict[str, Any] | None = None) -> int:
    """Say in a line why there is no answer, with --json also on stdout; returns the exit code."""
    print(text, file=sys.stderr)
    if "--json" in words:
        print_json({"error": {"kind": kind, "message": text, "exit": code}, **(beside or {})})
    return code


if __name__ == "__main__":
    sys.exit(main())
