"""Speed and memory: every contestant rolls out the same starts on the same device, timed by one procedure.

Latency (one scene against one scene) and throughput (each contestant at its own best batch) are measured apart and never
mixed. A rollout's time is all of it: neighbour search, features, integration, every substep. On a CPU torch runs on one
thread, core-seconds are reported beside the wall clock, and nothing is a headline: that is CUDA's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ...contracts import Model, Trajectory
from ...contracts.check import own_copy
from ..contestants import Contestant
from ..reduce import ratio_of_medians
from .activity import active_fractions, mean_active
from .clock import Clocks, Effort, ask_busy, clocks_of, once, plan, time_interleaved
from .device_clocks import Task
from .energy import Meter, measure_energy, nvml_counter
from .fresh import remembering
from .memory import measure_memory
from .phases import first_frame_seconds, phase_seconds
from .timing import STEADY, Timing

QUICK_SECONDS = 1.0
"""A rollout shorter than this is called twice at each batch size tried."""

GAIN = 1.05
"""A larger batch must raise throughput by this factor to be worth trying the next one."""


def speed_case(
    past: Trajectory,
    n_frames: int,
    contestants: Sequence[Contestant],
    effort: Effort,
    *,
    batches: Sequence[int] = (1,),
    clocks: Clocks | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Time contestants on one domain; the first of kind "reference" is what ratios are taken to.

    `past` holds the starts of at least one scene; a batch larger than that repeats scenes. Returns an entry a contestant
    and, by contestant, why it failed.
    """
    clocks = clocks or clocks_of(past.device)
    pasts = {b: own_copy(past.select(batch_scenes(past, b))) for b in sorted({1, *batches})}
    models = {c.key: c.model for c in contestants}
    alone = {k: _task(m, pasts[1], n_frames) for k, m in models.items()}
    with timing_threads(past.device):
        latency, failures = time_interleaved(alone, effort, clocks=clocks)
        _tell(progress, 1, 3)
        tried = {k: try_batches(models[k], pasts, n_frames, clocks, start=latency[k].median) for k in latency}
        chosen = {k: max(t, key=lambda x: x["nodes_per_s"]) for k, t in tried.items()}
        best = {k: int(c["batch"]) for k, c in chosen.items()}
        larger = {k: _task(models[k], pasts[b], n_frames) for k, b in best.items() if b > 1}
        warm = {k: _plan_of(chosen[k], effort) for k in larger}
        throughput, late = time_interleaved(larger, effort, clocks=clocks, seed=1, warm=warm)
        _tell(progress, 2, 3)
        late |= remembering({k: models[k] for k in latency}, pasts[1], n_frames, latency, clocks)
        extra = _beside({k: models[k] for k in latency if k not in late}, pasts[1], n_frames, effort, clocks)
        reference = next((c.key for c in contestants if c.model.card.kind == "reference" and c.key in latency), None)
        ask_busy(alone, latency, clocks)
        ask_busy(larger, throughput, clocks)
        active = _active(models.get(reference or ""), past, n_frames, max(pasts))
        _tell(progress, 3, 3)
    entries = []
    for c in (c for c in contestants if c.key in extra):
        most, b = throughput.get(c.key, latency[c.key]), best[c.key]
        entries.append(
            {
                "model": c.name,
                "kind": c.model.card.kind,
                "seed": c.seed,
                "frames": n_frames,
                "latency": _timing_entry(latency[c.key], 1, pasts, active),
                "throughput": _timing_entry(most, b, pasts, active)
                | {
                    "nodes_per_s": pasts[b].scene.n_nodes * n_frames / max(most.median, 1e-12),
                    "tried": tried[c.key],
                },
                **extra[c.key],
                "active_fraction": mean_active(active[:1]),
                "speedup_reference": _ratio(latency, reference, c.key),
                # Timing alone cannot tell; bench/equal_accuracy.py fills it in where errors are known.
                "speedup_equal_accuracy": None,
            }
        )
    return entries, failures | late


def _beside(
    models: Mapping[str, Model], past: Trajectory, n_frames: int, effort: Effort, clocks: Clocks
) -> dict[str, dict[str, Any]]:
    """What is measured at one scene besides latency: phases, the first frame, energy, and memory last, which disturbs timing."""
    tasks = {k: _task(m, past, n_frames) for k, m in models.items()}
    counter = nvml_counter(past.device) if effort.energy_seconds > 0 else None
    meter = None if counter is None else Meter(counter, clocks, effort.energy_seconds)
    phases = {k: phase_seconds(m, past, n_frames, clocks) for k, m in models.items()}
    first, energy = first_frame_seconds(models, past, effort, clocks), measure_energy(tasks, meter)
    return {
        k: {"phases": phases[k], "first_frame_s": first[k], "energy_j": energy[k], **measure_memory(task, past.device)}
        for k, task in tasks.items()
    }


@torch.no_grad()
def _active(reference: Model | None, past: Trajectory, n_frames: int, batch: int) -> list[float | None]:
    """Active fraction of each start of the largest batch, by the reference's own rollout, a scene that repeats once.

    Empty where there is no reference, or where it fails on all starts at once, as a device too small makes it.
    """
    if reference is None:
        return []
    starts = own_copy(past.select(batch_scenes(past, min(batch, past.scene.n_scenes))))
    try:
        return active_fractions(starts, reference.rollout(starts, n_frames))
    except Exception:  # too large for the device: timings stand without it
        return []


def _timing_entry(
    timing: Timing, batch: int, pasts: Mapping[int, Trajectory], active: Sequence[float | None]
) -> dict[str, Any]:
    shares = [active[k % len(active)] for k in range(batch)] if active else []
    about = {"batch": batch, "nodes": pasts[batch].scene.n_nodes, "active_fraction": mean_active(shares)}
    return about | timing.to_dict()


def _tell(progress: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _task(model: Model, past: Trajectory, n_frames: int) -> Task:
    return lambda: model.rollout(past, n_frames)


def _ratio(latency: Mapping[str, Timing], reference: str | None, key: str) -> dict[str, float | None] | None:
    """How many times faster than the reference at one scene; not at equal accuracy."""
    if reference is None:
        return None
    return ratio_of_medians(np.array(latency[reference].samples), np.array(latency[key].samples)).to_dict()


def batch_scenes(past: Trajectory, batch: int) -> list[int]:
    """The scenes of a batch: of middle size first, in a fixed order, from the beginning again when there are too few."""
    sizes = past.scene.scene_ptr[1:] - past.scene.scene_ptr[:-1]
    order: list[int] = (sizes - sizes.median()).abs().argsort(stable=True).tolist()
    return [order[k % len(order)] for k in range(batch)]


def try_batches(
    model: Model, pasts: Mapping[int, Trajectory], n_frames: int, clocks: Clocks, *, start: float
) -> list[dict[str, Any]]:
    """Throughput at growing batch sizes, until one gains less than 5 % or does not fit; `start` is the time at one scene.

    Each size is called once to warm up and once to measure, or just once where that takes longer than QUICK_SECONDS and no
    longer than so many scenes one by one (else something was compiled or captured for the new size): enough to choose, the
    chosen one is then sampled.
    """
    tried = [_throughput(1, pasts[1], n_frames, start, start)]
    for batch in [b for b in pasts if b > 1]:
        task = _task(model, pasts[batch], n_frames)
        try:
            first = once(task, clocks)
            again = first < QUICK_SECONDS or first > GAIN * batch * start
            seconds = once(task, clocks) if again else first
            tried.append(_throughput(batch, pasts[batch], n_frames, seconds, first))
        except Exception as error:  # too large for the device, or refused: smaller batches stand
            lost = {"batch": batch, "seconds": None, "first_call_s": None, "nodes_per_s": 0.0}
            tried.append(lost | {"error": type(error).__name__})
        if tried[-1]["nodes_per_s"] < GAIN * tried[-2]["nodes_per_s"]:
            break
    return tried


def _plan_of(tried: Mapping[str, Any], effort: Effort) -> Timing:
    """The plan of a batch that was tried: steady when it was called twice and took the same time."""
    first, seconds = tried["first_call_s"], tried["seconds"]
    twice = first != seconds
    return plan(first, int(twice), twice and abs(first - seconds) <= STEADY * seconds, seconds, effort)


def _throughput(batch: int, past: Trajectory, n_frames: int, seconds: float, first: float) -> dict[str, Any]:
    rate = past.scene.n_nodes * n_frames / max(seconds, 1e-12)
    return {"batch": batch, "seconds": seconds, "first_call_s": first, "nodes_per_s": rate, "error": None}


@contextmanager
def timing_threads(device: torch.device) -> Iterator[None]:
    """On a CPU, torch on one thread while timing: solvers on Warp use one too, and two would fight over two cores."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
