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


def from_matrix(matrix: Tensor) -> Tensor:
    """Unit quaternions (..., 4) of rotation matrices (..., 3, 3), with q_w ≥ 0.

    From the largest of the four squares (Shepperd 1978), so that nothing small is divided by.
    """
    m = [[matrix[..., i, j] for j in range(3)] for i in range(3)]
    trace = m[0][0] + m[1][1] + m[2][2]
    squares = torch.stack([*(1 + 2 * m[k][k] - trace for k in range(3)), 1 + trace], dim=-1)
    # Row k is 4 q_k (x, y, z, w).
    rows = [
        [squares[..., 0], m[0][1] + m[1][0], m[0][2] + m[2][0], m[2][1] - m[1][2]],
        [m[0][1] + m[1][0], squares[..., 1], m[1][2] + m[2][1], m[0][2] - m[2][0]],
        [m[0][2] + m[2][0], m[1][2] + m[2][1], squares[..., 2], m[1][0] - m[0][1]],
        [m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1], squares[..., 3]],
    ]
    table = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    chosen = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    q = table.gather(-2, chosen).squeeze(-2)
    q = q / torch.linalg.vector_norm(q, dim=-1, keepdim=True)
    return torch.where(q[..., 3:] < 0, -q, q)


def fitted_pose(local: Tensor, position: Tensor, mass: Tensor, body_id: Tensor) -> Tensor:
    """The poses (..., P, 7) that carry the bodies' nodes nearest to `position`: the rigid motion within any motion.

        min over R, c of Σ m_i |c + R l_i - x_i|²     for every body (Kabsch 1976, by singular values, det R = 1)

    local (N, 3) [m] in the bodies' frames, position (..., N, 3) [m], mass (N,) [kg], body_id (N,), every node with a body and
    every body with a node. float64 inside. NaN for a body with a node that is not finite. Nodes on one line leave the turn
    about it open; it is then any one.
    """
    n_bodies, weight = int(body_id.max()) + 1, mass.to(torch.float64).unsqueeze(-1)

    def mean(rows: Tensor) -> Tensor:
        total = rows.new_zeros((*rows.shape[:-2], n_bodies, rows.shape[-1]))
        share = weight.new_zeros((n_bodies, 1)).index_add_(0, body_id, weight)
        return total.index_add_(-2, body_id, rows * weight) / share

    arm, place = local.to(torch.float64), position.to(torch.float64)
    arm_centre, centre = mean(arm), mean(place)
    product = (place - centre[..., body_id, :]).unsqueeze(-1) * (arm - arm_centre[body_id]).unsqueeze(-2)
    matrix = mean(product.flatten(-2)).reshape(*centre.shape, 3)
    # The decomposition refuses what is not finite; such a body has no pose.
    lost = ~torch.isfinite(matrix).all(-1).all(-1, keepdim=True)
    u, _, vt = torch.linalg.svd(torch.where(lost.unsqueeze(-1), 0.0, matrix))
    sign = torch.ones_like(centre)
    sign[..., 2] = torch.sign(torch.linalg.det(u @ vt))
    turn = from_matrix((u * sign.unsqueeze(-2)) @ vt).masked_fill(lost, torch.nan)
    return torch.cat([centre - rotate(turn, arm_centre.expand_as(centre)), turn], dim=-1).to(position.dtype)
