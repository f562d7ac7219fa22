"""What the numbers of one trajectory must hold, whatever the physics: finite, moving, no frame twice, no node that leaps."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from ..contracts import NEVER, NodeType, Trajectory
from ..contracts.trajectory import _GROUP_OF as FRAME_GROUP_OF
from ._record import Array, Record

STILL = 1e-4
"""A frame that repeats another, bit for bit, is a fault when a node moved by more than this share of the box diagonal since."""
LEAP = 20.0
"""A node is an outlier that covers more than this many times what its own velocities before and after say. The most that sound
data have shown is 4.7, in a splash."""
APART = 3.0
"""Most that a film's fastest displacement and its fastest velocity may differ by, as a factor; sound data stay below 1.7."""
SLACK = 1e-3
"""Share of the box diagonal that a node may move in a frame without any of these being asked."""


def data_problem(record: Record, film: Trajectory) -> str | None:
    """The first thing wrong with the numbers of a trajectory."""
    return _not_finite(record) or _stands_still(record) or _comes_again(record) or _leaps(record, film)


def top_speed(record: Record) -> float:
    """The fastest that any free node is [m/s]."""
    velocity = _free(record, "velocity")
    return float(np.linalg.norm(velocity, axis=-1).max(initial=0.0))


def _not_finite(record: Record) -> str | None:
    stop = _end(record)
    for name, array in record.arrays.items():
        if name not in FRAME_GROUP_OF:
            if not np.isfinite(array).all():
                return f"{name} is not finite"
            continue
        bad = ~np.isfinite(array[:stop]).reshape(stop, -1).all(1)
        if bad.any():
            return f"{name} is not finite at frame {int(bad.argmax())}"
        if not np.isnan(array[stop:]).all():
            return f"{name} goes on after frame {stop}, at which it diverged"
    for name, value in record.parameters.items():
        if not np.isfinite(value):
            return f"the parameter {name} is {value}"
    return None


def _stands_still(record: Record) -> str | None:
    """A film in which nothing moves, or a frame written twice."""
    position, velocity = _free(record, "position"), _free(record, "velocity")
    if len(position) < 2 or not position.shape[1]:
        return None
    same = (position[1:] == position[:-1]).all(axis=(1, 2))
    if same.all():
        return f"no free node moves in its {len(position)} frames"
    path = np.abs(velocity[1:]).max(axis=(1, 2)) * record.frame_interval / _diagonal(record)
    stuck = same & (path > STILL)
    return f"frame {int(stuck.argmax()) + 1} repeats the one before it although nodes move" if stuck.any() else None


def _comes_again(record: Record) -> str | None:
    """A frame that is an earlier one, bit for bit, although nodes moved in between."""
    position = _free(record, "position")
    seen: dict[bytes, int] = {}
    for k, frame in enumerate(position if position.shape[1] else position[:0]):
        first = seen.setdefault(hashlib.blake2b(np.ascontiguousarray(frame).tobytes(), digest_size=16).digest(), k)
        if k - first > 1 and np.abs(position[first:k] - frame).max() > STILL * _diagonal(record):
            return f"frame {k} is frame {first} again, bit for bit; no motion comes back so"
    return None


def _leaps(record: Record, film: Trajectory) -> str | None:
    """A node that is where its velocities cannot have brought it, or velocities that move nothing."""
    stop, free = _end(record), film.scene.free
    if stop < 2 or not bool(free.any()):
        return None
    moved = film.scene.minimum_image(film.position[1:stop] - film.position[: stop - 1])[:, free].norm(dim=-1)
    speed = film.velocity[:stop, free].norm(dim=-1)
    said = torch.maximum(speed[1:], speed[:-1]) * record.frame_interval
    slack = SLACK * _diagonal(record)
    leap = moved > LEAP * (said + slack)
    if bool(leap.any()):
        frame, node = (int(x) for x in leap.nonzero()[0])
        at = int(free.nonzero()[node])
        far, right = float(moved[frame, node]), float(said[frame, node])
        return f"node {at} moves {far:.3g} m to frame {frame + 1}; its velocities say {right:.3g} m at most"
    paths = float(moved.max()), float(speed.max()) * record.frame_interval
    if max(paths) > APART * (min(paths) + slack):
        return f"its nodes move up to {paths[0]:.3g} m a frame; its velocities say {paths[1]:.3g} m"
    return None


def _end(record: Record) -> int:
    """Frames before it diverged."""
    return record.n_frames if record.diverged_at == NEVER else record.diverged_at


def _free(record: Record, name: str) -> Array:
    free: Array = record.arrays["node_type"] == NodeType.FREE
    held: Array = record.arrays[name][: _end(record), free]
    return held


def _diagonal(record: Record) -> float:
    lower, upper = record.arrays["bounds"][0]
    return float(np.linalg.norm(upper - lower))
