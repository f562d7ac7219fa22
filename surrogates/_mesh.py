"""Graphs over the sheet of a mesh: its own edges, links far across it, and what of it touches itself."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..contracts import Scene, Trajectory
from ..contracts._ragged import group_of_row
from ._neighbours import radius_graph

DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))


def both_ways(pairs: Tensor) -> Tensor:
    """Undirected pairs (E, 2) as directed edges (2, 2E)."""
    return torch.cat([pairs, pairs.flip(-1)]).T.contiguous()


def rest_offset(scene: Scene, index: Tensor) -> Tensor:
    """Undeformed offset from receiver to sender of edges (2, E) [m], shape (E, D)."""
    return scene.rest_position[index[0]] - scene.rest_position[index[1]]


def length(offset: Tensor) -> Tensor:
    """Lengths (..., 1) of vectors (..., D)."""
    size: Tensor = torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
    return size


def edge_length(film: Trajectory) -> float:
    """Median undeformed length of the edges of a film's meshes [m]."""
    index = both_ways(film.scene.edges)
    return float(length(rest_offset(film.scene, index)).median())


def far_links(scene: Scene, reach: float, slack: float) -> Tensor:
    """Pairs (E, 2) of vertices about `reach` [m] apart along the two axes of the undeformed sheet, each once.

    A vertex is linked with the one nearest to each spot so far away, if one is within `slack` [m] of it.
    """
    rest = scene.rest_position.detach().cpu().to(torch.float64)
    # An axis that holds scenes apart: their undeformed sheets lie on one another.
    place = torch.cat([rest, _apart(rest, scene)], dim=-1)
    tree = cKDTree(place.numpy())
    found = []
    for direction in DIRECTIONS:
        aim = place.clone()
        aim[:, :2] += reach * torch.tensor(direction, dtype=torch.float64)
        distance, nearest = tree.query(aim.numpy(), distance_upper_bound=slack)
        hit = torch.from_numpy(np.flatnonzero(np.isfinite(distance)))
        found.append(torch.stack([hit, torch.from_numpy(nearest)[hit]]))
    low, high = torch.cat(found, dim=1).sort(0).values
    key = torch.unique(low * len(place) + high)
    return torch.stack([key // len(place), key % len(place)], -1).to(scene.device)


def _apart(rest: Tensor, scene: Scene) -> Tensor:
    width = 10 * float((rest.amax(0) - rest.amin(0)).max())
    return (group_of_row(scene.scene_ptr).cpu().to(torch.float64) * width).unsqueeze(-1)


def self_contacts(scene: Scene, position: Tensor, reach: float) -> Tensor:
    """Directed edges (2, E) between vertices nearer than `reach` [m] that the undeformed sheet holds twice as far apart."""
    index = radius_graph(position, reach, scene.scene_ptr)
    return index[:, far_apart(scene, index[0], index[1], reach)]


def far_apart(scene: Scene, sender: Tensor, receiver: Tensor, reach: float) -> Tensor:
    """True for pairs of vertices that the undeformed sheet holds more than twice `reach` [m] apart."""
    offset = scene.rest_position[sender] - scene.rest_position[receiver]
    return offset.square().sum(-1) > (2 * reach) ** 2


def vertex_normals(scene: Scene, position: Tensor) -> Tensor:
    """Unit normals (N, D) of the surface at its vertices, by area; zero where there is no face."""
    a, b, c = (position[corner] for corner in scene.faces.unbind(-1))
    area = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(position)
    for corner in scene.faces.unbind(-1):
        total = total.index_add(0, corner, area)
    size = torch.linalg.vector_norm(total, dim=-1, keepdim=True)
    normal: Tensor = total / size.clamp(min=torch.finfo(position.dtype).tiny)
    return normal
