"""Quaternions xyzw and the motion of rigid bodies: what every file that turns a body shares.

A pose is (x, y, z, qx, qy, qz, qw): the centre of mass [m] and the rotation from the body's frame to the world's. A twist is the
velocity of the centre of mass [m/s] and the angular velocity in the world frame [rad/s].
"""

from __future__ import annotations

import torch
from torch import Tensor


def exponential(angle: Tensor) -> Tensor:
    """Unit quaternions (..., 4) of rotation vectors (..., 3) [rad]."""
    size = torch.linalg.vector_norm(angle, dim=-1, keepdim=True)
    # sin(a/2)/a through sinc, which has no division by a zero angle.
    return torch.cat([angle * 0.5 * torch.sinc(size / (2 * torch.pi)), torch.cos(size / 2)], dim=-1)


def rotate(q: Tensor, x: Tensor) -> Tensor:
    """Rotate vectors (..., 3) by unit quaternions (..., 4)."""
    twice = 2 * torch.linalg.cross(q[..., :3], x)
    turned: Tensor = x + q[..., 3:] * twice + torch.linalg.cross(q[..., :3], twice)
    return turned


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Product of quaternions (..., 4): first b, then a."""
    vector = a[..., 3:] * b[..., :3] + b[..., 3:] * a[..., :3] + torch.linalg.cross(a[..., :3], b[..., :3])
    return torch.cat([vector, a[..., 3:] * b[..., 3:] - (a[..., :3] * b[..., :3]).sum(-1, keepdim=True)], dim=-1)


def conjugate(q: Tensor) -> Tensor:
    """The inverse rotation of unit quaternions (..., 4)."""
    return torch.cat([-q[..., :3], q[..., 3:]], dim=-1)


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """The smallest angle [rad], 0 to π, that turns one orientation (..., 4) into another."""
    turn = multiply(conjugate(a), b)
    return 2 * torch.atan2(torch.linalg.vector_norm(turn[..., :3], dim=-1), turn[..., 3].abs())


def local_points(position: Tensor, pose: Tensor, body_id: Tensor) -> Tensor:
    """Nodes in the frames of their bodies [m], fixed while time runs: position (..., N, 3), pose (..., P, 7), body_id (N,)."""
    held = pose[..., body_id, :]
    return rotate(conjugate(held[..., 3:]), position - held[..., :3])


def carried(local: Tensor, pose: Tensor, twist: Tensor, body_id: Tensor) -> tuple[Tensor, Tensor]:
    """Positions [m] and velocities [m/s] of the nodes that bodies carry with them, each (..., N, 3).

    local (..., N, 3) [m], pose (..., P, 7), twist (..., P, 6), body_id (N,): every node must have a body.
    """
    held, motion = pose[..., body_id, :], twist[..., body_id, :]
    arm = rotate(held[..., 3:], local)
    return held[..., :3] + arm, motion[..., :3] + torch.linalg.cross(motion[..., 3:], arm)
