"""One way to time anything: warm up, interleave, synchronise, keep every sample.

The clock, the synchronisation and what a device says besides are arguments, so that the procedure can be tested on a clock that
does not run. What the samples are worth is judged in bench/timing/timing.py.
"""

from __future__ import annotations

import gc
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from .device_clocks import Events, Task, TorchEvents, busy_seconds, nvml_throttled
from .timing import STEADY, Timing

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
    events: Callable[[], Events] | None = None
    """A new pair of events for each sample; None where there are none, as on a CPU."""
    busy: Callable[[Task], float | None] | None = None
    """Seconds of one call in which the device worked, asked once a task after all sampling; None where nobody can tell."""
    throttled: Callable[[], bool] | None = None
    """Is the clock frequency held down? Asked after each sample; None where nobody can tell."""


def clocks_of(device: Any) -> Clocks:
    """The clocks of a torch device: on CUDA with events, busy time and the driver's word, elsewhere wall and cores alone."""
    if device.type != "cuda":
        return Clocks()
    return Clocks(events=TorchEvents, busy=busy_seconds, throttled=nvml_throttled(device))


@dataclass(frozen=True)
class Effort:
    """How hard to measure; a track sets it."""

    samples: int
    sample_seconds: float
    """A sample repeats its task until it takes at least this long [s]."""
    energy_seconds: float = 10.0
    """How long a rollout is repeated to measure its energy, and the device left idle before [s]; a GPU alone is asked."""


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
    return Timing(first, calls, steady, repeats, min(effort.samples, max(3, affordable)), asked=effort.samples)


def once(task: Task, clocks: Clocks) -> float:
    """Wall-clock seconds of one call, between two synchronisations."""
    clocks.synchronise()
    start = clocks.wall()
    task()
    clocks.synchronise()
    return clocks.wall() - start


def sample(task: Task, timing: Timing, clocks: Clocks) -> None:
    """Append one sample to a timing: the wall clock between two synchronisations, and events around the same calls."""
    events = clocks.events() if clocks.events is not None else None
    clocks.synchronise()
    wall, cpu = clocks.wall(), clocks.cpu()
    if events is not None:
        events.start()
    for _ in range(timing.repeats):
        task()
    if events is not None:
        events.end()
        events.wait()
    passed = clocks.wall()
    clocks.synchronise()
    stop = clocks.wall()
    timing.samples.append((stop - wall) / timing.repeats)
    timing.cpu_samples.append((clocks.cpu() - cpu) / timing.repeats)
    if events is not None:
        timing.event_samples.append(events.seconds() / timing.repeats)
        timing.after_events.append((stop - passed) / timing.repeats)
    timing.throttled += clocks.throttled is not None and clocks.throttled()


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


def ask_busy(tasks: Mapping[str, Task], timings: Mapping[str, Timing], clocks: Clocks) -> None:
    """Note how long the device works in one call of each task. After all sampling: a profiler may leave launches slower."""
    if clocks.busy is None:
        return
    for name, timing in timings.items():
        with suppress(Exception):  # a cross-check that fails takes no timing away
            timing.busy = clocks.busy(tasks[name])


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
