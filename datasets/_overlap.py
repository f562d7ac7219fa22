"""Overlap: what is made here is taken by a thread of its own, so that simulating and writing do not wait for each other.

The thread that calls goes on making things, as simulators want (their compiled kernels belong to the thread that began), up to
a bounded number ahead. On a CPU with one worker, checksums, HDF5, hashing and waiting for the disk lie under the next
simulation; on a GPU all of the host's work does, while the device computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import Full, Queue
from typing import TypeVar

from ..contracts import HedgefoxError

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Things made and not yet taken, at most; with the one in hand and the one under way, four are in memory."""
_PATIENCE = 0.05
"""Time between looks at whether the taker has ended [s]."""


class Abandoned(HedgefoxError):
    """Told to the taker when the maker failed: nothing more will come, so leave nothing half done."""


class _Last:
    """What is put after the last thing."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole


def overlapped(items: Iterable[T], take: Callable[[Iterator[T]], R], ahead: int = AHEAD) -> R:
    """`take(items)` in a thread of its own, the items made in this one; its result.

    When making fails, `take` meets Abandoned where it asks for the next, and the error is raised here once it has ended. When
    taking fails, nothing more is made and its error is raised.
    """
    pipe: Queue[T | _Last] = Queue(ahead)
    done: Future[R] = Future()
    taker = threading.Thread(target=_carry_out, args=(done, take, pipe), daemon=True)
    taker.start()
    whole = False
    try:
        for item in items:
            if not _put(pipe, item, done):
                break
        whole = True
    finally:
        _put(pipe, _Last(whole), done)
        taker.join()
    return done.result()


def _carry_out(done: Future[R], take: Callable[[Iterator[T]], R], pipe: Queue[T | _Last]) -> None:
    try:
        done.set_result(take(_taken(pipe)))
    except BaseException as error:
        done.set_exception(error)


def _taken(pipe: Queue[T | _Last]) -> Iterator[T]:
    while not isinstance(item := pipe.get(), _Last):
        yield item
        del item  # not held while the next is waited for
    if not item.whole:
        raise Abandoned("what makes the items failed")


def _put(pipe: Queue[T | _Last], item: T | _Last, done: Future[R]) -> bool:
    """Put an item in as soon as there is room; False when nobody takes any more."""
    while not done.done():
        try:
            pipe.put(item, timeout=_PATIENCE)
            return True
        except Full:
            continue
    return False
