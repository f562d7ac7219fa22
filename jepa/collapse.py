"""Watching for collapse: how much latents vary, in how many directions, and whether the predictor beats "nothing changes".

    deviation      median over tokens and channels of the standard deviation over scenes and times: absolute, so that latents
                   that shrink are seen
    effective_rank exp(-Σ p log p), p = s / Σ s, s the singular values of the centred latents (RankMe, Garrido et al. 2023)
    prediction     Σ|ẑ(t+k) - z(t+k)|² / Σ|z(t) - z(t+k)|²: below one the predictor knows more than persistence

Rank alone does not see a collapse of scale, deviation alone not one of dimensions, and both say nothing of dynamics.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

DEVIATION_FLOOR = 0.1
"""Below it latents are called collapsed. Regularised ones stand near 1; Point-JEPA's rule for targets is the same figure."""
RANK_FLOOR = 0.1
"""Least effective rank, as a share of the width."""


@dataclass(frozen=True)
class Health:
    """What was measured of one domain's latents."""

    deviation: float
    effective_rank: float
    rank_share: float
    """Effective rank over width."""
    prediction: float
    """Prediction error over persistence error."""

    @property
    def collapsed(self) -> bool:
        """Whether the latents carry too little to be a contestant."""
        return not (self.deviation >= DEVIATION_FLOOR and self.rank_share >= RANK_FLOOR)

    def to_dict(self) -> dict[str, float]:
        """Plain numbers by name."""
        return {
            "deviation": self.deviation,
            "effective_rank": self.effective_rank,
            "rank_share": self.rank_share,
            "prediction": self.prediction,
        }


def effective_rank(rows: Tensor) -> float:
    """RankMe of rows (n, C), centred; zero for rows that are all the same or not finite."""
    rows = rows.to(torch.float64)
    rows = rows - rows.mean(0)
    if not bool(torch.isfinite(rows).all()):
        return 0.0
    values = torch.linalg.svdvals(rows)
    if float(values.sum()) <= 0:
        return 0.0
    p = values / values.sum()
    p = p[p > 0]
    return float(torch.exp(-(p * p.log()).sum()))


def health(now: Tensor, later: Tensor, predicted: Tensor) -> Health:
    """Of tokens (n, K, C) of one domain at some time, at a later time, and as predicted for the later time."""
    every = torch.cat([now, later]).to(torch.float64)
    centred = every - every.mean(0)
    rank = effective_rank(centred.flatten(0, 1))
    wrong = (predicted - later).square().sum()
    still = (now - later).square().sum()
    return Health(
        deviation=float(centred.square().mean(0).sqrt().median()),
        effective_rank=rank,
        rank_share=rank / now.shape[-1],
        prediction=float(wrong / still.clamp(min=1e-30)),
    )
