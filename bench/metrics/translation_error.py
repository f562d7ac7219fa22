r"""How far rigid bodies are from where they should be.

    e(t) = mean over bodies of |c_pred - c_true|,   c the centre of mass

Poses are the film's own; a film without them is fitted, node by node. Cap, also for a frame after divergence: the diagonal of
the scene's box. Undefined where there are no bodies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Domain, Trajectory
from ._bodies import mean_over_bodies, poses
from ._common import undefined

VERSION = 1
UNIT = "m"
BETTER = "lower"
DOMAINS = ("rigid",)


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """Mean distance of the bodies' centres [m] of each frame and scene, shape (T, B)."""
    true, got = poses(truth, truth), poses(truth, predicted)
    if true is None or got is None:
        return undefined(truth)
    distance = torch.linalg.vector_norm(got[..., :3] - true[..., :3], dim=-1)
    return mean_over_bodies(distance, truth.scene.diagonal.double(), truth, predicted)
