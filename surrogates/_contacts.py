"""Where rigid bodies touch, or soon may: nearest points between each body and all else that is solid.

What a body can meet is numbered as its partner: bodies 0 … P-1, then obstacles, then the six sides of each scene's box. The
nearest points come from rounded points, the centre of a ball, the ends and the middle of a capsule, the corners of a box, whose
distance to the other solid is exact: so are the contacts of balls with all, of capsule ends and of box corners. Two boxes that
cross at their edges are found too late, by the depth of their corners alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import BodyShape, Obstacle, Scene, Script
from ..contracts._ragged import all_pairs, group_of_row
from ..contracts.bodies import distance_to_shape, shape_poses
from ..contracts.rotation import rotate

CORNERS = tuple((i, j, k) for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0))
FAR = 1e6
"""Distance of what is not there [m]."""


@dataclass(frozen=True)
class Solids:
    """Convex solids in the world: those of bodies, or the obstacles."""

    partner: Tensor
    """Whose they are, (n,)."""
    pose: Tensor
    """(n, 7)."""
    kind: Tensor
    """`BodyShape`, (n,)."""
    size: Tensor
    """(n, 3)."""
    ptr: Tensor
    """Cuts them into scenes, (B+1,)."""

    def rounded_points(self) -> tuple[Tensor, Tensor]:
        """Points (n, 8, 3) and radii (n, 8) [m] whose balls fill the solid to its corners; radius -FAR: none there."""
        zero = torch.zeros_like(self.size[:, 0])
        ends = torch.stack([zero, zero, self.size[:, 1]], -1).unsqueeze(1) * _column([1, -1, 0, 0, 0, 0, 0, 0], zero)
        corners = torch.tensor(CORNERS, dtype=zero.dtype, device=zero.device) * self.size.unsqueeze(1)
        box, capsule = (self.kind == k for k in (BodyShape.BOX, BodyShape.CAPSULE))
        local = torch.where(box[:, None, None], corners, torch.where(capsule[:, None, None], ends, 0.0))
        exists = torch.where(box, 8, torch.where(capsule, 3, 1))
        there = torch.arange(8, device=zero.device) < exists.unsqueeze(-1)
        radius = torch.where(there, torch.where(box, 0.0, self.size[:, 0]).unsqueeze(-1), -FAR)
        turned = rotate(self.pose[:, None, 3:].expand(-1, 8, -1), local)
        return self.pose[:, None, :3] + turned, radius


def _column(values: list[int], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(-1)


def body_solids(scene: Scene, pose: Tensor) -> Solids:
    """The shapes of the bodies, for their poses (P, 7)."""
    return Solids(scene.shape_body, shape_poses(scene, pose), scene.shape_kind, scene.shape_size, scene.shape_ptr)


def obstacle_solids(scene: Scene, script: Script) -> Solids:
    """The obstacles at frame 0 of the script."""
    centre = script.obstacle_position[0]
    upright = torch.zeros_like(centre[:, :1]).expand(-1, 4) + torch.tensor([0.0, 0, 0, 1], device=centre.device)
    box = scene.obstacle_kind == Obstacle.BOX
    kind = torch.where(box, int(BodyShape.BOX), int(BodyShape.BALL))
    number = int(scene.body_ptr[-1]) + torch.arange(len(kind), device=kind.device)
    return Solids(number, torch.cat([centre, upright], -1), kind, scene.obstacle_size, scene.obstacle_ptr)


@dataclass(frozen=True)
class Contacts:
    """One row for each body and each partner near it."""

    body: Tensor
    """(C,)."""
    partner: Tensor
    """(C,)."""
    gap: Tensor
    """Distance of the two surfaces [m], negative inside, (C,)."""
    normal: Tensor
    """Unit normal from the partner to the body, (C, 3)."""
    point: Tensor
    """Where they are nearest [m], (C, 3)."""

    def rows(self, chosen: Tensor) -> Contacts:
        """Some of the rows."""
        return Contacts(*(getattr(self, n)[chosen] for n in ("body", "partner", "gap", "normal", "point")))


def find_contacts(scene: Scene, pose: Tensor, script: Script, reach: float) -> Contacts:
    """The nearest points of every body to every partner of its scene within `reach` [m]; pose (P, 7)."""
    shapes, obstacles = body_solids(scene, pose), obstacle_solids(scene, script)
    parts = [_between(shapes, shapes), _between(shapes, obstacles), _with_sides(scene, shapes, script)]
    joined = Contacts(
        *(torch.cat([getattr(p, n) for p in parts]) for n in ("body", "partner", "gap", "normal", "point"))
    )
    near = (joined.gap < reach) & (joined.body != joined.partner)
    return _nearest_each(joined.rows(near), n_partners(scene))


def n_partners(scene: Scene) -> int:
    """Number of bodies, obstacles and sides of all scenes."""
    return int(scene.body_ptr[-1]) + int(scene.obstacle_ptr[-1]) + 2 * scene.dim * scene.n_scenes


def _between(a: Solids, b: Solids) -> Contacts:
    """Every solid of a with every one of b in its scene, by the points of either against the faces of the other."""
    first, second = all_pairs(a.ptr, b.ptr)
    gap, normal, point = _points_against(a, first, b, second)
    gap_back, normal_back, point_back = _points_against(b, second, a, first)
    back = gap_back < gap
    return Contacts(
        a.partner[first],
        b.partner[second],
        torch.where(back, gap_back, gap),
        torch.where(back.unsqueeze(-1), -normal_back, normal),
        torch.where(back.unsqueeze(-1), point_back, point),
    )


def _points_against(a: Solids, first: Tensor, b: Solids, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Smallest gap of the rounded points of solids a to solids b, pair by pair, the normal out of b, and where."""
    points, radius = (x[first] for x in a.rounded_points())
    each = second.repeat_interleave(8)
    distance, normal = distance_to_shape(points.flatten(0, 1), b.pose[each], b.kind[each], b.size[each])
    gap = distance.view(-1, 8) - radius
    best = gap.argmin(-1, keepdim=True)
    normal = _pick(normal.view(-1, 8, 3), best)
    return gap.gather(1, best).squeeze(1), normal, _pick(points, best) - radius.gather(1, best) * normal


def _pick(rows: Tensor, best: Tensor) -> Tensor:
    return rows.gather(1, best.unsqueeze(-1).expand(-1, -1, 3)).squeeze(1)


def _with_sides(scene: Scene, shapes: Solids, script: Script) -> Contacts:
    """Every shape with the six sides of its box; those that are not solid are far."""
    owner = group_of_row(shapes.ptr)
    corners = scene.bounds + script.box_offset[0].unsqueeze(1)
    points, radius = shapes.rounded_points()
    lower, upper = (corners[owner, k].unsqueeze(1) for k in (0, 1))
    distance = torch.stack([points - lower, upper - points], -1) - radius[..., None, None]
    gap, best = distance.flatten(2).min(1)
    gap = torch.where(scene.solid[owner].flatten(1), gap, FAR)
    sides = torch.arange(6, device=owner.device)
    eye = torch.eye(3, dtype=points.dtype, device=owner.device)
    inward = torch.stack([eye, -eye], 1).flatten(0, 1)
    normal = inward.expand(len(owner), -1, -1)
    touching = points.gather(1, best.unsqueeze(-1).expand(-1, -1, 3)) - radius.gather(1, best).unsqueeze(-1) * normal
    first_side = int(scene.body_ptr[-1]) + int(scene.obstacle_ptr[-1])
    partner = first_side + 6 * owner.unsqueeze(1) + sides
    return Contacts(
        shapes.partner.repeat_interleave(6),
        partner.flatten(),
        gap.flatten(),
        normal.flatten(0, 1),
        touching.flatten(0, 1),
    )


def _nearest_each(contacts: Contacts, n: int) -> Contacts:
    """Of the shapes of one body and one partner, the pair that is nearest."""
    key = contacts.body * n + contacts.partner
    order = torch.argsort(contacts.gap, stable=True)
    order = order[torch.argsort(key[order], stable=True)]
    ordered = key[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return contacts.rows(order[first])
