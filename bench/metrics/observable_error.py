r"""Error of the one field on which settings of any resolution are compared, `domain.observable`.

    e(t) = sqrt( mean over the field's Q values of (o_pred - o_true)² ),   in the unit the domain names

Defined for every contestant, also those without node-to-node correspondence. Cap, also for a frame after divergence: ten
times the largest magnitude of the true field in the film, or 10 units where that is zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Domain, Trajectory
from ._common import capped, filled, of_truth

VERSION = 1
UNIT = "the domain's observable"
BETTER = "lower"
DOMAINS = ("*",)
CAP = 10.0


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """RMSE of the observable of each frame and scene, shape (T, B)."""
    true = of_truth(truth, domain, "observable").double()
    error = (domain.observable(filled(predicted)).double() - true).square().mean(-1).sqrt()
    largest = true.abs().amax((0, 2))
    return capped(error, CAP * torch.where(largest > 0, largest, 1.0), truth, predicted)
