"""Soft discs that fall and collide in a box: particle data made in a moment, for tests of training when no fluid is needed."""

from __future__ import annotations

import torch
from hedgefox.contracts import Frame, NodeType, Trajectory, Wall, from_frames, single_scene, stack
from hedgefox.surrogates._neighbours import radius_graph
from torch import Tensor

SPACING, INTERVAL, SUBSTEPS = 0.05, 0.01, 10


def film(n_scenes: int, n_frames: int, *, nodes: int = 24, seed: int = 0, extra_script: int = 0) -> Trajectory:
    """Scenes of unlike size, the last node of each driven, (n_frames, N, 2). The script covers `extra_script` frames more."""
    return stack([_one(n_frames, nodes + b % 3, seed * 1000 + b, extra_script) for b in range(n_scenes)])


def _one(n_frames: int, nodes: int, seed: int, extra_script: int) -> Trajectory:
    rng = torch.Generator().manual_seed(seed)
    cells = torch.stack(torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij"), -1).reshape(-1, 2)
    spots = cells[torch.randperm(64, generator=rng)[:nodes]] * SPACING * 1.1 + SPACING
    x = (spots + 0.1 * SPACING * torch.rand((nodes, 2), generator=rng)).float()
    v = 0.5 * torch.randn((nodes, 2), generator=rng)
    types = torch.full((nodes,), int(NodeType.FREE))
    types[-1] = NodeType.DRIVEN
    time = torch.arange(n_frames + extra_script) * INTERVAL
    path = (x[-1] + torch.stack([0.05 * torch.sin(10 * time), 0 * time], -1)).unsqueeze(1)
    scene = single_scene(
        domain="fluid",
        frame_interval=INTERVAL,
        rest_position=x,
        mass=1.0,
        bounds=torch.tensor([[0.0, 0.0], [0.55, 0.55]]),
        wall=torch.full((2, 2), int(Wall.FREE_SLIP)),
        gravity=[0.0, -9.81],
        node_type=types,
        parameters={"viscosity": 1e-3 * (1 + seed % 4)},
        n_frames=n_frames + extra_script,
        node_position=path,
    )
    frames = [Frame(x, v)]
    for t in range(1, n_frames):
        x, v = _step(x, v, scene.scene_ptr)
        x = torch.cat([x[:-1], path[t]])
        frames.append(Frame(x, v))
    return from_frames(scene, frames)


def _step(x: Tensor, v: Tensor, scene_ptr: Tensor) -> tuple[Tensor, Tensor]:
    dt = INTERVAL / SUBSTEPS
    for _ in range(SUBSTEPS):
        sender, receiver = radius_graph(x, SPACING, scene_ptr)
        offset = x[receiver] - x[sender]
        distance = offset.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        force = 4e4 * (SPACING - distance) * offset / distance + 20.0 * (v[sender] - v[receiver])
        a = torch.zeros_like(x).index_add_(0, receiver, force)
        a[:, 1] -= 9.81
        a += 4e4 * ((SPACING / 2 - x).clamp(min=0) - (x - 0.55 + SPACING / 2).clamp(min=0))
        v = v + dt * a
        x = x + dt * v
    return x, v
