"""Whether a model computes: it is shown a state that no file holds, and asked the first one again.

A stored start is moved rigidly along the first axis, with all that is driven and all obstacles, by a small way for which its box
has room (where matter reaches from wall to wall the box moves too), and its motion is slowed: with the last frame seen at t₀,

    x'(t) = x(t₀) + s (x(t) - x(t₀)) + δ,   v'(t) = s v(t)        s = 0.8

bodies turn s of their way, and carry their nodes. Then, scene by scene,

1. the answer must change with the state: by at least a tenth of |δ| in its first frame and a hundredth in its last (root mean
   square over free nodes). Whatever moves matter on from where it is passes by far, even if it forgets velocities; a film that was
   looked up does not.
2. the first state, asked again after the other, must give the first answer bit for bit: nothing is kept between calls.

What this cannot catch: a model that looks up the nearest stored film and *corrects* it, by the offset of the past say; one that
looks up the states it holds and computes all others; one that knows when it is being checked; an answer kept from an equal call,
which is right and only looks fast. Sealed rounds close the first three: their states are drawn from a seed that is known only after
all weights are, so that there is no stored film of them.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ...contracts import CheckFailed, Model, Trajectory
from ...contracts._ragged import group_mean, group_of_row
from ...contracts.check import own_copy
from ...contracts.rotation import carried, conjugate, exponential, local_points, multiply

SHIFT = 0.02
"""|δ| as a share of the box diagonal, where there is room."""
SLOWED = 0.8
"""The share s of its motion that is left."""
FIRST, LAST = 0.1, 0.01
"""Least response of the first and of the last frame, as a share of |δ|."""
ROOM = 1e-3
"""Less room than this share of the diagonal is none."""


def require_honest(model: Model, past: Trajectory, n_frames: int) -> None:
    """Raise CheckFailed when a model's answer does not change with its past, or changes with what it was asked before.

    past (T, N, D): the frames that models see, of one scene or several; its script covers `n_frames` more.
    """
    changed, shift = unseen(past)
    first = model.rollout(own_copy(past), n_frames)
    other = model.rollout(changed, n_frames)
    again = model.rollout(own_copy(past), n_frames)
    for frame, least, what in ((0, FIRST, "first"), (n_frames - 1, LAST, "last")):
        moved = _response(first, other, frame) / shift
        if bool((moved < least).any()):
            b = int(torch.nan_to_num(moved, nan=torch.inf).argmin())
            raise CheckFailed(
                f"{model.card.name} answers a state that no file holds as if it were the stored one: all positions of scene {b} "
                f"were moved by {float(shift[b]):.2g} m and its motion slowed to {SLOWED}, and the {what} frame of its answer "
                f"changed by {float(moved[b] * shift[b]):.2g} m (at least {least * float(shift[b]):.2g} m is asked)"
            )
    if not torch.equal(first.position.nan_to_num(), again.position.nan_to_num()):
        raise CheckFailed(
            f"{model.card.name} answers the same past differently after another one: it keeps something between calls"
        )


def _response(a: Trajectory, b: Trajectory, frame: int) -> Tensor:
    """Root mean square difference over the free nodes of each scene [m], (B,); NaN where one has diverged or none is free."""
    scene = a.scene
    apart = (b.position[frame] - a.position[frame]).square().sum(-1)
    free = scene.free.to(apart.dtype)
    return (group_mean(torch.where(scene.free, apart, 0.0), scene.scene_ptr) / group_mean(free, scene.scene_ptr)).sqrt()


def unseen(past: Trajectory) -> tuple[Trajectory, Tensor]:
    """A past moved and slowed as the module says, in memory of its own, and |δ| of each scene [m], (B,)."""
    film = _slowed(own_copy(past))
    by, with_box = _shift(film)
    scene, script = film.scene, film.scene.script
    node = by[scene.node_scene]
    moved_script = dataclasses.replace(
        script,
        obstacle_position=script.obstacle_position + by[group_of_row(scene.obstacle_ptr)],
        node_position=script.node_position + node[scene.driven_nodes],
    )
    moved_scene = dataclasses.replace(
        scene,
        rest_position=scene.rest_position + node,
        bounds=scene.bounds + torch.where(with_box.unsqueeze(-1), by, 0.0).unsqueeze(1),
        script=moved_script,
    )
    pose = film.pose
    if pose is not None:
        pose = torch.cat([pose[..., :3] + by[scene.body_scene], pose[..., 3:]], dim=-1)
    moved = dataclasses.replace(film, scene=moved_scene, position=film.position + node, pose=pose)
    return moved, torch.linalg.vector_norm(by, dim=-1)


def _shift(film: Trajectory) -> tuple[Tensor, Tensor]:
    """δ of each scene (B, D), and whether its box has to move with it (B,)."""
    scene = film.scene
    below, above = _room(film)
    most = SHIFT * scene.diagonal
    way = torch.minimum(torch.maximum(below, above) / 2, most)
    with_box = way < ROOM * scene.diagonal
    length = torch.where(with_box, most, torch.where(above >= below, way, -way))
    by = torch.zeros_like(scene.bounds[:, 0])
    by[:, 0] = length
    return by, with_box


def _room(film: Trajectory) -> tuple[Tensor, Tensor]:
    """How far what is in each scene may move down and up the first axis before it meets a solid side [m], each (B,)."""
    scene, script = film.scene, film.scene.script
    sides = scene.bounds[:, :, 0] + script.box_offset[: film.n_frames, :, :1]
    lower, upper = sides[..., 0].amax(0), sides[..., 1].amin(0)
    held = [(film.position, scene.node_scene), (script.node_position, scene.node_scene[scene.driven_nodes])]
    held.append((script.obstacle_position, group_of_row(scene.obstacle_ptr)))
    least, most = torch.full_like(lower, torch.inf), torch.full_like(lower, -torch.inf)
    for x, owner in held:
        if owner.numel():
            least = least.scatter_reduce(0, owner, x[..., 0].amin(0), "amin")
            most = most.scatter_reduce(0, owner, x[..., 0].amax(0), "amax")
    solid = scene.solid[:, 0]
    below, above = (least - lower).clamp(min=0), (upper - most).clamp(min=0)
    return torch.where(solid[:, 0], below, torch.inf), torch.where(solid[:, 1], above, torch.inf)


def _slowed(film: Trajectory) -> Trajectory:
    """The film with the share SLOWED of its motion up to its last frame; what is driven keeps to its script."""
    free = film.scene.free.unsqueeze(-1)
    last = film.position[-1]
    position = torch.where(free, last + SLOWED * (film.position - last), film.position)
    velocity = torch.where(free, SLOWED * film.velocity, film.velocity)
    slowed = dataclasses.replace(film, position=position, velocity=velocity)
    return slowed if film.pose is None or film.twist is None else _bodies_slowed(slowed, film.pose, film.twist)


def _bodies_slowed(film: Trajectory, pose: Tensor, twist: Tensor) -> Trajectory:
    """Bodies go and turn the share SLOWED of their way to where they are last, and their nodes with them."""
    centre, turn = pose[..., :3], pose[..., 3:]
    left = _share_of_turn(multiply(turn, conjugate(turn[-1:]).expand_as(turn)))
    slow_pose = torch.cat(
        [centre[-1] + SLOWED * (centre - centre[-1]), multiply(left, turn[-1:].expand_as(turn))], dim=-1
    )
    slow_twist = SLOWED * twist
    on_body = film.scene.body_id >= 0
    body = film.scene.body_id[on_body]
    local = local_points(film.position[-1, on_body], pose[-1], body)
    position, velocity = film.position.clone(), film.velocity.clone()
    position[:, on_body], velocity[:, on_body] = carried(
        local.expand(film.n_frames, -1, -1), slow_pose, slow_twist, body
    )
    return dataclasses.replace(film, position=position, velocity=velocity, pose=slow_pose, twist=slow_twist)


def _share_of_turn(turn: Tensor) -> Tensor:
    """The share SLOWED of rotations (..., 4), the short way round."""
    turn = torch.where(turn[..., 3:] < 0, -turn, turn)
    size = torch.linalg.vector_norm(turn[..., :3], dim=-1, keepdim=True)
    angle = 2 * torch.atan2(size, turn[..., 3:])
    return exponential(SLOWED * angle * turn[..., :3] / size.clamp(min=torch.finfo(turn.dtype).tiny))
