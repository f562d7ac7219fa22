"""Energy of a rollout where the driver counts it: NVML's total-energy counter around at least ten seconds of rollouts.

The counter (nvmlDeviceGetTotalEnergyConsumption, mJ since the driver was loaded, from Volta on) is refreshed every 20 to 100 ms
only, and a short window can read zero. So every window begins and ends at a refresh, and a rollout is repeated until the window
is long. Power is measured at rest first; gross is all energy of the window, net what was above rest:

    gross = (E₂ − E₀ − P_idle (t₂ − t₁)) / n        net = gross − P_idle (t₁ − t₀) / n

t₀ and t₂ are the times of a refresh, t₁ the end of the last of n rollouts; from t₁ to t₂ the device is taken to rest.

Needs the optional library nvidia-ml-py (`pip install "hedgefox[cuda]"`). Without it, without a device that counts, or with another
process on the device, energy is None. On a CPU it is None too: the counters of processors (RAPL) are not read, because they count
the whole socket and are closed to ordinary users.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .clock import Clocks
from .device_clocks import Task, nvml_handle

PATIENCE = 1.0
"""Longest wait for a refresh of the counter [s]: one that stands still that long is no counter."""

POLL = 0.001


class Counter(Protocol):
    """A meter of energy."""

    def joules(self) -> float:
        """Energy used since some fixed moment [J], as last refreshed."""

    def shared(self) -> bool:
        """True when another process uses the device, whose energy nobody can tell from ours."""


class NvmlCounter:
    """NVML's counter of one device."""

    def __init__(self, library: Any, handle: Any) -> None:
        self.library, self.handle = library, handle

    def joules(self) -> float:
        """See `Counter.joules`."""
        return 1e-3 * float(self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle))

    def shared(self) -> bool:
        """See `Counter.shared`. Inside a container process numbers differ and others may be hidden: more than one is shared."""
        return len(self.library.nvmlDeviceGetComputeRunningProcesses(self.handle)) > 1


def nvml_counter(device: Any) -> NvmlCounter | None:
    """The counter of a torch device; None on a CPU, without nvidia-ml-py, or where the device does not count."""
    found = nvml_handle(device) if device.type == "cuda" else None
    if found is None:
        return None
    counter = NvmlCounter(*found)
    try:
        counter.joules()
    except found[0].NVMLError:
        return None
    return counter


@dataclass(frozen=True)
class Meter:
    """How energy is measured: a counter, the clocks, and how long."""

    counter: Counter
    clocks: Clocks
    seconds: float
    """Least length of a window [s]."""
    sleep: Callable[[float], None] = time.sleep

    def refresh(self) -> tuple[float, float]:
        """Time [s] and reading [J] of the next refresh; raises TimeoutError for a counter that stands still."""
        start, before = self.clocks.wall(), self.counter.joules()
        while (now := self.counter.joules()) == before:
            if self.clocks.wall() - start > PATIENCE:
                raise TimeoutError("the energy counter stands still")
            self.sleep(POLL)
        return self.clocks.wall(), now

    def idle_watts(self) -> float:
        """Power of the device at rest [W], over one window."""
        self.clocks.synchronise()
        start, before = self.refresh()
        self.sleep(self.seconds)
        end, after = self.refresh()
        return (after - before) / (end - start)

    def of(self, task: Task, idle: float) -> dict[str, float]:
        """Joules a call: {gross, net}, beside {idle_w, seconds, rollouts} of the window."""
        self.clocks.synchronise()
        (start, before), calls = self.refresh(), 0
        while calls == 0 or self.clocks.wall() - start < self.seconds:
            task()
            self.clocks.synchronise()
            calls += 1
        done = self.clocks.wall()
        end, after = self.refresh()
        gross = after - before - idle * (end - done)
        net = gross - idle * (done - start)
        return {
            "gross": gross / calls,
            "net": net / calls,
            "idle_w": idle,
            "seconds": done - start,
            "rollouts": float(calls),
        }


def measure_energy(tasks: Mapping[str, Task], meter: Meter | None) -> dict[str, dict[str, float] | None]:
    """Energy of each task; None for all without a meter, and for one during which the device was shared or did not count."""
    found: dict[str, dict[str, float] | None] = dict.fromkeys(tasks)
    if meter is None:
        return found
    try:
        idle = None if meter.counter.shared() else meter.idle_watts()
    except Exception:  # the driver's, of many kinds: no figure
        return found
    for name, task in tasks.items() if idle is not None else ():
        try:
            shared = meter.counter.shared()
            joules = None if shared or idle is None else meter.of(task, idle)
            found[name] = None if meter.counter.shared() else joules
        except Exception:  # as above; the task itself has run before
            continue
    return found
