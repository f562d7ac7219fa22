"""Is what was timed computed, or remembered? A start that is sampled again and again can be answered from memory.

After all sampling each contestant gets starts that nobody has seen: the one that was timed, moved by a ten-thousandth of the node
spacing, by another amount each time. What it computes takes as long as before; what it remembers does not help it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import torch

from ...contracts import Model, Trajectory
from .clock import Clocks, once
from .timing import Timing

SHARE_OF_SPACING = 1e-4
"""How far a start is moved, in mean node spacings: far above rounding, far below anything that matters."""
MOST = 2.0
"""A new start may take this many times the median of those that were repeated, and"""
ALLOWED = 1e-3
"""these seconds more: one call alone waits for the device, calls that are repeated wait once for all."""
CALLS = 5
"""New starts that a contestant gets before it is said to remember; the fastest counts, so that a burst of other work does not."""


def remembering(
    models: Mapping[str, Model], past: Trajectory, n_frames: int, timings: Mapping[str, Timing], clocks: Clocks
) -> dict[str, str]:
    """What to say of each model that takes more than MOST times its median [s] on every new start; the others are left out."""
    found = {}
    for name, model in models.items():
        seen, new = _fastest(model, past, n_frames, timings[name].median, clocks)
        if new > allowed(seen):
            found[name] = (
                f"answers are remembered: a start that was timed before takes {seen:.3g} s, a new one at least {new:.3g} s"
            )
    return found


def allowed(seen: float) -> float:
    """Seconds that a new start may take at most, of one that takes `seen` when it is repeated."""
    return MOST * seen + ALLOWED


def _fastest(model: Model, past: Trajectory, n_frames: int, median: float, clocks: Clocks) -> tuple[float, float]:
    """Seconds of a rollout from the start that was repeated, at least its median, and least seconds from new ones.

    Both are asked in turn until a new one is fast enough, so that a machine that is busier now than it was hits both alike.
    """
    seen, new = float("inf"), float("inf")
    for start in new_starts(past):
        seen = min(seen, once(lambda: model.rollout(past, n_frames), clocks))
        new = min(new, once(lambda start=start: model.rollout(start, n_frames), clocks))  # type: ignore[misc]
        if new <= allowed(max(seen, median)):
            break
    return max(seen, median), new


def new_starts(past: Trajectory) -> Iterator[Trajectory]:
    """CALLS copies of some frames (T, N, D) [m], each moved along the first axis by another small amount [m]."""
    last = past.position[-1]
    spacing = float((last.amax(0) - last.amin(0)).prod().abs() / len(last)) ** (1 / last.shape[1])
    spacing = spacing or float((last.amax(0) - last.amin(0)).max()) / len(last)
    axis = torch.zeros(last.shape[1], dtype=last.dtype, device=last.device)
    axis[0] = SHARE_OF_SPACING * spacing
    for k in range(CALLS):
        yield dataclasses.replace(past, position=past.position + (1 + k / CALLS) * axis)
