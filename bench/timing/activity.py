"""How much of what is timed moves: a solver that is quick because everything sleeps must not pass for a quick solver.

A free node is active in a frame when it moves, since the frame before, by more than ACTIVE of its scene's node spacing. The spacing
is the length on which a simulation changes at all: neighbours, contacts and edges stay what they are while nodes move far less.
At this threshold a node needs a thousand frames for one spacing. A threshold relative to the scene's own speeds would not do: it
calls the same share of a scene active when all of it creeps.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from ...contracts import Trajectory

ACTIVE = 1e-3
"""Displacement per frame, in node spacings of the scene."""

SPACING_NODES = 256
"""Nodes of a scene whose nearest neighbours are looked for: enough for a median."""


def node_spacing(position: Tensor) -> float:
    """Median distance from a node to its nearest other [m], positions (N, D); NaN of a single node."""
    if position.shape[0] < 2:
        return float("nan")
    some = position[:: max(1, position.shape[0] // SPACING_NODES)]
    # By matrix products, distances that are small beside the coordinates would drown in rounding.
    apart = torch.cdist(some, position, compute_mode="donot_use_mm_for_euclid_dist")
    return float(apart.topk(2, largest=False).values[:, 1].median())


def active_fractions(past: Trajectory, film: Trajectory) -> list[float | None]:
    """Share of free nodes × new frames that are active, a value a scene; None for a scene without free nodes or with one node.

    `film` is the reference's continuation of `past`. Frames after a divergence (NaN) count as still.
    """
    position = torch.cat([past.position[-1:], film.position])
    moved = (position[1:] - position[:-1]).norm(dim=-1)
    ends = past.scene.scene_ptr.tolist()
    found: list[float | None] = []
    for first, last in itertools.pairwise(ends):
        spacing = node_spacing(past.position[-1, first:last])
        free = moved[:, first:last][:, past.scene.free[first:last]]
        known = free.numel() > 0 and spacing == spacing
        found.append(float((free > ACTIVE * spacing).double().mean()) if known else None)
    return found


def mean_active(fractions: list[float | None]) -> float | None:
    """Mean over scenes of what is defined; None when nothing is."""
    defined = [x for x in fractions if x is not None]
    return sum(defined) / len(defined) if defined else None
