"""The status of a run as a table: a line a job, or, in short, a line for the jobs of a stage of which the same is to be told."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any

from .._terminal import show_lines
from ._progress import clock_text

STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "bold red",
    "interrupted": "yellow",
    "stale": "yellow",
    "missing": "dim",
    "waiting": "dim",
}


def show_status(console: Any, found: Mapping[str, Any], short: bool = False) -> None:
    """Print what `bench.status.status` found."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage", no_wrap=True)
    table.add_column("job", overflow="fold", min_width=12, max_width=56)
    table.add_column("state", no_wrap=True)
    table.add_column("time", no_wrap=True, justify="right")
    table.add_column("age", no_wrap=True, justify="right")
    table.add_column("", overflow="fold", ratio=1)
    for row in _shortened(found["jobs"]) if short else found["jobs"]:
        state = Text(row["state"], style=STYLES[row["state"]])
        took = "" if row["seconds"] is None else clock_text(row["seconds"])
        table.add_row(row["stage"], Text(row["job"]), state, took, age_text(row["age"]), Text(_note(row)))
    show_lines(console, headline(found))
    console.print(table)
    for line in _last_words(found):
        show_lines(console, line)


def headline(found: Mapping[str, Any]) -> str:
    """What run it is, how it stands, and how much of it is done."""
    counts = {state: n for state, n in found["counts"].items() if n}
    took = (
        ""
        if found["seconds"] is None
        else f" {'for' if found['state'] == 'running' else 'after'} {clock_text(found['seconds'])}"
    )
    told = ", ".join(f"{n} {state}" for state, n in counts.items())
    return f"{found['what']} {found['track']} in {found['folder']}: {found['state']}{took}; {told}"


def age_text(seconds: float | None) -> str:
    """How long ago something was, in one unit."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _note(row: Mapping[str, Any]) -> str:
    """How far a job is, and why it stands as it does."""
    far = f"{row['done']}/{row['total']}" if row["total"] else ""
    return ", ".join(part for part in (far, row["why"]) if part)


def _last_words(found: Mapping[str, Any]) -> Iterator[str]:
    if found["state"] == "failed":
        yield f"failed: {found['error']}"
    if found["state"] in ("failed", "interrupted"):
        yield "the same command goes on from here"
    elif found["state"] == "finished" and found["counts"].get("stale"):
        yield "the same command brings what is stale up to date"


def _shortened(jobs: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The jobs of each stage of which the same is to be told as one line; those that are at work, or were, as they are."""
    for _, group in groupby(jobs, key=lambda row: row["stage"]):
        alike: dict[Any, list[Mapping[str, Any]]] = {}
        for row in group:
            own = row["job"] if row["state"] in ("running", "interrupted") else ""
            alike.setdefault((row["state"], row["why"], own), []).append(row)
        yield from (_as_one(rows) if len(rows) > 1 else rows[0] for rows in alike.values())


def _as_one(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several jobs of one state: their times together, the age of the youngest."""
    seconds, ages = [[row[name] for row in rows if row[name] is not None] for name in ("seconds", "age")]
    together = {"seconds": sum(seconds) if seconds else None, "age": min(ages) if ages else None}
    return {**rows[0], "job": f"{len(rows)} jobs", **together}


@contextmanager
def told_where_it_stands(args: argparse.Namespace) -> Iterator[None]:
    """When a run is interrupted or fails, its status is told with the error; nothing where none was begun by this call."""
    began = time.time()
    try:
        yield
    except BaseException:
        _tell_where_it_stands(args, began)
        raise


def _tell_where_it_stands(args: argparse.Namespace, began: float) -> None:
    from ..bench.status import status
    from ..contracts import MisuseError

    try:
        found = status(args.out)
    except (MisuseError, OSError):
        return
    # What another call left there, which this one refused to go on with, is not what is asked about.
    if (
        found["state"] == "running"
        or found["started"] is None
        or datetime.fromisoformat(found["started"]).timestamp() < began - 1
    ):
        return
    args.beside["status"] = found
    args.last_words = lambda console: show_status(console, found, short=True)
