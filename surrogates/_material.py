"""Material parameters as numbers of order one: how they spread over a training set, and where a scene lies in that."""

from __future__ import annotations

import torch
from torch import Tensor

MATERIAL_REACH = 2.0
"""Standard deviations at which a material parameter saturates: beyond what was seen, the edge is the best guess."""


def spread(values: Tensor) -> tuple[bool, Tensor, Tensor]:
    """Whether a parameter (B,) is taken in logarithms, and its mean and standard deviation there, float64. NaN is left out."""
    values = values.to(torch.float64)
    values = values[torch.isfinite(values)]
    # Positive quantities such as viscosities spread over ratios, not differences.
    is_log = bool((values > 0).all())
    values = values.log() if is_log else values
    mean = values.mean()
    return is_log, mean, values.std(unbiased=False).clamp(min=1e-12 + 1e-6 * mean.abs())


def standardised(values: Tensor, is_log: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Parameters (B, n) in standard deviations from their means (n,), saturated; one that is withheld (NaN) counts as its mean."""
    values = torch.where(is_log, values.clamp(min=1e-30).log(), values)
    return ((values - mean) / std).nan_to_num(nan=0.0).clamp(-MATERIAL_REACH, MATERIAL_REACH)
