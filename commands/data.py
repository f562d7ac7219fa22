"""Data: made, proved sound, and the simulators behind them held against physics."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from .._terminal import Answer, as_pairs, show_lines, show_table
from ._arguments import count, device, folder, seed, verb
from .draw import add_plots, plotted


def add_generate(verbs: Any) -> None:
    """`generate`."""
    example = "hedgefox generate fluid --track quick --out data"
    made = verb(
        verbs, "generate", "simulate a domain's data for a track; the same command resumes", example, do_generate
    )
    made.add_argument("domain", metavar="DOMAIN", help="a kind of physics (see `hedgefox list domains`)")
    made.add_argument(
        "--track", required=True, metavar="T", help="a track, which fixes sizes and effort (see `hedgefox list tracks`)"
    )
    folder(made, "--out", "data go to DIR/DOMAIN")
    what = "trajectories of one start that differ in one parameter or in the script (default: 1)"
    made.add_argument("--siblings", type=count, default=1, metavar="K", help=what)
    made.add_argument(
        "--workers", type=count, metavar="N", help="tasks at a time (default: 1; all cores of an executor)"
    )
    what = "serial, processes or ray: where they run (default: processes when there are several workers)"
    made.add_argument("--executor", metavar="E", help=what)
    made.add_argument("--address", metavar="A", help="of a Ray cluster, such as auto (default: one made here)")
    made.add_argument(
        "--dry-run", action="store_true", help="time and bytes that are still to be spent; writes nothing"
    )
    made.add_argument("--force", action="store_true", help="begin although the disk has no room for all of it")
    device(made)


def do_generate(args: argparse.Namespace) -> Answer:
    """Simulate into shards."""
    from ..contracts import track
    from ..datasets import executor, generate, manifest_hash

    with executor(args.executor, args.workers, args.address, args.device) as workers:
        settings = {"siblings": args.siblings, "workers": workers, "device": args.device}
        if args.dry_run:
            return _estimated(args, settings)
        folder = generate(
            args.domain, track(args.track), args.out, **settings, force=args.force,
            progress=lambda done, total: args.tell(f"generate {args.domain}", done, total),
        )  # fmt: skip
    data = {"folder": str(folder), "manifest": manifest_hash(folder)}
    return Answer(data, lambda console: show_lines(console, f"{folder}", f"manifest {data['manifest']}"))


def _estimated(args: argparse.Namespace, settings: dict[str, Any]) -> Answer:
    """What it would cost; holds when the disk has room."""
    from ..contracts import track
    from ..datasets import estimate

    found = estimate(args.domain, track(args.track), args.out, **settings)
    data = {**dataclasses.asdict(found), "fits": found.fits}
    return Answer(data, lambda console: show_table(console, as_pairs(data)), holds=found.fits)


def add_verify(verbs: Any) -> None:
    """`verify`."""
    what = "prove data sound: hashes, schema, finiteness, physics"
    made = verb(verbs, "verify", what, "hedgefox verify data/fluid", do_verify)
    made.add_argument("folder", type=Path, metavar="DIR", help="the folder DIR/DOMAIN that generate wrote")
    what = "look into N shards drawn at random, not into all; the bytes of all are hashed"
    made.add_argument("--sample", type=count, metavar="N", help=what)
    what = "simulate N trajectories drawn at random again and compare them with what is stored"
    made.add_argument("--regenerate", type=count, default=0, metavar="N", help=what)


def do_verify(args: argparse.Namespace) -> Answer:
    """Every problem found; holds when there is none."""
    from ..datasets import verify

    found = verify(
        args.folder,
        progress=lambda done, total: args.tell(f"verify {args.folder}", done, total),
        sample=args.sample,
    )
    problems = [{"path": str(p.path), "what": p.what} for p in found]
    # What is damaged is made again by generate; comparing it would only say so once more.
    again = _made_again(args) if args.regenerate and not problems else []
    lines = [f"{p['path']}: {p['what']}" for p in problems] or [f"{args.folder} is sound"]
    lines += [f"{a['split']} {a['index']}: {a['what']}" for a in again]
    data = {"problems": problems, "regenerated": again}
    holds = not problems and all(a["holds"] for a in again)
    return Answer(data, lambda console: show_lines(console, *lines), holds)


def _made_again(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Some trajectories of a data set made again, and how each compares."""
    from ..datasets import drawn_at_random, regenerate

    chosen = drawn_at_random(args.folder, args.regenerate)
    rows: list[dict[str, Any]] = []
    for k, (split, index) in enumerate(chosen):
        args.tell("regenerate", k, len(chosen))
        made = regenerate(args.folder, split, index)
        rows.append({"split": split, "index": index, "holds": made.holds, "what": made.what})
    args.tell("regenerate", len(chosen), len(chosen))
    return rows


def add_regenerate(verbs: Any) -> None:
    """`regenerate`."""
    what = "make one trajectory of a data set again from its description, and compare it with the stored one"
    made = verb(verbs, "regenerate", what, "hedgefox regenerate data/fluid test 3 --out film.h5", do_regenerate)
    made.add_argument("folder", type=Path, metavar="DIR", help="the folder DIR/DOMAIN that generate wrote")
    made.add_argument("split", metavar="SPLIT", help="train, valid, test or one out of distribution")
    made.add_argument("index", type=seed, metavar="INDEX", help="of the trajectory in its split, from 0")
    made.add_argument("--out", type=Path, metavar="FILE", help="write the film there, for hedgefox play")


def do_regenerate(args: argparse.Namespace) -> Answer:
    """Holds when the film is the stored one, or near enough where versions differ."""
    from ..datasets import regenerate, save

    made = regenerate(args.folder, args.split, args.index)
    if args.out is not None:
        save(made.film, args.out)
    names = ("stored", "same", "start", "early", "whole", "holds", "what")
    data = {name: getattr(made, name) for name in names} | {"versions": list(made.versions)}
    return Answer(data, lambda console: show_lines(console, f"{args.split} {args.index}: {made.what}"), made.holds)


def add_validate(verbs: Any) -> None:
    """`validate`."""
    example = "hedgefox validate fluid\n  hedgefox validate --plots docs/figures --into docs"
    made = verb(verbs, "validate", "simulators against physics", example, do_validate)
    made.add_argument("domain", nargs="?", metavar="DOMAIN", help="default: all")
    made.add_argument("--full", action="store_true", help="also what takes minutes")
    add_plots(made)


def do_validate(args: argparse.Namespace) -> Answer:
    """Measured against expected; holds when every domain has rows and every row does."""
    from ..bench.verbs import validate
    from ..contracts import PhysicsCheck, registry

    names = registry.names("simulators") if args.domain is None else [args.domain]
    found: dict[str, list[PhysicsCheck]] = {}
    for k, name in enumerate(names):
        args.tell("validate simulators", k, len(names))
        args.tell(f"validate {name}", 0, 0)
        found[name] = validate(name, full=args.full)
        args.tell(f"validate {name}", 1, 1)
    rows = [
        {"domain": name, "check": c.name, "measured": c.measured, "low": c.low, "high": c.high, "unit": c.unit,
         "expected": c.expected, "source": c.source, "holds": c.holds}
        for name, checks in found.items() for c in checks
    ]  # fmt: skip
    holds = all(checks and all(c.holds for c in checks) for checks in found.values())
    written = plotted(args, found)

    def show(console: Any) -> None:
        show_table(console, rows)
        show_lines(console, *written)

    return Answer({"domains": names, "checks": rows, "written": written}, show, holds)
