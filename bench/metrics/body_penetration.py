r"""How much deeper than the truth the worst surface node is inside another body.

    e(t) = max(0, d_pred(t) - d_true(t)),   d = largest depth of a surface node inside a solid of another body

The excess, as in `penetration`, which does the same for walls and obstacles: the truth's own contacts are not perfect. Surface
nodes alone are asked, so that round bodies may overlap by what lies between their nodes. Poses are the film's own; a film
without them is fitted, node by node. Cap, also after divergence: the diagonal of the scene's box. Undefined without bodies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Domain, Scene, Trajectory
from ...contracts.bodies import depth_in_others
from ._bodies import poses
from ._common import capped, corresponds, undefined

VERSION = 1
UNIT = "m"
BETTER = "lower"
DOMAINS = ("rigid",)


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """Excess depth of bodies in bodies [m] of each frame and scene, shape (T, B)."""
    true, got = poses(truth, truth), poses(truth, predicted)
    if true is None or got is None or not corresponds(truth, predicted):
        return undefined(truth)
    excess = _deepest(truth.scene, predicted.position, got) - _deepest(truth.scene, truth.position, true)
    limit = truth.scene.diagonal.double()
    none = (truth.scene.body_ptr[1:] - truth.scene.body_ptr[:-1]) == 0
    return capped(excess.clamp(min=0), limit, truth, predicted).masked_fill(none, torch.nan)


def _deepest(scene: Scene, position: Tensor, pose: Tensor) -> Tensor:
    """Largest depth of a free node in a body not its own, float64, (T, B)."""
    deepest = pose.new_zeros((len(position), scene.n_scenes))
    double = scene.map_tensors(lambda x: x.double() if x.is_floating_point() else x)
    for t, (x, p) in enumerate(zip(position.double(), pose, strict=True)):
        depth = torch.where(scene.free, depth_in_others(double, x, p), 0.0)
        deepest[t].scatter_reduce_(0, scene.node_scene, depth, "amax")
    return deepest
