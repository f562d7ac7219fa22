"""What a sheet's mesh means to its physics: rest frames of faces, the bending form, and the stiffest motions it allows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts._ragged import group_of_row, group_sum, pointer
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
        raise MisuseError(f"face {int(curved[0])} is turned against the first of its sheet at rest; a rest shape is flat")
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
    column = torch.cat([faces, across.clamp(min=0)], 1)
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
        raise MisuseError(f"face {int(bad[0])} and its neighbours lie on one conic; their bending has no unique measure")


def stiffest(scene: Scene, sheet: Sheet) -> dict[str, Tensor]:
    """Largest eigenvalue of M⁻¹K at rest, for a stretch stiffness, shear stiffness and bend stiffness of one, each (B,).

    By power iteration from a start that depends on a scene alone, so that no scene feels its batch.
    """
    faces, mass = scene.faces.cpu(), scene.mass.cpu().to(torch.float64)
    ptr = scene.scene_ptr.cpu()
    owner = group_of_row(ptr)
    rank = torch.arange(scene.n_nodes) - ptr[owner]
    phase = torch.tensor([1.0, 2.3, 3.7], dtype=torch.float64)
    start = torch.sin((rank.to(torch.float64)[:, None] + 1) * 1.7 * phase)
    # Rest sheets differ by at most their orientation, so warp and weft of a face are all that is needed.
    return {
        name: POWER_MARGIN * _largest(lambda u, part=part: _membrane(u, faces, sheet, part), start, mass, ptr)
        for name, part in (("stretch", (1.0, 0.0)), ("shear", (0.0, 1.0)))
    } | {"bend": POWER_MARGIN * _largest(lambda u: torch.sparse.mm(sheet.bend, u), start, mass, ptr)}


def _largest(force: object, start: Tensor, mass: Tensor, ptr: Tensor) -> Tensor:
    """Largest eigenvalue of M⁻¹K of each scene, (B,); `force` is u (N, 3) → K u."""
    assert callable(force)
    owner, root = group_of_row(ptr), mass.sqrt().unsqueeze(-1)
    u, size = start, torch.ones(ptr.numel() - 1, dtype=start.dtype)
    for _ in range(POWER_STEPS):
        u = force(u / root) / root
        size = group_sum(u.square().sum(-1), ptr).sqrt()
        u = u / size.clamp(min=1e-300)[owner].unsqueeze(-1)
    return size


def _membrane(u: Tensor, faces: Tensor, sheet: Sheet, part: tuple[float, float]) -> Tensor:
    """K u of the membrane at rest, for unit stretch stiffness (part 0) and unit shear stiffness (part 1)."""
    moved = torch.stack([u[faces[:, 1]] - u[faces[:, 0]], u[faces[:, 2]] - u[faces[:, 0]]], 1)
    gradient = torch.einsum("fea,fed->fad", sheet.inverse, moved)
    warp, weft = sheet.axes.unbind(1)
    shear = ((gradient[:, 0] * weft).sum(-1) + (gradient[:, 1] * warp).sum(-1)).unsqueeze(-1)
    along = [(gradient[:, k] * axis).sum(-1, keepdim=True) for k, axis in enumerate((warp, weft))]
    stress = torch.stack(
        [part[0] * along[0] * warp + part[1] * shear * weft, part[0] * along[1] * weft + part[1] * shear * warp], 1
    )
    ends = sheet.area[:, None, None] * torch.einsum("fea,fad->fed", sheet.inverse, stress)
    out = torch.zeros_like(u)
    return (
        out.index_add(0, faces[:, 0], -ends.sum(1))
        .index_add(0, faces[:, 1], ends[:, 0])
        .index_add(0, faces[:, 2], ends[:, 1])
    )


def corner_rows(faces: Tensor, n_nodes: int) -> tuple[Tensor, Tensor]:
    """The corners 3·face + k around each vertex, as a pointer (N+1,) and rows (3F,)."""
    flat = faces.cpu().flatten()
    return pointer(torch.bincount(flat, minlength=n_nodes)), torch.argsort(flat, stable=True)
