"""Window loading: a batch of windows cut out of films in the device's memory.

Bytes: positions and velocities of every window, read once and written once. No arithmetic.
"""

from __future__ import annotations

import torch

from ...contracts import Trajectory, single_scene, stack
from ...datasets import Windows
from ._path import Asked, HotPath
from ._rates import synchronise

FRAMES, LENGTH, BATCH = 40, 6, 16


def big_film(n_scenes: int = 32, n_nodes: int = 1000) -> Trajectory:
    """Scenes of noise, of the size of the quick track's fluid."""
    generator = torch.Generator().manual_seed(0)
    films = []
    for _ in range(n_scenes):
        x = torch.rand((FRAMES, n_nodes, 2), generator=generator)
        scene = single_scene(
            domain="noise",
            frame_interval=0.01,
            rest_position=x[0],
            mass=1.0,
            bounds=torch.tensor([[0.0, 0.0], [1.0, 1.0]]),
            n_frames=FRAMES,
        )
        films.append(Trajectory(scene, x, x.flip(1)))
    return stack(films)


def window_bytes(batch: Trajectory) -> int:
    """Read and written for a batch of windows."""
    return 2 * sum(x.numel() * x.element_size() for x in (batch.position, batch.velocity))


def paths(asked: Asked) -> list[HotPath]:
    """Batches of 16 windows of 6 frames."""
    windows = Windows(big_film(asked.size(4, 32, 32)).to(asked.device), LENGTH)
    generator = torch.Generator(asked.device).manual_seed(0)

    def draw() -> Trajectory:
        batch = windows.batch(generator, BATCH)
        synchronise(asked.device)
        return batch

    about = f"{BATCH} windows of {LENGTH} frames, 1000 nodes"
    return [HotPath("window loading", about, "windows", BATCH, window_bytes(draw()), 0.0, draw)]
