"""The convex solids that rigid bodies are made of: distances to them, and the mass that follows from them.

Learners use the distances to find contacts, and metrics to find how far bodies are inside one another; solvers have their own.

A body is one or more convex solids (`BodyShape`) of one uniform density; where two solids of a body overlap, the overlap counts
twice. With unit density a solid has the volume V and, about its own centre and along its own axes, the inertia

    ball     V = 4/3 π r³             I = 2/5 V r²
    box      V = 8 abc                Iₓ = V (b² + c²)/3                          (half extents a, b, c)
    capsule  V = π r² (2h + 4/3 r)    I_z = V_c r²/2 + V_b 2r²/5
                                      Iₓ = V_c (r²/4 + h²/3) + V_b (2r²/5 + h² + 3hr/4)   (V_c cylinder, V_b both half balls)

and a body the sum of its solids, each turned into the body's axes and moved by the parallel axis theorem. All in float64.
"""

from __future__ import annotations

import math

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


def volume(kind: Tensor, size: Tensor) -> Tensor:
    """Volumes [m³] of solids, shape (Q,): kind (Q,), size (Q, 3) [m]."""
    a, b, c = size.to(torch.float64).unbind(-1)
    ball = 4 / 3 * math.pi * a**3
    capsule = ball + 2 * math.pi * a**2 * b
    return torch.where(kind == BodyShape.BALL, ball, torch.where(kind == BodyShape.BOX, 8 * a * b * c, capsule))


def unit_inertia(kind: Tensor, size: Tensor) -> Tensor:
    """Principal inertias [m⁵] of solids of density 1 kg/m³ about their own centres, shape (Q, 3)."""
    a, b, c = size.to(torch.float64).unbind(-1)
    v = volume(kind, size)
    ball = (0.4 * v * a**2).unsqueeze(-1).expand(-1, 3)
    box = (v / 3).unsqueeze(-1) * torch.stack([b**2 + c**2, a**2 + c**2, a**2 + b**2], -1)
    cylinder, caps = 2 * math.pi * a**2 * b, 4 / 3 * math.pi * a**3
    across = cylinder * (a**2 / 4 + b**2 / 3) + caps * (0.4 * a**2 + b**2 + 0.75 * a * b)
    along = cylinder * a**2 / 2 + caps * 0.4 * a**2
    capsule = torch.stack([across, across, along], -1)
    of_kind = kind.unsqueeze(-1)
    return torch.where(of_kind == BodyShape.BALL, ball, torch.where(of_kind == BodyShape.BOX, box, capsule))


def rotation_matrix(q: Tensor) -> Tensor:
    """Matrices (..., 3, 3) of unit quaternions xyzw (..., 4)."""
    columns = [rotate(q, axis.expand(*q.shape[:-1], 3)) for axis in torch.eye(3, dtype=q.dtype, device=q.device)]
    return torch.stack(columns, -1)


def mass_properties(scene: Scene) -> tuple[Tensor, Tensor]:
    """Mass [kg] (P,) and inertia [kg m²] about the centre of mass in the body's axes (P, 3, 3), float64.

    A body's mass is the sum of its nodes' masses; its inertia follows from its solids.
    """
    n, device = int(scene.body_ptr[-1]), scene.device
    held = scene.body_id >= 0
    mass = torch.zeros(n, dtype=torch.float64, device=device)
    mass.index_add_(0, scene.body_id[held], scene.mass[held].to(torch.float64))
    v, pose = volume(scene.shape_kind, scene.shape_size), scene.shape_pose.to(torch.float64)
    turn = rotation_matrix(pose[:, 3:])
    own = turn @ torch.diag_embed(unit_inertia(scene.shape_kind, scene.shape_size)) @ turn.transpose(-1, -2)
    arm = pose[:, :3]
    away = arm.square().sum(-1)[:, None, None] * torch.eye(3, dtype=torch.float64, device=device)
    moved = own + v[:, None, None] * (away - arm[:, :, None] * arm[:, None, :])
    total_volume = torch.zeros(n, dtype=torch.float64, device=device).index_add_(0, scene.shape_body, v)
    total = torch.zeros((n, 3, 3), dtype=torch.float64, device=device).index_add_(0, scene.shape_body, moved)
    return mass, total * (mass / total_volume)[:, None, None]
