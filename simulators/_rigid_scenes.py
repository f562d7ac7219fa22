"""The scene families of the rigid domain: what is drawn, from which ranges, and where the out-of-distribution splits begin.

SI units, all ranges closed. L is the recipe's resolution, a typical body's size; smaller bodies come in larger numbers.
Splits differ from `train` in one thing each, and their ranges do not touch:

| split | what differs |
|---|---|
| more | 2.5-3 times as many bodies |
| material | friction 0.65-0.9 (train 0.15-0.5), restitution 0.75-0.95 (0.1-0.6), mass ratio 3-5 (0.5-2) |
| shape | long boxes (1 : 3 or longer), long capsules, dumbbells, crosses and a goblet, none of which is in train |
| long | the horizon is twice as long |

The box stands on its floor (the lower z side, no-slip); its four sides are cushions, its top is open. A slope is a tilted gravity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..contracts.domain import Recipe
from ..contracts.errors import MisuseError
from ..contracts.rotation import carried
from ..contracts.scene import BodyShape, Obstacle, Wall, single_scene
from ..contracts.trajectory import Trajectory
from ._rigid_bodies import centred, node_points, volume

GRAVITY = 9.81
"""[m/s²]"""
DENSITY = 500.0
"""Of every body but the special one of a scene, whose density is this times the mass ratio [kg/m³]."""
USUAL_SIZE = 0.2
"""L of size "s" [m]: the numbers of bodies below are for it."""
FRICTION = {"train": (0.15, 0.5), "material": (0.65, 0.9)}
RESTITUTION = {"train": (0.1, 0.6), "material": (0.75, 0.95)}
MASS_RATIO = {"train": (0.5, 2.0), "material": (3.0, 5.0)}
"""Mass of the special body over what it would weigh like the others; drawn log-uniformly."""
NUMBER = {"train": (1.0, 1.0), "more": (2.5, 3.0)}
"""Factor on the number of bodies."""
LONG_BOX, USUAL_BOX = (3.0, 4.5), (1.0, 1.6)
"""Longest over shortest side of a box."""
LONG_CAPSULE, USUAL_CAPSULE = (3.0, 4.5), (0.6, 1.5)
"""Half length of the straight part over the radius."""

Floats = NDArray[np.float64]
Solid = tuple[BodyShape, tuple[float, float, float], tuple[float, float, float]]
"""Kind, size [m] and place [m] of a solid of a body; none is turned."""


@dataclass
class Body:
    """One body: its solids, where it is, how it moves."""

    solids: list[Solid]
    position: Floats
    """Of the centre of mass [m]."""
    quaternion: Floats = field(default_factory=lambda: np.array([0.0, 0.0, 0.0, 1.0]))
    velocity: Floats = field(default_factory=lambda: np.zeros(3))
    spin: Floats = field(default_factory=lambda: np.zeros(3))
    """World frame [rad/s]."""
    heaviness: float = 1.0
    """Density over that of the other bodies."""


@dataclass
class Pusher:
    """An obstacle that moves along x, from rest to rest, over a distance and at a speed."""

    kind: Obstacle
    size: Floats
    start: Floats
    direction: Floats
    speed: float
    distance: float


@dataclass
class Draft:
    """A scene being drawn."""

    rng: np.random.Generator
    size: float
    """L [m]."""
    number: float
    """Factor on the number of bodies."""
    odd: bool
    """Whether its bodies are the unseen ones of the split `shape`."""
    mass_ratio: float
    room: Floats = field(default_factory=lambda: np.array([2.4, 2.4, 1.6]))
    """Extent of the box [m]."""
    tilt: float = 0.0
    """Angle of the floor to the horizontal [rad], down along +x."""
    bodies: list[Body] = field(default_factory=list)
    pushers: list[Pusher] = field(default_factory=list)

    def count(self, low: int, high: int, least: int = 1) -> int:
        """A number of bodies for L, from the range for USUAL_SIZE."""
        usual = int(self.rng.integers(low, high + 1))
        scaled: float = usual * self.number * (USUAL_SIZE / self.size) ** 1.5
        return max(least, round(scaled))

    def uniform(self, low: float, high: float) -> float:
        """A number between low and high."""
        return float(self.rng.uniform(low, high))

    def turned(self) -> Floats:
        """A unit quaternion, uniform over rotations."""
        q = self.rng.normal(size=4)
        unit: Floats = q / np.linalg.norm(q)
        return unit

    def box(self, longest: tuple[float, float] = USUAL_BOX) -> list[Solid]:
        """A box whose shortest side is 0.6-0.8 L, or less when it is long."""
        ratio = np.sort(
            np.array([1.0, self.uniform(1.0, longest[1] if longest is USUAL_BOX else 1.4), self.uniform(*longest)])
        )
        half = 0.5 * self.size * self.uniform(0.6, 0.8) * ratio / max(1.0, ratio.max() / 2)
        a, b, c = (float(x) for x in self.rng.permutation(half))
        return [(BodyShape.BOX, (a, b, c), (0.0, 0.0, 0.0))]

    def ball(self) -> list[Solid]:
        """A ball of diameter 0.6-1 L."""
        return [(BodyShape.BALL, (self.size * self.uniform(0.3, 0.5), 0.0, 0.0), (0.0, 0.0, 0.0))]

    def capsule(self, slenderness: tuple[float, float] = USUAL_CAPSULE) -> list[Solid]:
        """A capsule about L long, or up to 1.5 L when it is slender."""
        ratio = self.uniform(*slenderness)
        radius = self.size * self.uniform(0.25, 0.32) / (1.0 if ratio < 2 else 1.5)
        return [(BodyShape.CAPSULE, (radius, radius * ratio, 0.0), (0.0, 0.0, 0.0))]

    def dumbbell(self) -> list[Solid]:
        """Two balls on a capsule."""
        r, h = 0.3 * self.size * self.uniform(0.8, 1.0), 0.5 * self.size
        ends: list[Solid] = [(BodyShape.BALL, (r, 0.0, 0.0), (0.0, 0.0, s * h)) for s in (-1, 1)]
        return [*ends, (BodyShape.CAPSULE, (0.4 * r, h, 0.0), (0.0, 0.0, 0.0))]

    def cross(self) -> list[Solid]:
        """Two bars, one over the other."""
        a, t = 0.6 * self.size, 0.14 * self.size * self.uniform(0.8, 1.2)
        return [(BodyShape.BOX, (a, t, t), (0.0, 0.0, 0.0)), (BodyShape.BOX, (t, a, t), (0.0, 0.0, 2 * t))]

    def any_body(self) -> list[Solid]:
        """One of the solids that the split allows."""
        kinds: list[Callable[[], list[Solid]]] = [self.box, self.ball, self.capsule]
        if self.odd:
            kinds = [lambda: self.box(LONG_BOX), lambda: self.capsule(LONG_CAPSULE), self.dumbbell, self.cross]
        return kinds[int(self.rng.integers(len(kinds)))]()


def reach(solids: list[Solid]) -> float:
    """Radius of a ball about a body's centre of mass that holds it [m]."""
    kind, size, pose = solid_tensors(solids)
    far = torch.where(
        kind == BodyShape.BOX,
        size.norm(dim=-1),
        torch.where(kind == BodyShape.BALL, size[:, 0], size[:, 0] + size[:, 1]),
    )
    return float((centred(kind, size, pose)[:, :3].norm(dim=-1) + far).max())


def solid_tensors(solids: list[Solid]) -> tuple[Tensor, Tensor, Tensor]:
    """Kinds (Q,), sizes (Q, 3) and poses (Q, 7) of a body's solids, as drawn."""
    kind = torch.tensor([int(s[0]) for s in solids])
    size = torch.tensor([s[1] for s in solids], dtype=torch.float64)
    place = torch.tensor([s[2] for s in solids], dtype=torch.float64)
    upright = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).expand(len(solids), 4)
    return kind, size, torch.cat([place, upright], -1)


def foot(solids: list[Solid]) -> float:
    """Height of an upright body's centre of mass above its lowest point [m]."""
    kind, size, pose = solid_tensors(solids)
    down = torch.where(
        kind == BodyShape.BOX, size[:, 2], size[:, 0] + torch.where(kind == BodyShape.BALL, 0.0, size[:, 1])
    )
    return float(-(centred(kind, size, pose)[:, 2] - down).min())


def thrown(d: Draft) -> None:
    """Bodies thrown at one another above the floor."""
    solids = [d.any_body() for _ in range(d.count(3, 5, 2))]
    cell = 2.15 * max(reach(s) for s in solids)
    per_side = max(2, math.ceil(math.sqrt(len(solids) / 2)))
    d.room[:2] = np.maximum(d.room[:2], (per_side + 2) * cell)
    d.room[2] = max(d.room[2], 4 * cell)
    places = [(i, j, k) for k in range(3) for i in range(per_side) for j in range(per_side)]
    lower = [places[int(i)] for i in d.rng.permutation(min(len(places), max(len(solids), 2 * per_side**2)))]
    middle = 0.5 * d.room
    for n, (solid, (i, j, k)) in enumerate(zip(solids, lower, strict=False)):
        at = np.array(
            [
                middle[0] + (i - (per_side - 1) / 2) * cell,
                middle[1] + (j - (per_side - 1) / 2) * cell,
                (0.52 + k) * cell,
            ]
        )
        body = Body(solid, at, d.turned(), heaviness=d.mass_ratio if n == 0 else 1.0)
        towards = middle[:2] - at[:2] + d.rng.normal(size=2) * 0.3 * cell
        body.velocity[:2] = towards / max(np.linalg.norm(towards), 1e-9) * d.uniform(0.8, 2.2)
        body.velocity[2] = d.uniform(-0.5, 1.0)
        body.spin = d.rng.normal(size=3) * 2.5
        d.bodies.append(body)


def struck_tower(d: Draft) -> None:
    """A tower of boxes, struck by a thrown ball or by a pusher."""
    wide = d.size * d.uniform(0.45, 0.6) * np.ones(2)
    if d.odd:
        wide[int(d.rng.integers(2))] *= d.uniform(3.0, 4.0)
    height, number = d.size * d.uniform(0.3, 0.5) * (0.5 if d.odd else 1.0), d.count(3, 5, 3)
    foot_at, z = np.array([1.0, 1.2]), 0.0
    d.room[2] = max(d.room[2], 2.4 * height * (number + 2))
    for _ in range(number):
        half = (float(wide[0]), float(wide[1]), height * d.uniform(0.9, 1.1))
        shift = d.rng.uniform(-0.06, 0.06, 2) * wide
        d.bodies.append(Body([(BodyShape.BOX, half, (0.0, 0.0, 0.0))], np.array([*(foot_at + shift), z + half[2]])))
        z += 2 * half[2]
    side, lowest = foot_at[0] - 1.1 * wide[0], 0.25 * z
    if d.rng.random() < 0.5:
        radius = d.size * d.uniform(0.3, 0.45)
        start = np.array(
            [
                side - radius - d.uniform(0.1, 0.25),
                foot_at[1] + d.uniform(-0.3, 0.3) * wide[1],
                d.uniform(0.5, 0.9) * z + radius,
            ]
        )
        ball = Body([(BodyShape.BALL, (radius, 0.0, 0.0), (0.0, 0.0, 0.0))], start, heaviness=2.0 * d.mass_ratio)
        ball.velocity = np.array([d.uniform(2.0, 3.0), 0.0, d.uniform(0.0, 0.8)])
        d.bodies.append(ball)
        return
    d.bodies[-1].heaviness = d.mass_ratio
    size = d.size * np.array([0.2, 0.3, 0.2]) * d.uniform(0.8, 1.2)
    kind = Obstacle.BALL if d.rng.random() < 0.5 else Obstacle.BOX
    start = np.array(
        [
            side - size[0] - d.uniform(0.08, 0.16),
            foot_at[1] + d.uniform(-0.3, 0.3) * wide[1],
            lowest + d.uniform(0.2, 0.5) * z,
        ]
    )
    start[2] = max(start[2], 1.1 * float(size.max()))
    d.pushers.append(Pusher(kind, size, start, np.array([1.0, 0.0, 0.0]), d.uniform(0.8, 1.5), 0.25 + 2 * wide[0]))


def billiards(d: Draft) -> None:
    """Balls at rest between cushions, and one that is struck towards them."""
    number, radius = d.count(4, 6, 2), d.size * d.uniform(0.35, 0.45)
    per_row = max(2, math.ceil(math.sqrt(number)))
    apart = 2 * radius * d.uniform(1.05, 1.25) * (1.6 if d.odd else 1.0)
    d.room[:2] = np.maximum(np.array([1.6, 1.2]), (per_row + 2) * apart * np.array([1.35, 1.0]))
    corner = np.array([0.55 * d.room[0], 0.5 * d.room[1] - 0.5 * (per_row - 1) * apart])
    for n in range(number - 1):
        row, place = divmod(n, per_row)
        at = (
            corner
            + apart * np.array([row, place + 0.5 * (row % 2) - 0.25])
            + d.rng.uniform(-0.1, 0.1, 2) * (apart - 2 * radius)
        )
        d.bodies.append(_on_floor(_rolling(d, radius), at))
    cue = _on_floor(
        [(BodyShape.BALL, (radius, 0.0, 0.0), (0.0, 0.0, 0.0))],
        np.array([2.2 * radius, d.room[1] * d.uniform(0.35, 0.65)]),
    )
    aim = corner + apart * np.array([0.0, 0.5 * (per_row - 1) + d.uniform(-0.5, 0.5)]) - cue.position[:2]
    cue.velocity[:2] = aim / np.linalg.norm(aim) * d.uniform(1.8, 3.0)
    # Rolling, sliding, or with back spin.
    cue.spin = np.array([-cue.velocity[1], cue.velocity[0], 0.0]) / radius * d.uniform(-0.5, 1.0)
    cue.heaviness = d.mass_ratio
    d.bodies.append(cue)


def _rolling(d: Draft, radius: float) -> list[Solid]:
    """A ball, or in the split `shape` a box or a short capsule that lies in its place."""
    if not d.odd:
        return [(BodyShape.BALL, (radius, 0.0, 0.0), (0.0, 0.0, 0.0))]
    r = 0.35 * radius
    return [(BodyShape.CAPSULE, (r, LONG_CAPSULE[0] * r, 0.0), (0.0, 0.0, 0.0))] if d.rng.random() < 0.5 else [
        (BodyShape.BOX, (1.2 * radius, 0.39 * radius, 0.39 * radius), (0.0, 0.0, 0.0))
    ]  # fmt: skip


def _on_floor(solids: list[Solid], at: Floats) -> Body:
    return Body(solids, np.array([*at, foot(solids)]))


def mug_on_slope(d: Draft) -> None:
    """A mug on a slope: by its friction, its height and the tilt it sticks, slips, slides or tips. Balls roll past or into it."""
    d.tilt = math.radians(d.uniform(5.0, 28.0))
    half, height = d.size * d.uniform(0.3, 0.4), d.size * d.uniform(0.8, 1.5)
    mug = _on_floor(goblet(half, height) if d.odd else mug_solids(half, height), np.array([0.8, 1.2]))
    mug.velocity[0] = d.uniform(-0.6, 0.9)
    mug.velocity[1] = d.uniform(-0.2, 0.2)
    mug.heaviness = d.mass_ratio
    d.bodies.append(mug)
    others = [d.any_body() if d.odd or k % 2 else d.ball() for k in range(d.count(2, 3, 1))]
    far = np.array([reach(solids) for solids in others])
    # Side by side with a little room, spread about the middle, where the mug stands.
    lane = np.concatenate([[0.0], np.cumsum(1.03 * (far[:-1] + far[1:]))])
    d.room[1] = max(d.room[1], float(lane[-1] + 4 * far.max()))
    mug.position[1] = 0.5 * d.room[1]
    for k, solids in enumerate(others):
        x = mug.position[0] - 1.5 * half - far[k] - d.uniform(0.05, 0.3)
        body = _on_floor(solids, np.array([x, mug.position[1] + lane[k] - 0.5 * lane[-1]]))
        body.position[2] = max(body.position[2], float(far[k]) if len(solids) > 1 else 0.0)
        body.velocity[0] = d.uniform(0.5, 1.5)
        d.bodies.append(body)


def mug_solids(half: float, height: float) -> list[Solid]:
    """A square mug: a base, four sides and a handle."""
    t, h = 0.14 * half, 0.5 * height
    sides: list[Solid] = [(BodyShape.BOX, (t, half, h - t), (s * (half - t), 0.0, t)) for s in (-1, 1)]
    sides += [(BodyShape.BOX, (half - 2 * t, t, h - t), (0.0, s * (half - t), t)) for s in (-1, 1)]
    base: Solid = (BodyShape.BOX, (half, half, t), (0.0, 0.0, -h + t))
    handle: Solid = (BodyShape.CAPSULE, (t, 0.5 * h, 0.0), (0.0, half + 2 * t, 0.0))
    return [base, *sides, handle]


def goblet(half: float, height: float) -> list[Solid]:
    """A foot, a stem and a bowl, solid: the mug of the split `shape`."""
    t, h = 0.12 * height, 0.5 * height
    return [
        (BodyShape.BOX, (half, half, t), (0.0, 0.0, -h + t)),
        (BodyShape.CAPSULE, (0.3 * half, 0.6 * h, 0.0), (0.0, 0.0, 0.0)),
        (BodyShape.BALL, (0.8 * half, 0.0, 0.0), (0.0, 0.0, h - 0.8 * half)),
    ]


FAMILIES: dict[str, Callable[[Draft], None]] = {f.__name__: f for f in (thrown, struck_tower, billiards, mug_on_slope)}


def draw_scene(
    domain: str, recipe: Recipe, split: str, index: int, rng: np.random.Generator, frame: float
) -> Trajectory:
    """Frame 0 of scene `index` of a split; families take turns."""
    of = split if split in ("more", "material", "shape") else "train"

    def drawn(ranges: dict[str, tuple[float, float]], log: bool = False) -> float:
        low, high = ranges.get(of, ranges["train"])
        return float(math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high))

    friction, restitution, ratio = drawn(FRICTION), drawn(RESTITUTION), drawn(MASS_RATIO, log=True)
    d = Draft(rng, recipe.resolution, drawn(NUMBER), split == "shape", ratio)
    FAMILIES[list(FAMILIES)[index % len(FAMILIES)]](d)
    parameters = {"friction": friction, "restitution": restitution, "mass_ratio": ratio}
    return build(domain, d, parameters, recipe.n_frames(split), frame)


def build(domain: str, d: Draft, parameters: dict[str, float], n_frames: int, frame: float) -> Trajectory:
    """Turn a draft into frame 0 of a scene.

    Raises MisuseError for solids without extent. Bodies that stand in one another are not looked for here: a solver marks their
    scene as diverged.
    """
    shapes, nodes, masses = [], [], []
    for p, body in enumerate(d.bodies):
        kind, size, pose = solid_tensors(body.solids)
        _require_extent(kind, size, p)
        # In the precision of the scene, so that its nodes can be placed again from the scene alone.
        size, own = size.to(torch.float32), centred(kind, size, pose).to(torch.float32)
        shapes.append((kind, size, own, torch.full_like(kind, p)))
        nodes.append(node_points(kind, size, own))
        mass = DENSITY * body.heaviness * float(volume(kind, size).sum())
        masses.append(torch.full((nodes[-1].shape[0],), mass / nodes[-1].shape[0], dtype=torch.float64))
    kind, size, own, of_body = (torch.cat([s[k] for s in shapes]) for k in range(4))
    body_id = torch.repeat_interleave(torch.tensor([n.shape[0] for n in nodes]))
    pose = torch.tensor(np.array([[*b.position, *b.quaternion] for b in d.bodies]))
    twist = torch.tensor(np.array([[*b.velocity, *b.spin] for b in d.bodies]))
    pose, twist = pose.to(torch.float32), twist.to(torch.float32)
    position, velocity = carried(torch.cat(nodes), pose, twist, body_id)
    wall = torch.full((3, 2), int(Wall.NO_SLIP))
    wall[2, 1] = Wall.OPEN
    scene = single_scene(
        domain=domain,
        frame_interval=frame,
        rest_position=position,
        mass=torch.cat(masses).to(torch.float32),
        body_id=body_id,
        bounds=torch.tensor(np.stack([np.zeros(3), d.room]), dtype=torch.float32),
        wall=wall,
        gravity=(GRAVITY * math.sin(d.tilt), 0.0, -GRAVITY * math.cos(d.tilt)),
        parameters=parameters,
        n_frames=n_frames,
        shape_kind=kind,
        shape_size=size,
        shape_pose=own,
        shape_body=of_body,
        obstacle_kind=torch.tensor([int(p.kind) for p in d.pushers], dtype=torch.int64),
        obstacle_size=torch.tensor(np.array([p.size for p in d.pushers]).reshape(-1, 3), dtype=torch.float32),
        obstacle_position=torch.tensor(_paths(d, n_frames, frame), dtype=torch.float32),
    )
    return Trajectory(scene, position.unsqueeze(0), velocity.unsqueeze(0), pose.unsqueeze(0), twist.unsqueeze(0))


def _paths(d: Draft, n_frames: int, frame: float) -> Floats:
    """Centres of the pushers at every frame (R, S, 3): off at full speed, and stopped at the end of the way."""
    way = np.arange(n_frames)[:, None] * frame
    paths = [p.start + np.minimum(way * p.speed, p.distance) * p.direction for p in d.pushers]
    return np.stack(paths, 1) if paths else np.zeros((n_frames, 0, 3))


def _require_extent(kind: Tensor, size: Tensor, body: int) -> None:
    need = torch.where(kind == BodyShape.BOX, 3, 1)
    for k in range(kind.numel()):
        values = size[k, : int(need[k])]
        if not bool((values > 0).all()) or not bool(torch.isfinite(size[k]).all()) or not bool((size[k] >= 0).all()):
            raise MisuseError(
                f"body {body}: a {BodyShape(int(kind[k])).name.lower()} has size {size[k].tolist()} m; extents must be positive"
            )
