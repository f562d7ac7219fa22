"""Neighbour search: all pairs within a radius.

Bytes: positions read once (4 D a node) and edges written once (two int64 of 8 B an edge). Operations: the distance of every pair
that is found, once for both directions, 3 D. Pairs that are proposed and refused are not counted: they are the search's own choice.
"""

from __future__ import annotations

import torch

from ...surrogates._neighbours import radius_graph
from ._path import INDEX, WORD, Asked, HotPath
from ._rates import synchronise
from .clouds import SPACING, cloud

RADIUS = 2.1 * SPACING


def paths(asked: Asked) -> list[HotPath]:
    """Clouds in two and in three axes."""
    return [_path(asked.size(1_000, 10_000, 100_000), dim, asked.device) for dim in (2, 3)]


def _path(n_nodes: int, dim: int, device: str) -> HotPath:
    x, cut = cloud(n_nodes, dim).to(device), torch.tensor([0, n_nodes], device=device)

    def search() -> torch.Tensor:
        edges = radius_graph(x, RADIUS, cut)
        synchronise(device)
        return edges

    n_edges = int(search().shape[1])
    moved = n_nodes * dim * WORD + n_edges * 2 * INDEX
    size = f"{n_nodes} nodes, {n_edges} edges, {dim}D"
    operations = n_edges / 2 * 3 * dim
    return HotPath("neighbour search", size, "nodes", n_nodes, moved, operations, search, n_edges, "edges")
