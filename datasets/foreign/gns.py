"""DeepMind's particle sets (Sanchez-Gonzalez et al. 2020, arXiv:2002.09405): WaterDrop, Sand, Goop, BoxBath and their kin.

    metadata.json                                bounds, sequence_length, dim, dt, default_connectivity_radius, statistics
    train.tfrecord, valid.tfrecord, test.tfrecord
        one tf.SequenceExample a trajectory: context `key` (int64) and `particle_type` (bytes of int64);
        list `position`, sequence_length + 1 entries, each bytes of float32 (N, dim); `step_context` in some sets

Traps, and what is done about them:

- Types are 0 rigid, 3 wall, 5 water, 6 sand, 7 goop. 3 is driven here; all others move alike, for a Scene has no materials of
  nodes. (In LagrangeBench 3 is a rigid body that moves.)
- A film has one frame more than `sequence_length`. A rollout sees 6 frames and is scored on sequence_length - 6: the last frame
  of the file is scored by no rollout.
- Statistics are per frame, not per second. Gravity is not stated anywhere; it is zero here, and a network finds it as a mean.
- `step_context` becomes parameters context_0 … where it is constant; where it varies it is left out, and named in `notes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...contracts import MisuseError, Trajectory
from ._particles import Positions, film_of, types_of
from ._set import RecordedSet
from ._tfrecord import Example, Value, examples

METADATA = "metadata.json"
WALL = 3
STATISTICS = ("vel_mean", "vel_std", "acc_mean", "acc_std", "context_mean", "context_std")
MAX_FRAMES = 1_000_000


class Gns(RecordedSet):
    """One folder in the layout of DeepMind's particle sets."""

    layout, suite = "gns", "gns"
    past, horizon = 6, None

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, METADATA)
        self.dim = self.facts.integer("dim", 2, 3)
        self.bounds = self.facts.bounds(self.dim)
        self.frame_interval = self.facts.number("dt", positive=True)
        self.n_frames = self.facts.integer("sequence_length", 1, MAX_FRAMES) + 1

    def films(self, split: str) -> Iterator[Trajectory]:
        """See ForeignSet."""
        path = self.require_split(split)
        for number, example in enumerate(examples(path)):
            try:
                yield self._film(example)
            except MisuseError as error:
                raise MisuseError(f"{path}, trajectory {number}: {error}") from error

    def _film(self, example: Example) -> Trajectory:
        position = self._positions(example.lists.get("position", []))
        kinds = types_of(np.frombuffer(_one(example.context.get("particle_type"), 8), "<i8"), position.shape[1])
        return film_of(
            position,
            kinds == WALL,
            frame_interval=self.frame_interval,
            bounds=self.bounds,
            periodic=False,
            parameters=self._context(example.lists.get("step_context", [])),
        )

    def _positions(self, steps: list[Value]) -> Positions:
        if len(steps) != self.n_frames:
            raise MisuseError(f"it has {len(steps)} positions; sequence_length + 1 = {self.n_frames} is right")
        frames = [np.frombuffer(_one(step, 4 * self.dim), "<f4") for step in steps]
        if not frames[0].size or any(frame.size != frames[0].size for frame in frames):
            raise MisuseError(f"its positions are not of equal numbers of nodes of {self.dim} axes")
        return np.stack(frames).reshape(self.n_frames, -1, self.dim)

    def _context(self, steps: list[Value]) -> dict[str, float]:
        if "context_mean" not in self.facts:
            return {}
        values = [np.frombuffer(_one(step, 4), "<f4") for step in steps]
        sizes = {value.size for value in values}
        if len(values) != self.n_frames or len(sizes) != 1:
            raise MisuseError(f"its step_context has {len(values)} steps; {self.n_frames} of equal size are right")
        table = np.stack(values)
        constant = bool((table == table[0]).all()) and bool(np.isfinite(table[0]).all())
        return {f"context_{k}": float(v) for k, v in enumerate(table[0])} if constant else {}

    @property
    def statistics(self) -> dict[str, list[float]]:
        """Mean and standard deviation of displacements and of their differences, a frame, as stored."""
        sizes = {name: _length(self.facts.entries[name]) for name in STATISTICS if name in self.facts}
        return {name: self.facts.numbers(name, size) for name, size in sizes.items()}

    @property
    def notes(self) -> list[str]:
        """See ForeignSet."""
        said = [
            "gravity is not in the set and zero in the films",
            "all types but walls (3) move alike: materials are left out",
        ]
        if "context_mean" in self.facts:
            said.append(
                "step_context is kept where it is constant, as parameters context_0 …, and left out where it varies"
            )
        return said


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 1


def _one(value: Value | None, item: int) -> bytes:
    """The one text in a feature, of whole items of so many bytes; raises MisuseError when there is none such."""
    if value is None or len(value) != 1 or not isinstance(value[0], bytes) or len(value[0]) % item or not value[0]:
        raise MisuseError(f"a feature holds no text of whole items of {item} bytes")
    return value[0]
