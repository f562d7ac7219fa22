"""The reference's own error: how far it parts from itself at twice the resolution. Below that, differences say nothing.

The truth of every score is the reference at the resolution of the track. Its refined run (`Domain.refined`: half the spacing and
half the time step, where the solver has such) continues the same starts on the same nodes and is judged by the same metrics. What
it "errs" is the floor: a contestant at or below it cannot be told from the reference, and beyond the frame where the two part by
more than the trust threshold nothing is ranked, for there pointwise truth is uncertain. In chaotic motion they part early, however
fine the solver.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..contracts import Domain, Model, Recipe, registry
from ._metric import Metric, metrics_for
from .reduce import estimate, reductions
from .score import Case, prepare, rolled
from .summary import POSITION, REDUCTIONS
from .timing.speed import timing_threads

METRICS = (POSITION, "observable_error")
"""What the floor is measured in."""
SPLIT = "test"


def floor_one(domain: str | Domain, data: Path, recipe: Recipe, device: str, scenes: int) -> dict[str, Any] | None:
    """The floor of a domain on the first `scenes` of its test split, as plain data; None where it has no refined run.

    `values` are estimates by metric and reduction, `samples` the values a scene behind them, `parts_at` the first frame (from 1) at
    which the mean position RMSE passes the domain's trust threshold, or None.
    """
    from ..datasets import load

    kind, started = registry.domain(domain), time.perf_counter()
    refined = kind.refined(recipe, device)
    if refined is None:
        return None
    with timing_threads(torch.device(device)):
        film = load(data, SPLIT, device)
        case = prepare(kind, SPLIT, film.select(range(min(scenes, film.scene.n_scenes))), recipe, device=device)
        curves = _curves(case, refined)
    return _floor(refined.card.name, kind.trust_threshold, curves) | {"seconds": time.perf_counter() - started}


def _curves(case: Case, refined: Model) -> dict[str, np.ndarray]:
    answer = rolled(case, refined)
    found: dict[str, np.ndarray] = {}
    for metric in _judges(case.domain.name):
        found |= metric.evaluate(case.truth, answer, case.domain)
    return found


def _judges(domain: str) -> list[Metric]:
    return [m for m in metrics_for(domain) if m.name in METRICS]


def _floor(solver: str, threshold: float, curves: Mapping[str, np.ndarray]) -> dict[str, Any]:
    reduced = {metric: reductions(curve) for metric, curve in curves.items()}
    position = next((c for name, c in curves.items() if name.startswith(f"{POSITION}@")), None)
    return {
        "solver": solver,
        "scenes": next(iter(curves.values())).shape[1],
        "values": {m: {name: _estimate(r[name]) for name in REDUCTIONS} for m, r in reduced.items()},
        "samples": {
            m: {n: None if (v := r[n]) is None else v.tolist() for n in REDUCTIONS} for m, r in reduced.items()
        },
        "parts_at": None if position is None else parting(position, threshold),
    }


def _estimate(values: np.ndarray | None) -> dict[str, float | None] | None:
    found = None if values is None else estimate(values)
    return None if found is None else found.to_dict()


def parting(position: np.ndarray, threshold: float) -> int | None:
    """First frame, from 1, at which the mean over scenes of a position RMSE (T, B) [m] passes a threshold, or None."""
    past = np.flatnonzero(position.mean(1) > threshold)
    return int(past[0]) + 1 if len(past) else None


def samples_of(floor: Mapping[str, Any] | None, metric: str) -> dict[str, np.ndarray]:
    """Values a scene by reduction, of the metric of this name in any version; empty without a floor."""
    held = {} if floor is None else floor["samples"]
    found: Mapping[str, Sequence[float] | None] = next(
        (v for name, v in held.items() if name.startswith(f"{metric}@")), {}
    )
    return {name: np.asarray(values, float) for name, values in found.items() if values is not None}
