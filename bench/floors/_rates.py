"""What a device reaches: bytes a second of a plain copy, floating-point operations a second of a matrix product.

The product is the densest stream of fused multiply-adds that a library runs, so a floor by it is one for plain arithmetic too.
On a CPU torch runs on one thread, as in every timing of hedgefox.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

from ._path import Rates

BLOCKS = (1 << 20, 1 << 23, 1 << 26)
"""Bytes: within a core's cache, within a chip's, and beyond."""
SIDE = {"cpu": 1024, "cuda": 4096}
"""Rows of the square matrices."""


def synchronise(device: str) -> None:
    """Wait for a device."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def best_time(function: Callable[[], object], seconds: float = 1.0) -> float:
    """Least time of one call [s], of at least three calls: what a shared machine disturbs least."""
    best, until, calls = math.inf, time.perf_counter() + seconds, 0
    while calls < 3 or time.perf_counter() < until:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
        calls += 1
    return best


def copy_bandwidth(device: str, block: int = BLOCKS[-1], seconds: float = 0.1) -> float:
    """Bytes a second that a copy within the device's memory moves: what it reads plus what it writes."""
    source = torch.zeros(block, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    times = 1 + BLOCKS[-1] // block if torch.device(device).type == "cuda" else 1

    def copy() -> None:
        for _ in range(times):  # on a GPU the launches overlap, so that a small block is not a launch's latency
            target.copy_(source)
        synchronise(device)

    copy()
    return 2 * block * times / best_time(copy, seconds)


def best_flops_per_second(device: str, dtype: torch.dtype = torch.float32, seconds: float = 0.3) -> float:
    """Of a matrix product, an fma counted as two."""
    side = SIDE[torch.device(device).type]
    a = torch.randn((side, side), device=device).to(dtype)

    def multiply() -> None:
        a @ a
        synchronise(device)

    multiply()
    return 2 * side**3 / best_time(multiply, seconds)


def measured(device: str) -> Rates:
    """The rates of a device now."""
    copies = tuple((block, copy_bandwidth(device, block)) for block in BLOCKS)
    half = best_flops_per_second(device, torch.bfloat16) if torch.device(device).type == "cuda" else None
    return Rates(copies, best_flops_per_second(device), half)
