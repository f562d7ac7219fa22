"""One substep of the fluid; on CUDA, by each of its two back-ends, and a frame of a small scene, which launching can bound.

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

FRAME_NODES, FRAME_SUBSTEPS = 250, 18
"""Of a scene of size s."""


def particle_bytes(dim: int) -> int:
    """Of one particle and substep."""
    return WORD * (6 * dim + 7)


def pair_operations(dim: int) -> int:
    """Of one directed pair and substep."""
    return 13 * dim + 37


def still_water(
    n_nodes: int, device: str, substeps: int = 1, backend: str | None = None
) -> tuple[SphSolver, SphState, Script]:
    """A square pool of about n particles, and a solver whose frame is so many substeps."""
    from ...simulators._fluid_physics import lattice, tank

    side = round(math.sqrt(n_nodes))
    x = lattice((side, side), SPACING, 0.1)
    size = (side * SPACING, 1.2 * side * SPACING)
    solid = [[Wall.NO_SLIP, Wall.NO_SLIP], [Wall.NO_SLIP, Wall.OPEN]]
    scene = tank(x, SPACING, size, solid, 4e-4 * substeps, 2, (0.0, -9.81), 1e-3)
    solver = SphSolver(SphSettings(SPACING, substeps, 30.0), device, backend)
    return solver, solver.state(scene, x, 0 * x), scene.script.starting_at(0)


def pairs(solver: SphSolver, position: Tensor, scene_ptr: Tensor) -> int:
    """Directed neighbour pairs (N, D) within the kernel's support, scene by scene, images at walls left out."""
    from scipy.spatial import cKDTree

    cuts = scene_ptr.tolist()
    trees = [cKDTree(position[a:b].cpu().numpy()) for a, b in itertools.pairwise(cuts)]
    return sum(int(tree.count_neighbors(tree, 2 * solver.smoothing_length)) - tree.n for tree in trees)


def cases(asked: Asked) -> list[tuple[str | None, int, int]]:
    """Back-end, particles and substeps of each row."""
    large = asked.size(1_000, 10_000, 1_000_000)
    if not asked.cuda:
        return [(None, large, 1)]
    return [(backend, n, k) for backend in ("warp", "taichi") for n, k in ((large, 1), (FRAME_NODES, FRAME_SUBSTEPS))]


def paths(asked: Asked) -> list[HotPath]:
    """A pool of still water."""
    return [_path(asked.device, *case) for case in cases(asked)]


def _path(device: str, backend: str | None, n_nodes: int, substeps: int) -> HotPath:
    solver, state, script = still_water(n_nodes, device, substeps, backend)
    n = state.scene.n_nodes * substeps
    met = pairs(solver, state.position, state.scene.scene_ptr) * substeps
    about = f"{state.scene.n_nodes} particles, 2D"
    about += f", {substeps} substeps" * (substeps > 1) + f", {backend}" * (backend is not None)

    def step() -> None:
        solver.advance(state, script)
        synchronise(device)

    return HotPath(
        "fluid substep",
        about,
        "particle-substeps",
        n,
        n * particle_bytes(2),
        met * pair_operations(2),
        step,
        met,
        "pairs",
    )
