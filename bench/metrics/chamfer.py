r"""Are the particles where there should be particles, whichever particle is where?

    e(t) = ½ ( mean over true nodes of distance to the nearest predicted one  +  the same with roles exchanged )

Free nodes only, minimum image on periodic axes. Distances and not their squares, so that the unit is a metre. Evaluated at
the frames that the board shows (and undefined between them): nearest neighbours of every frame would cost as much as the
rollouts. Cap, also for a frame after divergence: the box's diagonal.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...contracts import Domain, Trajectory
from ..reduce import shown_frames
from ._common import capped, filled, undefined

VERSION = 1
UNIT = "m"
BETTER = "lower"
DOMAINS = ("fluid",)


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """Chamfer distance [m] of each frame and scene, shape (T, B)."""
    film, answer = filled(truth), filled(predicted)
    distance = undefined(truth)
    for b in range(truth.scene.n_scenes):
        true, got = _points(film, b), _points(answer, b)
        for frame in shown_frames(truth.n_frames).values():
            distance[frame - 1, b] = _chamfer(true[frame - 1], got[frame - 1], _period(truth, b))
    undecided = torch.isnan(distance)
    return capped(distance, truth.scene.diagonal.double(), truth, predicted).masked_fill(undecided, torch.nan)


def _points(film: Trajectory, scene: int) -> np.ndarray:
    """Free nodes of one scene, counted from the lower corner of its box and wrapped into it, shape (T, n, D)."""
    chosen = film.scene.free & (film.scene.node_scene == scene)
    x = (film.position[:, chosen] - film.scene.bounds[scene, 0]).double().cpu().numpy()
    period = _period(film, scene)
    wrapped: np.ndarray = np.where(period > 0, np.mod(x, np.where(period > 0, period, 1.0)), x)
    # The remainder of a tiny negative number rounds to the period itself, which the tree refuses.
    return np.where((period > 0) & (wrapped >= period), 0.0, wrapped)


def _period(film: Trajectory, scene: int) -> np.ndarray:
    return film.scene.period[scene].double().cpu().numpy()


def _chamfer(a: np.ndarray, b: np.ndarray, period: np.ndarray) -> float:
    from scipy.spatial import cKDTree

    if not len(a) or not len(b):
        return float("nan")
    to_b = cKDTree(b, boxsize=period).query(a)[0]
    to_a = cKDTree(a, boxsize=period).query(b)[0]
    return float(0.5 * (np.mean(to_b) + np.mean(to_a)))
