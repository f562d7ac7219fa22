"""Distances to the convex solids that rigid bodies are made of.

Learners use these to find contacts and metrics to find how far bodies are inside one another; solvers have their own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ._ragged import all_pairs
from .boundary import shape_distance
from .rotation import conjugate, multiply, rotate
from .scene import BodyShape, Obstacle, Scene


def shape_poses(scene: Scene, pose: Tensor) -> Tensor:
    """Where the shapes are in the world (..., Q, 7), for body poses (..., P, 7)."""
    held, own = pose[..., scene.shape_body, :], scene.shape_pose
    centre = held[..., :3] + rotate(held[..., 3:], own[:, :3].expand_as(held[..., :3]))
    return torch.cat([centre, multiply(held[..., 3:], own[:, 3:].expand_as(held[..., 3:]))], dim=-1)


def distance_to_shape(point: Tensor, pose: Tensor, kind: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance [m] (n,) of points (n, 3) from `BodyShape` solids, row by row, and the unit normals (n, 3) out of them.

    pose (n, 7) in the world, kind (n,), size (n, 3) as in `Scene`.
    """
    turn = pose[:, 3:]
    offset = rotate(conjugate(turn), point - pose[:, :3])
    # A capsule is a ball around the nearest point of its straight part.
    capsule = kind == BodyShape.CAPSULE
    along = offset[:, 2].clamp(-size[:, 1], size[:, 1])
    offset = torch.cat([offset[:, :2], (offset[:, 2] - torch.where(capsule, along, 0.0)).unsqueeze(-1)], dim=-1)
    as_obstacle = torch.where(kind == BodyShape.BOX, int(Obstacle.BOX), int(Obstacle.BALL))
    distance, normal = shape_distance(offset, as_obstacle, size)
    return distance, rotate(turn, normal)


def depth_in_others(scene: Scene, position: Tensor, pose: Tensor) -> Tensor:
    """Depth of each node inside the solids of other bodies of its scene [m], zero outside, (N,); position (N, 3), pose (P, 7)."""
    node, shape = all_pairs(scene.scene_ptr, scene.shape_ptr)
    other = scene.body_id[node] != scene.shape_body[shape]
    node, shape = node[other], shape[other]
    where = shape_poses(scene, pose)[shape]
    distance, _ = distance_to_shape(position[node], where, scene.shape_kind[shape], scene.shape_size[shape])
    deepest = torch.zeros_like(position[:, 0])
    return deepest.scatter_reduce(0, node, (-distance).clamp(min=0), "amax")
