"""Rigid bodies as solids: volume, centre of mass, inertia, and the points on their surfaces that films carry as nodes.

What follows from the solids alone, volume and inertia, is in contracts/bodies.py.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from ..contracts.bodies import mass_properties as mass_properties
from ..contracts.bodies import rotation_matrix as rotation_matrix
from ..contracts.bodies import unit_inertia as unit_inertia
from ..contracts.bodies import volume as volume
from ..contracts.rotation import rotate
from ..contracts.scene import BodyShape

MOST_NODES = 26
"""Nodes of one body at most; a compound is thinned to so many."""


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
