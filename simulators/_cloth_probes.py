"""What sheets are compared on whatever their mesh, and the events of a film of cloth."""

from __future__ import annotations

import torch
from torch import Tensor

from ..contracts._kept import kept
from ..contracts._ragged import group_sum
from ..contracts.scene import Scene
from ..contracts.trajectory import Trajectory

GRID = 5
"""Material points along each side of the rest sheet."""
STRETCHED, STRETCHED_SHARE = 0.1, 0.01
"""Strain of an edge, and share of the edges, from which a sheet over-stretches."""
TANGLED_SHARE = 0.1
"""Share of the vertices that touch the sheet itself from which it is tangled."""


def material_points(film: Trajectory) -> Tensor:
    """Coordinates [m] of GRID² points of the material, fixed in barycentric coordinates of faces, (T, B, 3 GRID²), float64.

    Points are spread evenly over the rest sheet's extent; where it has been cut out, the nearest face's centre is taken.
    """
    faces, weights = _anchors(film.scene)
    corner = film.position.to(torch.float64)[:, faces]
    points = (corner * weights.unsqueeze(-1)).sum(-2)
    return points.reshape(film.n_frames, film.scene.n_scenes, -1)


def _anchors(scene: Scene) -> tuple[Tensor, Tensor]:
    """Vertices (B, G, 3) and barycentric weights (B, G, 3) of the material points."""

    def find() -> tuple[Tensor, Tensor]:
        parts = [_anchors_of(scene, b) for b in range(scene.n_scenes)]
        return torch.stack([p[0] for p in parts]), torch.stack([p[1] for p in parts])

    return kept(scene, "cloth anchors", find)


def _anchors_of(scene: Scene, b: int) -> tuple[Tensor, Tensor]:
    faces = scene.faces[int(scene.face_ptr[b]) : int(scene.face_ptr[b + 1])]
    corner = scene.rest_position[faces][..., :2].to(torch.float64)
    flat = corner.flatten(0, 1)
    share = (torch.arange(GRID, dtype=torch.float64, device=flat.device) + 0.5) / GRID
    low, high = flat.amin(0), flat.amax(0)
    wanted = torch.cartesian_prod(low[0] + share * (high - low)[0], low[1] + share * (high - low)[1])
    weights = barycentric(wanted, corner)
    best = weights.amin(-1)
    # Outside of the sheet, the face whose centre is nearest.
    away = torch.cdist(wanted, corner.mean(1))
    inside = best.amax(1) >= -1e-9
    face = torch.where(inside, best.argmax(1), away.argmin(1))
    chosen = weights[torch.arange(len(wanted), device=face.device), face]
    return faces[face], torch.where(inside.unsqueeze(-1), chosen, 1 / 3)


def barycentric(points: Tensor, corner: Tensor) -> Tensor:
    """Barycentric coordinates (G, F, 3) of points (G, 2) in triangles (F, 3, 2)."""
    a, b, c = corner.unbind(1)
    ab, ac, p = b - a, c - a, points.unsqueeze(1) - a
    double = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    v = (p[..., 0] * ac[:, 1] - p[..., 1] * ac[:, 0]) / double
    w = (ab[:, 0] * p[..., 1] - ab[:, 1] * p[..., 0]) / double
    return torch.stack([1 - v - w, v, w], -1)


def edge_strain(film: Trajectory) -> Tensor:
    """Relative lengthening of the mesh edges, (T, E), float64."""
    first, second = film.scene.edges.T
    rest = film.scene.rest_position.to(torch.float64)
    x = film.position.to(torch.float64)
    length: Tensor = torch.linalg.vector_norm(x[:, second] - x[:, first], dim=-1)
    at_rest: Tensor = torch.linalg.vector_norm(rest[second] - rest[first], dim=-1)
    return length / at_rest - 1


def events(film: Trajectory) -> dict[str, Tensor]:
    """Labels from the states alone, each (T, B), bool.

    "slides off": there is a solid, and no vertex is above its centre within its outline. "tangles": a tenth of the vertices are
    within one thickness and half an edge of vertices that are far from them on the flat sheet. "over-stretches": a hundredth of
    the edges are longer by a tenth. A frame that is not finite has no events.
    """
    scene = film.scene
    bad = (~torch.isfinite(film.position).all(-1)).to(torch.int64)
    fine = group_sum(bad, scene.scene_ptr) == 0
    long = (edge_strain(film) > STRETCHED).to(torch.float64)
    number = scene.edge_ptr[1:] - scene.edge_ptr[:-1]
    stretched = group_sum(long, scene.edge_ptr) > STRETCHED_SHARE * number
    return {"slides off": _off(film) & fine, "tangles": _tangled(film) & fine, "over-stretches": stretched & fine}


def _off(film: Trajectory) -> Tensor:
    """True where a solid carries nothing, (T, B)."""
    scene = film.scene
    carried = torch.zeros((film.n_frames, scene.n_scenes), dtype=torch.int64, device=film.device)
    solid = torch.zeros(scene.n_scenes, dtype=torch.bool, device=film.device)
    ptr = scene.obstacle_ptr.tolist()
    for b in range(scene.n_scenes):
        rows = scene.node_scene == b
        for o in range(ptr[b], ptr[b + 1]):
            offset = film.position[:, rows] - scene.script.obstacle_position[: film.n_frames, o].unsqueeze(1)
            over = (offset[..., :2].abs() <= scene.obstacle_size[o, :2]).all(-1) & (offset[..., 2] > 0)
            carried[:, b] += over.sum(1)
            solid[b] = True
    return solid & (carried == 0)


def _tangled(film: Trajectory) -> Tensor:
    scene, out = film.scene, []
    first, second = scene.edges.T
    for b in range(scene.n_scenes):
        rows = torch.nonzero(scene.node_scene == b).flatten()
        own = slice(int(scene.edge_ptr[b]), int(scene.edge_ptr[b + 1]))
        rest = scene.rest_position[rows]
        lengths = torch.linalg.vector_norm(scene.rest_position[second[own]] - scene.rest_position[first[own]], dim=-1)
        edge = float(lengths.min())
        thickness = float(scene.parameters["thickness"][b].nan_to_num(0.0))
        far = torch.cdist(rest, rest) > max(4 * thickness, 2.5 * edge)
        x = film.position[:, rows]
        # Squared distances through one product: three times as fast as cdist, and precise enough for a threshold.
        x = x - x.mean(1, keepdim=True)
        square = x.square().sum(-1)
        apart = square.unsqueeze(2) + square.unsqueeze(1) - 2 * x @ x.mT
        touching = ((apart < (thickness + 0.5 * edge) ** 2) & far).any(-1)
        out.append(touching.to(torch.float64).mean(1) > TANGLED_SHARE)
    return torch.stack(out, 1)
