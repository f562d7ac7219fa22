r"""How much deeper than the truth the worst node is inside a wall or an obstacle.

    e(t) = max(0, d_pred(t) - d_true(t)),   d = largest depth of a free node inside any solid

The excess and not the depth itself: the truth's own contacts are not perfect either, and replaying it must score zero.
Walls and obstacles stand where the script of the truth puts them. Cap, also after divergence: the box's diagonal.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Domain, Scene, Trajectory
from ...contracts import boundary as solids
from ._common import capped

VERSION = 1
UNIT = "m"
BETTER = "lower"
DOMAINS = ("*",)


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """Excess penetration depth [m] of each frame and scene, shape (T, B)."""
    excess = (_deepest(truth.scene, predicted) - _deepest(truth.scene, truth)).clamp(min=0)
    return capped(excess, truth.scene.diagonal.double(), truth, predicted)


def _deepest(stage: Scene, film: Trajectory) -> Tensor:
    """Largest depth of a free node, shape (T, B), with the solids where the script of `stage` has them."""
    script, scene = stage.script, film.scene
    deepest = torch.zeros((film.n_frames, scene.n_scenes), dtype=torch.float64, device=film.device)
    for t in range(film.n_frames):
        depth = solids.penetration(scene, film.position[t], script.box_offset[t], script.obstacle_position[t]).double()
        depth = torch.where(scene.free, depth, 0.0)
        deepest[t].scatter_reduce_(0, scene.node_scene, depth, "amax")
    return deepest
