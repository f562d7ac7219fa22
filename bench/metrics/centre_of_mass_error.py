r"""How far the whole is from where it should be.

    e(t) = | Σ m (x_pred - x_true) | / Σ m   over free nodes, minimum image per node

Without node-to-node correspondence it is the distance of the two centres, undefined on a periodic box (no centre there).
Cap, also for a frame after divergence: the diagonal of the scene's box.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Domain, Trajectory
from ._common import capped, corresponds, displacement, free_mean

VERSION = 1
UNIT = "m"
BETTER = "lower"
DOMAINS = ("*",)


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """Distance between the centres of mass [m] of each frame and scene, shape (T, B)."""
    if corresponds(truth, predicted):
        offset = free_mean(displacement(truth, predicted), truth, truth.scene.mass)
    else:
        offset = _centre(predicted) - _centre(truth)
        offset = offset.masked_fill((truth.scene.period > 0).any(-1)[:, None], torch.nan)
    distance = torch.linalg.vector_norm(offset, dim=-1)
    return capped(distance, truth.scene.diagonal.double(), truth, predicted)


def _centre(film: Trajectory) -> Tensor:
    return free_mean(film.position, film, film.scene.mass)
