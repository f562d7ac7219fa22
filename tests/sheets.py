"""Sheets of masses and springs that hang, wave and fall: cloth data made in a moment, for tests of training."""

from __future__ import annotations

import torch
from hedgefox.contracts import Frame, NodeType, Obstacle, Trajectory, Wall, from_frames, single_scene, stack
from torch import Tensor

SPACING, INTERVAL, SUBSTEPS = 0.1, 0.02, 40
STIFFNESS, DAMPING = 300.0, 0.4


def film(n_scenes: int, n_frames: int, *, side: int = 5, seed: int = 0, extra_script: int = 0) -> Trajectory:
    """Scenes of unlike size, two corners of each driven, a ball beneath, (n_frames, N, 3)."""
    return stack([_one(n_frames, side + b % 2, seed * 1000 + b, extra_script) for b in range(n_scenes)])


def mesh(side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rest positions (side², 3), edges and triangles of a square sheet in the plane z = 0."""
    row, column = (k.flatten() for k in torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
    rest = SPACING * torch.stack([row, column, torch.zeros_like(row)], -1).float()
    corner = torch.arange(side * side).reshape(side, side)
    a, b, c, d = (x.flatten() for x in (corner[:-1, :-1], corner[1:, :-1], corner[:-1, 1:], corner[1:, 1:]))
    faces = torch.cat([torch.stack([a, b, c], -1), torch.stack([b, d, c], -1)])
    sides = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(-1).values
    return rest, torch.unique(sides, dim=0), faces


def _one(n_frames: int, side: int, seed: int, extra_script: int) -> Trajectory:
    rng = torch.Generator().manual_seed(seed)
    rest, edges, faces = mesh(side)
    x = rest + torch.tensor([-SPACING * (side - 1) / 2, -SPACING * (side - 1) / 2, 0.6])
    wind = torch.randn(3, generator=rng)
    types = torch.full((side * side,), int(NodeType.FREE))
    types[[0, side - 1]] = NodeType.DRIVEN
    time = torch.arange(n_frames + extra_script) * INTERVAL
    drag = 0.1 * torch.randn((2, 3), generator=rng) * torch.sin(4 * time).reshape(-1, 1, 1)
    path = x[[0, side - 1]] + drag
    scene = single_scene(
        domain="cloth",
        frame_interval=INTERVAL,
        rest_position=rest,
        mass=0.01,
        bounds=torch.tensor([[-1.0, -1.0, 0.0], [1.0, 1.0, 1.0]]),
        wall=torch.tensor([[int(Wall.OPEN)] * 2, [int(Wall.OPEN)] * 2, [int(Wall.NO_SLIP), int(Wall.OPEN)]]),
        gravity=[0.0, 0.0, -9.81],
        node_type=types,
        edges=edges,
        faces=faces,
        parameters={"stretch_stiffness": STIFFNESS * (1 + seed % 2), "thickness": 0.02, **_named(wind)},
        n_frames=n_frames + extra_script,
        node_position=path,
        obstacle_kind=torch.tensor([int(Obstacle.BALL)]),
        obstacle_size=torch.full((1, 3), 0.15),
        obstacle_position=torch.tensor([[0.0, 0.0, 0.3]]),
    )
    v = 0.1 * torch.randn(x.shape, generator=rng)
    frames = [Frame(x, v)]
    for t in range(1, n_frames):
        x, v = _step(x, v, rest, edges, STIFFNESS * (1 + seed % 2), wind)
        x[[0, side - 1]] = path[t]
        frames.append(Frame(x, v))
    return from_frames(scene, frames)


def _named(wind: Tensor) -> dict[str, float]:
    return {f"wind_{axis}": float(w) for axis, w in zip("xyz", wind, strict=True)}


def _step(x: Tensor, v: Tensor, rest: Tensor, edges: Tensor, stiffness: float, wind: Tensor) -> tuple[Tensor, Tensor]:
    """Springs, gravity, drag against the wind and a ball that pushes, symplectic Euler; both corners stand meanwhile."""
    first, second = edges.unbind(-1)
    length = (rest[first] - rest[second]).norm(dim=-1, keepdim=True)
    dt, held = INTERVAL / SUBSTEPS, torch.tensor([0, int(len(x) ** 0.5) - 1])
    for _ in range(SUBSTEPS):
        offset = x[second] - x[first]
        now = offset.norm(dim=-1, keepdim=True)
        pull = stiffness * (now - length) * offset / now
        force = torch.zeros_like(x).index_add_(0, first, pull).index_add_(0, second, -pull)
        up = x - torch.tensor([0.0, 0.0, 0.3])
        reach = up.norm(dim=-1, keepdim=True)
        force += 100 * (0.16 - reach).clamp(min=0) * up / reach
        a = force / 0.01 + DAMPING * (wind - v) + torch.tensor([0.0, 0.0, -9.81])
        a[held] = 0.0
        v = v + dt * a
        v[held] = 0.0
        x = x + dt * v
    return x, v
