"""One round of messages, and a whole step of particle_gnn: graph, features, network, integration.

Operations: two for each weight and each row that it meets; weights of edges meet E rows, those of nodes N (the first edge layer is
split by linearity, so its node products are taken once a node). Width C, one round:

    edges  2 · 2 C² E     nodes  2 · (2 C² + 2 C² + C²) N

Bytes of a round: edge features read and written (2 · 4 C E), both ends of an edge (2 · 8 E), node features read and written (2 · 4
C N), weights once. Gathered node rows count as node features read once, as if a cache held them. A step is counted at its least:
positions in and out, and each edge's ends; the features in between could stay on the chip.
"""

from __future__ import annotations

import torch

from ...contracts import Frame
from ...surrogates import _fused
from ...surrogates._captured import Captured
from ...surrogates._message_passing import AtReceivers, EncodeProcessDecode, Interaction
from ...surrogates.particle_gnn import ParticleGNN, build
from ._path import INDEX, WORD, Asked, HotPath, weight_bytes
from ._rates import synchronise
from .clouds import SPACING, film

SIZE = {"cpu": "s", "cuda": "l"}
"""Of the network: what a CPU trains in minutes, and the size that others publish (10 rounds, width 128)."""


ROUNDS = 10
"""Of messages in a pass whose paths are compared."""
WAYS = [(p, f, False) for p in ("float32", "bfloat16") for f in (False, True)] + [("bfloat16", True, True)]
"""Precision of products, whether fused, whether edges are handed on in bfloat16."""


def stepping(n_nodes: int, device: str, size: str = "s", radius: float = 2.1) -> tuple[ParticleGNN, Stepping]:
    """A network on a cloud, and one frame of it."""
    model = build("fluid", size=size, spacing=SPACING, radius_in_spacings=radius).to(device).eval()
    return model, Stepping(model, n_nodes, device)


class Stepping:
    """One frame of a particle_gnn from a cloud that drifts, every time the same."""

    def __init__(self, model: ParticleGNN, n_nodes: int, device: str) -> None:
        past = film(n_nodes, model.card.history).to(device)
        self.model, self.device = model, device
        self.state, self.script = model.encode(past), past.scene.script.starting_at(past.n_frames - 1)

    @torch.no_grad()
    def __call__(self) -> Frame:
        """One frame."""
        frame = self.model.decode(self.model.advance(self.state, self.script))
        synchronise(self.device)
        return frame

    def n_edges(self) -> int:
        """Edges of its graph."""
        return int(self.model.near(self.state).index.shape[1])


def operations(model: ParticleGNN, n_nodes: int, n_edges: int) -> int:
    """Of the matrix products of one frame: two for each weight and each row that it meets."""
    weights = [(name, w.numel()) for name, w in model.network.named_parameters() if w.dim() == 2]
    return sum(2 * size * (n_edges if "edge" in name else n_nodes) for name, size in weights)


def paths(asked: Asked) -> list[HotPath]:
    """A round and a step at 2 700 nodes of about 20 neighbours; on a GPU also a step at 10 000."""
    sizes = [500] if asked.quick else [2_700, 10_000] if asked.cuda else [2_700]
    steps = [_step(n, asked) for n in sizes]
    fused = [_rounds(sizes[0], asked, *way) for way in WAYS] if asked.cuda and _fused.installed() else []
    return [_round(sizes[0], asked), *fused, *steps]


def _step(n_nodes: int, asked: Asked) -> HotPath:
    size = SIZE[torch.device(asked.device).type]
    model, once = stepping(n_nodes, asked.device, size, radius=2.6)
    n_edges = once.n_edges()
    moved = weight_bytes(model.network) + n_edges * 2 * INDEX + n_nodes * 2 * WORD * (model.card.history + 1)
    about = f"size {size}, {n_nodes} nodes, {n_edges} edges"
    return HotPath(
        "surrogate step",
        about,
        "node-steps",
        n_nodes,
        moved,
        operations(model, n_nodes, n_edges),
        once,
        n_edges,
        "edges",
    )


def _round(n_nodes: int, asked: Asked) -> HotPath:
    model, once = stepping(n_nodes, asked.device, SIZE[torch.device(asked.device).type], radius=2.6)
    width, state = model.set.width, once.state
    index = model.near(state).index
    n_edges = int(index.shape[1])
    x, e = (torch.randn((rows, width), device=asked.device) for rows in (n_nodes, n_edges))
    round_of = model.network.process[0]
    assert isinstance(round_of, Interaction)

    @torch.no_grad()
    def once_more() -> None:
        round_of(x, e.clone(), index)  # it writes over the edges that it is given
        synchronise(asked.device)

    moved = 2 * WORD * width * (n_edges + n_nodes) + 2 * INDEX * n_edges + weight_bytes(round_of)
    counted = 2 * width**2 * (2 * n_edges + 5 * n_nodes)
    about = f"width {width}, {n_nodes} nodes, {n_edges} edges"
    return HotPath("message passing round", about, "edges", n_edges, moved, counted, once_more)


def _rounds(n_nodes: int, asked: Asked, precision: str, fused: bool, edges_half: bool) -> HotPath:
    """All rounds of a network, encoded to decoded, plain and fused, in one CUDA graph each."""
    sized, once = stepping(n_nodes, asked.device, SIZE["cuda"], radius=2.6)
    index, width = sized.near(once.state).index, sized.set.width
    n_edges = int(index.shape[1])
    network = EncodeProcessDecode(16, 7, 2, width, ROUNDS, precision).to(asked.device).eval()
    network.fused, network.edges_half = fused, edges_half
    node, along = (torch.randn((rows, k), device=asked.device) for rows, k in ((n_nodes, 16), (n_edges, 7)))
    ptr = torch.searchsorted(index[1].contiguous(), torch.arange(n_nodes + 1, device=asked.device))
    with torch.no_grad():
        call = Captured(lambda *x: [network(*x[:3], AtReceivers(x[3]))], [node, along, index, ptr])

    @torch.no_grad()
    def once_more() -> None:
        call()
        synchronise(asked.device)

    moved = ROUNDS * (2 * WORD * width * (n_edges + n_nodes) + 2 * INDEX * n_edges) + weight_bytes(network)
    counted = ROUNDS * 2 * width**2 * (2 * n_edges + 5 * n_nodes)
    how = f"{'fused' if fused else 'plain'}, products in {precision}{', edges too' if edges_half else ''}"
    about = f"{ROUNDS} rounds, width {width}, {n_nodes} nodes, {n_edges} edges, {how}"
    return HotPath("message passing, captured", about, "edges", ROUNDS * n_edges, moved, counted, once_more)
