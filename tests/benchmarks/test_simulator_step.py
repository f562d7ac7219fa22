"""One substep of the fluid at 1k to 100k particles, beside its floor, and how its cost grows.

The floor is memory traffic: two passes that each read a particle's position, velocity, density, mass and number once and write
its result once (48 B in 2D), at the bandwidth of a plain copy. SPH is bound by arithmetic and latency, so the step is far
above it; pair interactions a second say more and stand beside it.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np
import pytest
from hedgefox.contracts import Script, Wall
from hedgefox.simulators._fluid_physics import lattice, tank
from hedgefox.simulators._sph import SphSettings, SphSolver, SphState

from .test_loader import DEVICES, copy_bandwidth, synchronise

SPACING = 0.02
BYTES_PER_PARTICLE = 2 * (4 * 6 + 4 * 6)


def still_water(n_nodes: int, device: str) -> tuple[SphSolver, SphState, Script]:
    """A square pool of about n particles, slightly shaken, and a solver whose frame is one substep."""
    side = round(math.sqrt(n_nodes))
    x = lattice((side, side), SPACING, 0.1)
    size = (side * SPACING, 1.2 * side * SPACING)
    solid = [[Wall.NO_SLIP, Wall.NO_SLIP], [Wall.NO_SLIP, Wall.OPEN]]
    scene = tank(x, SPACING, size, solid, 4e-4, 2, (0.0, -9.81), 1e-3)
    solver = SphSolver(SphSettings(SPACING, 1, 30.0), device)
    return solver, solver.state(scene, x, 0 * x), scene.script.starting_at(0)


def pairs_per_substep(solver: SphSolver, state: SphState) -> int:
    """Directed neighbour pairs within the kernel's support, both passes, images at walls left out."""
    from scipy.spatial import cKDTree

    tree = cKDTree(state.position.cpu().numpy())
    return 2 * (int(tree.count_neighbors(tree, 2 * solver.smoothing_length)) - state.scene.n_nodes)


@pytest.mark.parametrize("n_nodes", [1_000, 4_000, 10_000, 100_000])
@pytest.mark.parametrize("device", DEVICES)
def test_fluid_substep(benchmark: Any, n_nodes: int, device: str) -> None:
    solver, state, script = still_water(n_nodes, device)

    def step() -> SphState:
        new = solver.advance(state, script)
        synchronise(device)
        return new

    new = benchmark.pedantic(step, rounds=7, warmup_rounds=2)
    assert bool(new.velocity.isfinite().all())
    if benchmark.stats is None:
        return
    seconds, n = benchmark.stats.stats.median, state.scene.n_nodes
    floor = n * BYTES_PER_PARTICLE / copy_bandwidth(device)
    benchmark.extra_info |= {
        "nodes_per_second": n / seconds,
        "pairs_per_second": pairs_per_substep(solver, state) / seconds,
        "floor_seconds": floor,
        "times_the_floor": seconds / floor,
    }


@pytest.mark.long
def test_cost_grows_linearly_with_the_number_of_particles() -> None:
    """Log-log slope of a substep's time from 4k to 100k particles, each the best of several: at most 1.15."""
    sizes, times = [4_000, 10_000, 30_000, 100_000], []
    for n in sizes:
        solver, state, script = still_water(n, "cpu")
        solver.advance(state, script)
        times.append(min(_timed(solver, state, script) for _ in range(5)))
    slope = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    print(f"fluid substep: log-log slope {slope:.3f}, {dict(zip(sizes, np.round(times, 4), strict=True))} s")
    assert slope <= 1.15


def _timed(solver: SphSolver, state: SphState, script: Script) -> float:
    start = time.perf_counter()
    solver.advance(dataclasses.replace(state), script)
    return time.perf_counter() - start
