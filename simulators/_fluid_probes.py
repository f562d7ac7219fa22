"""What fluids are compared on whatever their resolution: volume fraction at fixed probes, and the events of a film."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..contracts.trajectory import Trajectory
from ._sph import WATER_DENSITY

PROBE_LENGTH = 0.05
"""Smoothing length of the probes [m]; fixed, so that every resolution is asked the same question."""
PROBES = {2: (16, 12), 3: (12, 4, 10)}
"""Probes along each axis of the box (moving with it)."""
LINK = 2.0
"""Particles closer than this many spacings belong to one body of fluid."""


def volume_fraction(film: Trajectory) -> Tensor:
    """Σ_j V_j W(|x_p - x_j|) at a grid of probes: 1 inside the fluid, 0 outside; (T, B, Q).

    W is the Wendland C2 kernel with smoothing length PROBE_LENGTH. A frame that is not finite gives NaN.
    """
    scene = film.scene
    unit = _unit_grid(scene.dim, film.device)
    out = torch.empty((film.n_frames, scene.n_scenes, unit.shape[0]), dtype=torch.float64, device=film.device)
    ptr = scene.scene_ptr.tolist()
    for b in range(scene.n_scenes):
        low, high = scene.bounds[b].to(torch.float64)
        volume = scene.mass[ptr[b] : ptr[b + 1]].to(torch.float64) / WATER_DENSITY
        for t in range(film.n_frames):
            probes = low + scene.script.box_offset[t, b] + unit * (high - low)
            x = film.position[t, ptr[b] : ptr[b + 1]].to(torch.float64)
            out[t, b] = _wendland(torch.cdist(probes, x), scene.dim) @ volume
    return out


def _unit_grid(dim: int, device: torch.device) -> Tensor:
    axes = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in PROBES[dim]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, dim).to(device)


def _wendland(r: Tensor, dim: int) -> Tensor:
    h = PROBE_LENGTH
    norm = 7 / (4 * math.pi * h**2) if dim == 2 else 21 / (16 * math.pi * h**3)
    u = (1 - 0.5 * r / h).clamp(min=0)
    weight: Tensor = norm * u**4 * (1 + 2 * r / h)
    return weight


def events(film: Trajectory) -> dict[str, Tensor]:
    """Labels from the states alone, each (T, B), bool: "spills", a node is above the box; "splits", the fluid is in pieces.

    A piece counts from a twentieth of the fluid on. A frame that is not finite has no events.
    """
    scene = film.scene
    shape = (film.n_frames, scene.n_scenes)
    spills = torch.zeros(shape, dtype=torch.bool)
    splits = torch.zeros(shape, dtype=torch.bool)
    ptr, position, free = scene.scene_ptr.tolist(), film.position.cpu(), scene.free.cpu()
    for b in range(scene.n_scenes):
        rows = torch.arange(ptr[b], ptr[b + 1])[free[ptr[b] : ptr[b + 1]]]
        top = scene.bounds[b, 1, -1].cpu() + scene.script.box_offset[: film.n_frames, b, -1].cpu()
        spills[:, b] = (position[:, rows, -1] > top.unsqueeze(1)).any(1)
        spacing = float((scene.mass[ptr[b]] / WATER_DENSITY) ** (1 / scene.dim))
        for t in range(film.n_frames):
            splits[t, b] = _pieces(position[t, rows], LINK * spacing) > 1
    return {"spills": spills.to(film.device), "splits": splits.to(film.device)}


def _pieces(x: Tensor, reach: float) -> int:
    """Number of bodies of fluid that hold a twentieth of it or more."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if not bool(torch.isfinite(x).all()):
        return 0
    pairs = cKDTree(x.numpy()).query_pairs(reach, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(x), len(x)))
    _, label = connected_components(graph, directed=False)
    return int((np.bincount(label) >= 0.05 * len(x)).sum())
