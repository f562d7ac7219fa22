"""The radius graph in tensors whose shapes never change, so that a step that needs it can be one CUDA graph.

`radius_graph` asks the device how many edges it found and makes tensors of that size. Here there is room for so many edges, and
for so many nodes in three cells that follow one another along the last axis; what was needed is kept beside it, and
`Room.exceeded` says when it was more: the rollout is then done again in a larger room, and nothing is ever left out silently.

Nodes are sorted by cell (Hockney & Eastwood 1988, §8.4), so that the cells next to a node's own along the last axis are one run
of nodes: 3^(D-1) runs hold all its neighbours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Scene
from ._neighbours import cell_keys

SPARE = 1.25
"""Room over what was found needed: fluid crowds together now and then."""
GRAIN, RUN_GRAIN = 64, 8
"""Room comes in multiples of so many edges and nodes in a run, so that scenes of about one size find one room."""


@dataclass(frozen=True)
class Room:
    """How much a graph may hold."""

    edges: int
    """Directed edges; of rigid bodies, contacts."""
    run: int
    """Nodes in three cells that follow one another."""
    used: Tensor
    """Most edges, and most nodes in a run, that any graph since has needed, int64, (2,)."""

    @staticmethod
    def for_needs(edges: int, run: int, device: torch.device) -> Room:
        """With something to spare."""

        def roomy(n: int, grain: int) -> int:
            return -(-int(SPARE * n + 1) // grain) * grain

        return Room(roomy(edges, GRAIN), roomy(run, RUN_GRAIN), torch.zeros(2, dtype=torch.int64, device=device))

    def emptied(self) -> Room:
        """The same room, nothing met yet."""
        return dataclasses.replace(self, used=torch.zeros_like(self.used))

    def needed(self) -> tuple[int, int]:
        """Most edges and longest run that were met; asks the device."""
        edges, run = self.used.tolist()
        return edges, run

    def exceeded(self) -> bool:
        """Whether a graph did not fit; asks the device."""
        edges, run = self.needed()
        return edges > self.edges or run > self.run

    def larger(self) -> Room:
        """For what was needed. Where runs were cut, edges are missing from the count: their room grows alike."""
        edges, run = self.needed()
        cut = max(1.0, run / self.run)
        return Room.for_needs(int(cut * max(edges, self.edges)), max(run, self.run), self.used.device)


@dataclass(frozen=True)
class Near:
    """Nodes in spatial order, and who is near whom."""

    order: Tensor
    """The nodes, those of one cell together, (N,)."""
    index: Tensor
    """Senders and receivers (2, E) as places in that order, sorted by (receiver, sender); in a fixed graph filled up to E."""
    receiver_ptr: Tensor | None = None
    """Cuts the edges into those of each receiver, (N+1,); edges beyond its end are none. None where there are none beyond."""


def fixed_graph(
    position: Tensor, radius: float, scene: Scene, room: Room, allowed: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Near:
    """As `spatial_order` and `radius_graph` of positions (N, D) [m] in scenes that have no periodic axis.

    The same edges in the same order, as long as `room` is not exceeded, which it must be asked for afterwards. Of pairs of nodes,
    senders (N, runs, n) and receivers (N, 1, 1), `allowed` may leave some out.
    """
    here = torch.isfinite(position).all(-1)
    key, widths = cell_keys(position, radius, scene.node_scene)
    alone = key.max() + 2 + 3 * torch.arange(len(key), device=key.device)
    key, order = torch.sort(torch.where(here, key, alone), stable=True)
    first, length = _runs(key, widths)
    sender = (first.unsqueeze(-1) + torch.arange(room.run, device=key.device)).clamp(max=len(key) - 1)
    exists = torch.arange(room.run, device=key.device) < length.unsqueeze(-1)
    near = exists & _within(position[order].to(torch.float64), sender, radius) & here[order][:, None, None]
    if allowed is not None:
        near = near & allowed(order[sender], order[:, None, None])
    found = near.flatten(1).sum(-1)
    receiver_ptr = torch.cat([found.new_zeros(1), found.cumsum(0)])
    room.used.copy_(torch.maximum(room.used, torch.stack([receiver_ptr[-1], length.max()])))
    slot = first_rows(near.flatten(), room.edges)
    receiver = torch.div(slot, sender[0].numel(), rounding_mode="floor")
    return Near(order, torch.stack([sender.flatten()[slot], receiver]), receiver_ptr.clamp(max=room.edges))


def first_rows(chosen: Tensor, number: int) -> Tensor:
    """The first `number` rows (number,) for which a mask holds, in order; filled up with any row where there are fewer.

    The k-th is where the running count reaches k: a search a row, and no two write to one place.
    """
    count = chosen.cumsum(0)
    return torch.searchsorted(count, torch.arange(1, number + 1, device=chosen.device)).clamp(max=len(chosen) - 1)


def _runs(key: Tensor, widths: list[Tensor]) -> tuple[Tensor, Tensor]:
    """First node and number of nodes in each run of cells around each node, (N, 3^(D-1)), for sorted keys (N,)."""
    step = torch.zeros_like(key[:1])
    for width in widths[1:]:
        step = torch.stack([step - 1, step, step + 1], dim=-1).flatten() * width
    around = key.unsqueeze(-1) + step
    first = torch.searchsorted(key, around - 1)
    return first, torch.searchsorted(key, around + 1, right=True) - first


def _within(where: Tensor, sender: Tensor, radius: float) -> Tensor:
    """True for senders (N, runs, n) other than the node itself and within the radius of it, by the formula of `radius_graph`."""
    offset = where[sender] - where[:, None, None]
    itself = sender == torch.arange(len(where), device=where.device)[:, None, None]
    return (offset.square().sum(-1) <= radius * radius) & ~itself
