"""What trajectories must hold against one another: no film twice, no seed used twice, none far faster than its split.

About 250 bytes are kept of each trajectory, so that a set of any size is gone through once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ._record import Array, Record
from ._shard import Row
from ._soundness import top_speed

OUTLIER = 20.0
"""A trajectory is an outlier whose fastest node is faster than this many times the median of its split; sound data stay below 5."""
ENOUGH = 8
"""Trajectories of a split from which there is a median worth the name."""

Home = tuple[str, int, int]
"""Split, index and group of a trajectory."""


class Across:
    """Is shown every trajectory of a data set once, in any order."""

    def __init__(self) -> None:
        self._films: dict[bytes, Home] = {}
        self._starts: dict[bytes, Home] = {}
        self._speeds: dict[str, list[tuple[float, str, int]]] = {}

    def problem(self, record: Record, row: Row, split: str, shard: str) -> str | None:
        """What a trajectory has in common with one shown before, or None."""
        home = (split, int(row["index"]), int(row["group"]))
        self._speeds.setdefault(split, []).append((top_speed(record), shard, int(row["trajectory"])))
        twin = self._films.setdefault(_digest(_frames(record)), home)
        # Siblings share a start, and a change that comes to nothing leaves them equal.
        if twin != home and (twin[0], twin[2]) != (split, home[2]):
            return f"its frames are those of trajectory {twin[1]} of {twin[0]}, bit for bit"
        if row["variant"]:
            return None
        twin = self._starts.setdefault(_digest(_start(record)), home)
        if twin != home:
            return f"it starts as trajectory {twin[1]} of {twin[0]} does, bit for bit: a seed was used twice"
        return None

    def outliers(self) -> Iterator[tuple[str, str]]:
        """Shard and finding for each trajectory that is far faster than its split, asked when all were shown."""
        for split, shown in self._speeds.items():
            median = float(np.median([speed for speed, _, _ in shown]))
            if len(shown) < ENOUGH or not median > 0:
                continue
            for speed, shard, number in shown:
                if speed > OUTLIER * median:
                    what = f"its nodes reach {speed:.3g} m/s; the median of {split} is {median:.3g} m/s"
                    yield shard, f"trajectory {number}: {what}, and {OUTLIER:.0f} times that is an outlier"


def _frames(record: Record) -> Iterator[Array]:
    yield record.arrays["position"]
    yield record.arrays["velocity"]


def _start(record: Record) -> Iterator[Array]:
    """Frame 0, all that stays fixed, and the parameters; not the script, which is longer in some splits."""
    for name in ("position", "velocity"):
        yield record.arrays[name][:1]
    for name in ("rest_position", "mass", "gravity", "bounds", "node_type"):
        yield record.arrays[name]
    yield np.array([float(record.parameters[name]) for name in sorted(record.parameters)])


def _digest(arrays: Iterable[Array]) -> bytes:
    digest: Any = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    found: bytes = digest.digest()
    return found
