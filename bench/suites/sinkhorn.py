r"""Sinkhorn divergence of two sets of points, debiased, in float64.

    S(x, y) = W(x, y) - ½ W(x, x) - ½ W(y, y),    W = max over f, g of  <a, f> + <b, g>,
    f_i = -ε log Σ_j b_j exp((g_j - C_ij) / ε),  and g alike

with uniform weights a, b and squared distances C. The exponentials are taken around the potentials found so far, so that nothing
overflows however small ε is; a few plain scalings follow each such step, which cost a tenth of it. Of a set with itself both
potentials are one, found with the square-root step.

Source: Feydy et al. 2019 (arXiv:1810.08278), eq. 3 and 25; Schmitzer 2019 (arXiv:1610.06519) for the absorption.
Behaviour: zero for equal sets, |d|² for a set and the same moved by d, whatever ε. Fails to converge in MAX_ROUNDS when ε is below
some thousandths of the mean cost: then it says NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON_SHARE = 0.05
"""ε over the mean of the cost between the two sets: what OTT 0.4.6 does when it is told nothing."""
THRESHOLD = 1e-4
"""Largest sum of what the plan's columns weigh wrongly, as LagrangeBench asks of OTT."""
SCALINGS, MAX_ROUNDS = 10, 400


@dataclass(frozen=True)
class Potentials:
    """Where a search ended, from which that of the next frame may start."""

    cross: tuple[Tensor, Tensor]
    first: Tensor
    second: Tensor


def divergence(
    cross: Tensor, first: Tensor, second: Tensor, start: Potentials | None = None
) -> tuple[float, Potentials]:
    """S and its potentials, from squared distances (n, m) between the sets and (n, n), (m, m) within them, float64.

    ε is EPSILON_SHARE of the mean of `cross`, for all three terms. NaN when a search does not converge.
    """
    epsilon = EPSILON_SHARE * float(cross.mean())
    if epsilon == 0.0:  # every point of both on one spot
        zero = cross.new_zeros(cross.shape[0]), cross.new_zeros(cross.shape[1])
        return 0.0, Potentials(zero, *zero)
    f, g = _potentials(cross, epsilon, start.cross if start else None)
    h, k = (
        _symmetric(cost, epsilon, begin)
        for cost, begin in ((first, start.first if start else None), (second, start.second if start else None))
    )
    value = f.mean() + g.mean() - h.mean() - k.mean()
    return float(value), Potentials((f, g), h, k)


def _potentials(cost: Tensor, epsilon: float, start: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    n, m = cost.shape
    g = cost.new_zeros(m) if start is None else start[1]
    for _ in range(MAX_ROUNDS):
        f = -epsilon * (torch.logsumexp((g - cost) / epsilon, 1) - torch.log(torch.tensor(float(m))))
        plan = ((f[:, None] + g - cost) / epsilon).exp() / (n * m)
        if float((plan.sum(0) - 1 / m).abs().sum()) < THRESHOLD:
            return f, g
        u, v = cost.new_ones(n), cost.new_ones(m)
        for _ in range(SCALINGS):
            v = 1 / m / (plan.T @ u)
            u = 1 / n / (plan @ v)
        g = g + epsilon * v.log()
    return torch.full_like(f, torch.nan), g


def _symmetric(cost: Tensor, epsilon: float, start: Tensor | None) -> Tensor:
    n = cost.shape[0]
    f = cost.new_zeros(n) if start is None else start
    for _ in range(MAX_ROUNDS):
        moved = -epsilon * (torch.logsumexp((f - cost) / epsilon, 1) - torch.log(torch.tensor(float(n))))
        f = (f + moved) / 2
        plan = ((f[:, None] + f - cost) / epsilon).exp() / (n * n)
        if float((plan.sum(0) - 1 / n).abs().sum()) < THRESHOLD:
            return f
        u = cost.new_ones(n)
        for _ in range(SCALINGS):
            u = (u / n / (plan @ u)).sqrt()
        f = f + epsilon * u.log()
    return torch.full_like(f, torch.nan)
