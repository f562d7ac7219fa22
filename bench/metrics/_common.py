"""What the metrics share: which frames count, sums in float64 over the free nodes, and the cap on what a frame can cost.

A value of NaN means "not defined here" (no free node, no node-to-node correspondence, truth not finite), never "diverged":
a diverged frame costs the metric's cap.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from ...contracts import NEVER, Domain, Trajectory
from ...contracts._kept import kept
from ...contracts._ragged import group_sum


def gone(film: Trajectory) -> Tensor:
    """True from the first frame on in which a scene is not finite, shape (T, B)."""
    finite = torch.isfinite(film.position).all(-1) & torch.isfinite(film.velocity).all(-1)
    bad = group_sum((~finite).to(torch.int64), film.scene.scene_ptr)
    if film.diverged_at is not None:
        frame = torch.arange(film.n_frames, device=film.device).unsqueeze(1)
        bad = bad + ((film.diverged_at != NEVER) & (frame >= film.diverged_at)).to(torch.int64)
    return bad.cumsum(0) > 0


def corresponds(truth: Trajectory, predicted: Trajectory) -> bool:
    """Whether node k of one film is node k of the other: a coarse setting may answer with nodes of its own."""
    return torch.equal(truth.scene.scene_ptr, predicted.scene.scene_ptr)


def free_mean(values: Tensor, film: Trajectory, weight: Tensor | None = None) -> Tensor:
    """Weighted mean over each scene's free nodes, in float64: values (T, N, ...) → (T, B, ...).

    NaN for a scene without free nodes.
    """
    mask = film.scene.free.to(torch.float64)
    share = mask if weight is None else mask * weight.to(torch.float64)
    tail = values.movedim(1, -1).to(torch.float64)
    total = group_sum(torch.where(film.scene.free, tail, 0.0) * share, film.scene.scene_ptr)
    return (total / group_sum(share, film.scene.scene_ptr)).movedim(-1, 1)


def displacement(truth: Trajectory, predicted: Trajectory) -> Tensor:
    """Predicted minus true position of corresponding nodes, minimum image [m], float64, shape (T, N, D)."""
    return truth.scene.minimum_image(predicted.position.double() - truth.position.double())


def capped(error: Tensor, cap: Tensor | float, truth: Trajectory, predicted: Trajectory) -> Tensor:
    """No frame costs more than the cap, and one after divergence costs just that: error (T, B), cap (B,) or number.

    Capping finite frames too keeps a model from gaining by blowing up to NaN instead of to a large number.
    """
    limit = torch.as_tensor(cap, dtype=torch.float64, device=error.device).expand(error.shape)
    worst = torch.where(gone(predicted), limit, torch.minimum(error, limit))
    return worst.masked_fill(gone(truth), torch.nan)


def undefined(truth: Trajectory) -> Tensor:
    """NaN for every frame and scene, shape (T, B)."""
    return torch.full((truth.n_frames, truth.scene.n_scenes), torch.nan, dtype=torch.float64, device=truth.device)


def filled(film: Trajectory) -> Trajectory:
    """The film with its diverged frames at rest, so that a domain's functions may index by position; mask their result."""
    lost = gone(film)
    if not bool(lost.any()):
        return film
    rest = {"position": film.scene.rest_position, "velocity": 0.0, "pose": _upright(film), "twist": 0.0}
    group = {"position": "node", "velocity": "node", "pose": "body", "twist": "body"}

    def settle(name: str, values: Tensor) -> Tensor:
        ptr = film.scene.ptr(group[name])
        rows = torch.repeat_interleave(lost, ptr[1:] - ptr[:-1], dim=1).unsqueeze(-1)
        still = torch.as_tensor(rest[name], dtype=values.dtype, device=values.device)
        return torch.where(rows, still.expand_as(values), values)

    return dataclasses.replace(film._map(settle), diverged_at=None)


def of_truth(truth: Trajectory, domain: Domain, what: str) -> Any:
    """`domain.observable`, `.invariants` or `.events` of the truth, evaluated once however many contestants it judges."""
    return kept(truth, ("judged", domain, what), lambda: getattr(domain, what)(filled(truth)))


def _upright(film: Trajectory) -> Tensor:
    return torch.tensor([0.0, 0, 0, 0, 0, 0, 1], device=film.device)
