"""Data: made, proved sound, and the simulators behind them held against physics."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .._terminal import Answer, progress_bar, show_lines, show_table
from ._arguments import count, device, folder, verb


def add_generate(verbs: Any) -> None:
    """`generate`."""
    example = "hedgefox generate fluid --track quick --out data"
    made = verb(
        verbs, "generate", "simulate a domain's data for a track; the same command resumes", example, do_generate
    )
    made.add_argument("domain", metavar="DOMAIN")
    made.add_argument("--track", required=True, metavar="T")
    folder(made, "--out", "data go to DIR/DOMAIN")
    what = "trajectories of one start that differ in one parameter or in the script (default: 1)"
    made.add_argument("--siblings", type=count, default=1, metavar="K", help=what)
    made.add_argument("--workers", type=count, default=1, metavar="N", help="processes that simulate (default: 1)")
    device(made)


def do_generate(args: argparse.Namespace) -> Answer:
    """Simulate into shards."""
    from ..contracts import track
    from ..datasets import generate, manifest_hash

    with progress_bar(args.watched) as tell:
        folder = generate(
            args.domain, track(args.track), args.out, siblings=args.siblings, workers=args.workers, device=args.device,
            progress=lambda done, total: tell(f"generate {args.domain}", done, total),
        )  # fmt: skip
    data = {"folder": str(folder), "manifest": manifest_hash(folder)}
    return Answer(data, lambda console: show_lines(console, f"{folder}", f"manifest {data['manifest']}"))


def add_verify(verbs: Any) -> None:
    """`verify`."""
    what = "prove data sound: hashes, schema, finiteness, physics"
    verb(verbs, "verify", what, "hedgefox verify data/fluid", do_verify).add_argument(
        "folder", type=Path, metavar="DIR"
    )


def do_verify(args: argparse.Namespace) -> Answer:
    """Every problem found; holds when there is none."""
    from ..datasets import verify

    problems = [{"path": str(p.path), "what": p.what} for p in verify(args.folder)]
    lines = [f"{p['path']}: {p['what']}" for p in problems] or [f"{args.folder} is sound"]
    return Answer({"problems": problems}, lambda console: show_lines(console, *lines), holds=not problems)


def add_validate(verbs: Any) -> None:
    """`validate`."""
    made = verb(verbs, "validate", "simulators against physics", "hedgefox validate fluid", do_validate)
    made.add_argument("domain", nargs="?", metavar="DOMAIN", help="default: all")
    made.add_argument("--full", action="store_true", help="also what takes minutes")


def do_validate(args: argparse.Namespace) -> Answer:
    """Measured against expected; holds when every domain has rows and every row does."""
    from ..bench.verbs import validate
    from ..contracts import registry

    names = registry.names("simulators") if args.domain is None else [args.domain]
    found = {name: validate(name, full=args.full) for name in names}
    rows = [
        {"domain": name, "check": c.name, "measured": c.measured, "low": c.low, "high": c.high, "unit": c.unit,
         "expected": c.expected, "source": c.source, "holds": c.holds}
        for name, checks in found.items() for c in checks
    ]  # fmt: skip
    holds = all(checks and all(c.holds for c in checks) for checks in found.values())
    return Answer({"domains": names, "checks": rows}, lambda console: show_table(console, rows), holds)
