"""Parts of a rollout: where its seconds go, and how soon the first frame is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ...contracts import Model, Stepper, Trajectory
from .clock import Clocks, Effort, once, time_interleaved

FIRST_FRAME_SAMPLES = 5
"""Samples of the time to the first frame, at most."""


@torch.no_grad()
def phase_seconds(model: Model, past: Trajectory, n_frames: int, clocks: Clocks) -> dict[str, float] | None:
    """Seconds of one rollout spent in encode, in all advances and in all decodes; None for what is no Stepper.

    Synchronising between phases costs time of its own: compare the phases with each other, not with the latency.
    """
    if not isinstance(model, Stepper):
        return None
    now = past.n_frames - 1
    script = past.scene.script.starting_at(now)
    spent = {"encode_s": 0.0, "advance_s": 0.0, "decode_s": 0.0}
    held: dict[str, Any] = {}

    def step(phase: str, work: Callable[[], Any]) -> None:
        spent[phase] += once(lambda: held.__setitem__("state" if phase != "decode_s" else "frame", work()), clocks)

    step("encode_s", lambda: model.encode(past))
    for k in range(n_frames):
        later = script.starting_at(k)
        step("advance_s", lambda later=later: model.advance(held["state"], later))  # type: ignore[misc]
        step("decode_s", lambda: model.decode(held["state"]))
    return spent


def first_frame_seconds(
    models: Mapping[str, Model], past: Trajectory, effort: Effort, clocks: Clocks
) -> dict[str, float | None]:
    """Median seconds from the call to the first decoded frame, by model, warmed up and interleaved as every other timing.

    A rollout of one frame: of a Stepper encode, one advance and one decode. None for a model that fails at so short a horizon.
    """
    tasks = {k: lambda model=m: model.rollout(past, 1) for k, m in models.items()}
    few = Effort(min(effort.samples, FIRST_FRAME_SAMPLES), 0.0)
    timings, _ = time_interleaved(tasks, few, clocks=clocks, seed=2)
    return {k: timings[k].median if k in timings else None for k in models}
