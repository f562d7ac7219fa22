"""What a CUDA device says of time besides the wall clock: events on torch's stream, busy seconds, and held-down clocks.

Each is a cross-check: the time of record is the wall clock between full synchronisations (bench/timing/clock.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

Task = Callable[[], object]


class Events(Protocol):
    """A pair of marks in the order of work of one stream."""

    def start(self) -> None:
        """Put the first mark behind all work given so far."""

    def end(self) -> None:
        """Put the second mark behind all work given so far."""

    def wait(self) -> None:
        """Wait until the second mark is reached."""

    def seconds(self) -> float:
        """Time between the marks [s], once both are reached."""


class TorchEvents:
    """Two CUDA events on the stream that is torch's current one when each is recorded."""

    def __init__(self) -> None:
        import torch

        self.marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)]  # type: ignore[no-untyped-call]

    def start(self) -> None:
        """See `Events.start`."""
        self.marks[0].record()

    def end(self) -> None:
        """See `Events.end`."""
        self.marks[1].record()

    def wait(self) -> None:
        """See `Events.wait`."""
        self.marks[1].synchronize()

    def seconds(self) -> float:
        """See `Events.seconds`; resolution about half a microsecond."""
        return 1e-3 * float(self.marks[0].elapsed_time(self.marks[1]))


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals (start, end): what lies in several counts once."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def busy_seconds(task: Task) -> float | None:
    """Seconds of one call in which a kernel or copy of this process ran on the device, whoever launched it and on any stream.

    CUPTI, which torch's profiler reads, sees the kernels of Warp and Taichi too. Its own cost lengthens the gaps between
    kernels, not the kernels. None when it reports nothing: no device, or no permission to read its counters.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile

    if not torch.cuda.is_available():
        return None
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        task()
        torch.cuda.synchronize()
    work = [e for e in seen.events() or () if e.device_type.name == "CUDA" and not e.is_user_annotation]
    return 1e-6 * covered((e.time_range.start, e.time_range.end) for e in work) or None


HELD_DOWN = 0x04 | 0x08 | 0x20 | 0x40 | 0x80
"""NVML's reasons that are no choice of the user: software power cap; hardware slowdown; thermal by software, by hardware; brake."""


def nvml_handle(device: Any) -> tuple[Any, Any] | None:
    """The module pynvml and its handle of a torch device, found by UUID; None without the library, the driver or the device."""
    try:
        import pynvml
        import torch

        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(device).uuid)
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
    except Exception:  # an optional library over a driver of unknown age: whatever fails, there is no figure
        return None


def nvml_throttled(device: Any) -> Callable[[], bool] | None:
    """A question to the driver: is the clock frequency held down now? None where nobody can tell."""
    found = nvml_handle(device)
    if found is None:
        return None
    library, handle = found

    def throttled() -> bool:
        try:
            return bool(library.nvmlDeviceGetCurrentClocksThrottleReasons(handle) & HELD_DOWN)
        except library.NVMLError:
            return False

    return throttled
