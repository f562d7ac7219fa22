"""LagrangeBench 0.2.0: position error over 5 and 20 frames, kinetic energy, Sinkhorn divergence.

    mse_n     = mean over the first n frames, all particles and axes, of the squared minimum-image displacement [m²]
    e_kin_mse = mean over frames of (E_pred - E_true)²,  E(t) = dx^dim Σ |(x(t) - x(t-1)) / (dt write_every)|²
    sinkhorn  = mean over frames of the debiased divergence with squared minimum-image distances, uniform weights [m²]

As its evaluate/metrics.py and defaults.py have them: 6 frames seen, 20 predicted, every frame looked at (metrics_stride 1 when
inferring), walls among the particles (their error is zero, so they dilute every mean), no ½ in the energy, unit density.
Sinkhorn as its backend OTT computes it, in float64 where that is float32: ε is 0.05 of the mean cost, shared by the three terms.
Its other backend, POT with reg = 0.1, gives other numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Trajectory
from . import sinkhorn
from ._suite import Suite, Values, errors, means

HORIZONS = (1, 5, 10, 20)


def of_rollout(truth: Trajectory, predicted: Trajectory, stride: int) -> Values:
    """The numbers of one rollout; NaN where the prediction is not finite."""
    square = errors(truth, predicted).square().mean((1, 2))
    energy = (_energy(predicted, stride) - _energy(truth, stride)).square().mean()
    return {
        **means(square, HORIZONS, "mse"),
        "e_kin_mse": float(energy),
        "sinkhorn": _sinkhorn(truth, predicted, stride),
    }


def _energy(film: Trajectory, stride: int) -> Tensor:
    """The suite's kinetic energy at every `stride`-th frame from the second on, float64; a particle's mass is dx^dim."""
    position = film.position.double()
    moved = film.scene.minimum_image(position[1::stride] - position[:-1:stride]) / film.scene.frame_interval
    return (film.scene.mass.double() * moved.square().sum(-1)).sum(-1)


def _sinkhorn(truth: Trajectory, predicted: Trajectory, stride: int) -> float:
    """The mean divergence; the search of each frame starts where that of the last ended."""
    found, start = [], None
    for frame in range(0, truth.n_frames, stride):
        x, y = predicted.position[frame].double(), truth.position[frame].double()
        if not bool(torch.isfinite(x).all()):
            return float("nan")
        cross, first, second = (_cost(truth, a, b) for a, b in ((x, y), (x, x), (y, y)))
        value, start = sinkhorn.divergence(cross, first, second, start)
        found.append(value)
    return sum(found) / len(found)


def _cost(film: Trajectory, x: Tensor, y: Tensor) -> Tensor:
    """Squared minimum-image distances between all pairs, (n, m)."""
    total = x.new_zeros((x.shape[0], y.shape[0]))
    for axis, period in enumerate(film.scene.period[0].tolist()):
        off = x[:, axis, None] - y[:, axis]
        total += (off - torch.round(off / period) * period if period else off).square()
    return total


SUITE = Suite(
    name="lagrangebench",
    version="0.2.0",
    source="Toshev et al. 2023, arXiv:2309.16342; evaluate/metrics.py and defaults.py of release 0.2.0",
    definitions={
        **{
            f"mse_{n}": f"squared displacement [m²], mean over the first {n} frames, all particles, axes"
            for n in HORIZONS
        },
        "e_kin_mse": "squared error of dx^dim Σ|v|² (no ½), mean over frames; v is a first difference over a frame",
        "sinkhorn": "debiased Sinkhorn divergence [m²], squared minimum-image cost, ε = 0.05 of its mean, mean over frames",
    },
    of_rollout=of_rollout,
)
