"""The sampled scenes of cloth: a pinned sheet in wind, a drape over a ball, a dragged corner, a folded sheet.

Ranges of the splits are disjoint by construction: `material` draws stiffnesses, mass and friction from ranges of their own,
`more` sheets of two to four times as many vertices, `shape` sheets that are cut out and solids that are boxes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..contracts.domain import Recipe
from ..contracts.rotation import exponential, rotate
from ..contracts.scene import NodeType, Obstacle, Wall, single_scene
from ..contracts.trajectory import Trajectory
from ._cloth_sheet import edges_of, lattice_sheet, vertex_area

GRAVITY = 9.81
RANGES = {
    "stretch_stiffness": {"train": (80.0, 200.0), "material": (240.0, 400.0)},
    "bend_stiffness": {"train": (3e-4, 3e-3), "material": (5e-3, 1e-2)},
    "mass_per_area": {"train": (0.12, 0.3), "material": (0.36, 0.5)},
    "friction": {"train": (0.15, 0.6), "material": (0.7, 0.9)},
}
"""Material parameters by split, drawn evenly in their logarithms; splits not named draw as `train` does."""
SHEAR_SHARE = 0.3
"""Shear stiffness over stretch stiffness."""
FIXED = {"damping": 2e-4, "bend_damping": 8e-3, "thickness": 0.02, "air_density": 1.2}
CELLS, MORE_CELLS = (10, 13), (16, 21)
"""Cells along each side of a sheet, both ends included: 121-196 vertices, and 289-484."""
BOX = ((-2.0, -2.0, 0.0), (2.0, 2.0, 2.5))
CUTS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "L": lambda u, v: ~((u > 0.5) & (v < 0.5)),
    "hole": lambda u, v: ~((abs(u - 0.5) < 0.2) & (abs(v - 0.5) < 0.2)),
    "cross": lambda u, v: (abs(u - 0.5) < 0.25) | (abs(v - 0.5) < 0.25),
}
"""Outlines of the split `shape`, by the centres of cells in the unit square."""


@dataclass
class Draft:
    """A scene in the making; families fill in what they need."""

    rng: np.random.Generator
    shape: bool
    rest: Tensor
    faces: Tensor
    n_frames: int
    frame: float
    position: Tensor
    """Start [m], (N, 3)."""
    velocity: Tensor
    hold: Tensor
    """True for driven vertices, (N,)."""
    parameters: dict[str, float]
    path: Tensor
    """Displacement of the driven vertices from the start [m], (R, 3)."""
    solid: tuple[Obstacle, float, Tensor] | None = None
    """Kind, radius or half side [m], and centre at every frame, (R, 3)."""

    @property
    def time(self) -> Tensor:
        """Time of every frame of the script [s], (R,)."""
        return torch.arange(self.n_frames, dtype=torch.float64) * self.frame

    @property
    def size(self) -> Tensor:
        """Extent of the rest sheet [m], (2,)."""
        return self.rest[:, :2].amax(0) - self.rest[:, :2].amin(0)

    def uniform(self, low: float, high: float) -> float:
        """A number of the range, float64."""
        return float(self.rng.uniform(low, high))


def turned(x: Tensor, axis: tuple[float, float, float], angle: float) -> Tensor:
    """Points (N, 3) turned about an axis through the origin."""
    return rotate(exponential(torch.tensor([axis], dtype=x.dtype) * angle), x)


def wind(d: Draft) -> None:
    """Hung by its upper edge, its upper corners or one side, in a steady wind from anywhere."""
    low, high = d.rest.amin(0), d.rest.amax(0)
    top, left, right = d.rest[:, 1] > high[1] - 1e-9, d.rest[:, 0] < low[0] + 1e-9, d.rest[:, 0] > high[0] - 1e-9
    d.hold = (top, top & (left | right), left)[int(d.rng.integers(3))]
    # Hung by its edge, it starts as stretched as its weight makes it, or it would bounce.
    depth = (high[1] - d.rest[:, 1]) * torch.tensor(float(d.hold.sum() == top.sum()))
    load = d.parameters["mass_per_area"] * GRAVITY / d.parameters["stretch_stiffness"]
    droop = load * (d.size[1] * depth - depth**2 / 2)
    upright = torch.stack([d.rest[:, 0], torch.zeros_like(droop), d.rest[:, 1] - droop], 1)
    height = float(d.size[1]) / 2 + d.uniform(0.5, 0.8)
    d.position = turned(upright, (0.0, 0.0, 1.0), d.uniform(0, 2 * math.pi)) + torch.tensor([0.0, 0.0, height])
    speed, angle = d.uniform(1.5, 5.0), d.uniform(0, 2 * math.pi)
    d.parameters |= {"wind_x": speed * math.cos(angle), "wind_y": speed * math.sin(angle)}


def drape(d: Draft) -> None:
    """Dropped over a ball (unseen: a box) that rests or moves to and fro."""
    radius, height = d.uniform(0.15, 0.25), d.uniform(0.3, 0.6)
    kind = Obstacle.BOX if d.shape else Obstacle.BALL
    swing = d.uniform(0.1, 0.25) * float(d.rng.integers(2))
    rate, way, phase = d.uniform(3.0, 6.0), d.uniform(0, 2 * math.pi), d.uniform(0, 2 * math.pi)
    moved = swing * (torch.sin(rate * d.time + phase) - math.sin(phase))
    offset = torch.tensor([d.uniform(-0.15, 0.15), d.uniform(-0.15, 0.15), height], dtype=torch.float64)
    heading = torch.tensor([math.cos(way), math.sin(way), 0.0], dtype=torch.float64)
    d.solid = (kind, radius, offset + moved[:, None] * heading)
    # Gently wavy: a flat sheet on a ball buckles whichever way rounding errors push it.
    waves = [
        d.uniform(0.005, 0.015) * torch.sin(2 * math.pi * (d.rest[:, k] / d.uniform(0.5, 0.9) + d.uniform(0, 1)))
        for k in (0, 1)
    ]
    wavy = torch.stack([d.rest[:, 0], d.rest[:, 1], waves[0] + waves[1]], 1)
    flat = turned(wavy, (math.cos(way), math.sin(way), 0.0), d.uniform(-0.15, 0.15))
    flat = turned(flat, (0.0, 0.0, 1.0), d.uniform(0, 2 * math.pi))
    clear = height + radius + FIXED["thickness"] / 2 + 0.03 + 0.15 * float(d.size.norm()) / 2
    d.position = flat + torch.tensor([0.0, 0.0, clear + d.uniform(0.0, 0.05)])
    d.velocity = torch.zeros_like(flat) + torch.tensor([0.0, 0.0, -d.uniform(0.5, 1.5)])


def drag(d: Draft) -> None:
    """Lying on the floor, one corner is pulled up and across by the script."""
    corner = (
        d.rest.amin(0) if d.rng.integers(2) else torch.stack([d.rest[:, 0].amax(), d.rest[:, 1].amin(), d.rest[0, 2]])
    )
    distance = torch.linalg.vector_norm(d.rest - corner, dim=-1)
    d.hold = distance <= distance.amin() + 1e-9
    d.position = turned(d.rest, (0.0, 0.0, 1.0), d.uniform(0, 2 * math.pi)) + torch.tensor(
        [0.0, 0.0, FIXED["thickness"] / 2]
    )
    inwards = -(d.position[d.hold].mean(0) * torch.tensor([1.0, 1.0, 0.0]))
    across = turned(inwards[None] / inwards.norm(), (0.0, 0.0, 1.0), d.uniform(-0.7, 0.7))[0]
    reach, height, whole = d.uniform(0.4, 1.0), d.uniform(0.2, 0.6), d.uniform(0.8, 1.4)
    turn = (math.pi * (d.time / whole)).clamp(max=math.pi)
    lift = torch.stack([torch.zeros_like(turn), torch.zeros_like(turn), height * torch.sin(turn / 2)], 1)
    d.path = (0.5 * reach * (1 - torch.cos(turn)))[:, None] * across + lift


def fold(d: Draft) -> None:
    """Folded over a rounded crease, thrown onto the floor: its halves fall upon one another."""
    radius = d.uniform(0.06, 0.1)
    crease = d.uniform(-0.15, 0.15) * float(d.size[0])
    u = d.rest[:, 0] - crease
    angle = (u / radius).clamp(-math.pi / 2, math.pi / 2)
    straight = (u.abs() - radius * math.pi / 2).clamp(min=0)
    opening = d.uniform(0.2, 1.2)
    rise = torch.where(u > 0, straight * math.sin(opening), 0.0)
    run = straight * torch.where(u > 0, math.cos(opening), 1.0)
    x = torch.stack([radius * torch.cos(angle) - run, d.rest[:, 1], radius * (1 + torch.sin(angle)) + rise], 1)
    x = turned(x - x.mean(0), (0.0, 0.0, 1.0), d.uniform(0, 2 * math.pi))
    d.position = x + torch.tensor([0.0, 0.0, -float(x[:, 2].min()) + d.uniform(0.05, 0.3)])
    way, speed = d.uniform(0, 2 * math.pi), d.uniform(0.3, 1.5)
    d.velocity = torch.zeros_like(x) + torch.tensor([speed * math.cos(way), speed * math.sin(way), 0.0])


FAMILIES: dict[str, Callable[[Draft], None]] = {"wind": wind, "drape": drape, "drag": drag, "fold": fold}


def draw_scene(
    domain: str, recipe: Recipe, split: str, index: int, rng: np.random.Generator, frame: float
) -> Trajectory:
    """Frame 0 of one scene, float32; the family goes by the index."""
    draft = _draft(recipe, split, rng, frame)
    FAMILIES[list(FAMILIES)[index % len(FAMILIES)]](draft)
    return _start(domain, draft)


def _draft(recipe: Recipe, split: str, rng: np.random.Generator, frame: float) -> Draft:
    cells = rng.integers(*(MORE_CELLS if split == "more" else CELLS), size=2, endpoint=True)
    cut = list(CUTS.values())[int(rng.integers(len(CUTS)))] if split == "shape" else None
    scale = 0.07 / recipe.resolution
    nx, ny = (max(3, round(int(c) * scale)) for c in cells)
    spacing = np.array(cells) * 0.07
    rest, faces = lattice_sheet(nx, ny, float(spacing[0]), float(spacing[1]), cut)
    n_frames = recipe.n_frames(split)
    drawn = {name: _log_uniform(rng, *ranges.get(split, ranges["train"])) for name, ranges in RANGES.items()}
    parameters = {**drawn, **FIXED, "shear_stiffness": SHEAR_SHARE * drawn["stretch_stiffness"]}
    return Draft(
        rng=rng, shape=split == "shape", rest=rest, faces=faces, n_frames=n_frames, frame=frame, position=rest,
        velocity=torch.zeros_like(rest), hold=torch.zeros(len(rest), dtype=torch.bool),
        parameters={**parameters, "wind_x": 0.0, "wind_y": 0.0, "wind_z": 0.0},
        path=torch.zeros((n_frames, 3), dtype=torch.float64),
    )  # fmt: skip


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def _start(domain: str, d: Draft) -> Trajectory:
    x = d.position.float()
    kind, size, centre = d.solid if d.solid is not None else (None, 0.0, None)
    scene = single_scene(
        domain=domain,
        frame_interval=d.frame,
        rest_position=d.rest.float(),
        mass=(vertex_area(d.rest, d.faces) * d.parameters["mass_per_area"]).float(),
        bounds=torch.tensor(BOX),
        wall=torch.tensor([[Wall.OPEN] * 2] * 2 + [[Wall.NO_SLIP, Wall.OPEN]]),
        gravity=(0.0, 0.0, -GRAVITY),
        node_type=torch.where(d.hold, int(NodeType.DRIVEN), int(NodeType.FREE)),
        parameters=d.parameters,
        edges=edges_of(d.faces),
        faces=d.faces,
        n_frames=d.n_frames,
        node_position=(x[d.hold].double() + d.path[:, None]).float(),
        obstacle_kind=None if kind is None else torch.tensor([int(kind)]),
        obstacle_size=None if kind is None else torch.full((1, 3), size),
        obstacle_position=None if centre is None else centre.float().unsqueeze(1),
    )
    return Trajectory(scene, x.unsqueeze(0), d.velocity.float().unsqueeze(0))
