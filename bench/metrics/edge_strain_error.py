r"""Is the cloth stretched where it should be?

    ε = |x_i - x_j| / L - 1 of a mesh edge of undeformed length L,     e(t) = sqrt( mean over edges of (ε_pred - ε_true)² )

Edges with a free end; driven ends stand where the truth has them. Cap, also for a frame after divergence: 1, an edge twice its
length. Undefined for a setting that answers with nodes of its own and for a scene without a mesh.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Domain, Trajectory
from ...contracts._ragged import group_of_row
from ._common import capped, corresponds, undefined

VERSION = 1
UNIT = "1"
BETTER = "lower"
DOMAINS = ("cloth",)
CAP = 1.0


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """RMS error of the edges' strains of each frame and scene, shape (T, B)."""
    scene = truth.scene
    if not corresponds(truth, predicted):
        return undefined(truth)
    got = torch.where(scene.free.unsqueeze(-1), predicted.position, truth.position)
    square = (_strain(truth, got) - _strain(truth, truth.position)).square()
    counts = scene.free[scene.edges].any(-1).to(torch.float64)
    owner = group_of_row(scene.edge_ptr)
    number = counts.new_zeros(scene.n_scenes).index_add_(0, owner, counts)
    total = square.new_zeros((truth.n_frames, scene.n_scenes)).index_add_(1, owner, square * counts)
    error = capped((total / number).sqrt(), CAP, truth, predicted)
    return error.masked_fill(number == 0, torch.nan)


def _strain(stage: Trajectory, position: Tensor) -> Tensor:
    """Strains of the mesh edges, float64, (T, E)."""
    first, second = stage.scene.edges.unbind(-1)
    rest, place = stage.scene.rest_position.double(), position.double()
    length = torch.linalg.vector_norm(place[:, first] - place[:, second], dim=-1)
    strain: Tensor = length / torch.linalg.vector_norm(rest[first] - rest[second], dim=-1) - 1
    return strain
