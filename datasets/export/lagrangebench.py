"""Export to LagrangeBench's layout, which datasets/foreign/lagrangebench.py describes and reads.

    metadata.json with dx, dt, bounds, the statistics that its models normalise by, and what was left out under "hedgefox"
    train.h5, valid.h5, test.h5: /00000/position (T, N, D) float32 with gzip, /00000/particle_type (N,)

Positions are kept bit for bit. Free nodes become fluid (0), driven ones a moving wall (2) where the script moves any of them, else
a solid wall (1). `dt` is the frame interval and `write_every` 1. Statistics are of free nodes, displacements a frame and their
differences, over all three splits together, float64, a standard deviation below 1e-7 stored as 1: as the suite has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ...contracts import MisuseError, NodeType, Wall
from .._files import TMP, publish, write_text, writing
from .._manifest import manifest_hash
from .._record import SCRIPT, Record
from ..foreign._set import SPLITS
from ..foreign.lagrangebench import METADATA
from ._source import Progress, Source, Told, require

FLUID, SOLID_WALL, MOVING_WALL = 0, 1, 2
LEAST_STD = 1e-7
CONNECTIVITY = 1.45
"""Default connectivity radius over the spacing; the suite rounds it to two digits."""

Array = npt.NDArray[Any]


def write(folder: Path, out: Path, url: str, progress: Progress | None) -> list[str]:
    """Write the splits train, valid and test of a data set; returns what is left out. See the package for what it raises."""
    source = Source.open(folder)
    splits = [split for split in SPLITS if split in source.plan.splits]
    require(bool(splits), f"{folder} has none of the splits train, valid and test")
    out.mkdir(parents=True, exist_ok=True)
    seen, told = _Seen(), Told(sum(source.count(s) for s in splits), progress)
    for split in splits:
        _write_split(source, split, out / f"{split}.h5", seen, told)
    notes = [*seen.left_out, *_splits_left_out(source)]
    about = {"data": source.name, "manifest": manifest_hash(folder), "left_out": notes}
    write_text(out / METADATA, json.dumps(_metadata(source, seen) | {"hedgefox": about}, indent=1) + "\n")
    return notes


def _splits_left_out(source: Source) -> list[str]:
    others = [split for split in source.plan.splits if split not in SPLITS]
    return [f"the splits {', '.join(others)}: the layout has train, valid and test"] if others else []


def _write_split(source: Source, split: str, path: Path, seen: _Seen, told: Told) -> None:
    temporary = path.with_name(path.name + TMP)
    with writing(path), h5py.File(temporary, "w") as file:
        for number, record in enumerate(source.records(split)):
            seen.add(split, record)
            group = file.create_group(f"{number:05d}")
            group.create_dataset("position", data=record.arrays["position"].astype("<f4"), compression="gzip")
            group["particle_type"] = types_of(record)
            told.one()
    publish(temporary, path)


def types_of(record: Record) -> npt.NDArray[np.int64]:
    """LagrangeBench's types of a trajectory's nodes, (N,)."""
    driven = record.arrays["node_type"] == NodeType.DRIVEN
    script = record.arrays[SCRIPT + "node_position"]
    moved = bool(script.size) and bool((script != script[:1]).any())
    return np.where(driven, MOVING_WALL if moved else SOLID_WALL, FLUID).astype(np.int64)


class _Seen:
    """What is known of the data only when all of them went by."""

    def __init__(self) -> None:
        self.moments = {"vel": _Moments(), "acc": _Moments()}
        self.low: list[Array] = []
        self.high: list[Array] = []
        self.particles = 0
        self.frames = dict[str, int]()
        self.count = dict[str, int]()
        self.periodic: bool | None = None
        self.holds = set[str]()

    def add(self, split: str, record: Record) -> None:
        arrays = record.arrays
        box = arrays["bounds"][0]
        flags = arrays["wall"][0, :, 0] == int(Wall.PERIODIC)
        require(
            bool(flags.all()) or not flags.any(), "LagrangeBench has all axes periodic or none; this scene has some"
        )
        periodic = bool(flags.all())
        require(
            self.periodic in (None, periodic),
            "some scenes are periodic and some are not; the layout has one box for all",
        )
        same = (
            not periodic
            or not self.low
            or (np.array_equal(self.low[0], box[0]) and np.array_equal(self.high[0], box[1]))
        )
        require(same, "periodic boxes differ from scene to scene; the layout has one for all")
        require(record.diverged_at < 0, f"a trajectory of {split} diverges at frame {record.diverged_at}")
        self.periodic = periodic
        self.low.append(box[0])
        self.high.append(box[1])
        self.particles = max(self.particles, record.sizes["node"])
        self.frames[split] = record.n_frames
        self.count[split] = self.count.get(split, 0) + 1
        self._measure(arrays, box[1] - box[0] if periodic else None)
        self.holds |= set(_not_held(record))

    def _measure(self, arrays: Any, period: Array | None) -> None:
        free = arrays["node_type"] == int(NodeType.FREE)
        moved = np.diff(arrays["position"][:, free].astype(np.float64), axis=0)
        if period is not None:
            moved -= np.round(moved / period) * period
        self.moments["vel"].add(moved)
        self.moments["acc"].add(np.diff(moved, axis=0))

    @property
    def left_out(self) -> list[str]:
        return [*sorted(self.holds), "velocities: the layout holds positions alone"]


class _Moments:
    """Mean and spread of the trajectories' means, as the suite takes them: every trajectory weighs the same."""

    def __init__(self) -> None:
        self.means: list[Array] = []
        self.squares: list[Array] = []

    def add(self, values: Array) -> None:
        """One trajectory, (T, N, D)."""
        if values.size:
            self.means.append(values.mean((0, 1)))
            self.squares.append(np.square(values).mean((0, 1)))

    def result(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation an axis: E[(v - m)²] = E[v²] - m² where m is the mean of the means."""
        if not self.means:
            raise MisuseError("the films are too short: an acceleration needs 3 frames and a free node")
        mean = np.mean(self.means, axis=0)
        std = np.sqrt(np.maximum(np.mean(self.squares, axis=0) - mean**2, 0.0))
        return mean.tolist(), np.where(std < LEAST_STD, 1.0, std).tolist()


def _not_held(record: Record) -> Iterator[str]:
    """What of a trajectory the layout has no place for."""
    arrays = record.arrays
    if record.sizes["obstacle"]:
        yield "obstacles: they are shapes, not particles"
    if record.sizes["edge"]:
        yield "the mesh: its edges and faces"
    if record.sizes["body"]:
        yield "rigid bodies: their poses, twists and shapes"
    if record.parameters:
        yield "material parameters of each scene"
    if arrays["gravity"].any():
        yield "gravity of each scene"
    if (arrays[SCRIPT + "box_offset"] != 0).any():
        yield "the motion of the box"


def _metadata(source: Source, seen: _Seen) -> dict[str, Any]:
    config = source.plan.config
    spacing, dim = float(config["recipe"]["resolution"]), int(config["recipe"]["dim"])
    low, high = np.min(seen.low, axis=0), np.max(seen.high, axis=0)
    statistics = {}
    for name, moments in seen.moments.items():
        statistics[f"{name}_mean"], statistics[f"{name}_std"] = moments.result()
    test = "test" if "test" in seen.frames else next(iter(seen.frames))
    train = "train" if "train" in seen.frames else test
    return {
        "case": f"hedgefox-{config['domain']}",
        "solver": "hedgefox",
        "dim": dim,
        "dx": spacing,
        "dt": float(config["frame_interval"]),
        "write_every": 1,
        "t_end": float(config["frame_interval"]) * (seen.frames[train] - 1),
        "sequence_length_train": seen.frames[train] - 1,
        "num_trajs_train": seen.count.get("train", 0),
        "sequence_length_test": seen.frames[test] - 1,
        "num_trajs_test": seen.count.get("test", 0),
        "num_particles_max": seen.particles,
        "periodic_boundary_conditions": [bool(seen.periodic)] * 3,
        "bounds": np.stack([low, high], axis=1).astype(float).tolist(),
        "default_connectivity_radius": float(f"{CONNECTIVITY * spacing:.2g}"),
        **statistics,
    }
