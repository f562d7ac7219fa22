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
from ..contracts._ragged import all_pairs, group_of_row
from ..contracts.bodies import distance_to_shape, shape_poses
from ..contracts.rotation import conjugate, rotate

CORNERS = tuple((i, j, k) for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0))
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


def find_contacts(scene: Scene, pose: Tensor, script: Script, reach: float) -> Contacts:
    """All points of bodies within `reach` [m] of another solid of their scene; pose (P, 7)."""
    shapes, obstacles = body_solids(scene, pose), obstacle_solids(scene, script)
    parts = [
        _against(shapes, shapes, reach),
        _against(shapes, obstacles, reach),
        _turned_round(_against(obstacles, shapes, reach)),
        _with_sides(scene, shapes, script, reach),
    ]
    return Contacts(*(torch.cat([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(Contacts)))


def body_solids(scene: Scene, pose: Tensor) -> Solids:
    """The shapes of the bodies, for their poses (P, 7)."""
    still = torch.zeros_like(scene.shape_size)
    return Solids(
        scene.shape_body, shape_poses(scene, pose), still, scene.shape_kind, scene.shape_size, scene.shape_ptr
    )


def obstacle_solids(scene: Scene, script: Script) -> Solids:
    """The obstacles at frame 0 of the script, on their way to frame 1."""
    centre = script.obstacle_position[0]
    upright = torch.tensor([0.0, 0, 0, 1], dtype=centre.dtype, device=centre.device).expand(len(centre), 4)
    box = scene.obstacle_kind == Obstacle.BOX
    kind = torch.where(box, int(BodyShape.BOX), int(BodyShape.BALL))
    velocity = (script.obstacle_position[1] - centre) / scene.frame_interval
    pose = torch.cat([centre, upright], -1)
    return Solids(torch.full_like(kind, FIXED), pose, velocity, kind, scene.obstacle_size, scene.obstacle_ptr)


def rounded_points(solids: Solids) -> tuple[Tensor, Tensor, Tensor]:
    """Points (n, 3) whose balls, of radii (n,) [m], lie within their solids and touch them inside; whose they are, (n,)."""
    kind, size = solids.kind.unsqueeze(-1), solids.size
    sign = torch.tensor(CORNERS, dtype=size.dtype, device=size.device)
    # Points 0, 1 and 2 of a capsule are its ends and its middle; point 0 of a ball its centre.
    up = torch.tensor([0.0, 1, -1, 0, 0, 0, 0, 0], dtype=size.dtype, device=size.device)
    axis = torch.stack([torch.zeros_like(up), torch.zeros_like(up), up], -1)
    straight = torch.where(kind == BodyShape.CAPSULE, size[:, 1:2], 0.0)
    local = torch.where((kind == BodyShape.BOX).unsqueeze(-1), sign * size.unsqueeze(1), axis * straight.unsqueeze(-1))
    number = torch.where(kind == BodyShape.BOX, 8, torch.where(kind == BodyShape.CAPSULE, 3, 1))
    which, point = torch.nonzero(torch.arange(8, device=size.device) < number).unbind(-1)
    pose = solids.pose[which]
    radius = torch.where(solids.kind == BodyShape.BOX, 0.0, size[:, 0])[which]
    return pose[:, :3] + rotate(pose[:, 3:], local[which, point]), radius, which


def _against(a: Solids, b: Solids, reach: float) -> Contacts:
    """The points of a against the faces of b, in every scene; the normals lead from b to a."""
    points, radius, which = rounded_points(a)
    point, shape = all_pairs(torch.searchsorted(which, a.ptr), b.ptr)
    keep = _each_once(a, which[point], shape) if a is b else torch.ones_like(point, dtype=torch.bool)
    # Far pairs go before the exact distance is asked for.
    apart = torch.linalg.vector_norm(a.pose[which[point], :3] - b.pose[shape, :3], dim=-1)
    around = (torch.linalg.vector_norm(x.size, dim=-1) for x in (a, b))
    keep &= apart < next(around)[which[point]] + next(around)[shape] + reach
    point, shape = point[keep], shape[keep]
    distance, normal = distance_to_shape(points[point], b.pose[shape], b.kind[shape], b.size[shape])
    gap, mine = distance - radius[point], which[point]
    where = points[point] - radius[point].unsqueeze(-1) * normal
    flat = torch.nonzero((a.kind[mine] == BodyShape.BOX) & (b.kind[shape] == BodyShape.BOX)).flatten()
    pair = mine[flat] * len(b.kind) + shape[flat]
    gap[flat], normal[flat], where[flat] = _on_one_face(points[point[flat]], a, mine[flat], b, shape[flat], pair)
    found = Contacts(a.body[mine], b.body[shape], gap, normal, where, a.velocity[mine] + b.velocity[shape])
    return found.rows(gap < reach)


def _on_one_face(
    points: Tensor, a: Solids, mine: Tensor, b: Solids, shape: Tensor, pair: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Corners (n, 3) of boxes against the one face of another box that keeps the two apart best: gap, normal and place.

    By the nearest face of each corner alone, a corner a little inside would be pushed out sideways. A corner that is not over the
    face slides in along its own box's face until it is, which gives the corners of the overlap of two faces that lie on each
    other; where no face of its box looks at the other's, it is infinitely far. `pair` (n,) numbers the pairs of boxes.
    """
    turn, size = b.pose[shape, 3:], b.size[shape]
    offset = rotate(conjugate(turn), points - b.pose[shape, :3])
    over = torch.stack([offset - size, -offset - size], -1).flatten(1)
    _, group = torch.unique(pair, return_inverse=True)
    number = int(group.max()) + 1 if len(group) else 0
    lowest = over.new_full((number, 6), torch.inf).scatter_reduce(0, group.unsqueeze(1).expand_as(over), over, "amin")
    face = lowest.argmax(-1)[group]
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


def _with_sides(scene: Scene, shapes: Solids, script: Script, reach: float) -> Contacts:
    """The points of all shapes against the solid sides of their box."""
    points, radius, which = rounded_points(shapes)
    owner = group_of_row(shapes.ptr)[which]
    corners = (scene.bounds + script.box_offset[0].unsqueeze(1))[owner]
    distance = torch.stack([points - corners[:, 0], corners[:, 1] - points], -1) - radius[:, None, None]
    near = (distance < reach) & scene.solid[owner]
    point, axis, upper = torch.nonzero(near).unbind(-1)
    eye = torch.eye(3, dtype=points.dtype, device=points.device)
    normal = eye[axis] * (1 - 2 * upper).unsqueeze(-1)
    velocity = ((script.box_offset[1] - script.box_offset[0]) / scene.frame_interval)[owner[point]]
    body = shapes.body[which[point]]
    where = points[point] - radius[point].unsqueeze(-1) * normal
    return Contacts(body, torch.full_like(body, FIXED), distance[near], normal, where, velocity)
