"""Models: trained, scored, timed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .._terminal import Answer, as_pairs, show_lines, show_table
from ._arguments import Parser, count, device, folder, seed, verb


def add_train(verbs: Any) -> None:
    """`train`."""
    example = "hedgefox train linear --track quick --seed 0 --data data/fluid --out weights/linear"
    made = verb(
        verbs,
        "train",
        "train a model on the data of a domain, or of several; the same command resumes",
        example,
        do_train,
    )
    made.add_argument("model", metavar="MODEL", help="FILE or FILE-VARIANT (see `hedgefox list models`)")
    made.add_argument("--domain", metavar="D", help="which of several in DIR; default: all of them")
    made.add_argument(
        "--track", metavar="T", help="sets size and steps; default: that of the data, quick for other layouts"
    )
    made.add_argument("--seed", type=seed, default=0, metavar="S", help="of weights and batches (default: 0)")
    what = "the folder DIR/DOMAIN that generate wrote, DIR for a model that learns all domains at once, or a set in another layout"
    folder(made, "--data", what)
    folder(made, "--out", "weights, log and card go here")
    device(made)


def do_train(args: argparse.Namespace) -> Answer:
    """Train and save."""
    from ..bench.environment import require_device
    from ..bench.verbs import training_data, training_track
    from ..surrogates import train

    data = training_data(args.model, args.data, args.domain)
    track = training_track(data, args.track)
    device = require_device(args.device)
    model = train(
        args.model, data, track, seed=args.seed, out=args.out, device=device,
        progress=lambda done, total, *_: args.tell(f"train {args.model}", done, total),
    )  # fmt: skip
    card = model.card.to_dict()
    return Answer({"folder": str(args.out), "card": card}, lambda console: show_table(console, as_pairs(card)))


def add_score(verbs: Any) -> None:
    """`score`."""
    example = "hedgefox score persistence weights/linear --pretrained particle_gnn --data data/fluid --out scores"
    made = verb(verbs, "score", "accuracy, per trajectory and frame", example, do_score)
    made.add_argument(
        "models",
        nargs="*",
        metavar="MODEL|WEIGHTS|FILE",
        help="a name, 'reference', a rung, a folder of weights or of predictions, or a Python file of your own",
    )
    _add_pretrained(made)
    folder(
        made, "--data", "the folder DIR/DOMAIN that generate wrote, or a set in another layout (see docs/foreign.md)"
    )
    folder(made, "--out", "record.json and curves.parquet go here; of a set in another layout scores.json")
    made.add_argument("--track", metavar="T", help="default: that of the data; quick for other layouts")
    made.add_argument(
        "--split", action="append", metavar="SPLIT", help="may be repeated; default: test and out of distribution"
    )
    other = "of a set in another layout: "
    made.add_argument("--limit", type=count, metavar="N", help=other + "score the first N rollouts alone")
    made.add_argument(
        "--stride", type=count, metavar="N", help=other + "look at energy and Sinkhorn every N frames (default: 1)"
    )
    device(made)


def _add_pretrained(made: Parser) -> None:
    """--pretrained and --results."""
    what = (
        "weights that a record holds, [TRACK/][DOMAIN/]MODEL[@SEED], may be repeated (see `hedgefox list pretrained`)"
    )
    made.add_argument("--pretrained", action="append", default=[], metavar="NAME", help=what)
    made.add_argument(
        "--results", type=Path, metavar="DIR", help="of --pretrained: a folder of records; default: the checkout's"
    )


def _require_some(args: argparse.Namespace) -> None:
    """Raise MisuseError when neither a model nor recorded weights are named."""
    from ..contracts import MisuseError

    if not args.models and not args.pretrained:
        raise MisuseError("no model was given; name at least one, or recorded weights with --pretrained")


def do_score(args: argparse.Namespace) -> Answer:
    """Score and show the board of just these models."""
    from ..bench.verbs import score
    from ..contracts import MisuseError
    from ..datasets.foreign import recognised

    _require_some(args)
    if recognised(args.data) is not None:
        return _score_foreign(args)
    if args.limit is not None or args.stride is not None:
        raise MisuseError(f"{args.data} is in hedgefox's own layout; --limit and --stride are for sets in others")
    record = score(
        args.models, args.data, args.out, track=args.track, splits=args.split, device=args.device,
        progress=lambda done, total: args.tell("score", done, total), pretrained=args.pretrained, results=args.results,
    )  # fmt: skip
    return _record_answer(record)


def _score_foreign(args: argparse.Namespace) -> Answer:
    """Score under the definitions of another suite."""
    from ..bench.suites.score import score
    from ..contracts import MisuseError

    if args.pretrained:
        raise MisuseError(f"{args.data} is not in hedgefox's own layout; --pretrained is for sets that generate wrote")
    if args.split is not None and len(args.split) > 1:
        raise MisuseError(f"{args.data} is scored on one split at a time; {len(args.split)} were given with --split")
    found = score(
        args.models, args.data, args.out, split=(args.split or ["test"])[0], track=args.track, limit=args.limit,
        stride=args.stride or 1, device=args.device, progress=lambda done, total: args.tell("score", done, total),
    )  # fmt: skip
    suite, data = found["suite"], found["data"]
    rows = [
        {"": name, **{r["model"]: r["metrics"].get(name) for r in found["rows"]}}
        for name in found["rows"][0]["metrics"]
    ]
    rows += [{"": name, **{r["model"]: r[name] for r in found["rows"]}} for name in ("rollouts", "diverged")]
    notes = [f"{data['name']}, {found['split']}: definitions of {suite['name']} {suite['version']}", *data["notes"]]

    def show(console: Any) -> None:
        show_table(console, rows)
        show_lines(console, *notes)

    return Answer(found, show)


def add_speed(verbs: Any) -> None:
    """`speed`."""
    example = "hedgefox speed persistence linear --domain fluid --out speed"
    made = verb(verbs, "speed", "latency, throughput and memory, beside the reference simulator", example, do_speed)
    what = "a name, a rung, a folder of weights, or a Python file of your own"
    made.add_argument("models", nargs="*", metavar="MODEL|WEIGHTS|FILE", help=what)
    _add_pretrained(made)
    made.add_argument("--domain", metavar="D", help="default: that of the weights, if it is one")
    made.add_argument("--track", default="quick", metavar="T", help="sets sizes and timing effort (default: quick)")
    folder(made, "--out", "record.json goes here")
    device(made)


def do_speed(args: argparse.Namespace) -> Answer:
    """Time, and show what was measured."""
    from ..bench.verbs import speed

    _require_some(args)
    record = speed(
        args.models, args.out, domain=args.domain, track=args.track, device=args.device,
        progress=lambda done, total: args.tell("time the models", done, total),
        pretrained=args.pretrained, results=args.results,
    )  # fmt: skip
    return _record_answer(record)


def _record_answer(record: dict[str, Any]) -> Answer:
    """A record, shown as a board and a table of timings; does not hold when a contestant failed."""

    def show(console: Any) -> None:
        from ..bench.board_terminal import print_board
        from ..bench.board_text import TIMING_HEADINGS, timing
        from ..bench.leaderboard import board_of

        print_board(board_of([record]), console)
        if not record["scores"]:
            timings = [timing(s) for s in record["speed"]]
            show_table(console, [{TIMING_HEADINGS.get(n, n): value for n, value in row.items()} for row in timings])
        show_failures(console, record)

    return Answer(record, show, holds=not record["failures"])


def show_failures(console: Any, record: dict[str, Any]) -> None:
    """Print what failed, a line each."""
    show_lines(console, *(f"failed: {f['stage']} {f['domain']} {f['model']}: {f['error']}" for f in record["failures"]))
