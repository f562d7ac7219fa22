"""What keeps latents from collapsing: variance and covariance (VICReg), and sketched isotropic Gaussians (SIGReg).

The prediction loss alone is solved by a constant. Against that stand, alone or together: `ema`, a target encoder that is a slow
average of the encoder and gets no gradient (Grill et al. 2020; I-JEPA, Assran et al. 2023), `vicreg` (Bardes et al. 2022,
arXiv:2105.04906) and `sigreg` (LeJEPA, Balestriero & LeCun 2025, arXiv:2511.08544). Both regularisers see the tokens of *one*
domain at a time, for over a pool of several they would erase what tells the domains apart, less each token slot's own mean, so
that a slot's constant does not pass for variety. They are computed in float32 whatever the networks run in, and over all
processes of a distributed training.

    vicreg = mean_{k,c} max(0, 1 - sd(z_kc)) + Σ_{c≠d} cov(z)²_cd / C        sd over scenes, cov over scenes and slots
    sigreg = mean over random directions a of  n ∫ |φ_n(t) - e^{-t²/2}|² e^{-t²/2} dt,   φ_n the characteristic function of aᵀz
"""

from __future__ import annotations

import torch
from torch import Tensor

KNOTS, REACH = 17, 3.0
"""Points in t, from 0 to REACH, at which characteristic functions are compared."""
CHOICES = ("ema", "vicreg", "sigreg")


def parts_of(anti_collapse: str) -> frozenset[str]:
    """ "ema+sigreg" → its parts; "none" has none. Raises ValueError for an unknown part."""
    parts = frozenset() if anti_collapse == "none" else frozenset(anti_collapse.split("+"))
    unknown = sorted(parts - set(CHOICES))
    if unknown:
        raise ValueError(
            f"anti-collapse {unknown[0]!r} is unknown; 'none' or some of {', '.join(CHOICES)} joined by + are right"
        )
    return parts


def vicreg(z: Tensor) -> Tensor:
    """Variance hinge and covariance penalty of tokens (B, K, C) of one domain, a scalar; B must be at least 2."""
    z = z.float()
    centred = z - z.mean(0)
    n, k, c = z.shape
    deviation = (centred.square().sum(0) / (n - 1) + 1e-6).sqrt()
    rows = centred.reshape(-1, c)
    covariance = rows.T @ rows / ((n - 1) * k)
    off = covariance.square().sum() - covariance.diagonal().square().sum()
    return (1 - deviation).clamp(min=0).mean() + off / c


def sigreg(z: Tensor, generator: torch.Generator, directions: int = 256) -> Tensor:
    """Distance of tokens (B, K, C) of one domain from a standard Gaussian, a scalar, about 0.57 for a true one of any size.

    Full collapse gives 0.402 B K, so the weight must fall as batches grow.
    """
    z = z.float()
    n = z.shape[0]
    rows = ((z - z.mean(0)) * (n / (n - 1)) ** 0.5).flatten(0, 1)
    a = torch.randn((rows.shape[-1], directions), generator=generator, device=z.device)
    along = rows @ (a / a.norm(dim=0))
    t = torch.linspace(0, REACH, KNOTS, device=z.device)
    step = REACH / (KNOTS - 1)
    weight = torch.full_like(t, 2 * step)
    weight[0].fill_(step)
    weight[-1].fill_(step)
    wave = along.unsqueeze(-1) * t
    bell = torch.exp(-t.square() / 2)
    off = (wave.cos().mean(0) - bell).square() + wave.sin().mean(0).square()
    distance: Tensor = (len(rows) * (off * bell * weight).sum(-1)).mean()
    return distance
