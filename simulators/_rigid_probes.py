"""What rigid films are compared on whatever made them: poses, invariants, and events told from poses and twists alone.

A film that holds positions and no poses (a learner that knows no bodies) is read through the poses and twists that fit its
nodes best, so that every contestant is asked the same questions.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from ..contracts._ragged import all_pairs, group_of_row, group_sum
from ..contracts.bodies import distance_to_shape, shape_poses
from ..contracts.errors import MisuseError
from ..contracts.rotation import conjugate, fitted_pose, multiply, rotate
from ..contracts.scene import BodyShape, Obstacle, Scene
from ..contracts.trajectory import Trajectory
from ._rigid_bodies import mass_properties, node_points, rounded_points

SLOTS = 24
"""Bodies that a scene's observable is made of; a scene with fewer counts them several times, one with more leaves some out."""
TOUCH = 0.005
"""Distance [m] at which solids touch."""
SLIP_SPEED = 0.1
"""[m/s]"""
TIP_ANGLE = math.radians(45)
FALL_HEIGHT = 0.1
"""[m]"""


def with_poses(film: Trajectory) -> Trajectory:
    """The film itself, or with the poses and twists that fit its nodes best."""
    if film.pose is not None and film.twist is not None:
        return film
    pose = (
        film.pose
        if film.pose is not None
        else fitted_pose(_local(film), film.position, film.scene.mass, film.scene.body_id)
    )
    return dataclasses.replace(film, pose=pose, twist=_fitted_twist(film, pose))


def _local(film: Trajectory) -> Tensor:
    """The nodes in their bodies' frames, as the scene builder placed them [m], shape (N, 3)."""
    scene = film.scene
    parts = []
    for p in range(int(scene.body_ptr[-1])):
        own = scene.shape_body == p
        parts.append(node_points(scene.shape_kind[own], scene.shape_size[own], scene.shape_pose[own]))
    local = torch.cat(parts) if parts else scene.rest_position[:0]
    if local.shape == scene.rest_position.shape:
        pose = fitted_pose(local, scene.rest_position, scene.mass, scene.body_id)[scene.body_id]
        off = (pose[:, :3] + rotate(pose[:, 3:], local) - scene.rest_position).norm(dim=-1).max()
        if float(off) < 1e-3:
            return local
    raise MisuseError("the film has no poses, and its nodes are not those that the rigid domain places; give poses")


def _fitted_twist(film: Trajectory, pose: Tensor) -> Tensor:
    """Velocities of the bodies whose motion is nearest to the nodes' velocities, (T, P, 6)."""
    scene, body = film.scene, film.scene.body_id
    arm = (film.position - pose[:, body, :3]).double()
    weight = scene.mass.double().unsqueeze(-1)

    def total(rows: Tensor) -> Tensor:
        return rows.new_zeros((rows.shape[0], pose.shape[1], rows.shape[2])).index_add_(1, body, rows)

    share = total(weight.expand(film.n_frames, -1, 1))
    centre, mean = total(arm * weight) / share, total(film.velocity * weight) / share
    r, v = arm - centre[:, body], film.velocity - mean[:, body]
    momentum = total(torch.linalg.cross(r, v) * weight)
    outer = (r.square().sum(-1, keepdim=True).unsqueeze(-1) * torch.eye(3, dtype=r.dtype, device=r.device)) - r[
        ..., :, None
    ] * r[..., None, :]
    inertia = total(outer.flatten(-2) * weight).reshape(*pose.shape[:2], 3, 3)
    spin = (torch.linalg.pinv(inertia.nan_to_num(), hermitian=True) @ momentum.unsqueeze(-1)).squeeze(-1)
    spin = spin.masked_fill(~torch.isfinite(momentum).all(-1, keepdim=True), torch.nan)
    return torch.cat([mean - torch.linalg.cross(spin, centre), spin], -1).to(film.velocity.dtype)


def invariants(film: Trajectory) -> dict[str, Tensor]:
    """Mechanical energy [J], which only a pusher may raise, and height of the centre of mass [m], each (T, B), float64."""
    known = with_poses(film)
    assert known.pose is not None
    assert known.twist is not None
    scene = film.scene
    mass, inertia = mass_properties(scene)
    pose, twist = known.pose.double(), known.twist.double()
    spin = rotate(conjugate(pose[..., 3:]), twist[..., 3:])
    turning = 0.5 * (spin.unsqueeze(-2) @ inertia @ spin.unsqueeze(-1)).squeeze(-1).squeeze(-1)
    height = -(pose[..., :3] * scene.gravity.double()[scene.body_scene]).sum(-1)
    energy = 0.5 * mass * twist[..., :3].square().sum(-1) + turning + mass * height
    total = group_sum(mass, scene.body_ptr)
    return {
        "mechanical energy [J]": group_sum(energy, scene.body_ptr),
        "height of the centre of mass [m]": group_sum(mass * pose[..., 2], scene.body_ptr) / total,
    }


def body_poses(film: Trajectory) -> Tensor:
    """Four points fixed in each body, the corners of a regular tetrahedron about its centre of mass [m], (T, B, 12 SLOTS).

    Their distance to the centre is the body's radius of gyration, so that their RMS error weighs a turn as the body's own
    mass points would. Slot k holds body ⌊k n / SLOTS⌋ of the scene's n.
    """
    known = with_poses(film)
    assert known.pose is not None
    scene, pose = film.scene, known.pose.double()
    mass, inertia = mass_properties(scene)
    radius = (0.5 * inertia.diagonal(dim1=-2, dim2=-1).sum(-1) / mass).sqrt()
    number = scene.body_ptr.diff()
    slot = torch.arange(SLOTS, device=film.device)
    body = (scene.body_ptr[:-1, None] + slot * number[:, None] // SLOTS).flatten()
    corners = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64, device=film.device)
    arm = corners / math.sqrt(3) * radius[body, None, None]
    held = pose[:, body, None, :].expand(-1, -1, 4, -1)
    points = held[..., :3] + rotate(held[..., 3:], arm.expand(film.n_frames, -1, -1, -1))
    return points.reshape(film.n_frames, scene.n_scenes, -1)


def events(film: Trajectory) -> dict[str, Tensor]:
    """Labels from the states alone, each (T, B), bool; a frame that is not finite has none.

    "slips": a body that touches the floor moves over it at more than SLIP_SPEED where it is lowest. "tips": a body that is no
    ball leans more than TIP_ANGLE from where it stood in the first frame. "falls": a centre of mass is more than FALL_HEIGHT
    below the first frame's. "first contact": a body has touched another, or a pusher, that it did not touch in the first frame.
    """
    known = with_poses(film)
    assert known.pose is not None
    assert known.twist is not None
    scene, owner = film.scene, film.scene.body_scene
    fine = _finite(known)
    pose, twist = (x.nan_to_num().to(scene.shape_pose) for x in (known.pose, known.twist))
    upright = torch.tensor([0.0, 0.0, 1.0], device=film.device, dtype=pose.dtype)
    turn = multiply(pose[..., 3:], conjugate(pose[:1, :, 3:]).expand_as(pose[..., 3:]))
    lean = torch.acos(rotate(turn, upright.expand_as(turn[..., :3]))[..., 2].clamp(-1, 1))
    low = pose[:1, :, 2] - pose[..., 2] > FALL_HEIGHT
    by_body = {"slips": _slips(scene, pose, twist), "tips": (lean > TIP_ANGLE) & ~_round(scene), "falls": low}
    out = {name: _any(label, owner, scene.n_scenes) & fine for name, label in by_body.items()}
    out["first contact"] = (_meetings(known, pose) & fine).cumsum(0).bool() & fine
    return out


def _finite(film: Trajectory) -> Tensor:
    """True for the frames of each scene in which every body and node is finite, (T, B)."""
    assert film.pose is not None
    bad = _any(~torch.isfinite(film.position).all(-1), film.scene.node_scene, film.scene.n_scenes)
    return ~(bad | _any(~torch.isfinite(film.pose).all(-1), film.scene.body_scene, film.scene.n_scenes))


def _any(label: Tensor, owner: Tensor, n: int) -> Tensor:
    """Whether any row of each group is true: (T, rows) → (T, n)."""
    count = torch.zeros((label.shape[0], n), dtype=torch.int64, device=label.device)
    return count.index_add_(1, owner, label.to(torch.int64)) > 0


def _round(scene: Scene) -> Tensor:
    """True for bodies that are one ball, (P,)."""
    n = int(scene.body_ptr[-1])
    other = torch.bincount(scene.shape_body[scene.shape_kind != BodyShape.BALL], minlength=n)
    return (torch.bincount(scene.shape_body, minlength=n) == 1) & (other == 0)


def _slips(scene: Scene, pose: Tensor, twist: Tensor) -> Tensor:
    """Whether each body touches the floor and its lowest point moves along it, (T, P)."""
    point, radius = rounded_points(scene.shape_kind, scene.shape_size)
    place = shape_poses(scene, pose).unsqueeze(-2)
    world = place[..., :3] + rotate(
        place[..., 3:].expand(*place.shape[:-2], point.shape[1], 4), point.expand(*place.shape[:-2], -1, -1)
    )
    down = world[..., 2] - radius
    low, which = down.min(-1)
    lowest = world.gather(-2, which[..., None, None].expand(*which.shape, 1, 3)).squeeze(-2)
    lowest = torch.cat([lowest[..., :2], low.unsqueeze(-1)], -1)
    motion = twist[:, scene.shape_body]
    speed = motion[..., :3] + torch.linalg.cross(motion[..., 3:], lowest - pose[:, scene.shape_body, :3])
    floor = scene.solid[:, 2, 0][group_of_row(scene.shape_ptr)]
    near = low - scene.bounds[:, 0, 2][group_of_row(scene.shape_ptr)] < TOUCH
    slips = near & floor & (speed[..., :2].norm(dim=-1) > SLIP_SPEED)
    return _any(slips, scene.shape_body, pose.shape[1])


def _meetings(film: Trajectory, pose: Tensor) -> Tensor:
    """Whether solids of two bodies, or of a body and a pusher, that did not touch in the first frame touch now, (T, B)."""
    scene = film.scene
    kind, size, place, owner, ptr = _all_solids(film, pose)
    a, b = all_pairs(ptr, ptr)
    keep = (owner[a] < owner[b]) & (owner[a] >= 0)
    a, b = a[keep], b[keep]
    touch = torch.zeros((pose.shape[0], a.numel()), dtype=torch.bool, device=pose.device)
    size_of = torch.where(
        kind == BodyShape.BOX, size.norm(dim=-1), size[:, 0] + torch.where(kind == BodyShape.CAPSULE, size[:, 1], 0.0)
    )
    near = (place[:, a, :3] - place[:, b, :3]).norm(dim=-1) < size_of[a] + size_of[b] + TOUCH
    t, pair = near.nonzero(as_tuple=True)
    i, j = a[pair], b[pair]
    one = _gap(kind[i], size[i], place[t, i], kind[j], size[j], place[t, j])
    other = _gap(kind[j], size[j], place[t, j], kind[i], size[i], place[t, i])
    touch[t, pair] = torch.minimum(one, other) < TOUCH
    # Two bodies may touch by several solids: what counts is the pair of bodies.
    couple, of_pair = torch.unique(torch.stack([owner[a], owner[b]], -1), dim=0, return_inverse=True)
    met = _any(touch, of_pair, couple.shape[0]) if couple.numel() else touch.new_zeros((pose.shape[0], 0))
    new = met & ~met[:1]
    return _any(new, scene.body_scene[couple[:, 0]], scene.n_scenes)


def _all_solids(film: Trajectory, pose: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Kinds, sizes, poses (T, n, 7), owners and pointer of the bodies' solids and the pushers, scene by scene.

    A pusher's owner is numbered behind all bodies.
    """
    scene, n_frames = film.scene, film.n_frames
    centre = scene.script.obstacle_position[:n_frames].to(pose.dtype)
    upright = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=pose.dtype, device=pose.device).expand(*centre.shape[:-1], 4)
    box = scene.obstacle_kind == Obstacle.BOX
    kind = torch.cat([scene.shape_kind, torch.where(box, int(BodyShape.BOX), int(BodyShape.BALL))])
    size = torch.cat([scene.shape_size, scene.obstacle_size])
    place = torch.cat([shape_poses(scene, pose), torch.cat([centre, upright], -1)], 1)
    behind = int(scene.body_ptr[-1]) + torch.arange(scene.obstacle_kind.numel(), device=pose.device)
    owner = torch.cat([scene.shape_body, behind])
    of_scene = torch.cat([group_of_row(scene.shape_ptr), group_of_row(scene.obstacle_ptr)])
    order = torch.argsort(of_scene, stable=True)
    ptr = scene.shape_ptr + scene.obstacle_ptr
    return kind[order], size[order], place[:, order], owner[order], ptr


def _gap(
    kind: Tensor, size: Tensor, pose: Tensor, other_kind: Tensor, other_size: Tensor, other_pose: Tensor
) -> Tensor:
    """Least distance [m] of the first solids' rounded points from the second solids, row by row (n,)."""
    point, radius = rounded_points(kind, size)
    world = pose[:, None, :3] + rotate(pose[:, None, 3:].expand(-1, point.shape[1], 4), point)
    each = torch.arange(kind.numel(), device=kind.device).repeat_interleave(point.shape[1])
    distance, _ = distance_to_shape(world.flatten(0, 1), other_pose[each], other_kind[each], other_size[each])
    least: Tensor = (distance.view(-1, point.shape[1]) - radius).amin(-1)
    return least
