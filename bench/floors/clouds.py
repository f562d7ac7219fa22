"""Clouds of evenly spaced nodes of any number: what hot paths of networks and of the neighbour search are measured on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...contracts import Trajectory, single_scene

SPACING = 0.02
"""Distance of neighbouring nodes [m]."""


def cloud(n_nodes: int, dim: int = 2) -> Tensor:
    """A shaken lattice, nodes in random order, (n_nodes, dim) [m]."""
    rng = torch.Generator().manual_seed(0)
    side = math.ceil(n_nodes ** (1 / dim))
    axes = [torch.arange(side)] * dim
    lattice = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, dim)
    chosen = lattice[torch.randperm(len(lattice), generator=rng)[:n_nodes]]
    return SPACING * (chosen + 0.4 * torch.rand((n_nodes, dim), generator=rng))


def film(n_nodes: int, history: int, future: int = 1) -> Trajectory:
    """A cloud that drifts, `history` frames long, with a script for `future` frames more."""
    x = cloud(n_nodes)
    scene = single_scene(
        domain="fluid",
        frame_interval=0.01,
        rest_position=x,
        mass=1.0,
        bounds=torch.stack([x.amin(0) - SPACING, x.amax(0) + SPACING]),
        gravity=[0.0, -9.81],
        n_frames=history + future,
    )
    drift = 0.001 * torch.arange(history).reshape(-1, 1, 1) * torch.tensor([1.0, -1.0])
    return Trajectory(scene, x + drift, torch.zeros((history, n_nodes, 2)))
