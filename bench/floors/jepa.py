"""The generalist: encode, advance (one leap in latent space), decode (one frame), a whole rollout in a few calls, and planning.

Operations: of all matrix products that the call runs, 2 m n k each, as torch counts them while it runs once. Bytes: the weights
that the call needs, once; positions and velocities that it reads or writes, once. Latents and features could stay on the chip.

Planning is the futures of one driven scene under many scripts, the last frame read out, the cheapest looked for: the scripts read,
one number a candidate written. What is read out could stay on the chip.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ...contracts import Trajectory, stack
from ...jepa._imagined import prepared
from ...jepa.jepa import build
from ...jepa.planning import Drive, distance_to
from ._path import WORD, Asked, HotPath, counted, weight_bytes
from ._rates import synchronise
from .clouds import film

SIZE = {"cpu": "s", "cuda": "m"}
NODES = 480
"""Of a scene: as many as the fluid of size s has."""


def paths(asked: Asked) -> list[HotPath]:
    """A small scene, alone on a CPU and a hundred of them on a GPU."""
    size, scenes, frames = SIZE[torch.device(asked.device).type], asked.size(1, 1, 100), asked.size(12, 50, 50)
    model = build("fluid", size=size).to(asked.device).eval()
    past = _past(scenes, model.card.history, frames).to(asked.device)
    seen = past.scene.script.starting_at(past.n_frames - 1)
    b, stride = model.backbone, model.set.stride
    with torch.no_grad():
        first = model.encode(past)
        state = first
        for k in range(stride):
            state = model.advance(state, seen.starting_at(k))
    frame = past.scene.n_nodes * 2 * 2 * WORD
    calls: dict[str, tuple[Callable[[], object], float, int]] = {
        "encode": (lambda: model.encode(past), weight_bytes(b.known, b.encoder) + frame * past.n_frames, 1),
        "advance": (
            lambda: b.leap(first.first, past.scene, seen, stride),
            weight_bytes(b.foreknown, b.predictor),
            stride,
        ),
        "decode": (lambda: model.decode(state), weight_bytes(b.readout) + frame, 1),
        "rollout": (lambda: model.rollout(past, frames), weight_bytes(b) + frame * (past.n_frames + frames), frames),
    }
    about = f"size {size}, {scenes} scene{'s' * (scenes > 1)} of {NODES} nodes"
    return [*_alone(calls, about, scenes, asked), planning(asked)]


def _alone(
    calls: dict[str, tuple[Callable[[], object], float, int]], about: str, scenes: int, asked: Asked
) -> list[HotPath]:
    """The calls of a rollout, by name: the call, its bytes and its frames."""
    return [
        HotPath(
            f"JEPA {name}", f"{about}, {n} frame{'s' * (n > 1)}", "scene-frames", scenes * n, moved, counted(still(call, asked)),
            still(call, asked),
        )
        for name, (call, moved, n) in calls.items()
    ]  # fmt: skip


def planning(asked: Asked) -> HotPath:
    """Candidates of a small scene whose box is moved: a thousand over 50 frames."""
    size, number, frames = SIZE[torch.device(asked.device).type], asked.size(16, 1000, 1000), asked.size(12, 50, 50)
    model = build("fluid", size=size).to(asked.device).eval()
    past = _past(1, model.card.history, frames).to(asked.device)
    drive, cost = Drive("box_offset", speed=0.5, reach=0.3), distance_to([0.0, 0.0])
    imagine = prepared(model, past)
    drawn = torch.Generator().manual_seed(0)
    script = drive.script(past, 2 * torch.rand((number, drive.knots, 1), generator=drawn) - 1, frames)
    told = sum(
        x.numel() * x.element_size() for x in (script.box_offset, script.obstacle_position, script.node_position)
    )
    moved = told + weight_bytes(model.backbone) + number * WORD

    def best() -> object:
        return cost(imagine(script, (frames,), True)).argmin()

    about = f"size {size}, {number} candidates of {frames} frames, {NODES} nodes"
    once = still(best, asked)
    return HotPath(
        "JEPA planning", about, "candidates", number, moved, counted(once), once, number * frames, "scene-frames"
    )


def still(call: Callable[[], object], asked: Asked) -> Callable[[], object]:
    """A call without gradients, that waits for the device."""

    @torch.no_grad()
    def once() -> object:
        found = call()
        synchronise(asked.device)
        return found

    return once


def _past(scenes: int, history: int, frames: int) -> Trajectory:
    one = film(NODES, history, frames + 1)
    return stack([one] * scenes)
