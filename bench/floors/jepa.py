"""The generalist: encode, advance (one leap in latent space), decode (one frame), and a whole rollout in a few calls.

Operations: of all matrix products that the call runs, 2 m n k each, as torch counts them while it runs once. Bytes: the weights
that the call needs, once; positions and velocities that it reads or writes, once. Latents and features could stay on the chip.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ...contracts import Trajectory, stack
from ...jepa.jepa import build
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
    return [
        HotPath(
            f"JEPA {name}", f"{about}, {n} frame{'s' * (n > 1)}", "scene-frames", scenes * n, moved, counted(still(call, asked)),
            still(call, asked),
        )
        for name, (call, moved, n) in calls.items()
    ]  # fmt: skip


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
