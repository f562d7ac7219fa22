"""Bodies in closed form: a ball that bounces, a box and a capsule that tumble. Rigid data made in a moment."""

from __future__ import annotations

import torch
from hedgefox.contracts import BodyShape, Trajectory, Wall, single_scene, stack
from hedgefox.contracts.rotation import carried, exponential, multiply
from torch import Tensor

INTERVAL, GRAVITY, RADIUS = 0.02, 9.81, 0.1
CORNERS = torch.tensor([[i, j, k] for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0)])
FACES = torch.cat([torch.eye(3), -torch.eye(3)])
HALF = torch.tensor([0.1, 0.1, 0.1])
CAPSULE = torch.cat([torch.tensor([[0, 0, 0.18], [0, 0, -0.18]]), CORNERS * torch.tensor([0.05, 0.05, 0.1])])


def film(n_scenes: int, n_frames: int, *, seed: int = 0, extra_script: int = 0) -> Trajectory:
    """Scenes of two and three bodies far from one another, (n_frames, N, 3)."""
    return stack([_one(n_frames, 2 + b % 2, seed * 1000 + b, extra_script) for b in range(n_scenes)])


def _one(n_frames: int, bodies: int, seed: int, extra_script: int) -> Trajectory:
    rng = torch.Generator().manual_seed(seed)
    local = [RADIUS * torch.cat([FACES, CORNERS / 3**0.5]), HALF * CORNERS, CAPSULE][:bodies]
    body_id = torch.cat([torch.full((len(rows),), b) for b, rows in enumerate(local)])
    kind = torch.tensor([int(BodyShape.BALL), int(BodyShape.BOX), int(BodyShape.CAPSULE)])[:bodies]
    size = torch.stack([torch.tensor([RADIUS, 0, 0]), HALF, torch.tensor([0.06, 0.12, 0])])[:bodies]
    restitution = 0.5 + 0.4 * float(torch.rand((), generator=rng))
    pose, twist = _motion(n_frames, bodies, restitution, rng)
    position, velocity = carried(torch.cat(local).expand(n_frames, -1, -1), pose, twist, body_id)
    scene = single_scene(
        domain="rigid",
        frame_interval=INTERVAL,
        rest_position=position[0],
        mass=0.1,
        bounds=torch.tensor([[-2.0, -2.0, 0.0], [2.0, 2.0, 20.0]]),
        wall=torch.tensor([[int(Wall.NO_SLIP)] * 2] * 2 + [[int(Wall.NO_SLIP), int(Wall.OPEN)]]),
        gravity=[0.0, 0.0, -GRAVITY],
        body_id=body_id,
        shape_kind=kind,
        shape_size=size,
        shape_pose=torch.tensor([[0.0, 0, 0, 0, 0, 0, 1]]).expand(bodies, -1),
        shape_body=torch.arange(bodies),
        parameters={"restitution": restitution, "friction": 0.5},
        n_frames=n_frames + extra_script,
    )
    return Trajectory(scene, position, velocity, pose, twist)


def _motion(n_frames: int, bodies: int, restitution: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Poses (T, P, 7) and twists (T, P, 6): the first body bounces without turning, the others turn and fall from on high."""
    time = torch.arange(n_frames) * INTERVAL
    start = 0.5 * torch.randn((bodies, 3), generator=rng)
    speed = 0.5 * torch.randn((bodies, 3), generator=rng)
    spin = 4 * torch.randn((bodies, 3), generator=rng)
    spin[0] = 0.0
    start[:, 0] += torch.arange(bodies) - 1.0
    start[:, 2] = torch.tensor([RADIUS + 0.3, 15.0, 16.0])[:bodies] + start[:, 2].abs() * (torch.arange(bodies) > 0)
    centre = start + time[:, None, None] * speed
    velocity = speed.expand(n_frames, -1, -1).clone()
    centre[..., 2] = start[:, 2] + speed[:, 2] * time[:, None] - GRAVITY * time[:, None] ** 2 / 2
    velocity[..., 2] -= GRAVITY * time[:, None]
    height, rise = bouncing(time, 0.3, restitution)
    centre[:, 0, 2], velocity[:, 0, 2] = RADIUS + height, rise
    q = exponential(torch.randn((bodies, 3), generator=rng))
    turn = multiply(exponential(time[:, None, None] * spin), q.expand(n_frames, -1, -1))
    return torch.cat([centre, turn], -1), torch.cat([velocity, spin.expand(n_frames, -1, -1)], -1)


def bouncing(time: Tensor, height: float, restitution: float) -> tuple[Tensor, Tensor]:
    """Height [m] and velocity [m/s] of a point dropped from `height` on a floor that gives back a share of its speed."""
    since, rise = time + (2 * height / GRAVITY) ** 0.5, torch.full_like(time, (2 * GRAVITY * height) ** 0.5)
    for _ in range(50):
        flight = 2 * rise / GRAVITY
        landed = since > flight
        since = torch.where(landed, since - flight, since)
        rise = torch.where(landed, restitution * rise, rise)
    return rise * since - GRAVITY * since**2 / 2, rise - GRAVITY * since
