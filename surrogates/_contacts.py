"""Where rigid bodies touch, or soon may: points of each body against the faces of all else that is solid.

The points are the rounded points of the solids: the centre of a ball, the ends and the middle of a capsule, the corners of a
box. Their distance to another solid, less their radius, is exact, so that contacts of balls with all, of capsule ends and of box
corners are; a box that lies on a floor has four. Two boxes that cross at their edges are found too late, by the depth of their
corners alone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import BodyShape, Obstacle, Scene, Script
from ..contracts._ragged import all_pairs, counts, group_of_row, pointer
from ..contracts.bodies import distance_to_shape, shape_poses
from ..contracts.rotation import conjugate, rotate
from ..contracts.scene import ABSENT
from ._fixed_graph import Room, first_rows

FACING = 0.7
"""Cosine of the angle up to which the faces of two boxes count as lying on each other."""
FIXED = -1
"""The partner of a body that meets an obstacle or a side."""


@dataclass(frozen=True)
class Solids:
    """Convex solids in the world: those of bodies, or the obstacles."""

    body: Tensor
    """Whose they are, FIXED for obstacles, (n,)."""
    pose: Tensor
    """(n, 7)."""
    velocity: Tensor
    """Of obstacles [m/s], zero for bodies, (n, 3)."""
    kind: Tensor
    """`BodyShape`, (n,)."""
    size: Tensor
    """(n, 3)."""
    ptr: Tensor
    """Cuts them into scenes, (B+1,)."""


@dataclass(frozen=True)
class Contacts:
    """One row for each point of a body near another solid."""

    body: Tensor
    """(C,)."""
    partner: Tensor
    """The other body, or FIXED, (C,)."""
    gap: Tensor
    """Distance of the two surfaces [m], negative inside, (C,)."""
    normal: Tensor
    """Unit normal from the partner to the body, (C, 3)."""
    point: Tensor
    """Where on the body [m], (C, 3)."""
    velocity: Tensor
    """Of a fixed partner [m/s], zero for bodies, (C, 3)."""

    def rows(self, chosen: Tensor) -> Contacts:
        """Some of the rows."""
        return Contacts(*(getattr(self, f.name)[chosen] for f in dataclasses.fields(self)))

    def only(self, there: Tensor) -> Contacts:
        """As many rows, those that are not there (C,) emptied: between FIXED and FIXED, where nothing comes of them."""

        def kept(name: str) -> Tensor:
            rows: Tensor = getattr(self, name)
            mask = there if rows.dim() == 1 else there.unsqueeze(-1)
            return torch.where(mask, rows, FIXED if name in ("body", "partner") else 0)

        return Contacts(*(kept(f.name) for f in dataclasses.fields(self)))


@dataclass(frozen=True)
class Pairs:
    """The rounded points of some solids, and against which other solids they are looked at: nothing of it ever moves.

    Rounded points are the centres of balls, the ends and the middle of capsules, the corners of boxes: their balls lie within
    their solids and touch them inside.
    """

    owner: Tensor
    """The solid of each point, (n,)."""
    local: Tensor
    """Points in the frames of their solids [m], (n, 3)."""
    radius: Tensor
    """Of the points' balls [m], (n,)."""
    point: Tensor
    """Of each pair, (m,)."""
    shape: Tensor
    """Of each pair: the other solid, (m,)."""
    flat: Tensor
    """Pairs of a corner and a box, (f,)."""
    boxes: Tensor
    """Of each of these, a number that other corners of the one box have too against the other, (f,)."""
    n_boxes: int
    """Beyond the highest number."""
    there: tuple[Tensor, Tensor, Tensor] | None = None
    """Which of points, pairs and pairs of boxes there are, (n,), (m,), (f,), where some only keep a place; None for all."""

    def rows(self, chosen: Tensor) -> Pairs:
        """Some of the pairs, by a mask (m,)."""
        place, kept = chosen.cumsum(0) - 1, chosen[self.flat]
        flat, boxes = place[self.flat[kept]], self.boxes[kept]
        return dataclasses.replace(self, point=self.point[chosen], shape=self.shape[chosen], flat=flat, boxes=boxes)

    def places(self, solids: Solids) -> Tensor:
        """The points in the world [m], (n, 3)."""
        pose = solids.pose[self.owner]
        return pose[:, :3] + rotate(pose[:, 3:], self.local)


@dataclass(frozen=True)
class Known:
    """All pairs of a scene's solids: of bodies, of bodies' points and obstacles, of obstacles' points and bodies."""

    own: Pairs
    on_obstacles: Pairs
    of_obstacles: Pairs


def known_pairs(shapes: Solids, obstacles: Solids) -> Known:
    """What can be said of contacts before anything moves."""
    return Known(_pairs(shapes, shapes), _pairs(shapes, obstacles), _pairs(obstacles, shapes))


def pairs_by_place(shapes: Solids, obstacles: Solids, n_scenes: int) -> Known:
    """As `known_pairs` of scenes that have as many solids and obstacles each, without asking the device: every solid has a
    place for eight points, every pair of a point and a solid of its scene has one, and what there is of them is marked."""
    return Known(*(_places(a, b, n_scenes) for a, b in ((shapes, shapes), (shapes, obstacles), (obstacles, shapes))))


def find_contacts(
    scene: Scene, pose: Tensor, script: Script, reach: float, known: Known | None = None, room: Room | None = None
) -> Contacts:
    """All points of bodies within `reach` [m] of another solid of their scene; pose (P, 7).

    `known` are the scene's `known_pairs`, for who has them. In a room there are as many rows as it holds, the last ones empty,
    and the room must be asked afterwards whether it was exceeded.
    """
    shapes, obstacles = body_solids(scene, pose), obstacle_solids(scene, script)
    known = known_pairs(shapes, obstacles) if known is None else known
    fixed = room is not None
    own, on_obstacles, of_obstacles = (
        _against(a, b, pairs, reach, fixed)
        for a, b, pairs in (
            (shapes, shapes, known.own),
            (shapes, obstacles, known.on_obstacles),
            (obstacles, shapes, known.of_obstacles),
        )
    )
    sides = _with_sides(scene, shapes, known.own, script, reach, fixed)
    parts = [own, on_obstacles, _turned_round(of_obstacles), sides]
    found = Contacts(*(torch.cat([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(Contacts)))
    return found if room is None else _in_room(found, found.gap < reach, room)


def _in_room(found: Contacts, near: Tensor, room: Room) -> Contacts:
    """The rows that are near, and empty ones up to what the room holds."""
    number = near.sum()
    room.used.copy_(torch.maximum(room.used, torch.stack([number, torch.zeros_like(number)])))
    there = torch.arange(room.edges, device=near.device) < number
    return found.rows(first_rows(near, room.edges)).only(there)


def body_solids(scene: Scene, pose: Tensor) -> Solids:
    """The shapes of the bodies, for their poses (P, 7)."""
    still = torch.zeros_like(scene.shape_size)
    return Solids(
        scene.shape_body, shape_poses(scene, pose), still, scene.shape_kind, scene.shape_size, scene.shape_ptr
    )


def obstacle_solids(scene: Scene, script: Script) -> Solids:
    """The obstacles at frame 0 of the script, on their way to frame 1."""
    centre = script.obstacle_position[0]
    box = scene.obstacle_kind == Obstacle.BOX
    kind = torch.where(box, int(BodyShape.BOX), int(BodyShape.BALL))
    velocity = (script.obstacle_position[1] - centre) / scene.frame_interval
    # Upright: the quaternion (0, 0, 0, 1).
    pose = torch.cat([centre, torch.zeros_like(centre), torch.ones_like(centre[:, :1])], -1)
    return Solids(torch.full_like(kind, FIXED), pose, velocity, kind, scene.obstacle_size, scene.obstacle_ptr)


def _rounded_points(a: Solids) -> tuple[Tensor, Tensor, Tensor]:
    """Places for eight points of each solid in its frame [m] (n, 8, 3), how many there are (n, 1), and their radii [m] (n,)."""
    kind, size = a.kind.unsqueeze(-1), a.size
    corner = torch.arange(8, device=size.device)
    # From -1, -1, -1 to 1, 1, 1, the last axis first.
    sign = torch.stack([corner // 4, corner // 2 % 2, corner % 2], -1).to(size.dtype) * 2 - 1
    # Points 0, 1 and 2 of a capsule are its middle and its ends; point 0 of a ball its centre.
    up = (corner == 1).to(size.dtype) - (corner == 2).to(size.dtype)
    axis = torch.stack([torch.zeros_like(up), torch.zeros_like(up), up], -1)
    straight = torch.where(kind == BodyShape.CAPSULE, size[:, 1:2], 0.0)
    local = torch.where((kind == BodyShape.BOX).unsqueeze(-1), sign * size.unsqueeze(1), axis * straight.unsqueeze(-1))
    number = torch.where(kind == BodyShape.BOX, 8, torch.where(kind == BodyShape.CAPSULE, 3, 1))
    number = torch.where(kind == ABSENT, 0, number)
    return local, number, torch.where(a.kind == BodyShape.BOX, 0.0, size[:, 0])


def _pairs(a: Solids, b: Solids) -> Pairs:
    """The points of a and the solids of b, in every scene; of a with itself each contact once."""
    local, number, radius = _rounded_points(a)
    owner, corner = torch.nonzero(torch.arange(8, device=number.device) < number).unbind(-1)
    point, shape = all_pairs(torch.searchsorted(owner, a.ptr), b.ptr)
    if a is b:
        once = _each_once(a, owner[point], shape)
        point, shape = point[once], shape[once]
    mine = owner[point]
    flat = torch.nonzero((a.kind[mine] == BodyShape.BOX) & (b.kind[shape] == BodyShape.BOX)).flatten()
    # Two solids are numbered through the scenes: the first solid's pairs begin where those of the solids before it end.
    home = group_of_row(a.ptr)
    start = pointer(counts(b.ptr)[home])
    boxes = (start[:-1] - b.ptr[home])[mine[flat]] + shape[flat]
    return Pairs(owner, local[owner, corner], radius[owner], point, shape, flat, boxes, int(start[-1]))


def _places(a: Solids, b: Solids, n_scenes: int) -> Pairs:
    """As `_pairs`, for `pairs_by_place`."""
    local, number, radius = _rounded_points(a)
    n, device = len(a.kind), a.kind.device
    per_scene = len(b.kind) // n_scenes
    slot, row = torch.arange(8 * n, device=device), torch.arange(8 * n * per_scene, device=device)
    owner, point = slot // 8, torch.div(row, max(per_scene, 1), rounding_mode="floor")
    mine, other = owner[point], row % max(per_scene, 1)
    shape = torch.div(mine * n_scenes, max(n, 1), rounding_mode="floor") * per_scene + other
    exists = slot % 8 < number[owner, 0]
    there = exists[point] & (b.kind[shape] != ABSENT)
    if a is b:
        there = there & _each_once(a, mine, shape)
    of_boxes = (a.kind[mine] == BodyShape.BOX) & (b.kind[shape] == BodyShape.BOX)
    boxes = mine * per_scene + other
    return Pairs(
        owner, local.flatten(0, 1), radius[owner], point, shape, row, boxes, n * per_scene, (exists, there, of_boxes)
    )


def _against(a: Solids, b: Solids, pairs: Pairs, reach: float, fixed: bool) -> Contacts:
    """The points of a against the faces of b; the normals lead from b to a. Pairs that are too far apart to be within reach are
    left out before the exact distance is asked for; if `fixed`, their gap is infinite."""
    apart = torch.linalg.vector_norm(a.pose[pairs.owner[pairs.point], :3] - b.pose[pairs.shape, :3], dim=-1)
    around_a, around_b = (torch.linalg.vector_norm(x.size, dim=-1) for x in (a, b))
    close = apart < around_a[pairs.owner[pairs.point]] + around_b[pairs.shape] + reach
    if pairs.there is not None:
        close = close & pairs.there[1]
    if not fixed:
        pairs = pairs.rows(close)
    point, shape, flat = pairs.point, pairs.shape, pairs.flat
    points, mine = pairs.places(a), pairs.owner[point]
    distance, normal = distance_to_shape(points[point], b.pose[shape], b.kind[shape], b.size[shape])
    gap = distance - pairs.radius[point]
    where = points[point] - pairs.radius[point].unsqueeze(-1) * normal
    facing = _on_one_face(points[point[flat]], a, mine[flat], b, shape[flat], pairs.boxes, pairs.n_boxes)
    if pairs.there is None:
        gap[flat], normal[flat], where[flat] = facing
    else:
        of_boxes = pairs.there[2]
        gap = torch.where(of_boxes, facing[0], gap)
        normal, where = (torch.where(of_boxes[:, None], x, y) for x, y in zip(facing[1:], (normal, where), strict=True))
    if fixed:
        gap = torch.where(close, gap, torch.inf)
    found = Contacts(a.body[mine], b.body[shape], gap, normal, where, a.velocity[mine] + b.velocity[shape])
    return found if fixed else found.rows(gap < reach)


def _on_one_face(
    points: Tensor, a: Solids, mine: Tensor, b: Solids, shape: Tensor, boxes: Tensor, n_boxes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Corners (n, 3) of boxes against the one face of another box that keeps the two apart best: gap, normal and place.

    By the nearest face of each corner alone, a corner a little inside would be pushed out sideways. A corner that is not over the
    face slides in along its own box's face until it is, which gives the corners of the overlap of two faces that lie on each
    other; where no face of its box looks at the other's, it is infinitely far. `boxes` (n,) numbers the pairs of boxes.
    """
    turn, size = b.pose[shape, 3:], b.size[shape]
    offset = rotate(conjugate(turn), points - b.pose[shape, :3])
    over = torch.stack([offset - size, -offset - size], -1).flatten(1)
    lowest = over.new_full((n_boxes, 6), torch.inf).scatter_reduce(0, boxes.unsqueeze(1).expand_as(over), over, "amin")
    face = lowest.argmax(-1)[boxes]
    axis, sign = face // 2, (1.0 - 2.0 * (face % 2)).to(points.dtype).unsqueeze(-1)
    unit = torch.eye(3, dtype=points.dtype, device=points.device)[axis]
    slide = (offset.clamp(-size, size) - offset) * (1 - unit)
    # The face of the corner's own box that looks most against the normal, in the other's frame.
    faces = torch.stack([_axis(a.pose[mine, 3:], turn, k) for k in range(3)], 1)
    toward = (faces * (unit * sign).unsqueeze(1)).sum(-1)
    chosen = toward.abs().argmax(-1, keepdim=True)
    slope = toward.gather(1, chosen).squeeze(1)
    own = faces.gather(1, chosen.unsqueeze(-1).expand(-1, 1, 3)).squeeze(1)
    climb = -(slide * own).sum(-1) / slope
    gap = over.gather(1, face.unsqueeze(1)).squeeze(1) + climb
    overhang = torch.linalg.vector_norm(slide, dim=-1)
    gap = torch.where((overhang > 0) & (slope.abs() < FACING), torch.inf, gap)
    where = offset + slide + unit * sign * climb.unsqueeze(-1)
    return gap, rotate(turn, unit * sign), b.pose[shape, :3] + rotate(turn, where)


def _axis(turn: Tensor, frame: Tensor, k: int) -> Tensor:
    """Axis k of boxes turned by quaternions (n, 4), seen from frames turned by others (n, 4)."""
    axis = torch.eye(3, dtype=turn.dtype, device=turn.device)[k].expand(len(turn), 3)
    return rotate(conjugate(frame), rotate(turn, axis))


def _each_once(solids: Solids, mine: Tensor, other: Tensor) -> Tensor:
    """True for pairs of solids of two bodies by which each of their contacts is told once.

    Rounded solids against boxes, corners of boxes against boxes and capsules, the first of two rounded solids against the second.
    """
    box, capsule = solids.kind == BodyShape.BOX, solids.kind == BodyShape.CAPSULE
    of_box = box[other] | capsule[other]
    of_round = box[other] | (mine < other)
    return torch.where(box[mine], of_box, of_round) & (solids.body[mine] != solids.body[other])


def _turned_round(found: Contacts) -> Contacts:
    """Points of a fixed solid against bodies, told from the bodies' side."""
    return dataclasses.replace(found, body=found.partner, partner=found.body, normal=-found.normal)


def _with_sides(scene: Scene, shapes: Solids, pairs: Pairs, script: Script, reach: float, fixed: bool) -> Contacts:
    """The points of all shapes against the solid sides of their box; if `fixed`, infinitely far from all others."""
    points = pairs.places(shapes)
    home = scene.body_scene[shapes.body[pairs.owner]]
    corners = (scene.bounds + script.box_offset[0].unsqueeze(1))[home]
    distance = torch.stack([points - corners[:, 0], corners[:, 1] - points], -1) - pairs.radius[:, None, None]
    near = (distance < reach) & scene.solid[home]
    if pairs.there is not None:
        near = near & pairs.there[0][:, None, None]
    if fixed:
        row = torch.arange(near.numel(), device=near.device)
        point, axis, upper = row // 6, row // 2 % 3, row % 2
        gap = torch.where(near, distance, torch.inf).flatten()
    else:
        point, axis, upper = torch.nonzero(near).unbind(-1)
        gap = distance[near]
    eye = torch.eye(3, dtype=points.dtype, device=points.device)
    normal = eye[axis] * (1 - 2 * upper).unsqueeze(-1)
    velocity = ((script.box_offset[1] - script.box_offset[0]) / scene.frame_interval)[home[point]]
    body = shapes.body[pairs.owner[point]]
    where = points[point] - pairs.radius[point].unsqueeze(-1) * normal
    return Contacts(body, torch.full_like(body, FIXED), gap, normal, where, velocity)
