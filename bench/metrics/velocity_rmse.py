r"""How wrong the nodes' velocities are.

    e(t) = sqrt( mean over free nodes of |v_pred - v_true|² )

Cap, also for a frame after divergence: the diagonal of the scene's box per frame interval, faster than which nothing is
seen to move. Undefined for a setting that answers with nodes of its own.
"""

from __future__ import annotations

from torch import Tensor

from ...contracts import Domain, Trajectory
from ._common import capped, corresponds, free_mean, undefined

VERSION = 1
UNIT = "m/s"
BETTER = "lower"
DOMAINS = ("*",)


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """Velocity RMSE [m/s] of each frame and scene, shape (T, B)."""
    if not corresponds(truth, predicted):
        return undefined(truth)
    square = (predicted.velocity.double() - truth.velocity.double()).square().sum(-1)
    cap = truth.scene.diagonal.double() / truth.scene.frame_interval
    return capped(free_mean(square, truth).sqrt(), cap, truth, predicted)
