"""Encoder: the nodes of a scene → supernodes → attention → K latent tokens, the same weights for particles, meshes and bodies.

    h_i  = f(point_i)                                      every node by itself
    h_i += mean_j g(h_i, h_j, x_j - x_i, stretch)          along mesh edges, where there are any
    h_i += b(mean over the nodes of i's body)              where i has a body
    t_s  = h_s + mean_{i near s} m(h_i, h_s, x_i - x_s)    supernodes s, spread evenly over the matter
    z_k  = q(identity of point k) looking at attention(t, obstacles, box)      K latent tokens

Supernodes are picked by farthest points in *rest* coordinates, from the lowest in lexicographic order: node numbers do not matter,
and a supernode is the same piece of matter at all times. As in UPT (Alkin et al. 2024, arXiv:2402.12365) they gather their
neighbourhood, of rest coordinates and bodies where matter keeps its shape, of places where it flows. The first K of them ask for
the tokens, so that token k is about the same matter in every frame: what the predictor changes and the read-out looks up.

Good values: 32 supernodes of 12 neighbours for a few hundred nodes. Detail finer than the supernodes' spacing is lost unless
messages carry it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._attention import Block, Gather, mlp
from ._moment import GEOMETRY_FEATURES, IDENTITY_FEATURES, POINT_FEATURES, Moment

OTHER_BODY = 1e3
"""Added to the squared distance [spacings²] between nodes of different bodies: a supernode gathers its own body first."""


@dataclass(frozen=True)
class Gathered:
    """Matter as supernodes gathered it."""

    token: Tensor
    """(B, S, C)."""
    there: Tensor
    """Which of them there are, (B, S)."""
    own: Tensor | None
    """What K tokens ask by, (B, K, C), where they are more than the supernodes."""
    identity: Tensor
    """(B, K, IDENTITY_FEATURES)."""


class Encoder(nn.Module):
    """See the module."""

    def __init__(self, width: int, tokens: int, supernodes: int, neighbours: int, blocks: int) -> None:
        super().__init__()
        self.supernodes, self.neighbours = supernodes, neighbours
        self.point = nn.Sequential(mlp(POINT_FEATURES, width, width), nn.LayerNorm(width))
        self.along_mesh = nn.ModuleDict(
            {"node": nn.Linear(width, 2 * width), "edge": nn.Linear(4, width), "out": nn.Linear(width, width)}
        )
        self.from_body = nn.Linear(width, width)
        self.near = nn.ModuleDict(
            {"node": nn.Linear(width, 2 * width), "edge": nn.Linear(4, width), "out": nn.Linear(width, width)}
        )
        self.geometry = mlp(GEOMETRY_FEATURES, width, width)
        self.blocks = nn.ModuleList(Block(width, gate=1.0) for _ in range(blocks))
        self.tokens = tokens
        self.query = mlp(IDENTITY_FEATURES, width, width)
        self.gather = Gather(width)
        last = nn.Linear(width, width)
        # So that latents as drawn are well above the floor of a collapse, and still small enough to be predicted soon.
        nn.init.orthogonal_(last.weight, gain=0.8)
        self.finish = nn.Sequential(nn.LayerNorm(width), last)
        self.masked = nn.Parameter(torch.zeros(width))

    def forward(self, seen: Moment, condition_BC: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Latent tokens (B, K, C); `hidden` (B, S) are supernodes not to be looked at."""
        matter = self.gathered(seen)
        if hidden is not None:
            matter = dataclasses.replace(matter, there=matter.there & ~hidden[:, : matter.there.shape[1]])
        return self.mixed(matter, seen.geometry, seen.geometry_there, condition_BC)

    def mixed(self, matter: Gathered, geometry: Tensor, geometry_there: Tensor, condition_BC: Tensor) -> Tensor:
        """Latent tokens (B, K, C) of gathered matter, of geometry (B, G, F) that is there (B, G), under a condition (B, C)."""
        x = torch.cat([matter.token, self.geometry(geometry)], 1)
        there = torch.cat([matter.there, geometry_there], 1)
        for block in self.blocks:
            x = block(x, condition_BC, there)
        # A token begins as its own supernode, so that what is there is not lost in a mean.
        query = x[:, : self.tokens] if matter.own is None else matter.own
        query = query + self.query(matter.identity)
        latent: Tensor = self.finish(self.gather(query, x, there))
        return latent

    def gathered(self, seen: Moment) -> Gathered:
        """All that depends on matter alone: scenes that differ in what the script will move have it in common."""
        h_NC = self.nodes(seen)
        token_BSC, there_BS = self.gather_supernodes(seen, h_NC)
        own_BKC = None if self.tokens <= token_BSC.shape[1] else at(seen, h_NC, seen.matter.chosen)
        return Gathered(token_BSC, there_BS, own_BKC, self.identity(seen))

    def nodes(self, seen: Moment) -> Tensor:
        """Nodes, with what their mesh and their body tell them, (N, C)."""
        h: Tensor = self.point(seen.points)
        scene = seen.scene
        if len(scene.edges):
            h = h + _mesh_messages(self.along_mesh, seen, h)
        if seen.matter.bodies:
            h = h + self.from_body(_body_mean(h, scene.body_id, seen.matter.bodies))
        return h

    def body(self, seen: Moment) -> Tensor:
        """The rigid body of each token's matter, -1 for none, (B, K)."""
        return at(seen, seen.scene.body_id, seen.matter.chosen[:, : self.tokens])

    def identity(self, seen: Moment) -> Tensor:
        """Who the K pieces of matter are that tokens are about, (B, K, IDENTITY_FEATURES): the same at all times."""
        return at(seen, seen.identity, seen.matter.chosen[:, : self.tokens])

    def gather_supernodes(self, seen: Moment, h_NC: Tensor) -> tuple[Tensor, Tensor]:
        """Supernodes with what is near them (B, S, C), and which of them there are (B, S)."""
        pack = seen.packing.pack
        where, there = pack(seen.gathering), seen.packing.there
        chosen, found = (x[:, : self.supernodes] for x in (seen.matter.chosen, seen.matter.found))
        near, close = nearest(where, pack(seen.scene.body_id), there, chosen, self.neighbours)
        place, h = pack(seen.place), pack(h_NC)
        scene = torch.arange(len(h), device=h.device)[:, None]
        as_other, as_self = self.near["node"](h).chunk(2, -1)
        offset = place[scene[..., None], near] - place[scene, chosen].unsqueeze(2)
        offset = offset.clamp(-20, 20) / 3
        along = torch.cat([offset, torch.linalg.vector_norm(offset, dim=-1, keepdim=True)], -1)
        message = as_other[scene[..., None], near] + as_self[scene, chosen].unsqueeze(2) + self.near["edge"](along)
        kept = close.unsqueeze(-1)
        mean = (F.gelu(message) * kept).sum(2) / kept.sum(2).clamp(min=1)
        return h[scene, chosen] + self.near["out"](mean), found


def at(seen: Moment, values: Tensor, chosen: Tensor) -> Tensor:
    """Node values (N, F) at places of the table (B, S), (B, S, F)."""
    scene = torch.arange(len(chosen), device=chosen.device)[:, None]
    return values[seen.packing.index[scene, chosen]]


def _mesh_messages(parts: nn.ModuleDict, seen: Moment, h_NC: Tensor) -> Tensor:
    """The mean of what arrives at each node along mesh edges, (N, C)."""
    pairs = torch.cat([seen.scene.edges, seen.scene.edges.flip(1)])
    sender, receiver = pairs[:, 0], pairs[:, 1]
    offset = seen.place[sender] - seen.place[receiver]
    rest = torch.linalg.vector_norm(seen.gathering[sender] - seen.gathering[receiver], dim=-1)
    stretch = torch.linalg.vector_norm(offset, dim=-1) / rest.clamp(min=1e-6) - 1
    as_sender, as_receiver = parts["node"](h_NC).chunk(2, -1)
    along = parts["edge"](torch.cat([offset, 10 * stretch.clamp(-1, 1).unsqueeze(-1)], -1))
    message = F.gelu(as_sender[sender] + as_receiver[receiver] + along)
    total = torch.zeros_like(h_NC).index_add(0, receiver, message)
    number = torch.zeros_like(rest, dtype=h_NC.dtype)
    number = h_NC.new_zeros(len(h_NC)).index_add(0, receiver, torch.ones_like(number))
    out: Tensor = parts["out"](total / number.clamp(min=1).unsqueeze(-1))
    return out


def _body_mean(h_NC: Tensor, body_id: Tensor, n: int) -> Tensor:
    """The mean over each node's body of n, zero for a node without one, (N, C)."""
    row = torch.where(body_id >= 0, body_id, n)
    total = h_NC.new_zeros((n + 1, h_NC.shape[-1])).index_add(0, row, h_NC)
    number = h_NC.new_zeros(n + 1).index_add(0, row, torch.ones_like(h_NC[:, 0]))
    mean = total / number.clamp(min=1).unsqueeze(-1)
    # Not a product: what is not finite in one scene must not reach the loose nodes of another.
    return torch.where((body_id >= 0).unsqueeze(-1), mean[row], 0.0)


@torch.no_grad()
def nearest(where: Tensor, body: Tensor, there: Tensor, chosen: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The nearest points of each chosen one, itself among them: places (B, S, M), and which of them are points (B, S, M)."""
    scene = torch.arange(len(where), device=where.device)[:, None]
    centre = where[scene, chosen]
    distance = torch.cdist(centre, where, compute_mode="donot_use_mm_for_euclid_dist").square()
    distance = distance + OTHER_BODY * (body[scene, chosen].unsqueeze(-1) != body.unsqueeze(1))
    distance = torch.where(there.unsqueeze(1), distance, torch.inf)
    value, near = distance.topk(min(number, where.shape[1]), dim=-1, largest=False)
    return near, torch.isfinite(value)
