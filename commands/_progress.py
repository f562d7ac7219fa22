"""Progress of long work on stderr: a line for each thing under way, while somebody watches; nothing otherwise.

Somebody watches when stderr is a terminal. One that obeys no control characters (TERM=dumb) gets plain lines, seldom. Work tells
(what, how much is done, of how much); a total of 0 is one that nobody knows. What was told first stands on top.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Tell = Callable[[str, int, int], None]
"""Told (what is being done, how much is done, of how much)."""

STILL = "time "
"""Beginning of what is told while clocks run: the screen then stands still, for drawing would be timed with the work."""
WHOLE = "all of "
"""Beginning of what is told of a whole run, as in bench/_watch.py: its parts differ in length, so a count says nothing of time."""
PATIENCE = 0.7
"""Seconds before a verb that tells nothing shows that it is at work."""
TICK = 0.5
"""Seconds between two drawings."""
SELDOM = 30.0
"""Seconds between two plain lines about the same thing."""
RECENT = 60.0
"""Seconds over which a rate is taken."""


class Pace:
    """How fast something goes, from what was told in the recent past: a resumed training does not count what was done before."""

    def __init__(self) -> None:
        self.told: deque[tuple[float, int]] = deque()

    def tell(self, now: float, done: int) -> None:
        """Note how much is done [s, count]; less than before begins anew."""
        if self.told and done < self.told[-1][1]:
            self.told.clear()
        if not self.told or done > self.told[-1][1]:
            self.told.append((now, done))
        while len(self.told) > 3 and self.told[1][0] < now - RECENT:
            self.told.popleft()

    def left(self, now: float, total: int) -> float | None:
        """Seconds until `total`; None before two tellings. A silence longer than any step before it slows the pace."""
        if len(self.told) < 2:
            return None
        (began, first), (latest, last) = self.told[0], self.told[-1]
        step = (latest - began) / (len(self.told) - 1)
        until = max(latest, now - step)
        seconds = (until - began) / (last - first)
        return max(0.0, (total - last) * seconds - (now - until))


class Line:
    """One thing under way."""

    def __init__(self, what: str, now: float) -> None:
        self.what, self.began, self.done, self.total = what, now, 0, 0
        self.pace = Pace()

    def tell(self, now: float, done: int, total: int) -> None:
        """Note how far it is."""
        self.done, self.total = done, total
        self.pace.tell(now, done)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return 0 < self.total <= self.done

    def count(self) -> str:
        """Done and total."""
        return f"{self.done}/{self.total}" if self.total else ""

    def left(self, now: float) -> str:
        """The time left, or nothing where nobody knows."""
        if self.what.startswith(WHOLE):
            return ""
        seconds = self.pace.left(now, self.total)
        return "" if seconds is None else f"{clock_text(seconds)} left"


def clock_text(seconds: float) -> str:
    """A duration as people read it: 0:07, 12:31, 1:02:31."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Screen:
    """Lines that are drawn over and over at the foot of a terminal, and gone when the work is done."""

    def __init__(self, verb: str) -> None:
        self.verb = Line(verb, time.monotonic())
        self.lines: dict[str, Line] = {}
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.live: Any = None
        self.ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Screen:
        self.ticker.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self.ended.set()
        self.ticker.join()
        if self.live is not None:
            self.live.stop()

    def tell(self, what: str, done: int, total: int) -> None:
        """Note how far something is; a line that is finished goes."""
        now = time.monotonic()
        with self.lock:
            line = self.lines.setdefault(what, Line(what, now))
            line.tell(now, done, total)
            if line.finished:
                del self.lines[what]
            still = self.still
        if still and self.live is not None:
            self.live.refresh()

    @property
    def still(self) -> bool:
        """Whether clocks run."""
        return any(what.startswith(STILL) for what in self.lines)

    def _tick(self) -> None:
        if self.ended.wait(PATIENCE):
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        draw = functools.partial(self.drawn, console)
        self.live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, get_renderable=draw
        )
        self.live.start()
        while not self.ended.wait(TICK):
            if not self.still:
                self.live.refresh()

    def drawn(self, console: Any) -> Any:
        """The lines as a table that fits the console: in a narrow one without bars, in a very narrow one without the time left."""
        from rich.table import Table

        now, width = time.monotonic(), console.width
        with self.lock:
            lines = list(self.lines.values()) or [self.verb]
        bar = 24 if width >= 100 else 12 if width >= 64 else 0
        table = Table.grid(padding=(0, 1), expand=True)
        table.width = min(width, 110)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        # Columns keep their widths, so that nothing jumps when a figure grows.
        for least in (bar, 7, 7, 12 if width >= 50 else 0):
            table.add_column(no_wrap=True, justify="right", min_width=least)
        for line in lines:
            table.add_row(*_cells(line, now, bar, timed=width >= 50))
        return table


def _cells(line: Line, now: float, bar: int, timed: bool) -> list[Any]:
    """A line's name, bar, count, time it took so far, and time left."""
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    shown = ProgressBar(total=line.total, completed=line.done, width=bar) if bar and line.total else ""
    elapsed = "clocks run" if line.what.startswith(STILL) else clock_text(now - line.began)
    left = line.left(now) if timed else ""
    return [Text(line.what), shown, Text(line.count(), style="cyan"), Text(elapsed), Text(left, style="dim")]


class Plain:
    """Plain lines on a terminal that obeys no control characters: what is finished, and how far the rest is, seldom."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lines: dict[str, Line] = {}
        self.written: dict[str, float] = {}

    def tell(self, what: str, done: int, total: int) -> None:
        """Write a line where one is due."""
        now = time.monotonic()
        with self.lock:
            line = self.lines.setdefault(what, Line(what, now))
            line.tell(now, done, total)
            if not line.finished and now - self.written.setdefault(what, now) < SELDOM:
                return
            self.written[what] = now
            if line.finished:
                del self.lines[what], self.written[what]
        left = f", {line.left(now)}" if line.left(now) and not line.finished else ""
        sys.stderr.write(f"{what}: {line.count()}, {clock_text(now - line.began)}{left}\n")
        sys.stderr.flush()


@contextmanager
def progress(verb: str) -> Iterator[Tell]:
    """What a verb tells how far it is, shown to whoever watches stderr."""
    # Of the processes that torchrun starts, one draws.
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        yield lambda what, done, total: None
    elif os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        yield Plain().tell
    else:
        with Screen(verb) as screen:
            yield screen.tell
