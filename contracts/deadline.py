"""A time at which long work is to stop: at its next safe place, with what is finished stored, so that the same call goes on."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass


class TimeUp(KeyboardInterrupt):
    """The time given to a call is used up. An interruption like one from the keyboard: no failure of what was under way."""


@dataclass(frozen=True)
class Deadline:
    """A moment of this machine's steady clock, the same in all its processes; by default none."""

    at: float = math.inf
    """[s] of time.monotonic."""

    @staticmethod
    def after(seconds: float | None) -> Deadline:
        """So many seconds from now; never for None."""
        return Deadline() if seconds is None else Deadline(time.monotonic() + seconds)

    def passed(self) -> bool:
        """Whether it is over."""
        return time.monotonic() >= self.at

    def check(self) -> None:
        """Raise TimeUp when it is over."""
        if self.passed():
            raise TimeUp("the time given is used up")
