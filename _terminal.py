"""What the command line shows and where: results on stdout, as tables or as JSON; all else on stderr, errors in one line."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from typing import Any, TextIO

PIPED = 200
"""Columns of tables that go into a file or a pipe."""
LONG = 30
"""Characters of a cell from which it may be folded."""
EMPTY = "–"
"""What stands where nothing applies."""


@dataclass(frozen=True)
class Answer:
    """What a verb found: plain data for --json, a way to show it to people, and whether what it checked held."""

    data: Any
    show: Callable[[Any], None]
    """Called with a rich console on stdout."""
    holds: bool = True


def console_on(stream: TextIO) -> Any:
    """A rich console as wide as the terminal, or as COLUMNS says; PIPED where there is neither."""
    from rich.console import Console

    fixed = not stream.isatty() and not os.environ.get("COLUMNS", "").isdigit()
    return Console(file=stream, width=PIPED if fixed else None)


def as_pairs(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a table that shows one thing's fields."""
    return [{"": k, "value": v} for k, v in data.items()]


def show_table(console: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows of equal keys: as a table, long texts folded; where that is too wide, row by row. Nothing for none."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    columns = [[name, *(_cell(row[name]) for row in rows)] for name in rows[0]]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name, *texts in columns:
        table.add_column(Text(name), overflow="fold", no_wrap=_width([name, *texts]) <= LONG)
    for line in list(zip(*columns, strict=True))[1:]:
        table.add_row(*map(Text, line))
    if sum(min(_width(texts), LONG) for texts in columns) + 3 * (len(columns) - 1) <= console.width:
        console.print(table)
        return
    for row in rows:
        _show_row(console, row)


def _width(texts: Sequence[str]) -> int:
    """Characters of the longest of some texts."""
    from rich.cells import cell_len

    return max(map(cell_len, texts))


def _show_row(console: Any, row: dict[str, Any]) -> None:
    """Print one row of a table in lines of its own: what it is about, and below it the fields in which something stands."""
    from rich.padding import Padding
    from rich.text import Text

    (_, first), *others = row.items()
    told = Text()
    for name, value in others:
        if (text := _cell(value)) not in ("", EMPTY):
            told.append(" · " if told else "").append(f"{name} ", style="dim").append(text)
    console.print(Text(_cell(first), style="bold"))
    console.print(Padding(told, (0, 0, 0, 2)))


def show_titled(console: Any, tables: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> None:
    """Print tables under their titles; nothing for those without rows."""
    for title, rows in tables:
        if rows:
            show_lines(console, title)
            show_table(console, rows)


def _cell(value: Any) -> str:
    """A short text for any plain value; what does not hold stands out."""
    from .bench.board_text import cell

    return cell(value, no="NO")


def show_lines(console: Any, *lines: str) -> None:
    """Print text as it is, unwrapped."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


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


@contextmanager
def interruptible() -> Iterator[None]:
    """The first Ctrl-C ends the work in order, a second one at once. One that is ignored, as by nohup, stays ignored."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return

    def at_once(*why: object) -> None:
        if sys.stderr.isatty():
            os.write(2, b"\x1b[?25h")  # the cursor, where progress hid it
        os._exit(130)

    def in_order(*why: object) -> None:
        signal.signal(signal.SIGINT, at_once)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, in_order)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


HINTS = {
    errno.ENOSPC: "make room; the same command then goes on",
    errno.EACCES: "choose a place that you may use",
    errno.EPERM: "choose a place that you may use",
    errno.EROFS: "choose a place that you may use",
    errno.ENOTDIR: "a file is in the way; choose another folder",
    errno.EEXIST: "a file is in the way; choose another folder",
    errno.EISDIR: "a file is right here",
    errno.ENOENT: "is it spelled right, and a place that can be written?",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What to do about errors of the system."""


def said(error: Exception) -> str:
    """An error in one line, with what to do."""
    from .contracts.errors import HedgefoxError

    if isinstance(error, OSError) and error.strerror:
        hint = HINTS.get(error.errno or 0)
        # Files are written under a passing name first, which is nobody's business.
        name = re.sub(r"\.tmp-[0-9a-f]{8}$", "", str(error.filename2 or error.filename or "the output"))
        return f"{name}: {error.strerror}{f'; {hint}' if hint else ''}"
    text = " ".join(str(error).split())
    return text if isinstance(error, HedgefoxError) else f"{type(error).__name__}: {text} (--debug shows where)"


def print_answer(answer: Answer, as_json: bool) -> None:
    """Print a verb's result on stdout, as strict JSON or for people."""
    if as_json:
        print_json(answer.data)
        return
    console = console_on(sys.stdout)
    # Written in one piece and not by rich, which turns a closed pipe into exit code 1.
    with console.capture() as text:
        answer.show(console)
    _write(text.get())


def print_json(data: Any) -> None:
    """Print plain data on stdout as strict JSON, in one line."""
    from .bench.record import strict

    _write(json.dumps(strict(data), allow_nan=False) + "\n")


def _write(text: str) -> None:
    """Write to stdout; a reader that has seen enough and closed it is no error."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
