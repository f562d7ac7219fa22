r"""How far nodes are from where they should be.

    e(t) = sqrt( mean over free nodes of |x_pred - x_true|² ),  minimum image on periodic axes

No frame costs more than the diagonal of the scene's box, and a frame after divergence costs just that. Undefined for a
setting that answers with nodes of its own.
"""

from __future__ import annotations

from torch import Tensor

from ...contracts import Domain, Trajectory
from ._common import capped, corresponds, displacement, free_mean, undefined

VERSION = 1
UNIT = "m"
BETTER = "lower"
DOMAINS = ("*",)


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """Position RMSE [m] of each frame and scene, shape (T, B)."""
    if not corresponds(truth, predicted):
        return undefined(truth)
    square = displacement(truth, predicted).square().sum(-1)
    return capped(free_mean(square, truth).sqrt(), truth.scene.diagonal.double(), truth, predicted)
