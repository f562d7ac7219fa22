"""A frame of cloth for 1, 16 and 256 sheets, beside its floor, and Newton's Style3D on the same sheet.

The floor is memory traffic, as bench/floors/cloth.py counts it, at the bandwidth of a plain copy.
"""

from __future__ import annotations

from typing import Any

import pytest
from hedgefox.bench.floors._rates import copy_bandwidth, synchronise
from hedgefox.bench.floors.cloth import BYTES_PER_VERTEX, SETTLED, sheets
from hedgefox.simulators.cloth import DOMAIN

from .test_loader import DEVICES

SHEETS = [1, 16, 256]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("number", SHEETS)
def test_cloth_frame(benchmark: Any, number: int, device: str) -> None:
    start = sheets(number).to(device)
    model = DOMAIN.reference(DOMAIN.recipe("s"), device)
    state = model.encode(start)
    script = start.scene.script
    for k in range(SETTLED):
        state = model.advance(state, script.starting_at(k))

    def frame() -> Any:
        new = model.advance(state, script.starting_at(SETTLED))
        synchronise(device)
        return new

    new = benchmark.pedantic(frame, rounds=7, warmup_rounds=2)
    assert bool(new.position.isfinite().all())
    if benchmark.stats is None:
        return
    seconds, n = benchmark.stats["median"], start.scene.n_nodes
    substeps = float(model.solver.state(start.scene, new.position, new.velocity).work.still.substeps.numpy().mean())
    floor = n * substeps * BYTES_PER_VERTEX / copy_bandwidth(device)
    benchmark.extra_info |= {
        "scenes_per_second": number / seconds,
        "node_frames_per_second": n / seconds,
        "node_substeps_per_second": n * substeps / seconds,
        "floor_seconds": floor,
        "times_the_floor": seconds / floor,
    }


def test_style3d_frame(benchmark: Any) -> None:
    """One sheet under Newton's implicit solver, four substeps of ten iterations a frame, over the same ball."""
    pytest.importorskip("newton")
    from hedgefox.simulators._cloth_referee import _model

    start = sheets(1)
    model, solver = _model(start.scene, start.position[0])
    import newton

    states, control = [model.state(), model.state()], model.control()
    pipeline = newton.CollisionPipeline(model)
    contacts = pipeline.contacts()

    def frame() -> None:
        pipeline.collide(states[0], contacts)
        for _ in range(4):
            states[0].clear_forces()
            solver.step(states[0], states[1], control, contacts, start.scene.frame_interval / 4)
            states.reverse()

    rounds = 7 if benchmark.enabled else 1
    benchmark.pedantic(frame, rounds=rounds, warmup_rounds=1)
    if benchmark.stats is not None:
        benchmark.extra_info["scenes_per_second"] = 1 / benchmark.stats["median"]
