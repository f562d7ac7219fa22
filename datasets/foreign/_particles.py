"""Films of particles from bare positions: velocities, the script of what is driven, and walls, periodic or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...contracts import MisuseError, NodeType, Scene, Trajectory, Wall, single_scene

Positions = npt.NDArray[np.float32]


def film_of(
    position: Positions,
    driven: npt.NDArray[np.bool_],
    *,
    frame_interval: float,
    bounds: list[list[float]],
    periodic: bool,
    mass: float = 1.0,
    gravity: list[float] | None = None,
    parameters: Mapping[str, float] | None = None,
    domain: str = "fluid",
) -> Trajectory:
    """One scene of particles: position (T, N, D) [m], driven (N,), bounds a pair an axis [m], mass of each particle [kg].

    Walls are no-slip sides of the box, or all axes are periodic. Positions stay as stored; the script is made continuous where a
    driven particle goes around, so that its steps are true. Velocities are first differences backward, and forward at frame 0.

    Raises MisuseError for too few frames and for positions that are not finite, or that no Scene can have.
    """
    frames, _, dim = position.shape
    if frames < 2:
        raise MisuseError(f"it has {frames} frames; velocities need at least 2")
    if not np.isfinite(position).all():
        frame = int(np.argmin(np.isfinite(position).all((1, 2))))
        raise MisuseError(f"its positions are not finite from frame {frame} on")
    where = torch.from_numpy(np.ascontiguousarray(position))
    box = torch.tensor(bounds, dtype=torch.float32).T.contiguous()
    kind = torch.from_numpy(driven).to(torch.int64) * int(NodeType.DRIVEN)
    scene = single_scene(
        domain=domain,
        frame_interval=frame_interval,
        rest_position=where[0].clone(),
        mass=mass,
        bounds=box,
        wall=torch.full((dim, 2), int(Wall.PERIODIC if periodic else Wall.NO_SLIP)),
        n_frames=frames,
        gravity=gravity,
        node_type=kind,
        parameters=parameters,
        node_position=continuous(where[:, torch.from_numpy(driven)], box[1] - box[0] if periodic else None),
    )
    return Trajectory(scene, where, velocities(scene, where))


def velocities(scene: Scene, position: Tensor) -> Tensor:
    """First differences over the frame interval [m/s], the short way around periodic axes: backward, at frame 0 forward."""
    moved = scene.minimum_image(position[1:].double() - position[:-1].double()) / scene.frame_interval
    return torch.cat([moved[:1], moved]).to(position.dtype)


def continuous(position: Tensor, period: Tensor | None) -> Tensor:
    """Positions (T, M, D) without jumps: moved by whole periods (D,), so that no step is longer than half of one."""
    if period is None or position.numel() == 0:
        return position.clone()
    turns = torch.round((position[1:] - position[:-1]) / period).cumsum(0)
    return position - torch.cat([torch.zeros_like(turns[:1]), turns]) * period


def types_of(values: Any, nodes: int) -> npt.NDArray[np.int64]:
    """Types of particles as whole numbers, one a node; raises MisuseError when they are not."""
    kinds = np.asarray(values)
    if kinds.dtype.kind not in "iu" or kinds.shape != (nodes,):
        raise MisuseError(
            f"particle_type is {kinds.dtype} of shape {kinds.shape}; whole numbers of shape ({nodes},) are right"
        )
    return kinds.astype(np.int64)
