"""One frame of cloth, all its substeps: drapes that lie on balls.

Bytes, of a vertex and substep: position and velocity read and written (48 B), the corners of its six faces' forces (72 B), and
its row of the bending matrix, about 19 entries of a value and a number (152 B). Operations: two for each entry and axis of that
row (114), and about 60 for each of six faces' strain and stress (360). Contacts are not counted.
"""

from __future__ import annotations

from functools import cache

from ...contracts import Trajectory, stack
from ._path import Asked, HotPath
from ._rates import synchronise

BYTES_PER_VERTEX = 2 * 24 + 6 * 12 + 19 * 8
OPERATIONS_PER_VERTEX = 19 * 3 * 2 + 6 * 60
SETTLED = 15
"""Frames after which the sheets lie on their balls."""


@cache
def sheets(number: int) -> Trajectory:
    """Drapes over balls: every fourth family in turn, at most 16 unlike ones."""
    from ...simulators.cloth import DOMAIN

    recipe = DOMAIN.recipe("s")
    few = [DOMAIN.sample_start(recipe, "train", 4 * k + 1, 1) for k in range(min(number, 16))]
    return stack([few[k % len(few)] for k in range(number)])


def paths(asked: Asked) -> list[HotPath]:
    """A frame of some drapes in contact."""
    from ...simulators.cloth import DOMAIN

    number = asked.size(1, 16, 256)
    start = sheets(number).to(asked.device)
    model, script = DOMAIN.reference(DOMAIN.recipe("s"), asked.device), start.scene.script
    state = model.encode(start)
    for k in range(SETTLED):
        state = model.advance(state, script.starting_at(k))
    now, later = state, script.starting_at(SETTLED)

    def frame() -> None:
        model.advance(now, later)
        synchronise(asked.device)

    work = model.solver.state(start.scene, state.position, state.velocity).work
    steps = start.scene.n_nodes * float(work.still.substeps.numpy().mean())
    size = f"{number} sheets, {start.scene.n_nodes} vertices, one frame"
    return [
        HotPath(
            "cloth substeps",
            size,
            "vertex-substeps",
            steps,
            steps * BYTES_PER_VERTEX,
            steps * OPERATIONS_PER_VERTEX,
            frame,
        )
    ]
