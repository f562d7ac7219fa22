"""What the command line shows and where: results on stdout, tables for people, progress on stderr when somebody watches."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a verb found: plain data for --json, a way to show it to people, and whether what it checked held."""

    data: Any
    show: Callable[[Any], None]
    """Called with a rich console on stdout."""
    holds: bool = True


def as_pairs(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a table that shows one thing's fields."""
    return [{"": k, "value": v} for k, v in data.items()]


def show_table(console: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows of equal keys; nothing for none."""
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table()
    for name in rows[0]:
        table.add_column(Text(name))
    for row in rows:
        table.add_row(*(Text(cell(v)) for v in row.values()))
    console.print(table)


def show_titled(console: Any, tables: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> None:
    """Print tables under their titles; nothing for those without rows."""
    for title, rows in tables:
        if rows:
            show_lines(console, title)
            show_table(console, rows)


def cell(value: Any) -> str:
    """A short text for any plain value."""
    from .bench.board_text import text_of

    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict) and "value" not in value:
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return text_of(value)


def show_lines(console: Any, *lines: str) -> None:
    """Print text as it is, unwrapped."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(watched: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr when people are watching, else nothing; `watched`: stdout is a terminal."""
    if not (watched and sys.stderr.isatty()):
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield tell


@contextmanager
def stdout_kept_clean() -> Iterator[None]:
    """Everything that libraries print to stdout, from Python or from C, goes to stderr."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # stdout or stderr is closed
        kept = -1
    # A stdout that is not file 1 (a notebook's, a test's) is swapped; the real one is not, since Taichi warns of any other.
    swapped = nullcontext() if kept >= 0 and sys.stdout is sys.__stdout__ else redirect_stdout(sys.stderr)
    try:
        with swapped:
            yield
    finally:
        sys.stdout.flush()
        if kept >= 0:
            os.dup2(kept, 1)
            os.close(kept)


def print_answer(answer: Answer, as_json: bool) -> None:
    """Print a verb's result on stdout, as strict JSON or for people."""
    if as_json:
        from .bench.record import strict

        sys.stdout.write(json.dumps(strict(answer.data), allow_nan=False) + "\n")
    else:
        from rich.console import Console

        console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200)
        # Written in one piece and not by rich, which turns a closed pipe into exit code 1.
        with console.capture() as text:
            answer.show(console)
        sys.stdout.write(text.get())
    sys.stdout.flush()
