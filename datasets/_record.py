"""Record: one trajectory as plain arrays by name, the form that workers send and shards store.

Every array is exactly that of a batch of one scene, so a record turns back into the same Trajectory bit for bit. Which
arrays there are follows from the tables of contracts/scene.py: a new field of Scene needs no edit here.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..contracts import NEVER, BodyShape, Domain, MisuseError, NodeType, Obstacle, Scene, Script, Trajectory, Wall
from ..contracts.scene import GROUP_OF, POINTER_OF, POINTS_INTO, SCRIPT_GROUP_OF
from ..contracts.trajectory import _GROUP_OF as FRAME_GROUP_OF

Array = npt.NDArray[Any]

SCRIPT = "script/"
"""Where the script's arrays lie, below their trajectory."""
EVENTS = "events/"
"""Where the labels of events lie: one array (T,) of zeros and ones for each."""
NAMED_BY: Mapping[str, type[IntEnum]] = {
    "node_type": NodeType,
    "obstacle_kind": Obstacle,
    "shape_kind": BodyShape,
    "wall": Wall,
}
"""Fields that hold the values of an enumeration."""
WIDTH = {"edges": 2, "faces": 3, "shape_size": 3, "shape_pose": 7, "pose": 7, "twist": 6}
"""Columns of the arrays whose width does not depend on the space axes."""
DTYPES = ("<f4", "<f8", "<i8")
"""All that a stored array may be made of."""
LABEL = "|u1"
"""What labels are made of."""


@dataclass(frozen=True)
class Record:
    """One trajectory, detached from torch and from its batch."""

    domain: str
    frame_interval: float
    """Time between frames [s]."""
    arrays: Mapping[str, Array]
    """Frames, scene fields, the script's arrays under "script/", and labels under "events/"."""
    parameters: Mapping[str, Any]
    """Material parameters as numpy scalars."""
    sizes: Mapping[str, int]
    """Rows of each ragged group: node, edge, face, obstacle, body, shape."""
    diverged_at: int
    """First frame that is not finite, or NEVER."""

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return int(self.arrays["position"].shape[0])

    def crc32(self) -> int:
        """Checksum over all arrays, their names and shapes."""
        value = 0
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name])
            value = zlib.crc32(f"{name}{array.dtype.str}{array.shape}".encode(), value)
            value = zlib.crc32(array.data.cast("B") if array.size else b"", value)
        return value


def records_of(film: Trajectory, domain: Domain | None = None) -> list[Record]:
    """One record a scene of a film, on the CPU, with the labels of its events when the domain is given."""
    return [_record(part, {} if domain is None else labels_of(part, domain)) for part in film.to("cpu").split()]


def labels_of(film: Trajectory, domain: Domain) -> dict[str, Array]:
    """The labels of a lone scene's events as stored, each (T,): of one scene, so that they can be made again from its record."""
    found = domain.events(film)
    return {EVENTS + name: _numpy(found[name][:, 0].to(torch.uint8)) for name in sorted(found)}


def events_of(record: Record) -> dict[str, Tensor]:
    """The stored labels by the events' names, each (T,), bool."""
    labels = {n.removeprefix(EVENTS): x for n, x in record.arrays.items() if n.startswith(EVENTS)}
    return {name: torch.from_numpy(labels[name]).to(torch.bool) for name in sorted(labels)}


def _record(film: Trajectory, labels: Mapping[str, Array]) -> Record:
    scene = film.scene
    arrays = {name: _numpy(x) for name in FRAME_GROUP_OF if (x := getattr(film, name)) is not None}
    arrays |= labels
    arrays |= {name: _numpy(getattr(scene, name)) for name in GROUP_OF}
    arrays |= {SCRIPT + name: _numpy(getattr(scene.script, name)) for name in SCRIPT_GROUP_OF}
    return Record(
        domain=scene.domain,
        frame_interval=scene.frame_interval,
        arrays=arrays,
        parameters={k: scene.parameters[k].numpy()[0] for k in sorted(scene.parameters)},
        sizes={group: int(getattr(scene, ptr)[-1]) for group, ptr in POINTER_OF.items()},
        diverged_at=NEVER if film.diverged_at is None else int(film.diverged_at[0]),
    )


def _numpy(values: Tensor) -> Array:
    return np.ascontiguousarray(values.detach().numpy())


def film_of(record: Record) -> Trajectory:
    """The trajectory, a batch of one scene, that a record was made of; raises MisuseError when the parts do not fit."""
    check(record)
    tensors = {name: torch.from_numpy(array) for name, array in record.arrays.items()}
    fields: dict[str, Any] = {name: tensors[name] for name in GROUP_OF}
    fields |= {ptr: torch.tensor([0, record.sizes[group]]) for group, ptr in POINTER_OF.items()}
    scene = Scene(
        domain=record.domain,
        frame_interval=record.frame_interval,
        parameters={k: torch.from_numpy(np.asarray(v).reshape(1)) for k, v in record.parameters.items()},
        script=Script(**{name: tensors[SCRIPT + name] for name in SCRIPT_GROUP_OF}),
        **fields,
    )
    frames = {name: tensors[name] for name in FRAME_GROUP_OF if name in tensors}
    return Trajectory(scene, **frames, diverged_at=torch.tensor([record.diverged_at]))


def check(record: Record) -> None:
    """Raise MisuseError when a record's arrays are missing, of a wrong type, or do not fit together."""
    arrays, sizes = record.arrays, record.sizes
    required = ["position", "velocity", *GROUP_OF, *(SCRIPT + name for name in SCRIPT_GROUP_OF)]
    _require_known(arrays, required)
    if not (np.isfinite(record.frame_interval) and record.frame_interval > 0):
        raise MisuseError(f"frame interval is {record.frame_interval} s; it must be positive")
    missing = sorted(set(POINTER_OF) - set(sizes))
    if missing:
        raise MisuseError(f"the size of the group {missing[0]!r} is missing")
    frames = _frames(arrays["position"])
    if not NEVER <= record.diverged_at < frames:
        raise MisuseError(f"diverged at frame {record.diverged_at} of {frames}; {NEVER} or a frame is right")
    driven = int((arrays["node_type"] == NodeType.DRIVEN).sum())
    rows = {**sizes, "scene": 1, "driven": driven}
    for name, group in GROUP_OF.items():
        _require_rows(name, arrays[name].shape[:1], (rows[group],))
        _require_values(name, arrays[name], sizes)
    for name, group in FRAME_GROUP_OF.items():
        if name in arrays:
            _require_rows(name, arrays[name].shape[:2], (frames, rows[group]))
    _require_script(arrays, rows, frames)
    for name, array in arrays.items():
        if name.startswith(EVENTS):
            _require_label(name, array, frames)
        if name in WIDTH and array.shape[-1] != WIDTH[name]:
            raise MisuseError(f"{name} has {array.shape[-1]} columns; {WIDTH[name]} is right")


def _require_known(arrays: Mapping[str, Array], required: list[str]) -> None:
    missing = [name for name in required if name not in arrays]
    if missing:
        raise MisuseError(f"the array {missing[0]!r} is missing")
    for name, array in arrays.items():
        if name.startswith(EVENTS):
            continue
        if name not in required and name not in FRAME_GROUP_OF:
            raise MisuseError(f"the array {name!r} is unknown")
        if array.dtype.str not in DTYPES:
            raise MisuseError(f"{name} is of type {array.dtype.str}; one of {', '.join(DTYPES)} is right")


def _frames(position: Array) -> int:
    if position.ndim != 3 or position.shape[2] not in (2, 3) or 0 in position.shape:
        raise MisuseError(f"position has shape {position.shape}; (frames, nodes, 2 or 3 axes), none zero, is right")
    return int(position.shape[0])


def _require_label(name: str, array: Array, frames: int) -> None:
    if array.dtype.str != LABEL or array.shape != (frames,) or (array > 1).any():
        raise MisuseError(
            f"{name} is of type {array.dtype.str} and shape {array.shape}, or neither 0 nor 1; {LABEL} and ({frames},) is right"
        )


def _require_rows(name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if got != expected:
        raise MisuseError(f"{name} has {got} rows; {expected} is right")


def _require_values(name: str, array: Array, sizes: Mapping[str, int]) -> None:
    """Indices must point at something, enumerations must have a name: out of range, they crash far from here."""
    if name in POINTS_INTO:
        low, high = -1, sizes[POINTS_INTO[name]]
    elif name in NAMED_BY:
        low, high = 0, len(NAMED_BY[name])
    else:
        return
    if array.dtype.kind != "i":
        raise MisuseError(f"{name} is of type {array.dtype.str}; <i8 is right")
    if array.size and (array.min() < low or array.max() >= high):
        raise MisuseError(f"{name} runs from {array.min()} to {array.max()}; {low} to {high - 1} is right")


def _require_script(arrays: Mapping[str, Array], rows: Mapping[str, int], frames: int) -> None:
    covered = int(arrays[SCRIPT + "box_offset"].shape[0])
    if covered < frames:
        raise MisuseError(f"the script covers {covered} frames of {frames}")
    for name, group in SCRIPT_GROUP_OF.items():
        _require_rows(SCRIPT + name, arrays[SCRIPT + name].shape[:2], (covered, rows[group]))
    axes = arrays["position"].shape[2]
    for name in (
        "velocity",
        "rest_position",
        "obstacle_size",
        "gravity",
        "bounds",
        *(SCRIPT + n for n in SCRIPT_GROUP_OF),
    ):
        if arrays[name].shape[-1] != axes:
            raise MisuseError(f"{name} has {arrays[name].shape[-1]} axes; position has {axes}")
