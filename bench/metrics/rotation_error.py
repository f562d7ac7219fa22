r"""How far rigid bodies are turned from how they should be.

    e(t) = mean over bodies of the smallest angle that turns the predicted orientation into the true one, 0 … π

Balls count too: what cannot be seen of them is still in how they roll on. Poses are the film's own; a film without them is
fitted, node by node. Cap, also for a frame after divergence: π. Undefined where there are no bodies.
"""

from __future__ import annotations

import math

from torch import Tensor

from ...contracts import Domain, Trajectory
from ...contracts.rotation import angle_between
from ._bodies import mean_over_bodies, poses
from ._common import undefined

VERSION = 1
UNIT = "rad"
BETTER = "lower"
DOMAINS = ("rigid",)


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """Mean angle between the bodies' orientations [rad] of each frame and scene, shape (T, B)."""
    true, got = poses(truth, truth), poses(truth, predicted)
    if true is None or got is None:
        return undefined(truth)
    return mean_over_bodies(angle_between(true[..., 3:], got[..., 3:]), math.pi, truth, predicted)
