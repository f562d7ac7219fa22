"""From scores to the rows of a record: every metric at every shown frame, over scenes and seeds, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..contracts.card import knows
from ._metric import Metric
from .reduce import Estimate, estimate, micro_f1, reductions, shown_frames, trust_horizon
from .score import Score

POSITION = "position_rmse"
REDUCTIONS = ("1", "5", "20", "50", "last", "mean")

Plain = dict[str, float | None] | None


def summarise(
    scores: Sequence[Score], kinds: Mapping[str, str], metrics: Sequence[Metric], trust_threshold: float
) -> list[dict[str, Any]]:
    """One row a domain, split and model, its seeds taken together; failed scores are left to the record's failures.

    `kinds` gives the kind of each model by name.
    """
    groups: dict[tuple[str, str, str], list[Score]] = {}
    for score in scores:
        if score.failure is None:
            groups.setdefault((score.domain, score.split, score.model), []).append(score)
    return [_row(group, kinds[model], metrics, trust_threshold) for (_, _, model), group in groups.items()]


def _row(group: Sequence[Score], kind: str, metrics: Sequence[Metric], trust_threshold: float) -> dict[str, Any]:
    first = group[0]
    known = [m for m in metrics if m.id in first.curves]
    frames, scenes = next(iter(first.curves.values())).shape
    position = next((m.id for m in known if m.name == POSITION), None)
    diverged = [s.diverged_at for s in group if s.diverged_at is not None]
    trusted = None
    if position is not None:
        trusted = estimate(np.stack([trust_horizon(s.curves[position], trust_threshold) for s in group]))
    return {
        "domain": first.domain,
        "split": first.split,
        "model": first.model,
        "kind": kind,
        "seeds": [s.seed for s in group],
        "scenes": scenes,
        "frames": frames,
        "diverged_share": float(np.mean([d >= 0 for d in diverged])) if diverged else 0.0,
        "trust_horizon": _plain(trusted),
        # What does not apply (no reconstruction, say) is null and not missing.
        "values": {m.id: _of(group, m) for m in metrics if m in known or knows(m.domains, first.domain)},
    }


def _of(group: Sequence[Score], metric: Metric) -> dict[str, Plain]:
    if metric.id not in group[0].curves:
        return dict.fromkeys(REDUCTIONS)
    return _micro_values(group, metric) if metric.parts else _values(group, metric)


def _plain(found: Estimate | None) -> Plain:
    return None if found is None else found.to_dict()


def _values(group: Sequence[Score], metric: Metric) -> dict[str, Plain]:
    reduced = [reductions(s.curves[metric.id]) for s in group]
    values: dict[str, Plain] = {}
    for name in REDUCTIONS:
        parts = [r[name] for r in reduced]
        values[name] = _plain(estimate(np.stack([p for p in parts if p is not None]))) if parts[0] is not None else None
    return values


def _micro_values(group: Sequence[Score], metric: Metric) -> dict[str, Plain]:
    """F1 of the counts up to each shown frame; "mean" is that of the whole horizon."""
    names = ("tp", "fp", "fn")
    sums = {n: np.stack([s.curves[f"{metric.id}/{n}"].cumsum(0) for s in group]) for n in names}
    n_frames = sums["tp"].shape[1]
    values: dict[str, Plain] = dict.fromkeys(REDUCTIONS)
    for name, frame in {**shown_frames(n_frames), "mean": n_frames}.items():
        values[name] = _plain(micro_f1({n: x[:, frame - 1] for n, x in sums.items()}))
    return values
