"""Neighbour search: all pairs of nodes of one scene that are within a radius, in linear time and never truncated.

Two back-ends give the same edges in the same order: scipy's k-d tree on the CPU (the fastest there, see the table in
tests/benchmarks) and a sorted cell list in plain torch (Hockney & Eastwood 1988, §8.4) on CUDA, which also runs on the CPU
and so checks the tree. Both only propose pairs; one function decides, in float64, so that they agree to the last edge.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..contracts import MisuseError
from ..contracts._ragged import counts, group_of_row

MAX_CELLS = 2**14
"""Cells along one axis. Farther cells are lumped into the last one: slower there, still exact, and keys fit in int64."""

SLACK = 1 + 1e-9
"""Proposals reach a little farther than the radius, because the back-ends round differently."""


def radius_graph(
    position: Tensor,
    radius: float,
    scene_ptr: Tensor,
    period: Tensor | None = None,
    max_edges: int | None = None,
    backend: str | None = None,
) -> Tensor:
    """Directed edges between all nodes of a scene whose distance is at most `radius`, both directions, no self loops.

    position (N, D) [m]; radius [m]; scene_ptr (B+1,) cuts nodes into scenes, which never see each other; period (B, D) [m]
    is the length of each periodic axis, zero where it is not periodic (`Scene.period`): distances are minimum-image.

    Returns edge_index (2, E), int64, on the device of `position`: row 0 the senders, row 1 the receivers, sorted by
    (receiver, sender). Nodes that are not finite get no edges; coincident nodes are neighbours at distance zero.

    Raises MisuseError when the radius is not positive, when it exceeds half a period (a node would meet two images of
    another), and when there are more than `max_edges` edges: nothing is ever left out silently. `backend` is "tree" or
    "cells"; by default the tree on the CPU and cells elsewhere.
    """
    if not radius > 0:
        raise MisuseError(f"connectivity radius is {radius} m; it must be positive")
    _check_period(radius, period)
    use_tree = backend == "tree" or (backend is None and position.device.type == "cpu")
    where = position.detach().to(torch.float64)
    owner = group_of_row(scene_ptr)
    nodes = torch.nonzero(torch.isfinite(where).all(-1)).flatten()
    where, scene = where[nodes], owner[nodes]
    length = None if period is None or not bool((period > 0).any()) else period.to(torch.float64)
    propose = _tree_pairs if use_tree else _cell_pairs
    first, second = propose(where, radius * SLACK, scene, length)
    first, second = _within(where, radius, first, second, None if length is None else length[scene])
    edges = _both_ways(nodes[first], nodes[second], position.shape[0])
    if max_edges is not None and edges.shape[1] > max_edges:
        raise MisuseError(f"neighbour search found {edges.shape[1]} edges; max_edges is {max_edges}")
    return edges


def _check_period(radius: float, period: Tensor | None) -> None:
    if period is None:
        return
    short = period[(period > 0) & (period < 2 * radius)]
    if short.numel():
        raise MisuseError(
            f"connectivity radius is {radius} m; a period of {float(short[0])} m allows at most half of it"
        )


def _within(
    where: Tensor, radius: float, first: Tensor, second: Tensor, period: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Keep the proposed pairs that are truly within the radius, by one formula for every back-end."""
    offset = where.index_select(0, first) - where.index_select(0, second)
    if period is not None:
        length = period.index_select(0, first)
        offset = offset - torch.where(length > 0, torch.round(offset / length.clamp(min=1e-300)) * length, 0.0)
    near = offset.square().sum(-1) <= radius * radius
    return first[near], second[near]


def _both_ways(first: Tensor, second: Tensor, n_nodes: int) -> Tensor:
    """Pairs as edges in both directions, sorted by (receiver, sender), without what was proposed twice."""
    key = torch.cat([first * n_nodes + second, second * n_nodes + first])
    key = torch.unique_consecutive(torch.sort(key).values)
    to = torch.div(key, max(n_nodes, 1), rounding_mode="floor")
    return torch.stack([key - to * n_nodes, to])


def _wrapped(where: Tensor, scene: Tensor, period: Tensor | None) -> Tensor:
    """Positions moved by whole periods into [0, period) along periodic axes."""
    if period is None:
        return where
    length = period[scene]
    turns = torch.where(length > 0, torch.floor(where / length.clamp(min=1e-300)), 0.0)
    # Rounding can land on the period itself, which is the same place as zero.
    inside = where - turns * length
    return torch.where((length > 0) & (inside >= length), 0.0, inside)


def _tree_pairs(where: Tensor, radius: float, scene: Tensor, period: Tensor | None) -> tuple[Tensor, Tensor]:
    """Pairs by scipy's k-d tree: one tree for all scenes, or one a scene where periods differ."""
    if period is None:
        return _query(_apart(where, radius, scene), radius, None)
    inside = _wrapped(where, scene, period)
    found = []
    for b in range(period.shape[0]):
        rows = torch.nonzero(scene == b).flatten()
        first, second = _query(inside[rows].numpy(), radius, period[b].numpy())
        found.append((rows[first], rows[second]))
    return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])


def _apart(where: Tensor, radius: float, scene: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """An extra axis that holds scenes three radii apart; within a scene it adds exactly zero to every distance."""
    if scene.numel() == 0 or int(scene[0]) == int(scene[-1]):
        return where.numpy()
    return torch.cat([where, (3 * radius) * scene.to(torch.float64).unsqueeze(-1)], dim=-1).numpy()


def _query(
    points: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    radius: float,
    period: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None,
) -> tuple[Tensor, Tensor]:
    # Splitting cells at their middle instead of the median builds faster and serves even spacing as well.
    tree = cKDTree(points, leafsize=16, balanced_tree=False, compact_nodes=False, boxsize=period)
    pairs = torch.from_numpy(
        tree.query_pairs(radius, output_type="ndarray").astype(np.int64, copy=False).reshape(-1, 2)
    )
    return pairs[:, 0], pairs[:, 1]


def _cell_pairs(where: Tensor, radius: float, scene: Tensor, period: Tensor | None) -> tuple[Tensor, Tensor]:
    """Pairs by a cell list: nodes sorted by (scene, cell), candidates from the 3^D cells around each node."""
    if where.shape[0] == 0:
        return scene, scene
    cell, number, around = _cells(where, radius, scene, period)
    sorted_key, order = torch.sort(_keys(cell, scene), stable=True)
    # All in sorted order, so that neighbours lie close in memory too, and filtered cell by cell, so that little is kept.
    where, scene, cell, number, around = where[order], scene[order], cell[order], number[order], around[order]
    length = None if period is None else period[scene]
    found = []
    for step in itertools.product((-1, 0, 1), repeat=where.shape[1]):
        near = cell + torch.tensor(step, device=where.device)
        near = torch.where(around, near % number, near)
        exists = ((near >= 0) & (near < number)).all(-1)
        near_key = torch.where(exists, _keys(near, scene), -1)
        start = torch.searchsorted(sorted_key, near_key)
        number_near = torch.searchsorted(sorted_key, near_key, right=True) - start
        first = torch.repeat_interleave(number_near)
        slot = torch.arange(first.numel(), device=where.device) - (number_near.cumsum(0) - number_near)[first]
        second = start[first] + slot
        once = first < second
        first, second = _within(where, radius, first[once], second[once], length)
        found.append((order[first], order[second]))
    return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])


def _cells(where: Tensor, radius: float, scene: Tensor, period: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Cell of each node, number of cells of its scene, and whether the axis goes around, each (N, D)."""
    n_scenes = int(scene[-1]) + 1
    owner = scene.unsqueeze(-1).expand_as(where)
    length = torch.zeros_like(where) if period is None else period[scene]
    around = length > 0
    where = _wrapped(where, scene, period)
    corner = where.new_zeros((n_scenes, where.shape[1])).scatter_reduce(0, owner, where, "amin", include_self=False)
    # Periods are cut into whole cells, never narrower than the radius.
    across = torch.floor(length / radius).clamp(1, MAX_CELLS)
    width = torch.where(around, length / across, radius)
    inside = where - torch.where(around, 0.0, corner[scene])
    cell = torch.floor(inside / width).clamp(0, MAX_CELLS - 1).to(torch.int64)
    cell = torch.where(around, torch.minimum(cell, across.to(torch.int64) - 1), cell)
    last = torch.zeros((n_scenes, where.shape[1]), dtype=torch.int64, device=where.device)
    last = last.scatter_reduce(0, owner, cell, "amax")
    return cell, torch.where(around, across.to(torch.int64), last[scene] + 1), around


def _keys(cell: Tensor, scene: Tensor) -> Tensor:
    """One integer a (scene, cell), shape (N,)."""
    key = scene
    for axis in range(cell.shape[1]):
        key = key * MAX_CELLS + cell[:, axis]
    return key


def nearest_distance(position: Tensor, scene_ptr: Tensor) -> Tensor:
    """Distance of each node to the nearest other one of its scene [m], shape (N,); infinite where there is none.

    position (N, D) on the CPU; periods are ignored, which a median does not notice.
    """
    owner = group_of_row(scene_ptr)
    best = torch.full((position.shape[0],), torch.inf, dtype=torch.float64)
    for b in range(int(counts(scene_ptr).numel())):
        rows = torch.nonzero((owner == b) & torch.isfinite(position).all(-1)).flatten()
        if rows.numel() > 1:
            points = position[rows].to(torch.float64).numpy()
            distance = np.asarray(cKDTree(points).query(points, k=2)[0])
            best[rows] = torch.from_numpy(distance[:, 1])
    return best


def spatial_order(position: Tensor, cell: float, scene_ptr: Tensor) -> Tensor:
    """A renumbering (N,) of the nodes that keeps scenes together and puts near nodes near: row by row of cells [m].

    Gathers along edges then find their nodes in cache, whatever order a scene's nodes come in. Nodes on one spot keep their
    order; those that are not finite count as standing at the origin.
    """
    key, _ = cell_keys(position, cell, group_of_row(scene_ptr))
    return torch.argsort(key, stable=True)


def cell_keys(position: Tensor, cell: float, owner: Tensor) -> tuple[Tensor, list[Tensor]]:
    """One integer a (scene, cell), (N,): cells next to one another along the last axis follow; `owner` (N,) is the scene.

    Cells are a hair wider than `cell` [m], so that nodes no farther apart than that are in the same or in adjacent ones, however
    they are rounded. Each axis has an empty cell at both ends; its width, in cells, is given too.
    """
    where = position.to(torch.float64).nan_to_num(0.0, 0.0, 0.0)
    place = (where / (cell * SLACK)).floor().clamp(-MAX_CELLS, MAX_CELLS).to(torch.int64)
    place = place - place.amin(0) + 1
    key, widths = owner, [axis.max() + 2 for axis in place.unbind(-1)]
    for axis, width in zip(place.unbind(-1), widths, strict=True):
        key = key * width + axis
    return key, widths
