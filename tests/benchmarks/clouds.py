"""The slope of time against size, for benchmarks of whatever must be linear; clouds and timers are those of the floors."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from hedgefox.bench.floors._rates import best_time

SIZES = (1_000, 4_000, 10_000, 100_000)
MOST_SLOPE = 1.15
"""Of log time against log size; k-d trees and sorts are N log N, whose slope from 4 000 to 100 000 is 1.10."""


def slope(work: Callable[[int], Callable[[], object]], small: int = 4_000, large: int = 100_000) -> float:
    """Exponent of time in size, from `work(size)`, which prepares what is to be timed; both sizes on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return math.log(best_time(work(large)) / best_time(work(small))) / math.log(large / small)
    finally:
        torch.set_num_threads(before)
