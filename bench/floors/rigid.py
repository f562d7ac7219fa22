"""One frame of rigid bodies, all its substeps: towers, billiards and mugs past their first contacts.

Bytes, of a body and substep: pose and twist read and written (104 B), mass and inertia (72 B), and about four contacts of 100 B.
Arithmetic is not counted: how much of it finding contacts takes depends on shapes and on how near they are.
"""

from __future__ import annotations

from functools import cache

from ...contracts import Trajectory, stack
from ._path import Asked, HotPath
from ._rates import synchronise

CONTACT_FRAME = 15
BYTES_PER_BODY = 2 * 4 * (7 + 6) + 4 * 18 + 4 * 100


@cache
def worlds(number: int, device: str = "cpu") -> Trajectory:
    """Towers, billiards and mugs in turn, none with a pusher, in the frame after CONTACT_FRAME; at most 16 unlike ones."""
    from ...simulators.rigid import DOMAIN

    recipe = DOMAIN.recipe("s")
    chosen: list[Trajectory] = []
    index = 1
    while len(chosen) < min(number, 16):
        start = DOMAIN.sample_start(recipe, "train", index, 1)
        if index % 4 and start.scene.obstacle_kind.numel() == 0:
            chosen.append(start)
        index += 1
    few = stack(chosen).to(device)
    later = DOMAIN.reference(recipe, device).rollout(few, CONTACT_FRAME).frames(CONTACT_FRAME - 1)
    return later.select([k % len(chosen) for k in range(number)])


def paths(asked: Asked) -> list[HotPath]:
    """A frame of some worlds."""
    from ...simulators.rigid import DOMAIN, reference_settings

    number = asked.size(1, 16, 1024)
    start = worlds(number, asked.device)
    model, steps = DOMAIN.reference(DOMAIN.recipe("s"), asked.device), reference_settings().substeps
    state, script = model.encode(start), start.scene.script

    def frame() -> None:
        model.advance(state, script)
        synchronise(asked.device)

    bodies = int(start.scene.body_ptr[-1])
    moved = bodies * steps * BYTES_PER_BODY
    size = f"{number} worlds, {bodies} bodies, one frame of {steps} substeps"
    return [HotPath("rigid substeps", size, "world-substeps", number * steps, moved, 0.0, frame)]
