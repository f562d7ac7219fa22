r"""Does the prediction move as much as the truth?

    E(t) = Σ over free nodes of ½ m |v|²,   e(t) = |E_pred(t) - E_true(t)| / S
    S = max( largest E_true of the film,  ½ M v₀² ),   v₀ = trust threshold / (10 frame intervals)

The floor keeps a scene at rest from dividing by zero: v₀ is the speed that would spend the domain's trust in ten frames, M
the free mass. Standing still scores at most 1. Cap, also for a frame after divergence: 10.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Domain, Trajectory
from ...contracts._ragged import group_sum
from ._common import capped, filled, gone

VERSION = 1
UNIT = "1"
BETTER = "lower"
DOMAINS = ("*",)
CAP = 10.0
TRUST_FRAMES = 10


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """Relative error of the kinetic energy of each frame and scene, shape (T, B)."""
    true = _energy(truth)
    alive = true.masked_fill(gone(truth), 0.0)
    slow = domain.trust_threshold / (TRUST_FRAMES * truth.scene.frame_interval)
    scale = torch.maximum(alive.amax(0), 0.5 * _free_mass(truth) * slow**2)
    return capped((_energy(filled(predicted)) - true).abs() / scale, CAP, truth, predicted)


def _energy(film: Trajectory) -> Tensor:
    """Kinetic energy of the free nodes [J], shape (T, B)."""
    half = 0.5 * film.scene.mass.double() * film.velocity.double().square().sum(-1)
    return group_sum(torch.where(film.scene.free, half, 0.0), film.scene.scene_ptr)


def _free_mass(film: Trajectory) -> Tensor:
    return group_sum(torch.where(film.scene.free, film.scene.mass.double(), 0.0), film.scene.scene_ptr)
