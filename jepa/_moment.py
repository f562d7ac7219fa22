"""A moment: what an encoder sees of the last few frames of a batch of scenes, whatever the kind of physics, padded.

Shape letters as in contracts/scene.py; **H** frames seen · **G** geometry tokens (obstacles, and the box itself) · all space is
3D here, the last axis up: a point (x, y) of a 2D scene stands at (x, 0, y).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Obstacle, Scene, Script, Wall
from ..contracts._ragged import counts
from ..contracts.rotation import local_points
from ..surrogates._embedding import lifted
from ._layout import Layout, layout
from ._units import Units

POINT_FEATURES = 3 * 6 + 5
"""place, rest coordinate, body-local coordinate, velocity, two bends; driven, in a mesh, in a body, mass, height."""
REST, LOCAL, VELOCITY, MATTER = slice(3, 6), slice(6, 9), slice(9, 12), slice(18, 22)
"""Where some of them stand; of matter, the flags and the mass."""
IDENTITY_FEATURES = 10
GEOMETRY_FEATURES = 3 * 4 + 3 + 6
"""place, size, velocity so far, velocity to come; kind; walls."""


@dataclass(frozen=True)
class Packing:
    """Where the nodes of a batch stand in a table with a row a scene, in an order that node numbers do not matter to."""

    index: Tensor
    """Node in each place, (B, L); where there is none, one of the same scene, lest others leak in."""
    there: Tensor
    """Whether there is one, (B, L)."""

    def pack(self, values: Tensor) -> Tensor:
        """Node values (N, ...) as a table (B, L, ...)."""
        return values[self.index]

    def unpack(self, tables: Tensor) -> Tensor:
        """The nodes' rows of tables (T, B, L, ...), in node order, (T, N, ...)."""
        rows = tables[:, self.there]
        return torch.empty_like(rows).index_copy(1, self.index[self.there], rows)


@dataclass(frozen=True)
class Matter:
    """What stays fixed of a batch while time runs: where nodes stand in the table, and who they are."""

    packing: Packing
    rest: Tensor
    """Rest positions against their mean, in spacings, (N, 3); of particles, where they started."""
    shaped: Tensor
    """Nodes whose neighbours stay neighbours: those of a mesh or of a body, (N,)."""
    meshed: Tensor
    """Nodes of a mesh, (N,)."""
    mass: Tensor
    """Logarithm of masses over their scene's mean, (N, 1)."""
    chosen: Tensor
    """Places in the table spread evenly over the matter, (B, most): the first S are supernodes, the first K carry tokens."""
    found: Tensor
    """Which of those are different points, (B, most)."""
    layout: Layout
    """Where obstacles and driven nodes stand."""
    bodies: int
    """Rigid bodies of all scenes."""


@dataclass(frozen=True)
class Moment:
    """One moment of a batch of scenes."""

    scene: Scene
    matter: Matter
    points: Tensor
    """Features of nodes by themselves, in node order, (N, POINT_FEATURES)."""
    place: Tensor
    """Positions against the box's centre, in spacings, (N, 3)."""
    geometry: Tensor
    """(B, G, GEOMETRY_FEATURES)."""
    geometry_there: Tensor
    """(B, G)."""

    @property
    def packing(self) -> Packing:
        """Where the nodes stand in the table."""
        return self.matter.packing

    @property
    def identity(self) -> Tensor:
        """Features of nodes that never change: rest and body-local coordinates, flags and mass, (N, IDENTITY_FEATURES)."""
        return torch.cat([self.points[:, part] for part in (REST, LOCAL, MATTER)], -1)

    @property
    def gathering(self) -> Tensor:
        """Coordinates by which neighbours are gathered: of rest where matter keeps its shape, else of place, (N, 3)."""
        return torch.where(self.matter.shaped.unsqueeze(-1), self.matter.rest, self.place)


def packing(scene: Scene, place: Tensor) -> Packing:
    """A table of the nodes, in each scene sorted by a place (N, 3): renumbering the nodes does not change it."""
    order = torch.arange(scene.n_nodes, device=place.device)
    for key in (place[:, 2], place[:, 1], place[:, 0], scene.node_scene):
        order = order[torch.argsort(key[order], stable=True)]
    sizes = counts(scene.scene_ptr)
    longest = torch.arange(int(sizes.max()), device=place.device)
    there = longest < sizes.unsqueeze(-1)
    first = scene.scene_ptr[:-1].unsqueeze(-1)
    return Packing(order[torch.where(there, first + longest, first)], there)


def matter(scene: Scene, units: Units, most: int) -> Matter:
    """The matter of a batch of scenes, with `most` points chosen of each."""
    rest = lifted(scene.rest_position)
    rest = (rest - _scene_mean(rest, scene)) / units.spacing[units.number(scene.domain)]
    table = packing(scene, rest)
    chosen, found = farthest_points(table.pack(rest), table.there, most)
    meshed = _in_mesh(scene)
    mass = torch.log(scene.mass / _scene_mean(scene.mass.unsqueeze(-1), scene).squeeze(-1)).unsqueeze(-1)
    bodies = int(scene.body_ptr[-1])
    return Matter(table, rest, meshed | (scene.body_id >= 0), meshed, mass, chosen, found, layout(scene), bodies)


@torch.no_grad()
def farthest_points(where: Tensor, there: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Places (B, S) in a table (B, L, 3) of points spread evenly, and which of them are points of their own (B, S).

    From the first in the table on, each next is the farthest from all before it (Eldar et al. 1997). Of fewer points than S,
    the first is repeated.
    """
    distance = torch.where(there, torch.inf, -1.0)
    latest = torch.zeros(len(where), dtype=torch.int64, device=where.device)
    scene = torch.arange(len(where), device=where.device)
    chosen, found = [], []
    for _ in range(number):
        chosen.append(latest)
        found.append(distance[scene, latest] > 0)
        step = (where - where[scene, latest].unsqueeze(1)).square().sum(-1)
        distance = torch.minimum(distance, step)
        latest = distance.argmax(-1)
    return torch.stack(chosen, 1), torch.stack(found, 1)


def moment(
    scene: Scene, position: Tensor, velocity: Tensor, pose: Tensor | None, script: Script, units: Units, known: Matter
) -> Moment:
    """The moment at the last of H frames.

    position (H, N, D) [m], velocity (N, D) [m/s] and pose (P, 7) at the last; script frame H-1 is the last frame.
    """
    k, now = units.number(scene.domain), position.shape[0] - 1
    length, spacing, speed, bend = units.length[k], units.spacing[k], units.speed[k], units.bend[k]
    owner, dt = scene.node_scene, scene.frame_interval
    centre = lifted(scene.bounds.mean(1) + script.box_offset[now])[owner]
    x, v = lifted(position[now]), lifted(velocity)
    apart = lifted(scene.minimum_image(position[now] - position[:now]))
    half = now // 2
    bends = [(apart[h] - (now - h) * dt * v) / bend for h in (0, half)] if now > 1 else [torch.zeros_like(v)] * 2
    local = torch.zeros_like(x)
    if pose is not None:
        local = local_points(x, pose, scene.body_id)
    flags = [~scene.free, scene.body_id >= 0, known.meshed]
    columns = [
        (x - centre) / length,
        known.rest * (spacing / length),
        local / spacing / 3,
        v / speed,
        *(b.clamp(-10, 10) for b in bends),
        *(f.to(x.dtype).unsqueeze(-1) for f in flags),
        known.mass,
        ((x - lifted(scene.bounds[:, 0] + script.box_offset[now])[owner])[:, 2:] / length),
    ]
    place = (x - centre) / spacing
    geometry, there = geometry_of(scene, script, now, units, known.layout)
    return Moment(scene, known, torch.cat(columns, -1), place, geometry, there)


def _scene_mean(values: Tensor, scene: Scene) -> Tensor:
    """The mean of each node's scene, for every node, (N, C)."""
    total = values.new_zeros((scene.n_scenes, values.shape[-1])).index_add_(0, scene.node_scene, values)
    return (total / counts(scene.scene_ptr).unsqueeze(-1))[scene.node_scene]


def _in_mesh(scene: Scene) -> Tensor:
    held = torch.zeros(scene.n_nodes, dtype=torch.bool, device=scene.device)
    held[scene.edges.flatten()] = True
    return held


def geometry_motion(script: Script, start: int | Tensor, stop: int | Tensor, known: Layout) -> Tensor:
    """How far obstacles and boxes move between two frames of the script [m], padded (B, G, 3): the box last."""
    boxes = lifted(at_frame(script.box_offset, stop) - at_frame(script.box_offset, start))
    solids = lifted(at_frame(script.obstacle_position, stop) - at_frame(script.obstacle_position, start))
    return known.by_scene(solids, boxes)[0]


def at_frame(values: Tensor, frame: int | Tensor) -> Tensor:
    """Rows of a frame of a film (T, …), whose number may lie on the device and stay there."""
    return values.index_select(0, frame.view(1))[0] if isinstance(frame, Tensor) else values[frame]


def script_from(script: Script, first: int | Tensor, frames: int) -> Script:
    """A script from its frame `first` on: all that is left, or, where that number lies on the device, so many frames more.

    Where the script ends sooner, its last frame again.
    """
    if not isinstance(first, Tensor):
        return script.starting_at(first)
    rows = (first + torch.arange(frames + 1, device=first.device)).clamp(max=script.n_frames - 1)
    return script._map(lambda _, x: x.index_select(0, rows))


def geometry_of(scene: Scene, script: Script, now: int, units: Units, known: Layout) -> tuple[Tensor, Tensor]:
    """Obstacles and the box at a frame of the script, (B, G, GEOMETRY_FEATURES), and which there are, (B, G)."""
    k, dt = units.number(scene.domain), scene.frame_interval
    length = units.length[k]
    centre = scene.bounds.mean(1) + script.box_offset[now]
    extent = lifted(scene.bounds[:, 1] - scene.bounds[:, 0]) / 2
    at = lifted(script.obstacle_position[now] - centre[known.owner]) / length
    ball = scene.obstacle_kind == Obstacle.BALL
    size = torch.where(ball.unsqueeze(-1), scene.obstacle_size[:, :1], lifted(scene.obstacle_size)) / length
    before, after = max(now - 1, 0), min(now + 1, script.n_frames - 1)
    every = torch.arange(3, device=at.device)

    def kinds(which: Tensor) -> Tensor:
        return (which.unsqueeze(-1) == every).to(at.dtype)

    solid = torch.cat([at, size, kinds((~ball).to(torch.int64)), at.new_zeros((len(at), 6))], -1)
    walls = lifted((scene.wall >= Wall.FREE_SLIP).to(at.dtype).transpose(1, 2)).flatten(1)
    two = torch.full((scene.n_scenes,), 2, device=at.device)
    box = torch.cat([torch.zeros_like(extent), extent / length, kinds(two), walls], -1)
    rows, there = known.by_scene(solid, box)
    speed = units.speed[k] * dt
    motion = [geometry_motion(script, a, b, known) / speed for a, b in ((before, now), (now, after))]
    return torch.cat([rows, *motion], -1), there
