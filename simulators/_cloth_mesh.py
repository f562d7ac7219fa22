"""What a sheet's mesh means to its physics: rest frames of faces, the bending form, and the stiffest motions it allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from ..contracts._kept import kept
from ..contracts._ragged import group_of_row, pointer
from ..contracts.errors import MisuseError
from ..contracts.scene import Scene

POWER_STEPS = 40
"""Rounds of power iteration for the largest eigenvalues; what they fall short of is in POWER_MARGIN."""
POWER_MARGIN = 1.05


@dataclass(frozen=True)
class Sheet:
    """Rest geometry in float64 on the CPU."""

    area: Tensor
    """Rest areas [m²], (F,)."""
    axes: Tensor
    """Unit warp and weft vectors of each face, (F, 2, 3)."""
    inverse: Tensor
    """Inverse of the rest edges in (warp, weft) coordinates, rows: edges, [1/m], (F, 2, 2)."""
    bend: Tensor
    """Bending form Q, sparse (N, N), symmetric, rows sum to zero [1/m²]."""


def sheet_of(scene: Scene) -> Sheet:
    """The rest geometry of all sheets of a batch; raises MisuseError for what is no flat sheet.

    That is a face without area, an edge of three faces, and a rest shape that is not flat.
    """
    return kept(scene, "cloth sheet", lambda: _measured(scene))


def _measured(scene: Scene) -> Sheet:
    rest, faces = scene.rest_position.cpu().to(torch.float64), scene.faces.cpu()
    edge_1, edge_2 = rest[faces[:, 1]] - rest[faces[:, 0]], rest[faces[:, 2]] - rest[faces[:, 0]]
    normal = torch.linalg.cross(edge_1, edge_2)
    double = torch.linalg.vector_norm(normal, dim=-1)
    longest = torch.maximum(edge_1.square().sum(-1), edge_2.square().sum(-1))
    flat = torch.nonzero(~(double > 1e-6 * longest)).flatten()
    if flat.numel():
        raise MisuseError(f"face {int(flat[0])} has the area {float(double[flat[0]]) / 2:g} m²; it must have one")
    normal = normal / double.unsqueeze(-1)
    first = normal[scene.face_ptr.cpu()[:-1]][group_of_row(scene.face_ptr.cpu())]
    curved = torch.nonzero((normal * first).sum(-1) < 1 - 1e-6).flatten()
    if curved.numel():
        raise MisuseError(
            f"face {int(curved[0])} is turned against the first of its sheet at rest; a rest shape is flat"
        )
    axes = _axes(normal)
    edges = torch.stack([edge_1, edge_2], 1)
    inverse = torch.linalg.inv(torch.einsum("fed,fad->fae", edges, axes))
    return Sheet(double / 2, axes, inverse, _bending(rest, faces, axes, double / 2))


def _axes(normal: Tensor) -> Tensor:
    """Warp: the x axis (where a face stands across it, the y axis) laid into the face; weft: across it."""
    x = torch.tensor([1.0, 0.0, 0.0], dtype=normal.dtype)
    y = torch.tensor([0.0, 1.0, 0.0], dtype=normal.dtype)
    seed = torch.where(normal[:, :1].abs() > 0.9, y, x)
    warp = seed - (seed * normal).sum(-1, keepdim=True) * normal
    warp = warp / torch.linalg.vector_norm(warp, dim=-1, keepdim=True)
    return torch.stack([warp, torch.linalg.cross(normal, warp)], 1)


def _neighbours(faces: Tensor, n_nodes: int) -> Tensor:
    """The vertex across each edge of each face, edge k being opposite to corner k, or -1 at the border, (F, 3)."""
    ends = torch.cat([faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]])
    key = ends.amin(1) * n_nodes + ends.amax(1)
    order = torch.argsort(key, stable=True)
    same = key[order][1:] == key[order][:-1]
    if bool((same[1:] & same[:-1]).any()):
        at = order[int(torch.nonzero(same[1:] & same[:-1])[0])]
        raise MisuseError(f"the edge of vertices {ends[at].tolist()} has three faces; a sheet's edge has one or two")
    first, second = order[:-1][same], order[1:][same]
    corner, across = faces.T.reshape(-1), torch.full_like(key, -1)
    across[first], across[second] = corner[second], corner[first]
    return across.view(3, -1).T


def _bending(rest: Tensor, faces: Tensor, axes: Tensor, area: Tensor) -> Tensor:
    """Q = Σ_f A_f Σ_ab C_abᵀ C_ab: C is the second derivative at a face, fitted to its corners and the three vertices across.

    The fit is exact for every quadratic deflection, so ½ D x·Qx is the plate's ½ D ∫ (κxx² + κyy² + 2 κxy²) dA (Poisson's
    ratio 0) for every constant curvature, and as Q is linear and its rows sum to zero, for every isometric deflection, however
    large. At the border the vertex across is where the face's plane has it: no moment (the enhanced basic shell triangle of
    Flores & Oñate 2005, with a fixed metric).
    """
    across = _neighbours(faces, rest.shape[0])
    corner = torch.einsum("fkd,fad->fka", rest[faces] - rest[faces[:, :1]], axes)
    mirror = corner[:, [1, 2, 0]] + corner[:, [2, 0, 1]] - corner
    border = (across < 0).unsqueeze(-1)
    beyond = torch.einsum("fkd,fad->fka", rest[across.clamp(min=0)] - rest[faces[:, :1]], axes)
    beyond = torch.where(border, mirror, beyond)
    # Barycentric coordinates, in the face, of the points across its edges: linear extrapolation from it.
    ones = torch.ones_like(corner[..., :1])
    share = torch.linalg.solve(torch.cat([corner, ones], -1).mT, torch.cat([beyond, ones], -1).mT).mT
    jump = _quadratic(beyond) - share @ _quadratic(corner)
    _require_unique(jump)
    # At the border a weight of zero on the face's own corner: any other vertex might be another scene's.
    column = torch.cat([faces, torch.where(across < 0, faces, across)], 1)
    row = torch.where(border, 0.0, torch.cat([-share, torch.eye(3, dtype=rest.dtype).expand_as(share)], -1))
    fit = torch.linalg.solve(jump, row)
    kinds = torch.tensor([1.0, 1.0, 2.0], dtype=rest.dtype)
    block = area[:, None, None] * torch.einsum("c,fci,fcj->fij", kinds, fit, fit)
    index = torch.stack([column.unsqueeze(2).expand(-1, 6, 6), column.unsqueeze(1).expand(-1, 6, 6)]).flatten(1)
    size = (rest.shape[0], rest.shape[0])
    return torch.sparse_coo_tensor(index, block.flatten(), size, check_invariants=False).coalesce()


def _quadratic(p: Tensor) -> Tensor:
    """The deflections of unit κxx, κyy, κxy at points (..., 2), shape (..., 3)."""
    x, y = p.unbind(-1)
    return torch.stack([0.5 * x * x, 0.5 * y * y, x * y], -1)


def _require_unique(jump: Tensor) -> None:
    scale = jump.abs().amax((1, 2), keepdim=True).clamp(min=1e-300)
    bad = torch.nonzero(torch.linalg.det(jump / scale).abs() < 1e-9).flatten()
    if bad.numel():
        raise MisuseError(
            f"face {int(bad[0])} and its neighbours lie on one conic; their bending has no unique measure"
        )


def stiffest(scene: Scene, sheet: Sheet) -> dict[str, Tensor]:
    """Largest eigenvalue of M⁻¹K at rest [1/s²], of the membrane and of bending apart, each (B,), float64.

    By power iteration from a start that depends on a scene alone, so that no scene feels its batch.
    """
    mass, ptr = scene.mass.cpu().to(torch.float64).numpy(), scene.scene_ptr.cpu().numpy()
    p = {name: values.cpu().to(torch.float64).numpy() for name, values in scene.parameters.items()}
    rows = np.diff(ptr)
    bend = sp.coo_array((sheet.bend.values().numpy(), tuple(sheet.bend.indices().numpy())), shape=(ptr[-1], ptr[-1]))
    return {
        "membrane": _largest(_membrane(scene, sheet, p).tocsr(), np.repeat(mass, 2), 2 * ptr),
        "bend": _largest(bend.tocsr() * np.repeat(p["bend_stiffness"], rows)[:, None], mass, ptr),
    }


def _largest(stiffness: Any, mass: np.ndarray, ptr: np.ndarray) -> Tensor:
    """Largest eigenvalue of M⁻¹K of each block of a block-diagonal K, (B,)."""
    root = 1 / np.sqrt(mass)
    owner = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    rank = np.arange(len(mass)) - ptr[owner]
    u, size = np.sin(1.7 * (rank + 1.0)), np.ones(len(ptr) - 1)
    for _ in range(POWER_STEPS):
        u = root * (stiffness @ (root * u))
        size = np.sqrt(np.add.reduceat(u * u, ptr[:-1]))
        u = u / np.maximum(size, 1e-300)[owner]
    return POWER_MARGIN * torch.from_numpy(size)


def _membrane(scene: Scene, sheet: Sheet, p: Mapping[str, np.ndarray]) -> Any:
    """Stiffness matrix (2N, 2N) of the membrane at rest, for displacements along warp and weft."""
    faces = scene.faces.cpu().numpy()
    face_scene = np.repeat(np.arange(scene.n_scenes), np.diff(scene.face_ptr.cpu().numpy()))
    # Gradient along warp and weft from the three corners, (F, 2, 3).
    of_edges = sheet.inverse.mT.numpy()
    gradient = np.concatenate([-of_edges.sum(-1, keepdims=True), of_edges], -1)
    strain = np.zeros((len(faces), 3, 6))
    strain[:, 0, 0::2], strain[:, 1, 1::2] = gradient[:, 0], gradient[:, 1]
    strain[:, 2, 0::2], strain[:, 2, 1::2] = gradient[:, 1], gradient[:, 0]
    stretch, shear = p["stretch_stiffness"][face_scene], p["shear_stiffness"][face_scene]
    moduli = sheet.area.numpy()[:, None] * np.stack([stretch, stretch, shear], 1)
    block = np.einsum("fs,fsi,fsj->fij", moduli, strain, strain)
    place = (2 * faces[:, :, None] + np.arange(2)).reshape(-1, 6)
    row, column = np.repeat(place, 6, axis=1).ravel(), np.tile(place, (1, 6)).ravel()
    n = 2 * scene.n_nodes
    return sp.coo_array((block.ravel(), (row, column)), shape=(n, n))


def corner_rows(faces: Tensor, n_nodes: int) -> tuple[Tensor, Tensor]:
    """The corners 3·face + k around each vertex, as a pointer (N+1,) and rows (3F,)."""
    flat = faces.cpu().flatten()
    return pointer(torch.bincount(flat, minlength=n_nodes)), torch.argsort(flat, stable=True)
