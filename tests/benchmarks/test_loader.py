"""Windows a second from memory, beside the floor: the same bytes at the bandwidth that a plain copy reaches."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from hedgefox.contracts import Trajectory, single_scene, stack
from hedgefox.datasets import Windows

FRAMES, LENGTH, BATCH = 40, 6, 16
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def big_film(n_scenes: int = 32, n_nodes: int = 1000) -> Trajectory:
    """Scenes of the size of the quick track's fluid."""
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
    return sum(x.numel() * x.element_size() for x in (batch.position, batch.velocity))


def copy_bandwidth(device: str) -> float:
    """Bytes a second that a copy within the device's memory moves, read and written counted once each."""
    block = torch.empty(1 << 26, dtype=torch.uint8, device=device)
    target = torch.empty_like(block)
    best = float("inf")
    for _ in range(5):
        synchronise(device)
        start = time.perf_counter()
        target.copy_(block)
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return block.numel() / best


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("device", DEVICES)
def test_windows_per_second(benchmark: Any, device: str) -> None:
    windows = Windows(big_film().to(device), LENGTH)
    generator = torch.Generator(device).manual_seed(0)

    def draw() -> Trajectory:
        batch = windows.batch(generator, BATCH)
        synchronise(device)
        return batch

    batch = benchmark(draw)
    assert batch.n_frames == LENGTH
    if benchmark.stats is None:
        return
    seconds = benchmark.stats.stats.median
    floor = window_bytes(batch) / copy_bandwidth(device)
    benchmark.extra_info |= {
        "windows_per_second": BATCH / seconds,
        "bytes_per_window": window_bytes(batch) // BATCH,
        "floor_seconds": floor,
        "times_the_floor": seconds / floor,
    }
