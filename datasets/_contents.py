"""What is wrong inside a shard: its header, its index, and each trajectory's numbers, start, siblings and labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import NEVER, Domain, HedgefoxError, Trajectory
from ._across import Across
from ._drawn import Drawn
from ._plan import CARD, Plan, Shard
from ._pool import one_thread
from ._record import EVENTS, Record, film_of, labels_of
from ._shard import Row, attributes, index_of, mismatch, opened, records
from ._siblings import Family
from ._soundness import data_problem
from ._statistics import Accumulator


@dataclass(frozen=True)
class Looker:
    """Goes through the shards of a data set, one after the other; what trajectories share is kept from one to the next."""

    plan: Plan
    domain: Domain | None
    """Who can make labels and starts again, if anybody."""
    drawn: Drawn
    accumulator: Accumulator
    across: Across = field(default_factory=Across)

    def problems(self, path: Path, shard: Shard) -> list[str]:
        """What is wrong inside a shard; at most one thing a trajectory."""
        problems: list[str] = []
        family = Family(self.plan.siblings)
        try:
            with opened(path) as file:
                problems += _header(attributes(file), self.plan, shard)
                rows = index_of(file)
                if [row["index"] for row in rows] != list(range(shard.first, shard.stop)):
                    problems.append(f"its index does not list the trajectories {shard.first} to {shard.stop - 1}")
                for row, record in zip(rows, records(file), strict=True):
                    said = attributes(file["traj"][f"{row['trajectory']:06d}"])
                    what = self._problem(shard, row, record, said, family)
                    if what:
                        problems.append(what)
                    elif shard.split == "train":
                        self.accumulator.add(film_of(record))
        except HedgefoxError as error:
            problems.append(str(error).removeprefix(f"{path}: "))
        return problems

    def _problem(self, shard: Shard, row: Row, record: Record, said: dict[str, Any], family: Family) -> str | None:
        film, where = film_of(record), f"trajectory {row['trajectory']}"
        if what := mismatch(record, row):
            return what
        what = (
            self._named(record, row, said)
            or data_problem(record, film)
            or family.problem(record, row)
            or self.across.problem(record, row, shard.split, shard.name)
            or self.drawn.problem(record, film, row, shard.split)
            or labels_problem(record, film, self.domain)
        )
        return f"{where}: {what}" if what else None

    def _named(self, record: Record, row: Row, said: dict[str, Any]) -> str | None:
        """Where a trajectory's own attributes are not what its place says."""
        right: dict[str, Any] = {
            "seed": str(self.plan.config["root_seed"]),
            "index": row["index"],
            "status": "complete" if record.diverged_at == NEVER else "diverged",
        }
        for name, value in right.items():
            if said.get(name) != value:
                return f"its {name} is {said.get(name)!r}; {value!r} is right"
        return None


def _header(found: dict[str, Any], plan: Plan, shard: Shard) -> Iterator[str]:
    for name, value in plan.root_attributes(shard.split).items():
        if found.get(name) != value:
            yield f"its {name} is {found.get(name)!r}; {CARD} says {value!r}"


def labels_problem(record: Record, film: Trajectory, domain: Domain | None) -> str | None:
    """Where the stored labels of events are not those that the states give."""
    if domain is None:
        return None
    try:
        with one_thread():
            right = labels_of(film, domain)
    except Exception as error:  # the states come from elsewhere: whatever a domain makes of them is a finding
        return f"its events cannot be made again: {type(error).__name__}: {error}"
    stored = {name: array for name, array in record.arrays.items() if name.startswith(EVENTS)}
    if set(stored) != set(right):
        return (
            f"it has labels of {', '.join(sorted(stored)) or 'nothing'}; {', '.join(sorted(right)) or 'none'} is right"
        )
    for name, label in right.items():
        if not np.array_equal(stored[name], label):
            frame = int((stored[name] != label).argmax())
            return f"{name} is {stored[name][frame]} at frame {frame}; the states give {label[frame]}"
    return None
