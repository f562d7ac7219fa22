"""Energies of a film of cloth, in float64 from positions and velocities alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ..contracts._ragged import group_of_row, group_sum
from ..contracts.trajectory import Trajectory
from ._cloth_mesh import sheet_of


def energies(film: Trajectory) -> dict[str, Tensor]:
    """Kinetic, gravitational, membrane and bending energy [J], each (T, B). Driven vertices count too: they hold elastic energy."""
    scene = film.scene.to("cpu")
    x, v = film.position.cpu().to(torch.float64), film.velocity.cpu().to(torch.float64)
    mass, ptr = scene.mass.to(torch.float64), scene.scene_ptr
    free = torch.where(scene.free, mass, 0.0)
    height = -(x * scene.gravity[scene.node_scene].to(torch.float64)).sum(-1)
    sheet, owner = sheet_of(film.scene), scene.node_scene
    bend = scene.parameters["bend_stiffness"].to(torch.float64)[owner]
    # Frames are columns of one sparse product; differences from the first vertex keep digits, and rows of Q sum to zero.
    local = (x - x[:, ptr[:-1]][:, owner]).permute(1, 0, 2)
    pull = torch.sparse.mm(sheet.bend, local.flatten(1)).view_as(local)
    return {
        "kinetic energy [J]": group_sum(0.5 * free * v.square().sum(-1), ptr),
        "gravitational energy [J]": group_sum(free * height, ptr),
        "membrane energy [J]": group_sum(membrane(film), scene.face_ptr),
        "bending energy [J]": group_sum(0.5 * bend * (local * pull).sum(-1).T, ptr),
    }


def total(film: Trajectory) -> Tensor:
    """All of it [J], (T, B)."""
    return torch.stack(list(energies(film).values())).sum(0)


def membrane(film: Trajectory) -> Tensor:
    """Stretch and shear energy of each face [J], (T, F)."""
    scene = film.scene.to("cpu")
    x, faces, sheet = film.position.cpu().to(torch.float64), scene.faces, sheet_of(film.scene)
    moved = torch.stack([x[:, faces[:, 1]] - x[:, faces[:, 0]], x[:, faces[:, 2]] - x[:, faces[:, 0]]], 2)
    image = torch.einsum("fea,tfed->tfad", sheet.inverse, moved)
    length = torch.linalg.vector_norm(image, dim=-1).clamp(min=1e-12)
    cosine = (image / length.unsqueeze(-1)).prod(2).sum(-1)
    owner = group_of_row(scene.face_ptr)
    stretch = scene.parameters["stretch_stiffness"].to(torch.float64)[owner]
    shear = scene.parameters["shear_stiffness"].to(torch.float64)[owner]
    energy: Tensor = 0.5 * sheet.area * (stretch * (length - 1).square().sum(-1) + shear * cosine.square())
    return energy
