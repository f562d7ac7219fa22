r"""How far the quantities that physics conserves or bounds are from the truth's.

    e(t) = mean over the domain's invariants of |I_pred - I_true| / (max |I_true| + max |I_pred|),   maxima over the film

Each term lies between 0 (the same) and 1 (nothing in common), whatever the unit and however small the true value; two zeros
agree. Against the truth rather than the start, since a driven or dissipating scene rightly changes its energy. Cap, also
for a frame after divergence: 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Domain, Trajectory
from ._common import capped, filled, gone, of_truth, undefined

VERSION = 1
UNIT = "1"
BETTER = "lower"
DOMAINS = ("*",)


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """Mean symmetric relative difference of the invariants of each frame and scene, shape (T, B)."""
    true, got = of_truth(truth, domain, "invariants"), domain.invariants(filled(predicted))
    if not true:
        return undefined(truth)
    alive = ~(gone(predicted) | gone(truth))
    terms = [_difference(true[name].double(), got[name].double(), alive) for name in true]
    return capped(torch.stack(terms).mean(0), 1.0, truth, predicted)


def _difference(true: Tensor, got: Tensor, alive: Tensor) -> Tensor:
    scale = _largest(true, alive) + _largest(got, alive)
    return (got - true).abs() / torch.where(scale > 0, scale, 1.0)


def _largest(values: Tensor, alive: Tensor) -> Tensor:
    return torch.where(alive, values.abs(), 0.0).amax(0)
