"""The data set that is exported: its plan, and its trajectories one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...contracts import Domain, MisuseError, registry
from .._film import _finished
from .._plan import Plan, read_plan
from .._record import Record
from .._shard import opened, records

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """One folder that `generate` wrote."""

    folder: Path
    plan: Plan

    @staticmethod
    def open(folder: Path) -> Source:
        """The data set in a folder; raises MisuseError when there is none."""
        return Source(folder, read_plan(folder))

    @property
    def domain(self) -> Domain:
        """Its kind of physics; raises MisuseError where this hedgefox does not have it."""
        return registry.domain(str(self.plan.config["domain"]))

    @property
    def name(self) -> str:
        """Its name, as its card has it."""
        return str(self.plan.card["name"])

    def count(self, split: str) -> int:
        """Trajectories of a split."""
        return int(self.plan.card["splits"][split]["trajectories"])

    def records(self, split: str) -> Iterator[Record]:
        """The trajectories of a split in order; each shard is hashed before it is opened."""
        for path in _finished(self.folder, self.plan, split):
            with opened(path) as file:
                yield from records(file)


class Told:
    """Tells how many trajectories of all are written."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def one(self) -> None:
        """One more."""
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)


def require(condition: bool, what: str) -> None:
    """Raise MisuseError when a data set does not fit a layout."""
    if not condition:
        raise MisuseError(what)
