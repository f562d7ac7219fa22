"""Floors: what each hot path must at least take on this device, beside what it takes.

A floor is counted, not fitted: the bytes that a call must move at the bandwidth of a plain copy, or the operations that it must do
at the rate of a matrix product, whichever takes longer; both rates are measured in the same run. One file a hot path, each with
its formulas. See docs/performance.md.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ...contracts import MisuseError
from ...contracts.nearest import one_of
from .. import environment
from ..timing.clock import Clocks, Effort, clocks_of, time_interleaved
from ..timing.speed import timing_threads
from ..timing.timing import Timing
from . import _rates
from ._path import Asked, HotPath, Rates

FILES = ("fluid", "cloth", "rigid", "neighbours", "message_passing", "jepa", "training", "generation", "windows")
"""Of the hot paths, in the order in which they are shown."""
NOTABLE = 3.0
"""A ratio above this needs a reason."""
EFFORT = {True: Effort(3, 0.0), False: Effort(9, 0.05)}
"""By whether it is to be quick."""


def floors(
    device: str = "cpu",
    *,
    quick: bool = False,
    only: Sequence[str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    effort: Effort | None = None,
    clocks: Clocks | None = None,
) -> dict[str, Any]:
    """Floor, measured median and ratio of every hot path on a device, as plain data: "device", "rates" and "rows".

    All calls are warmed up and then sampled in turns, so that a drift of the machine hits all alike; torch runs on one thread of
    a CPU, as in every timing. `only` names files of hot paths. Raises MisuseError for a device or name that does not exist.
    """
    environment.require_device(device)
    chosen = list(FILES if only is None else only)
    for name in chosen:
        if name not in FILES:
            raise MisuseError(f"unknown hot path {name!r}; {one_of(name, FILES)}")
    tell = progress or (lambda what, done, total: None)
    with timing_threads(torch.device(device)):
        paths, failed = _prepared(chosen, Asked(device, quick), tell)
        before = _rates.measured(device)
        tell("time hot paths", 0, 1)
        found, failures = time_interleaved(
            {str(k): path.task for k, path in enumerate(paths)}, effort or EFFORT[quick],
            clocks=clocks or clocks_of(torch.device(device)),
        )  # fmt: skip
        tell("time hot paths", 1, 1)
        rates = _faster(before, _rates.measured(device))
    rows = [row(path, rates, found[str(k)]) for k, path in enumerate(paths) if str(k) in found]
    failed += [{"path": paths[int(k)].name, "error": why} for k, why in failures.items()]
    return {
        "device": _named(device), "kind": torch.device(device).type, "quick": quick, "rates": rates.to_dict(),
        "rows": rows, "failures": failed,
    }  # fmt: skip


def _prepared(
    names: Sequence[str], asked: Asked, tell: Callable[[str, int, int], None]
) -> tuple[list[HotPath], list[dict[str, str]]]:
    """The hot paths of some files, and why there are none of others: a library may be missing on one device."""
    found, failed = list[HotPath](), list[dict[str, str]]()
    for k, name in enumerate(names):
        tell("prepare hot paths", k, len(names))
        try:
            found += importlib.import_module(f"{__name__}.{name}").paths(asked)
        except Exception as error:
            failed.append({"path": name, "error": f"{type(error).__name__}: {error}"})
    tell("prepare hot paths", len(names), len(names))
    return found, failed


def _faster(first: Rates, second: Rates) -> Rates:
    """The better of two measurements of each rate: what disturbs a machine makes it slower, never faster."""
    copies = tuple((block, max(a, b)) for (block, a), (_, b) in zip(first.copies, second.copies, strict=True))
    halves = [x for x in (first.half_products, second.half_products) if x is not None]
    return Rates(copies, max(first.products, second.products), max(halves, default=None))


def row(path: HotPath, rates: Rates, timing: Timing) -> dict[str, Any]:
    """One line of the table, as plain data: seconds of a call."""
    floor, binding = rates.floor(path)
    low, high = np.percentile(timing.samples, [25, 75])
    rate = {"per_second": path.count / timing.median, "unit": path.unit}
    beside = {
        "beside_per_second": path.beside / timing.median if path.beside else None,
        "beside_unit": path.beside_unit,
    }
    return {
        "path": path.name, "size": path.size, "bytes": path.bytes, "operations": path.operations, "floor_s": floor,
        "bound": binding, "measured_s": timing.median, "q25_s": float(low), "q75_s": float(high),
        "ratio": timing.median / floor, **rate, **beside, "samples": len(timing.samples), "flags": timing.flags,
    }  # fmt: skip


def _named(device: str) -> str:
    """What the device is called."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    told = environment.environment(device)
    return f"{told['cpu_model'] or 'a CPU'}, {told['cores']} cores"
