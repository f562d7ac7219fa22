"""What the metrics of rigid bodies share: poses, given or fitted, and means over bodies."""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Trajectory
from ...contracts.rotation import fitted_pose, local_points
from ._common import capped, corresponds


def poses(truth: Trajectory, film: Trajectory) -> Tensor | None:
    """The film's poses (T, P, 7), float64: its own, or those that bring the truth's bodies nearest to the film's nodes.

    None without bodies, and where neither is to be had.
    """
    scene = truth.scene
    if truth.pose is None or scene.body_ptr[-1] == 0:
        return None
    if film.pose is not None:
        return film.pose.double() if film.pose.shape == truth.pose.shape else None
    on_body = scene.body_id >= 0
    if not corresponds(truth, film) or len(torch.unique(scene.body_id[on_body])) < int(scene.body_ptr[-1]):
        return None
    body = scene.body_id[on_body]
    local = local_points(truth.position[0, on_body].double(), truth.pose[0].double(), body)
    return fitted_pose(local, film.position[:, on_body].double(), scene.mass[on_body], body)


def mean_over_bodies(error: Tensor, cap: Tensor | float, truth: Trajectory, predicted: Trajectory) -> Tensor:
    """Mean over the bodies that the physics moves, (T, P) → (T, B), capped; NaN for a scene without such bodies."""
    scene = truth.scene
    moved = torch.zeros(error.shape[1], dtype=torch.float64, device=error.device)
    moved[scene.body_id[scene.free & (scene.body_id >= 0)]] = 1.0
    owner = scene.body_scene
    number = moved.new_zeros(scene.n_scenes).index_add_(0, owner, moved)
    # A pose that is not finite although its film goes on costs all that an error can.
    known = torch.where(moved > 0, error.nan_to_num(nan=torch.inf), 0.0)
    total = error.new_zeros((truth.n_frames, scene.n_scenes)).index_add_(1, owner, known)
    return capped(total / number, cap, truth, predicted).masked_fill(number == 0, torch.nan)
