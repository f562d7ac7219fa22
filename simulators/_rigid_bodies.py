"""Rigid bodies as solids: volume, centre of mass, inertia, and the points on their surfaces that films carry as nodes.

A body is one or more convex solids (`BodyShape`) of one uniform density; where two solids of a body overlap, the overlap counts
twice. With unit density a solid has the volume V and, about its own centre and along its own axes, the inertia

    ball     V = 4/3 π r³             I = 2/5 V r²
    box      V = 8 abc                Iₓ = V (b² + c²)/3                          (half extents a, b, c)
    capsule  V = π r² (2h + 4/3 r)    I_z = V_c r²/2 + V_b 2r²/5
                                      Iₓ = V_c (r²/4 + h²/3) + V_b (2r²/5 + h² + 3hr/4)   (V_c cylinder, V_b both half balls)

and a body the sum of its solids, each turned into the body's axes and moved by the parallel axis theorem. All in float64.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from ..contracts._ragged import group_of_row
from ..contracts.rotation import rotate
from ..contracts.scene import BodyShape, Scene

MOST_NODES = 26
"""Nodes of one body at most; a compound is thinned to so many."""


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


def body_scene(scene: Scene) -> Tensor:
    """The scene of each body, shape (P,)."""
    return group_of_row(scene.body_ptr)


def surface_points(kind: int, size: Tensor) -> Tensor:
    """Points on a solid's surface, in its own frame [m], shape (14, 3) for every kind."""
    axes = torch.tensor([[s if k == axis else 0 for k in range(3)] for axis in range(3) for s in (-1, 1)])
    corners = torch.tensor(list(itertools.product((-1, 1), repeat=3)))
    if kind == BodyShape.BOX:
        return torch.cat([axes, corners]).to(size.dtype) * size
    if kind == BodyShape.BALL:
        return torch.cat([axes.to(size.dtype), corners.to(size.dtype) / math.sqrt(3)]) * size[0]
    ring = torch.tensor([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], dtype=size.dtype) * size[0]
    up = torch.tensor([0.0, 0.0, 1.0], dtype=size.dtype)
    poles = torch.stack([up, -up]) * (size[0] + size[1])
    return torch.cat([poles, ring, ring + up * size[1], ring - up * size[1]])


def node_points(kind: Tensor, size: Tensor, pose: Tensor) -> Tensor:
    """Nodes of one body in its frame [m], shape (n, 3), at most MOST_NODES: its solids' surface points, thinned evenly.

    Thinning takes the point farthest from those taken, starting with the one farthest from the centre of mass.
    """
    parts = [
        rotate(pose[k, 3:].expand(14, 4), surface_points(int(kind[k]), size[k])) + pose[k, :3]
        for k in range(kind.numel())
    ]
    points = torch.cat(parts)
    if len(parts) == 1:
        return points
    chosen = [int(points.norm(dim=-1).argmax())]
    distance = (points - points[chosen[0]]).norm(dim=-1)
    while len(chosen) < MOST_NODES and float(distance.max()) > 1e-6:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (points - points[chosen[-1]]).norm(dim=-1))
    return points[chosen]


def centred(kind: Tensor, size: Tensor, pose: Tensor) -> Tensor:
    """The solids' poses (Q, 7) of one body, moved so that its centre of mass is the origin."""
    share = volume(kind, size)
    centre = (share[:, None] * pose[:, :3].to(torch.float64)).sum(0) / share.sum()
    return torch.cat([pose[:, :3] - centre.to(pose.dtype), pose[:, 3:]], -1)


def rounded_points(kind: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Points (n, 20, 3) in the solids' frames and radii (n, 20) [m]: balls that touch a solid's surface from within.

    A ball is one such ball, a capsule a row of five, a box its corners and the middles of its edges, of radius zero. With the
    exact distance to another solid they tell contacts of balls, capsules and corners exactly, and crossing edges to within
    half a quarter of their length.
    """
    grid = [x for x in itertools.product((-1.0, 0.0, 1.0), repeat=3) if x.count(0.0) < 2]
    corner = torch.tensor(grid, dtype=size.dtype, device=size.device) * size.unsqueeze(1)
    along = torch.zeros((20, 3), dtype=size.dtype, device=size.device)
    along[:5, 2] = torch.linspace(-1, 1, 5)
    row = along * size[:, 1, None, None]
    box, capsule = (kind == k for k in (BodyShape.BOX, BodyShape.CAPSULE))
    point = torch.where(box[:, None, None], corner, torch.where(capsule[:, None, None], row, 0.0))
    return point, torch.where(box, 0.0, size[:, 0]).unsqueeze(-1).expand(-1, 20)
