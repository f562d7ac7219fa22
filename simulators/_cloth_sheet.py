"""Meshes of flat sheets: a lattice of squares, all cut along the same diagonal, whole or with cells left out.

With diagonals that alternate, constant curvature would not be an equilibrium of the bending elements of `_cloth_mesh.py`, and a
strip would be 25-37 % too soft at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def lattice_sheet(
    nx: int, ny: int, width: float, height: float, keep: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
) -> tuple[Tensor, Tensor]:
    """Rest positions (N, 3) [m] in the plane z = 0 around the origin, and faces (F, 3), of nx by ny cells.

    `keep(u, v)` says of the cells, by their centres in [0, 1]², which belong to the sheet. All faces turn the same way.
    """
    i, j = (a.ravel() for a in np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij"))
    if keep is not None:
        chosen = keep((i + 0.5) / nx, (j + 0.5) / ny)
        i, j = i[chosen], j[chosen]
    a, b, c, d = (vi * (ny + 1) + vj for vi, vj in ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)))
    faces = np.stack([np.stack([a, b, c], 1), np.stack([a, c, d], 1)], 1).reshape(-1, 3)
    used, renumbered = np.unique(faces, return_inverse=True)
    x, y = used // (ny + 1) / nx - 0.5, used % (ny + 1) / ny - 0.5
    rest = np.stack([x * width, y * height, np.zeros_like(x)], 1)
    return torch.from_numpy(rest), torch.from_numpy(renumbered.reshape(-1, 3).astype(np.int64))


def edges_of(faces: Tensor) -> Tensor:
    """Each undirected edge of the faces once, lower vertex first, shape (E, 2)."""
    ends = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges: Tensor = torch.unique(ends.sort(1).values, dim=0)
    return edges


def vertex_area(rest: Tensor, faces: Tensor) -> Tensor:
    """A third of the area of the faces around each vertex [m²], shape (N,)."""
    corners = rest[faces]
    area = 0.5 * torch.linalg.vector_norm(
        torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=-1
    )
    total = torch.zeros(rest.shape[0], dtype=rest.dtype)
    return total.index_add_(0, faces.flatten(), (area / 3).repeat_interleave(3))
