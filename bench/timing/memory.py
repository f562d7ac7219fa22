"""Peak memory of one call: of a device as its driver says it, of a CPU as growth of this process."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .device_clocks import Task

DEVICE, GROWTH = "device", "process growth"
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure_memory(task: Task, device: torch.device) -> dict[str, Any]:
    """The entry's fields `peak_memory_bytes` and `memory_kind`, both None where nothing can tell."""
    cuda = device.type == "cuda"
    peak = peak_memory(task, device) if cuda else process_growth(task)
    return {"peak_memory_bytes": peak, "memory_kind": None if peak is None else DEVICE if cuda else GROWTH}


def _driver_used(device: torch.device) -> int:
    free, total = torch.cuda.mem_get_info(device)
    return int(total - free)


def peak_memory(
    task: Task, device: torch.device, *, used: Callable[[torch.device], int] = _driver_used, interval: float = 0.005
) -> int | None:
    """Largest device memory in use during one call [bytes], as the driver says it (torch does not see Taichi or Warp).

    All processes on the device count. None on a CPU, which has no such figure.
    """
    if device.type != "cuda":
        return None
    peak = [used(device)]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(interval):
            peak.append(used(device))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        task()
    finally:
        done.set()
        watcher.join()
    return max(*peak, used(device))


def process_growth(task: Task) -> int | None:
    """How far this process's resident memory rises above its start during one call [bytes]; None where Linux cannot tell.

    The kernel keeps the high-water mark (VmHWM), set back to the present size before the call, so that no peak is missed
    between polls. Memory that was freed before is handed back to the system first, or the call would fill it unseen. What the
    task holds since its warm-up (weights, captured steps, fields of a solver) is not growth and is not counted.
    """
    _hand_back_freed()
    try:
        RESET.write_text("5")
        before = _high_water()
    except (OSError, ValueError):
        return None
    task()
    return max(0, _high_water() - before)


def _high_water() -> int:
    """Largest resident size since it was last set back [bytes]."""
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"{STATUS} has no line VmHWM")


def _hand_back_freed() -> None:
    """Ask the C library to return freed memory to the system; only GNU's can."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, TypeError, AttributeError):
        return
