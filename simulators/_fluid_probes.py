"""What fluids are compared on whatever their resolution: volume fraction on a grid of probes, and the events of a film."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from ..contracts._ragged import group_sum
from ..contracts.trajectory import Trajectory
from ._sph import WATER_DENSITY

PROBES = {2: (16, 12), 3: (12, 4, 10)}
"""Probes along each axis of the box (they move with it): cells of about 6 cm, the same question to every resolution."""
LINK = 1.5
"""Side of the cells, in spacings, whose touching makes one body of fluid."""
DRAINED = 0.5
"""Share of the fluid left where it started, below which a scene counts as drained."""
MAX_CELLS = 128
PIECE = 0.05
"""Smallest share of a scene's nodes that counts as a piece of its own."""


def volume_fraction(film: Trajectory) -> Tensor:
    """Share of each probe's cell that is fluid: about 1 inside it, 0 outside; (T, B, Q), float64.

    Each node's volume is shared between the 2^D nearest probes (cloud in cell, Birdsall & Fuss 1969), so what lies inside the
    box is counted exactly once. A frame that is not finite gives NaN.
    """
    scene, shape = film.scene, PROBES[film.scene.dim]
    owner, number = scene.node_scene, torch.tensor(shape, device=film.device)
    extent = (scene.bounds[:, 1] - scene.bounds[:, 0]).to(torch.float64)
    origin = scene.bounds[:, 0].to(torch.float64) + scene.script.box_offset[: film.n_frames]
    # In units of cells, probe k stands at k.
    at = (film.position.to(torch.float64) - origin[:, owner]) / (extent / number)[owner] - 0.5
    inside = ((at >= -1) & (at <= number)).all(-1)
    cell = torch.where(inside.unsqueeze(-1), at, 0.0).floor()
    volume = scene.mass.to(torch.float64) / WATER_DENSITY
    share = volume / (extent / number).prod(-1)[owner]
    row = torch.arange(film.n_frames, device=film.device)[:, None] * scene.n_scenes + owner
    out = torch.zeros(film.n_frames * scene.n_scenes * int(number.prod()), dtype=torch.float64, device=film.device)
    for corner in itertools.product((0, 1), repeat=scene.dim):
        step = torch.tensor(corner, device=film.device)
        weight = torch.where(step == 1, at - cell, 1 - (at - cell)).prod(-1) * share
        # A share that would fall beyond the outermost probe stays in its cell.
        index = (cell + step).to(torch.int64).clamp(min=0).minimum(number - 1)
        flat = row
        for k in range(scene.dim):
            flat = flat * shape[k] + index[..., k]
        out.index_add_(0, flat.flatten(), torch.where(inside, weight, 0.0).flatten())
    field = out.view(film.n_frames, scene.n_scenes, -1)
    return field.masked_fill(~_finite(film).unsqueeze(-1), torch.nan)


def _finite(film: Trajectory) -> Tensor:
    """True for the frames of each scene in which every node is finite, (T, B)."""
    bad = (~torch.isfinite(film.position).all(-1)).to(torch.int64)
    count = torch.zeros((film.n_frames, film.scene.n_scenes), dtype=torch.int64, device=film.device)
    return count.index_add_(1, film.scene.node_scene, bad) == 0


def events(film: Trajectory) -> dict[str, Tensor]:
    """Labels from the states alone, each (T, B), bool.

    "spills": a node is above the box. "splits": the fluid is in pieces, of a twentieth of it or more. "drained": less than
    DRAINED of the fluid is left in the region that it filled at the start, the axis-aligned hull of the rest positions, which
    moves with the tank (a column has collapsed; a pool never drains). A frame that is not finite has no events.
    """
    scene, fine = film.scene, _finite(film).cpu()
    spills, splits = torch.zeros_like(fine), torch.zeros_like(fine)
    ptr, position, free = scene.scene_ptr.tolist(), film.position.cpu(), scene.free.cpu()
    for b in range(scene.n_scenes):
        rows = torch.arange(ptr[b], ptr[b + 1])[free[ptr[b] : ptr[b + 1]]]
        top = (scene.bounds[b, 1, -1] + scene.script.box_offset[: film.n_frames, b, -1]).cpu()
        spills[:, b] = (position[:, rows, -1] > top.unsqueeze(1)).any(1) & fine[:, b]
        spacing = float((scene.mass[ptr[b]] / WATER_DENSITY) ** (1 / scene.dim))
        times = torch.nonzero(fine[:, b]).flatten()
        splits[times, b] = torch.from_numpy(_pieces(position[times][:, rows].numpy(), LINK * spacing) > 1)
    labels = {"spills": spills, "splits": splits, "drained": _share_left(film).cpu() < DRAINED}
    return {name: (holds & fine).to(film.device) for name, holds in labels.items()}


def _share_left(film: Trajectory) -> Tensor:
    """Share of the free mass that stands in the hull of its rest positions, shape (T, B); 1 for a scene with no free node."""
    scene, owner = film.scene, film.scene.node_scene.unsqueeze(-1).expand(-1, film.scene.dim)
    hull = []
    for side, far in (("amin", torch.inf), ("amax", -torch.inf)):
        rest = scene.rest_position.masked_fill(~scene.free.unsqueeze(-1), far)
        hull.append(torch.full_like(scene.gravity, far).scatter_reduce(0, owner, rest, side))
    offset = scene.script.box_offset[: film.n_frames, scene.node_scene]
    at = film.position - offset
    spacing = (scene.mass / WATER_DENSITY).pow(1 / scene.dim).unsqueeze(-1)
    lower, upper = hull[0][scene.node_scene] - 0.5 * spacing, hull[1][scene.node_scene] + 0.5 * spacing
    inside = ((at >= lower) & (at <= upper)).all(-1)
    mass = torch.where(scene.free, scene.mass, 0.0).to(torch.float64)
    total = group_sum(mass, scene.scene_ptr)
    return torch.where(total > 0, group_sum(inside * mass, scene.scene_ptr) / total, 1.0)


def _pieces(x: np.ndarray, link: float) -> np.ndarray:
    """Number of bodies of fluid that hold a share PIECE of it or more, at each frame: x (T, n, D) → (T,).

    Space is cut into cells of side `link`; occupied cells that touch, by a corner too, are one body.
    """
    from scipy.ndimage import generate_binary_structure, label

    frames, n, dim = x.shape
    if n == 0 or frames == 0:
        return np.zeros(frames, dtype=np.int64)
    # What was thrown far away shares the outermost cells: memory stays bounded.
    cell = np.clip(((x - np.median(x[0], axis=0)) / link), -MAX_CELLS, MAX_CELLS).astype(np.int64)
    cell -= cell.min(axis=(0, 1))
    time = np.broadcast_to(np.arange(frames)[:, None], (frames, n))
    place = (time, *np.moveaxis(cell, -1, 0))
    occupied = np.zeros((frames, *(cell.max(axis=(0, 1)) + 1)), dtype=bool)
    occupied[place] = True
    touching = generate_binary_structure(dim + 1, dim + 1)
    touching[[0, 2]] = False  # frames do not touch
    bodies, number = label(occupied, structure=touching)
    of_node = bodies[place]
    size = np.bincount(of_node.ravel(), minlength=number + 1)
    when = np.zeros(number + 1, dtype=np.int64)
    when[of_node] = time
    return np.bincount(when[size >= PIECE * n], minlength=frames)
