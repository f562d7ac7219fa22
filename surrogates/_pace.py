"""How far a training is and when something is due: by its steps, or by the seconds of the device that it may take.

By time (tracks `gpu-…`), the learning rate falls with the share of the time used, and the number of steps is a result. A step is
launched, not awaited, so that on a GPU the time may be passed by what one look at the losses finds still queued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..contracts import MisuseError
from . import _processes

if TYPE_CHECKING:
    from ._training import _Progress

MARKS = 20
"""Parts of the time, each of which ends with a rollout on `valid` and a checkpoint, where a run does not say another number."""


class Pace(Protocol):
    """How far a training is; asked before and after every step."""

    def over(self) -> bool:
        """Whether no step is left."""

    def stepped(self) -> None:
        """A step was made."""

    def rate(self) -> float:
        """Learning rate of the next step."""

    def look_due(self) -> bool:
        """Whether the losses are to be looked at now."""

    def valid_due(self) -> bool:
        """Whether the model is to be measured on `valid` now."""

    def checkpoint_due(self) -> bool:
        """Whether a checkpoint is to be written now."""

    def done(self) -> tuple[int, int]:
        """How much is done, of how much."""


class BySteps:
    """A fixed number of steps."""

    def __init__(self, progress: _Progress) -> None:
        self.progress, self.plan = progress, progress.plan

    def over(self) -> bool:
        """See `Pace.over`."""
        return self.progress.step >= self.plan.steps

    def stepped(self) -> None:
        """See `Pace.stepped`."""

    def rate(self) -> float:
        """See `Pace.rate`."""
        return self.plan.rate(self.progress.step)

    def look_due(self) -> bool:
        """See `Pace.look_due`."""
        return self._due(self.plan.check_every)

    def valid_due(self) -> bool:
        """See `Pace.valid_due`."""
        return self._due(self.plan.valid_every)

    def checkpoint_due(self) -> bool:
        """See `Pace.checkpoint_due`."""
        return self._due(self.plan.checkpoint_every)

    def done(self) -> tuple[int, int]:
        """See `Pace.done`."""
        return self.progress.step, self.plan.steps

    def _due(self, every: int) -> bool:
        return self.over() or self.progress.step % every == 0


class ByTime:
    """A fixed time [s], over all sittings."""

    def __init__(self, progress: _Progress) -> None:
        if _processes.number() > 1:
            raise MisuseError("a training by time runs in one process; with torchrun, use a track that fixes the steps")
        self.progress, self.plan = progress, progress.plan
        self.marks = progress.run.marks or MARKS
        self.marked = -1
        self.at_mark = self.ended = False

    def share(self) -> float:
        """Of the time used, 0 to 1."""
        return min(1.0, self.progress.elapsed() / self.plan.seconds)

    def over(self) -> bool:
        """See `Pace.over`. At least one step is made: weights as drawn are no training."""
        # Said once a step, by `stepped`: a clock read again here could end a training between two marks, unlooked at.
        used_up = self.progress.step > 0 and self.progress.seconds >= self.plan.seconds
        return self.ended if self.marked >= 0 else used_up

    def stepped(self) -> None:
        """Find out whether a mark was passed; a sitting begins at the mark that the one before it saved."""
        if self.marked < 0:
            self.marked = int(self.marks * min(1.0, self.progress.seconds / self.plan.seconds))
        share = self.share()
        now, self.ended = int(self.marks * share), share >= 1.0
        self.at_mark = now > self.marked
        self.marked = max(now, self.marked)

    def rate(self) -> float:
        """See `Pace.rate`."""
        return self.plan.rate_at(self.progress.step, self.plan.warm_up, self.share())

    def look_due(self) -> bool:
        """See `Pace.look_due`."""
        return self.at_mark or self.progress.step % self.plan.check_every == 0

    def valid_due(self) -> bool:
        """See `Pace.valid_due`."""
        return self.at_mark

    def checkpoint_due(self) -> bool:
        """See `Pace.checkpoint_due`."""
        return self.at_mark

    def done(self) -> tuple[int, int]:
        """See `Pace.done`: seconds."""
        return round(self.share() * self.plan.seconds), round(self.plan.seconds)


def pace_of(progress: _Progress) -> Pace:
    """The pace that a plan asks for."""
    return ByTime(progress) if progress.plan.seconds else BySteps(progress)
