"""One substep of the fluid.

Bytes, of a particle in D axes: density and force each read position, velocity, density, mass and number once, and write density in
the one, position and velocity in the other: 6 D + 7 words of four bytes, 76 B in 2D. Sorting into cells is not counted: a list
kept for several substeps would do without.

Operations, of a directed pair within the kernel's support 2h: offset D, distance 2 D, kernel slope 6, in both passes; and
velocity difference and its projection 3 D, density's rate and diffusion 9 in the first, pressure, viscosity and their vectors
4 D + 16 in the second: 13 D + 37.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor

from ...contracts import Script, Wall
from ...simulators._sph import SphSettings, SphSolver, SphState
from ._path import WORD, Asked, HotPath
from ._rates import synchronise
from .clouds import SPACING


def particle_bytes(dim: int) -> int:
    """Of one particle and substep."""
    return WORD * (6 * dim + 7)


def pair_operations(dim: int) -> int:
    """Of one directed pair and substep."""
    return 13 * dim + 37


def still_water(n_nodes: int, device: str) -> tuple[SphSolver, SphState, Script]:
    """A square pool of about n particles, and a solver whose frame is one substep."""
    from ...simulators._fluid_physics import lattice, tank

    side = round(math.sqrt(n_nodes))
    x = lattice((side, side), SPACING, 0.1)
    size = (side * SPACING, 1.2 * side * SPACING)
    solid = [[Wall.NO_SLIP, Wall.NO_SLIP], [Wall.NO_SLIP, Wall.OPEN]]
    scene = tank(x, SPACING, size, solid, 4e-4, 2, (0.0, -9.81), 1e-3)
    solver = SphSolver(SphSettings(SPACING, 1, 30.0), device)
    return solver, solver.state(scene, x, 0 * x), scene.script.starting_at(0)


def pairs(solver: SphSolver, position: Tensor, scene_ptr: Tensor) -> int:
    """Directed neighbour pairs (N, D) within the kernel's support, scene by scene, images at walls left out."""
    from scipy.spatial import cKDTree

    cuts = scene_ptr.tolist()
    trees = [cKDTree(position[a:b].cpu().numpy()) for a, b in itertools.pairwise(cuts)]
    return sum(int(tree.count_neighbors(tree, 2 * solver.smoothing_length)) - tree.n for tree in trees)


def paths(asked: Asked) -> list[HotPath]:
    """A pool of still water."""
    solver, state, script = still_water(asked.size(1_000, 10_000, 1_000_000), asked.device)
    n, met = state.scene.n_nodes, pairs(solver, state.position, state.scene.scene_ptr)

    def step() -> None:
        solver.advance(state, script)
        synchronise(asked.device)

    return [
        HotPath(
            "fluid substep", f"{n} particles, 2D", "particle-substeps", n, n * particle_bytes(2),
            met * pair_operations(2), step, met, "pairs",
        )
    ]  # fmt: skip
