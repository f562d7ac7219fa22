"""Batch size and learning rate by measurement."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .._terminal import Answer, show_lines, show_table
from ._arguments import count, folder, rate, seconds, seed, verb


def add_tune(verbs: Any) -> None:
    """`tune`."""
    what = "batch size and learning rate by measurement: short, equal trainings over a grid, judged by rollouts on valid; resumable"
    example = (
        "hedgefox tune particle_gnn --track quick --data data/fluid --out tuning\n"
        "  hedgefox run --track quick --tuned tuning --out runs/tuned"
    )
    made = verb(verbs, "tune", what, example, do_tune)
    named = (
        "learned models, one domain after the other where they learn one at a time; default: all that the track trains"
    )
    made.add_argument("models", nargs="*", metavar="MODEL", help=named)
    made.add_argument("--domain", action="append", metavar="D", help="may be repeated; default: those of the data")
    made.add_argument("--track", required=True, metavar="T", help="sets model size and the budget of a training")
    what = "a data set, or a folder of several; train and valid of what is not there are made"
    folder(made, "--data", what)
    folder(made, "--out", "tuned.json and the trials' logs go here")
    made.add_argument(
        "--seconds", type=seconds, metavar="S", help="device time of a trial; default: a tenth of a training"
    )
    made.add_argument(
        "--steps", type=count, metavar="N", help="steps of a trial, on tracks of steps a tenth by default"
    )
    grid = "may be repeated; default: a quarter of the preset's, it, and four times it"
    made.add_argument("--batch", action="append", type=count, metavar="N", help=f"batch size to try, {grid}")
    grid = "may be repeated; default: a third of the preset's, it, and three times it"
    made.add_argument("--rate", action="append", type=rate, metavar="R", help=f"learning rate to try, {grid}")
    made.add_argument("--seed", type=seed, default=0, metavar="S", help="of all trials (default: 0)")
    stop = "stop after so much time, what is finished stored; the same command goes on"
    made.add_argument("--until", type=seconds, metavar="SECONDS", help=stop)
    what = "cpu or cuda (default: that of the track). A track of a GPU on cpu is a rehearsal: tiny"
    made.add_argument("--device", metavar="DEVICE", help=what)


def do_tune(args: argparse.Namespace) -> Answer:
    """Try all pairs, and show them by error; does not hold when a model has no trial that came to its end."""
    from ..bench.tuning import tune
    from ..contracts.deadline import TimeUp

    try:
        found = tune(
            args.models, args.data, args.out, track=args.track, domains=args.domain, device=args.device, seed=args.seed,
            steps=args.steps, seconds=args.seconds, batches=args.batch, rates=args.rate, until=args.until, progress=args.tell,
        )  # fmt: skip
    except TimeUp:
        return _stopped(args.out, args.until)
    return Answer(
        {"out": str(args.out), "stopped": False, "tunings": found},
        lambda console: _show(console, found, args.out),
        all(t["best"] is not None for t in found),
    )


def _stopped(out: Path, after: float) -> Answer:
    """A tuning that stopped because its time was used up."""
    from ..bench.tuned import FILE, read_tunings

    found = read_tunings(out) if (out / FILE).exists() else []
    done = len(list(out.glob("trials/*/*/*/trial.json")))

    def show(console: Any) -> None:
        said = f"stopped after {after:g} s, as asked; the same command goes on from here: "
        show_lines(console, f"{said}{done} trials finished, {len(found)} tunings complete")

    return Answer({"out": str(out), "stopped": True, "trials": done, "tunings": found}, show)


def _show(console: Any, tunings: list[dict[str, Any]], out: Path) -> None:
    from ..bench.tuned import FILE
    from ..bench.tuning import notes, table

    for each in tunings:
        show_lines(console, f"{each['model']} on {each['domain']}, track {each['track']}")
        show_table(console, table(each))
        show_lines(console, *notes(each), "")
    show_lines(console, f"tunings: {out / FILE}")
