"""Distances to what stands in a scene: the sides of its box and its obstacles.

Learners use these as wall features and metrics as penetration; a solver may have its own copy on its own device, which its
tests compare with this one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ._ragged import counts
from .scene import Obstacle, Scene


def side_distance(scene: Scene, position: Tensor, box_offset: Tensor) -> Tensor:
    """Distance of each node inside the box from each solid side [m]; infinite where a side is open or periodic.

    position (N, D), box_offset (B, D) → (N, D, 2), lower side first; negative outside.
    """
    corners = scene.bounds + box_offset.unsqueeze(1)
    lower, upper = corners[scene.node_scene].unbind(1)
    distance = torch.stack([position - lower, upper - position], dim=-1)
    return torch.where(scene.solid[scene.node_scene], distance, torch.inf)


def obstacle_distance(scene: Scene, position: Tensor, obstacle_position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Signed distance [m] to the nearest obstacle of a node's scene, the unit normal out of it, and which it is.

    position (N, D), obstacle_position (S, D) → distance (N,), infinite without obstacles; normal (N, D); index (N,), -1
    without obstacles.
    """
    best = torch.full_like(position[:, 0], torch.inf)
    normal = torch.zeros_like(position)
    index = torch.full_like(scene.node_scene, -1)
    number = counts(scene.obstacle_ptr)[scene.node_scene]
    for k in range(scene.most_obstacles):
        which = (scene.obstacle_ptr[:-1][scene.node_scene] + k).clamp(max=max(scene.obstacle_kind.numel() - 1, 0))
        distance, direction = shape_distance(
            position - obstacle_position[which], scene.obstacle_kind[which], scene.obstacle_size[which]
        )
        nearer = (k < number) & (distance < best)
        best = torch.where(nearer, distance, best)
        normal = torch.where(nearer.unsqueeze(-1), direction, normal)
        index = torch.where(nearer, which, index)
    return best, normal, index


def shape_distance(offset: Tensor, kind: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance and outward normal of points at `offset` (n, D) from the centres of shapes."""
    tiny = torch.finfo(offset.dtype).tiny
    length = torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
    ball, ball_normal = length.squeeze(-1) - size[:, 0], offset / length.clamp(min=tiny)

    beyond = offset.abs() - size
    outside = beyond.clamp(min=0)
    reach = torch.linalg.vector_norm(outside, dim=-1, keepdim=True)
    inside = beyond.amax(-1, keepdim=True)
    box = torch.where(inside > 0, reach, inside).squeeze(-1)
    sign = torch.where(offset < 0, -1.0, 1.0).to(offset.dtype)
    axis = torch.arange(offset.shape[-1], device=offset.device)
    nearest_face = (beyond.argmax(-1, keepdim=True) == axis).to(offset.dtype)
    box_normal = sign * torch.where(inside > 0, outside / reach.clamp(min=tiny), nearest_face)

    is_ball = kind == Obstacle.BALL
    return torch.where(is_ball, ball, box), torch.where(is_ball.unsqueeze(-1), ball_normal, box_normal)


def penetration(scene: Scene, position: Tensor, box_offset: Tensor, obstacle_position: Tensor) -> Tensor:
    """Depth of each node inside any solid [m], zero in the open, shape (N,)."""
    walls = side_distance(scene, position, box_offset).flatten(1).amin(-1)
    solids = obstacle_distance(scene, position, obstacle_position)[0]
    return (-torch.minimum(walls, solids)).clamp(min=0)
