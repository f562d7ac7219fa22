"""Clouds of evenly spaced nodes of any number, and the slope of time against size, for benchmarks of whatever must be linear."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from hedgefox.contracts import Trajectory, single_scene
from torch import Tensor

SIZES = (1_000, 4_000, 10_000, 100_000)
SPACING = 0.02
MOST_SLOPE = 1.15
"""Of log time against log size; k-d trees and sorts are N log N, whose slope from 4 000 to 100 000 is 1.10."""


def cloud(n_nodes: int, dim: int = 2) -> Tensor:
    """A shaken lattice, nodes in random order, (n_nodes, dim)."""
    rng = torch.Generator().manual_seed(0)
    side = math.ceil(n_nodes ** (1 / dim))
    axes = [torch.arange(side)] * dim
    lattice = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, dim)
    chosen = lattice[torch.randperm(len(lattice), generator=rng)[:n_nodes]]
    return SPACING * (chosen + 0.4 * torch.rand((n_nodes, dim), generator=rng))


def film(n_nodes: int, history: int) -> Trajectory:
    """A cloud that drifts, `history` frames long."""
    x = cloud(n_nodes)
    scene = single_scene(
        domain="fluid",
        frame_interval=0.01,
        rest_position=x,
        mass=1.0,
        bounds=torch.stack([x.amin(0) - SPACING, x.amax(0) + SPACING]),
        gravity=[0.0, -9.81],
        n_frames=history + 1,
    )
    drift = 0.001 * torch.arange(history).reshape(-1, 1, 1) * torch.tensor([1.0, -1.0])
    return Trajectory(scene, x + drift, torch.zeros((history, n_nodes, 2)))


def best_time(function: Callable[[], object], seconds: float = 1.0) -> float:
    """Least time of one call [s], of at least three calls: what a shared machine disturbs least."""
    best, until, calls = math.inf, time.perf_counter() + seconds, 0
    while calls < 3 or time.perf_counter() < until:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
        calls += 1
    return best


def slope(work: Callable[[int], Callable[[], object]], small: int = 4_000, large: int = 100_000) -> float:
    """Exponent of time in size, from `work(size)`, which prepares what is to be timed; both sizes on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return math.log(best_time(work(large)) / best_time(work(small))) / math.log(large / small)
    finally:
        torch.set_num_threads(before)
