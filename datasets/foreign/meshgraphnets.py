"""MeshGraphNets (Pfaff et al. 2021, arXiv:2010.03409): cloth and solids on moving meshes, flow on meshes that stand still.

    meta.json                                    field_names, features {name: {type, shape, dtype}}, trajectory_length, dt …
    train.tfrecord, valid.tfrecord, test.tfrecord    one tf.Example a trajectory; a field is one text, the raw array

    type static: stored once; dynamic: once a frame; dynamic_varlen: rows of all frames, their numbers in int32 `length_NAME`
    cells (1, C, 3 or 4) int32 · mesh_pos (1, N, 2 or 3) · node_type (1, N, 1) int32 · world_pos (T, N, 3) · velocity (T, N, 2) …

Traps, and what is done about them:

- Node types are 0 normal, 1 obstacle, 2 airfoil, 3 handle, 4 inflow, 5 outflow, 6 wall. With `world_pos` all but normal ones are
  driven. In a flow nothing moves: nodes stay at `mesh_pos` and `velocity` is the field there, at boundaries too; which nodes those
  are is in `arrays` alone.
- An undeformed sheet has two coordinates and lies at z = 0 here. Obstacles are no part of it: they rest where they start.
- Cells of four nodes are tetrahedra: their edges are kept, and no faces.
- Meshes that change with time (the dynamic_varlen sets) are no Scene and are refused. Their metadata are also wrong as published:
  `sizing_field` says dtype "<dtype: 'float32'>".
- Other fields (pressure, density, stress) are not in the films; `arrays` has all of them.
- The last frame is scored by no rollout: the suite crops a frame at both ends to make targets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...contracts import MisuseError, NodeType, Scene, Trajectory, Wall, single_scene
from ._particles import velocities
from ._set import RecordedSet
from ._tfrecord import Example, examples

META = "meta.json"
NORMAL, OBSTACLE = 0, 1
DTYPES = {"int32": "<i4", "int64": "<i8", "float32": "<f4", "float64": "<f8"}
MAX_FRAMES = 1_000_000
MARGIN = 0.5
"""Of the box around what moves, a side, in extents: the layout states none."""

Array = npt.NDArray[Any]


class MeshGraphNets(RecordedSet):
    """One folder in the layout of MeshGraphNets."""

    layout, suite = "meshgraphnets", "meshgraphnets"
    past, horizon = 2, None

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, META)
        self.n_frames = self.facts.integer("trajectory_length", 2, MAX_FRAMES)
        self.fields = self._fields()
        self.moves = "world_pos" in self.fields
        self.domain = "cloth" if self.moves else "fluid"
        said = self.facts.entries.get("dt")
        self.frame_interval = self.facts.number("dt", positive=True) if said else 1.0

    def _fields(self) -> dict[str, Mapping[str, Any]]:
        features = self.facts.entries.get("features")
        if not isinstance(features, dict) or not all(isinstance(f, dict) for f in features.values()):
            raise self.facts.wrong("features", "an object of objects")
        missing = [name for name in ("cells", "mesh_pos", "node_type") if name not in features]
        if missing or not {"world_pos", "velocity"} & set(features):
            raise self.facts.wrong("features", "cells, mesh_pos, node_type and world_pos or velocity")
        return features

    def films(self, split: str) -> Iterator[Trajectory]:
        """See ForeignSet."""
        varying = sorted(name for name, field in self.fields.items() if field.get("type") == "dynamic_varlen")
        if varying:
            raise MisuseError(
                f"{self.folder}: its {varying[0]} changes in length with time; the mesh of a Scene is fixed"
            )
        for number, found in enumerate(self.arrays(split)):
            try:
                yield self._moving(found) if self.moves else self._flow(found)
            except MisuseError as error:
                raise MisuseError(f"{self.path(split)}, trajectory {number}: {error}") from error

    def arrays(self, split: str) -> Iterator[dict[str, Array]]:
        """All fields of each trajectory as stored, (1 or T, rows, columns) each; of dynamic_varlen ones (rows, columns)."""
        path = self.require_split(split)
        for number, example in enumerate(examples(path)):
            try:
                yield {name: self._array(example, name) for name in self.fields}
            except MisuseError as error:
                raise MisuseError(f"{path}, trajectory {number}: {error}") from error

    def _array(self, example: Example, name: str) -> Array:
        field, value = self.fields[name], example.context.get(name)
        kind = re.sub(r"^<dtype: '(\w+)'>$", r"\1", str(field.get("dtype")))
        if kind not in DTYPES:
            raise MisuseError(
                f"{META} says dtype {field.get('dtype')!r} of {name}; one of {', '.join(DTYPES)} is right"
            )
        if value is None or len(value) != 1 or not isinstance(value[0], bytes):
            raise MisuseError(f"it holds no field {name!r}")
        flat = value[0]
        if len(flat) % np.dtype(DTYPES[kind]).itemsize:
            raise MisuseError(f"{name} has {len(flat)} bytes, which are no whole {kind}")
        return _shaped(name, np.frombuffer(flat, DTYPES[kind]), field.get("shape"))

    def _mesh(self, found: Mapping[str, Array], nodes: int) -> tuple[npt.NDArray[np.int64], Tensor, Tensor | None]:
        """Types of nodes (N,), edges (E, 2), faces (F, 3) of triangles."""
        kinds = _static(found, "node_type", nodes, (1,))[:, 0].astype(np.int64)
        cells = _static(found, "cells", None, (3, 4)).astype(np.int64)
        if cells.size and not 0 <= cells.min() <= cells.max() < nodes:
            raise MisuseError(f"its cells name nodes {cells.min()} to {cells.max()} of {nodes}")
        pairs = [cells[:, [a, b]] for a in range(cells.shape[1]) for b in range(a)]
        edges = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
        return kinds, torch.from_numpy(edges), torch.from_numpy(cells) if cells.shape[1] == 3 else None

    def _moving(self, found: Mapping[str, Array]) -> Trajectory:
        position = _frames(found, "world_pos", self.n_frames, 3)
        kinds, edges, faces = self._mesh(found, position.shape[1])
        rest = np.zeros(position.shape[1:], dtype=np.float32)
        flat = _static(found, "mesh_pos", position.shape[1], (2, 3))
        rest[:, : flat.shape[1]] = flat
        obstacle = kinds == OBSTACLE
        rest[obstacle] = position[0, obstacle]
        where, driven = torch.from_numpy(position.copy()), torch.from_numpy(kinds != NORMAL)
        scene = single_scene(
            domain=self.domain,
            frame_interval=self.frame_interval,
            rest_position=torch.from_numpy(rest),
            mass=1.0,
            bounds=_box(where),
            wall=torch.full((3, 2), int(Wall.OPEN)),
            n_frames=self.n_frames,
            node_type=driven.to(torch.int64) * int(NodeType.DRIVEN),
            edges=edges,
            faces=faces,
            node_position=where[:, driven],
        )
        return Trajectory(scene, where, velocities(scene, where))

    def _flow(self, found: Mapping[str, Array]) -> Trajectory:
        mesh = _static(found, "mesh_pos", None, (2, 3)).astype(np.float32)
        velocity = _frames(found, "velocity", self.n_frames, mesh.shape[1])
        _, edges, faces = self._mesh(found, mesh.shape[0])
        if velocity.shape[1] != mesh.shape[0]:
            raise MisuseError(f"its velocity is of {velocity.shape[1]} nodes; mesh_pos has {mesh.shape[0]}")
        rest = torch.from_numpy(mesh.copy())
        scene: Scene = single_scene(
            domain=self.domain,
            frame_interval=self.frame_interval,
            rest_position=rest,
            mass=1.0,
            bounds=_box(rest[None]),
            wall=torch.full((mesh.shape[1], 2), int(Wall.OPEN)),
            n_frames=self.n_frames,
            edges=edges,
            faces=faces,
        )
        return Trajectory(scene, rest.expand(self.n_frames, -1, -1).clone(), torch.from_numpy(velocity.copy()))

    @property
    def statistics(self) -> dict[str, list[float]]:
        """The layout stores none: the suite finds them while it trains."""
        return {}

    @property
    def notes(self) -> list[str]:
        """See ForeignSet."""
        used = {"cells", "mesh_pos", "node_type", "world_pos" if self.moves else "velocity"}
        left = sorted(set(self.fields) - used)
        said = [f"fields that are not in the films: {', '.join(left)}"] if left else []
        if not self.facts.entries.get("dt"):
            said.append("the set states no frame interval; it is 1 s here")
        if self.moves:
            return [*said, "masses, gravity and materials are not in the set: masses are 1, gravity is zero"]
        return [*said, "the mesh stands still: `velocity` of a film is the field at its nodes, positions never change"]


def _shaped(name: str, flat: Array, shape: Any) -> Array:
    """The array in its declared shape, one size of which may be -1; raises MisuseError when it does not fit."""
    fine = isinstance(shape, list) and all(isinstance(s, int) and not isinstance(s, bool) and s >= -1 for s in shape)
    try:
        if not fine or not 2 <= len(shape) <= 4:
            raise ValueError
        return flat.reshape(shape)
    except ValueError:
        raise MisuseError(f"{name} has {flat.size} numbers, which fill no array of shape {shape!r}") from None


def _static(found: Mapping[str, Array], name: str, rows: int | None, columns: tuple[int, ...]) -> Array:
    """A field that is stored once, (rows, columns); raises MisuseError when it is not that, or not finite."""
    values = found[name]
    fits = values.ndim == 3 and len(values) >= 1 and rows in (None, values.shape[1]) and values.shape[2] in columns
    if not fits or not np.isfinite(values).all():
        right = f"(1, {rows or 'rows'}, {' or '.join(map(str, columns))})"
        raise MisuseError(f"{name} has shape {values.shape}, or is not finite; {right} is right")
    stored: Array = values[0]
    return stored


def _frames(found: Mapping[str, Array], name: str, frames: int, axes: int) -> npt.NDArray[np.float32]:
    """A field of every frame, (T, N, axes); raises MisuseError when it is not that, or not finite."""
    values = found[name]
    if values.ndim != 3 or values.shape[0] != frames or values.shape[2] != axes or axes not in (2, 3):
        raise MisuseError(f"{name} has shape {values.shape}; ({frames}, nodes, {axes}) is right")
    if not np.isfinite(values).all():
        raise MisuseError(f"{name} is not finite")
    return values.astype(np.float32)


def _box(position: Tensor) -> Tensor:
    """A box (2, D) around all that is seen, wider by a margin."""
    low, high = position.amin((0, 1)), position.amax((0, 1))
    margin = MARGIN * (high - low).amax().clamp(min=1e-6)
    return torch.stack([low - margin, high + margin])
