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

from ._terminal import print_answer, stdout_kept_clean
from .commands import about, boards, data, look, models, runs
from .commands._arguments import MISUSE, Parser

OK, DID_NOT_HOLD, INTERRUPTED = 0, 1, 130

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
        models.add_train,
        models.add_score,
        models.add_speed,
        runs.add_run,
        runs.add_round,
        boards.add_leaderboard,
        boards.add_compare,
        boards.add_report,
        look.add_play,
        boards.add_explain,
        boards.add_claims,
        data.add_validate,
    ):
        add(verbs)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    top = parser()
    try:
        args = top.parse_args(arguments)
    except SystemExit as done:
        return int(done.code or 0)
    if args.version:
        from importlib.metadata import version

        print(f"hedgefox {version('hedgefox')}")
        return OK
    if args.verb is None:
        top.print_usage(sys.stderr)
        print("hedgefox: which verb? (see hedgefox --help)", file=sys.stderr)
        return MISUSE
    return _carry_out(args)


def _carry_out(args: argparse.Namespace) -> int:
    from .contracts.errors import CheckFailed, MisuseError

    args.watched = sys.stdout.isatty()  # asked now: while a verb works, file 1 is stderr
    try:
        with stdout_kept_clean():
            answer = args.work(args)
        # Of the processes that torchrun starts, one answers.
        if os.environ.get("RANK", "0") == "0":
            print_answer(answer, args.json)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK
    except (MisuseError, OSError) as error:
        return _complain(args, error, MISUSE)
    except CheckFailed as error:
        return _complain(args, error, DID_NOT_HOLD)
    except Exception as error:  # ours to fix; the traceback is for us
        return _complain(args, error, DID_NOT_HOLD)
    return OK if answer.holds else DID_NOT_HOLD


def _complain(args: argparse.Namespace, error: Exception, code: int) -> int:
    from .contracts.errors import HedgefoxError

    if args.debug:
        traceback.print_exc()
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'the output'}: {error.strerror}"
    elif not isinstance(error, HedgefoxError):
        text = f"{type(error).__name__}: {text} (--debug shows where)"
    print(f"hedgefox {args.verb}: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
