"""Closed forms that several simulators are held against."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def swing_angle(time: NDArray[np.floating[Any]], start: float, stiffness: float) -> NDArray[np.float64]:
    """Angle [rad] at some times [s] of a pendulum let go at `start`, θ'' = -stiffness sin θ (g/L for a point on a massless rod).

    θ = 2 asin(k sn(K - ω t, k)), k = sin(θ₀/2), ω² = stiffness (Jacobi's elliptic functions; Landau & Lifshitz, Mechanics §11).
    """
    from scipy.special import ellipj, ellipk

    k = math.sin(start / 2)
    sn = ellipj(ellipk(k**2) - math.sqrt(stiffness) * time, k**2)[0]
    return np.asarray(2 * np.arcsin(k * sn))
