"""Windows a second from memory, beside the floor: the same bytes at the bandwidth that a plain copy reaches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hedgefox.bench.floors._rates import copy_bandwidth, synchronise
from hedgefox.bench.floors.windows import BATCH, LENGTH, big_film, window_bytes
from hedgefox.contracts import Trajectory
from hedgefox.datasets import Windows

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


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
