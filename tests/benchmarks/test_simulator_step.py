"""One substep of the fluid at 1k to 100k particles, beside its floor, and how its cost grows.

The floor is memory traffic, as bench/floors/fluid.py counts it, at the bandwidth of a plain copy. SPH is bound by arithmetic and
latency, so the step is far above it; pair interactions a second say more and stand beside it.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import pytest
from hedgefox.bench.floors._rates import copy_bandwidth, synchronise
from hedgefox.bench.floors.fluid import pairs, particle_bytes, still_water
from hedgefox.contracts import Script
from hedgefox.simulators._sph import SphSolver, SphState

from .test_loader import DEVICES


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
    floor = n * particle_bytes(2) / copy_bandwidth(device)
    benchmark.extra_info |= {
        "nodes_per_second": n / seconds,
        "pairs_per_second": 2 * pairs(solver, state.position, state.scene.scene_ptr) / seconds,
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
