"""Marks of jobs under way: PATH.work says since when one is at work, how far it is, or why it failed. A finished job leaves none.

They are small files beside the finished stages, so that whoever looks at a run's folder sees what the run is at, also from another
process and after a kill.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

SUFFIX = ".work"
EVERY = 1.0
"""Seconds between two notes of how far a job is."""


@dataclass(frozen=True)
class Mark:
    """The mark of one job. It travels to other processes, and is itself what a training tells its progress.

    Noting how far something is never fails: a full disk is for the work itself to report.
    """

    stem: Path
    """Path of the job's file of results, without its ending."""

    @property
    def path(self) -> Path:
        """Where the mark is."""
        return self.stem.with_name(self.stem.name + SUFFIX)

    def begin(self, why: str = "") -> None:
        """The job is at work from now on; `why` it is done again, where it was done before."""
        self._write({"began": time.time(), "why": why})

    def __call__(self, done: int, total: int, *more: object) -> None:
        """Note how far the job is, not more often than is of use."""
        with suppress(OSError):
            if 0 < done < total and time.time() - self.path.stat().st_mtime < EVERY:
                return
        held = self.read() or {"began": time.time(), "why": ""}
        # Who follows a mark tells what it says, which must not seem to be news: it would keep the worker from noting any.
        if (held.get("done"), held.get("total")) != (done, total):
            self._write(held | {"done": done, "total": total})

    def fail(self, error: BaseException) -> None:
        """The job ended without a result."""
        self._write((self.read() or {}) | {"error": f"{type(error).__name__}: {error}"})

    def clear(self) -> None:
        """The job has its result."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def read(self) -> dict[str, Any] | None:
        """What the mark says; None without one, or for one that cannot be read."""
        try:
            held = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return held if isinstance(held, dict) else None

    def _write(self, held: dict[str, Any]) -> None:
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(held), encoding="utf-8")
            os.replace(temporary, self.path)


@contextmanager
def at_work(stem: Path, why: str = "") -> Iterator[None]:
    """Mark a job as long as the block lasts; what fails stays marked as failed, what is interrupted as begun."""
    mark = Mark(stem)
    mark.begin(why)
    try:
        yield
    except Exception as error:
        mark.fail(error)
        raise
    mark.clear()


def followed(future: Future[T], mark: Mark, tell: Callable[[int, int], None]) -> T:
    """The result of work in another process, whose mark is told on until it is there."""
    while not wait([future], timeout=EVERY).done:
        held = mark.read() or {}
        if "total" in held:
            tell(held["done"], held["total"])
    return future.result()
