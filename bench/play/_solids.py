"""Solids as triangles, for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
AROUND, UPWARD = 20, 10
"""Corners around a ball, and from pole to pole."""


def solid_mesh(shape: str, size: Sequence[float]) -> tuple[Array, Array]:
    """Corners (V, 3) [m] and triangles (F, 3) of a ball, box or capsule about its centre, sizes as in `Scene`."""
    if shape == "box":
        corner, faces = _box()
        return corner * np.asarray(size), faces
    corner, faces = _ball()
    corner = corner * size[0]
    if shape == "capsule":  # both halves of a ball, drawn apart
        corner = corner + np.sign(np.round(corner[:, 2:], 12)) * [0.0, 0.0, size[1]]
    return corner, faces


def turned(q: Array, points: Array) -> Array:
    """Points (V, 3) turned by a unit quaternion xyzw."""
    along = np.cross(q[:3], points)
    return np.asarray(points + 2 * (q[3] * along + np.cross(q[:3], along)))


@cache
def _box() -> tuple[Array, Array]:
    corner = np.array([[i, j, k] for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0)])
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return corner, np.array([t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))])


@cache
def _ball() -> tuple[Array, Array]:
    """Rings from pole to pole, none of them on the equator: a capsule parts between the two middle ones."""
    fall = np.linspace(0, np.pi, UPWARD)[:, None]
    turn = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)[None]
    x, y, z = np.sin(fall) * np.cos(turn), np.sin(fall) * np.sin(turn), np.cos(fall) + 0 * turn
    corner = np.stack([x, y, z], -1).reshape(-1, 3)
    ring, step = np.arange(UPWARD - 1)[:, None] * AROUND, np.arange(AROUND)[None]
    a, b = ring + step, ring + (step + 1) % AROUND
    quads = np.stack([a, a + AROUND, b + AROUND, a, b + AROUND, b], -1)
    return corner, quads.reshape(-1, 3)
