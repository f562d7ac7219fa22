"""The scene families of the fluid domain: what is drawn, from which ranges, and where the out-of-distribution splits begin.

All lengths in metres, all ranges closed. Splits differ from `train` in one thing each, and their ranges do not touch:

| split | what differs |
|---|---|
| more | tanks 1.5-2 times as wide and high: 2-4 times the nodes |
| material | viscosity 0.02-0.05 m²/s (train: 0.001-0.01), tilt 12-18° (train: at most 6°) |
| shape | a box-shaped obstacle stands in the tank (train: balls only) |
| long | the horizon is twice as long |
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ..contracts.domain import Recipe
from ..contracts.scene import NodeType, Obstacle, Wall, single_scene
from ..contracts.trajectory import Trajectory
from ._sph import WATER_DENSITY

GRAVITY = 9.81
"""[m/s²]"""
VISCOSITY = {"train": (1e-3, 1e-2), "material": (2e-2, 5e-2)}
"""Kinematic viscosity, drawn log-uniformly [m²/s]."""
TILT_DEGREES = {"train": (0.0, 6.0), "material": (12.0, 18.0)}
"""Angle of gravity to the vertical, either way [°]."""
TILT = {
    "train": (-math.radians(TILT_DEGREES["train"][1]), math.radians(TILT_DEGREES["train"][1])),
    "material": (math.radians(TILT_DEGREES["material"][0]), math.radians(TILT_DEGREES["material"][1])),
}
"""What siblings draw a tilt from [rad]: either way, or, where that would leave the split's range, to one side."""
SCALE = {"train": (1.0, 1.0), "more": (1.5, 2.0)}
"""Factor on the tank's width and height, and on the fluid's."""
JITTER = 0.05
"""Starts are a lattice that fits the walls, shaken by this share of the spacing: no two runs break symmetry alike."""

Floats = NDArray[np.float64]


@dataclass
class Draft:
    """A scene being drawn: a tank, boxes or balls of fluid in it, obstacles, and how the tank moves."""

    rng: np.random.Generator
    dim: int
    spacing: float
    scale: float
    size: Floats = field(default_factory=lambda: np.zeros(0))
    """Extent of the tank (D,)."""
    blocks: list[tuple[Floats, Floats]] = field(default_factory=list)
    """Boxes of fluid, lower and upper corner."""
    drops: list[tuple[Floats, float]] = field(default_factory=list)
    """Balls of fluid, centre and radius."""
    obstacles: list[tuple[Obstacle, Floats, Floats]] = field(default_factory=list)
    """Kind, centre, size."""
    sway: tuple[float, float] = (0.0, 0.0)
    """Amplitude [m] and angular frequency [rad/s] of the tank's horizontal motion."""

    def draw(self, low: float, high: float) -> float:
        """A length between low and high, scaled, rounded to whole spacings so that lattices fit walls."""
        length = self.rng.uniform(low, high) * self.scale
        return max(2, round(length / self.spacing)) * self.spacing

    def tank(self, width: tuple[float, float], height: float) -> None:
        """Set the tank's extent; in 3D it is a quarter of a metre deep."""
        depth = [max(4, round(0.25 / self.spacing)) * self.spacing] if self.dim == 3 else []
        self.size = np.array([self.draw(*width), *depth, self.draw(height, height)])

    def pool(self, depth: float) -> None:
        """Fluid over the whole floor up to `depth`."""
        top = self.size.copy()
        top[-1] = depth
        self.blocks.append((np.zeros(self.dim), top))

    def at(self, x: float, z: float) -> Floats:
        """A point given by its horizontal and vertical coordinate, in the middle of the tank's depth."""
        middle = [float(self.size[1]) / 2] if self.dim == 3 else []
        return np.array([x, *middle, z])


def dam_break(d: Draft) -> None:
    """A column of fluid against one wall, let go."""
    d.tank((0.8, 1.1), 0.8)
    corner = d.size.copy()
    corner[0], corner[-1] = d.draw(0.2, 0.4), d.draw(0.25, 0.45)
    low = np.zeros(d.dim)
    if d.rng.random() < 0.5:
        low[0], corner[0] = d.size[0] - corner[0], d.size[0]
    d.blocks.append((low, corner))


def falling_drops(d: Draft) -> None:
    """One or two drops above a pool."""
    d.tank((0.7, 1.0), 0.9)
    depth = d.draw(0.1, 0.2)
    d.pool(depth)
    number = int(d.rng.integers(1, 3))
    for k in range(number):
        radius = d.rng.uniform(0.06, 0.09) * d.scale
        lane = d.size[0] / number
        x = d.rng.uniform(k * lane + radius + d.spacing, (k + 1) * lane - radius - d.spacing)
        z = depth + radius + d.rng.uniform(0.04, 0.2) * d.scale
        d.drops.append((d.at(x, min(z, d.size[-1] - radius - d.spacing)), radius))


def sloshing_tank(d: Draft) -> None:
    """A tank shaken sideways near the period of its first mode."""
    d.tank((0.6, 0.9), 0.7)
    depth = d.draw(0.15, 0.3)
    d.pool(depth)
    wave_number = math.pi / float(d.size[0])
    natural = math.sqrt(GRAVITY * wave_number * math.tanh(wave_number * depth))
    d.sway = (d.rng.uniform(0.01, 0.04), natural * d.rng.uniform(0.7, 1.3))


def flow_past_obstacles(d: Draft) -> None:
    """A column let go towards a ball that stands in its way."""
    d.tank((0.9, 1.1), 0.8)
    corner = d.size.copy()
    corner[0], corner[-1] = d.draw(0.2, 0.35), d.draw(0.25, 0.45)
    d.blocks.append((np.zeros(d.dim), corner))
    radius = d.rng.uniform(0.07, 0.11) * d.scale
    near, far = corner[0] + radius + 3 * d.spacing, d.size[0] - radius - 4 * d.spacing
    # Of coarse particles there may not be room for all the gaps: then the ball stands nearer to the column.
    x = d.rng.uniform(min(near, far), far)
    z = d.rng.uniform(0.0, 0.2) * d.scale
    d.obstacles.append((Obstacle.BALL, d.at(x, z), np.full(d.dim, radius)))


FAMILIES: dict[str, Callable[[Draft], None]] = {
    f.__name__: f for f in (dam_break, falling_drops, sloshing_tank, flow_past_obstacles)
}


def box_in_the_way(d: Draft) -> None:
    """The split `shape`: a box stands on the floor where no fluid is; a pool is cut back to make room for it."""
    half = (
        np.array([d.rng.uniform(0.05, 0.1)] + [float(d.size[1])] * (d.dim - 2) + [d.rng.uniform(0.06, 0.15)]) * d.scale
    )
    filled = max((high[0] for low, high in d.blocks if low[0] == 0), default=0.0)
    if filled > d.size[0] - 2 * half[0] - 4 * d.spacing:
        x = float(d.size[0]) * d.rng.uniform(0.35, 0.65)
    else:
        x = d.rng.uniform(filled + half[0] + 2 * d.spacing, d.size[0] - half[0] - 2 * d.spacing)
    d.obstacles = [(Obstacle.BOX, d.at(x, half[-1] - d.spacing), half)]


def draw_scene(
    domain: str, recipe: Recipe, split: str, index: int, rng: np.random.Generator, frame: float
) -> Trajectory:
    """Frame 0 of scene `index` of a split; families take turns."""
    of = split if split in ("more", "material", "shape") else "train"
    d = Draft(rng, recipe.dim, recipe.resolution, rng.uniform(*SCALE.get(of, SCALE["train"])))
    FAMILIES[list(FAMILIES)[index % len(FAMILIES)]](d)
    if split == "shape":
        box_in_the_way(d)
    low, high = np.log(VISCOSITY.get(of, VISCOSITY["train"]))
    viscosity = float(np.exp(rng.uniform(low, high)))
    tilt = math.radians(rng.uniform(*TILT_DEGREES.get(of, TILT_DEGREES["train"])) * rng.choice([-1.0, 1.0]))
    return build(domain, d, viscosity, tilt, recipe.n_frames(split), frame)


def build(domain: str, d: Draft, viscosity: float, tilt: float, n_frames: int, frame: float) -> Trajectory:
    """Turn a draft into a scene at rest, its top open and its other sides no-slip."""
    x = _particles(d)
    wall = torch.full((d.dim, 2), int(Wall.NO_SLIP))
    wall[-1, 1] = Wall.OPEN
    time = np.arange(n_frames) * frame
    offset = np.zeros((n_frames, d.dim))
    # Starts with neither offset nor speed: a jerk at frame 0 would be an impact.
    amplitude, omega = d.sway
    offset[:, 0] = amplitude * (1 - np.cos(omega * time))
    kinds, centres, sizes = zip(*d.obstacles, strict=True) if d.obstacles else ((), (), ())
    position = torch.tensor(x, dtype=torch.float32)
    scene = single_scene(
        domain=domain,
        frame_interval=frame,
        rest_position=position,
        mass=WATER_DENSITY * d.spacing**d.dim,
        bounds=torch.tensor(np.stack([np.zeros(d.dim), d.size]), dtype=torch.float32),
        wall=wall,
        gravity=torch.tensor(tilted_gravity(tilt, d.dim), dtype=torch.float32),
        parameters={"viscosity": viscosity, "tilt": tilt},
        n_frames=n_frames,
        obstacle_kind=torch.tensor([int(k) for k in kinds]),
        obstacle_position=_rows(centres, d.dim),
        obstacle_size=_rows(sizes, d.dim),
        box_offset=torch.tensor(offset, dtype=torch.float32),
    )
    return Trajectory(scene, position.unsqueeze(0), torch.zeros_like(position).unsqueeze(0))


def tilted_gravity(tilt: float, dim: int) -> Floats:
    """Acceleration of free fall [m/s²], shape (D,), at an angle to the vertical [rad]."""
    gravity = np.zeros(dim)
    gravity[0], gravity[-1] = GRAVITY * math.sin(tilt), -GRAVITY * math.cos(tilt)
    return gravity


def _rows(values: tuple[Floats, ...], dim: int) -> torch.Tensor:
    return torch.tensor(np.array(values).reshape(-1, dim), dtype=torch.float32)


def _particles(d: Draft) -> Floats:
    """Lattice points of the tank that lie in a block or drop and clear of every obstacle, slightly shaken."""
    axes = [(np.arange(round(length / d.spacing)) + 0.5) * d.spacing for length in d.size]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, d.dim)
    wet = np.zeros(len(grid), dtype=bool)
    for low, high in d.blocks:
        wet |= ((grid > low) & (grid < high)).all(-1)
    for centre, radius in d.drops:
        wet |= np.linalg.norm(grid - centre, axis=-1) < radius
    for kind, centre, size in d.obstacles:
        wet &= _clearance(grid - centre, kind, size) > 0.5 * d.spacing
    chosen: Floats = grid[wet]
    return chosen + d.rng.uniform(-JITTER, JITTER, chosen.shape) * d.spacing


def _clearance(offset: Floats, kind: Obstacle, size: Floats) -> Floats:
    if kind == Obstacle.BALL:
        ball: Floats = np.linalg.norm(offset, axis=-1) - size[0]
        return ball
    beyond = np.abs(offset) - size
    box: Floats = np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(-1), 0)
    return box


def paddle_tank(domain: str, recipe: Recipe, frame: float) -> Trajectory:
    """A pool beside a paddle of driven nodes that pushes into it and back: the one scene here with driven nodes."""
    d = Draft(np.random.default_rng(11), recipe.dim, recipe.resolution, 1.0)
    d.tank((0.8, 0.8), 0.6)
    d.pool(0.3)
    still = build(domain, d, 5e-3, 0.0, recipe.n_frames("test"), frame)
    x = still.position[0]
    n_frames, paddle = recipe.n_frames("test"), x[:, 0] < 2 * d.spacing
    time = torch.arange(n_frames) * frame
    push = torch.zeros((n_frames, 1, recipe.dim))
    push[:, 0, 0] = 0.02 * (1 - torch.cos(20.0 * time))
    script = dataclasses.replace(still.scene.script, node_position=x[paddle] + push)
    types = torch.where(paddle, int(NodeType.DRIVEN), int(NodeType.FREE))
    return dataclasses.replace(still, scene=dataclasses.replace(still.scene, node_type=types, script=script))
