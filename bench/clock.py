"""One way to time anything: warm up, interleave, synchronise, keep every sample.

The clock and the synchronisation are arguments, so that the procedure can be tested on a clock that does not run.
"""

from __future__ import annotations

import gc
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

Task = Callable[[], object]

STEADY = 0.05
"""Warm-up ends when two calls in a row differ by less than this share."""

WARMUP_CALLS = 10
WARMUP_SECONDS = 0.5
"""Ceilings of the warm-up, after which the timing is marked as not steady; the seconds are at least CEILING_FACTOR samples."""

CEILING_SECONDS = 2.0
CEILING_FACTOR = 4
"""Sampling time of one task [s], or that many times what its samples must take at least: beyond it a slow task gets fewer
samples than asked for, but never fewer than three."""

MAX_REPEATS = 1000


def synchronise_all() -> None:
    """Wait for all work given to a device. Asks only the libraries that are in use, and imports none."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    taichi = sys.modules.get("taichi")
    if taichi is not None and taichi.lang.impl.get_runtime().prog is not None:
        taichi.sync()
    warp = sys.modules.get("warp")
    if warp is not None and hasattr(warp, "synchronize"):
        warp.synchronize()


@dataclass(frozen=True)
class Clocks:
    """What time is read from."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time
    """Seconds of processor time of this process, all cores together."""
    synchronise: Callable[[], None] = synchronise_all


@dataclass(frozen=True)
class Effort:
    """How hard to measure; a track sets it."""

    samples: int
    sample_seconds: float
    """A sample repeats its task until it takes at least this long [s]."""


@dataclass
class Timing:
    """Raw and summed-up seconds per call of one task."""

    first_call: float
    """The very first call, compilation included [s]."""
    warmup_calls: int
    steady: bool
    """False when the warm-up hit its ceiling before two calls agreed."""
    repeats: int
    """Calls in one sample."""
    wanted: int
    samples: list[float] = field(default_factory=list)
    """Wall-clock seconds per call, one entry a sample."""
    cpu_samples: list[float] = field(default_factory=list)
    """Core-seconds per call, one entry a sample."""

    @property
    def median(self) -> float:
        """Median seconds per call."""
        return float(np.median(self.samples))

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON, the raw samples included."""
        low, high = np.percentile(self.samples, [25, 75])
        return {
            "first_call_s": self.first_call,
            "warmup_calls": self.warmup_calls,
            "steady": self.steady,
            "repeats": self.repeats,
            "samples_s": self.samples,
            "core_samples_s": self.cpu_samples,
            "median_s": self.median,
            "q25_s": float(low),
            "q75_s": float(high),
            "core_median_s": float(np.median(self.cpu_samples)),
        }


def warm_up(task: Task, effort: Effort, clocks: Clocks) -> Timing:
    """Call a task until it takes the same time twice, the first call apart, and plan its samples."""
    first = once(task, clocks)
    seconds, previous, spent, calls, steady = first, math.inf, 0.0, 0, False
    patience = max(WARMUP_SECONDS, CEILING_FACTOR * effort.sample_seconds)
    while not steady and calls < WARMUP_CALLS and (calls < 1 or spent < patience):
        previous, seconds = (seconds if calls else math.inf), once(task, clocks)
        spent, calls = spent + seconds, calls + 1
        steady = abs(seconds - previous) <= STEADY * min(seconds, previous)
    return plan(first, calls, steady, seconds, effort)


def plan(first: float, calls: int, steady: bool, seconds: float, effort: Effort) -> Timing:
    """A timing without samples yet: how often to repeat and to sample a task that takes `seconds` a call."""
    per_call = max(seconds, 1e-9)
    repeats = min(max(1, math.ceil(effort.sample_seconds / per_call)), MAX_REPEATS)
    ceiling = max(CEILING_SECONDS, CEILING_FACTOR * effort.samples * effort.sample_seconds)
    affordable = int(ceiling / (repeats * per_call))
    return Timing(first, calls, steady, repeats, min(effort.samples, max(3, affordable)))


def once(task: Task, clocks: Clocks) -> float:
    """Wall-clock seconds of one call, between two synchronisations."""
    clocks.synchronise()
    start = clocks.wall()
    task()
    clocks.synchronise()
    return clocks.wall() - start


def sample(task: Task, timing: Timing, clocks: Clocks) -> None:
    """Append one sample to a timing."""
    clocks.synchronise()
    wall, cpu = clocks.wall(), clocks.cpu()
    for _ in range(timing.repeats):
        task()
    clocks.synchronise()
    timing.samples.append((clocks.wall() - wall) / timing.repeats)
    timing.cpu_samples.append((clocks.cpu() - cpu) / timing.repeats)


def time_interleaved(
    tasks: Mapping[str, Task],
    effort: Effort,
    *,
    clocks: Clocks | None = None,
    seed: int = 0,
    warm: Mapping[str, Timing] | None = None,
) -> tuple[dict[str, Timing], dict[str, str]]:
    """Time tasks against each other: all are warmed up, then sampled in turns, each turn back and forth (ABBA).

    `warm` holds plans of tasks that were warmed up before.

    Returns the timings and, by name, why a task failed; a task that raises is timed no further and stops no other.
    """
    clocks = clocks or Clocks()
    timings: dict[str, Timing] = {}
    failures: dict[str, str] = {}
    with _no_collection():
        for name, task in tasks.items():
            with _caught(name, failures):
                timings[name] = warm[name] if warm and name in warm else warm_up(task, effort, clocks)
        for name in turns(list(timings), effort.samples, seed):
            timing = timings[name]
            if name not in failures and len(timing.samples) < timing.wanted:
                with _caught(name, failures):
                    sample(tasks[name], timing, clocks)
    return {n: t for n, t in timings.items() if n not in failures}, failures


def turns(names: list[str], rounds: int, seed: int) -> Iterator[str]:
    """Names in shuffled blocks, each followed by its mirror image, so that a drift of the machine hits all alike."""
    rng = random.Random(seed)
    order = list(names)
    for k in range(rounds):
        if k % 2 == 0:
            rng.shuffle(order)
        yield from order if k % 2 == 0 else reversed(order)


@contextmanager
def _caught(name: str, failures: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever a contestant raises is its result
        failures[name] = f"{type(error).__name__}: {error}"


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection inside a sample."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
