"""Position read-out: where each node is, asked of latent tokens by the node's own start.

    x_i(t) = x_i(0) + a_i v_i t + b_i g t² / 2
             + reach(t) · [ Σ_k α_ik (b_k + A_k (r_i - r_k)) + q(point_i(0); tokens) ],      reach(t) = min(V t, L)
    (b_k, A_k) = field(z_k(0), z_k(t), identity_k),      α_ik = softmax_k(-slope |r_i - r_k|²)

(a_i, b_i, q) are what attention answers: how much of free flight holds for the node, and how it is moved beyond. It is asked by
a query made of the node's features at the start (place, rest and body-local coordinate, velocity, …), and answered by the tokens.
The sum blends the motions of the pieces of matter that tokens are about, each affine in the rest coordinate r: exact for a rigid
body, and the usual skinning of a mesh (linear blend skinning); tokens of other bodies are left out.

Identity comes from the query, so an error per node is defined. All is displacement and starts at zero: an untrained read-out says
that nothing moves, a residual to persistence. Of dynamics it is told free flight alone; the time since the start only if asked
(`told`). The capacity (width and number of looks) is a dial: a strong decoder can hide a poor latent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._attention import HEAD, Gather, Nearness, mlp
from ._moment import IDENTITY_FEATURES, POINT_FEATURES, REST

TIME_FEATURES = 4
ALIEN = 1e3
"""Taken from the logits of tokens of another body: they count only where there is no other."""


class PositionReadout(nn.Module):
    """See the module."""

    def __init__(self, latent: int, width: int, looks: int, told: tuple[str, ...]) -> None:
        super().__init__()
        self.told = told
        self.point = mlp(POINT_FEATURES + TIME_FEATURES, width, width)
        self.start, self.end = nn.Linear(latent, width), nn.Linear(latent, width)
        self.about = mlp(IDENTITY_FEATURES, width, width)
        self.near, self.blend = Nearness(width), Nearness(HEAD, 4.0)
        self.field = mlp(width, 2 * width, 6 + 9)
        self.look = nn.ModuleList(Gather(width) for _ in range(looks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, 8)
        for last in (self.leave, self.field[2]):
            for weight in last.parameters():
                nn.init.zeros_(weight)

    def forward(self, query: Tensor, first: Tensor, then: Tensor, identity: Tensor, alien: Tensor) -> Tensor:
        """Displacement in reaches and velocity in speeds beyond free flight, then the shares of v t and g t² / 2, (T, B, L, 8).

        query (T, B, L, POINT_FEATURES + TIME_FEATURES); first (B, K, C) and then (T, B, K, C): tokens at the start and at the
        times asked for, about matter of an `identity` (B, K, IDENTITY_FEATURES); alien (B, L, K): of another body.
        """
        n_times, rest, centre = len(then), query[0, ..., REST], identity[..., :3]
        if "time" not in self.told:
            # The same query at all times: made once.
            query = torch.cat([query[:1, ..., :POINT_FEATURES], torch.zeros_like(query[:1, ..., POINT_FEATURES:])], -1)
        seen = self.end(then) + self.about(identity)
        if "start" in self.told:
            # Side by side in one token, so that what is looked up is how the same matter has changed.
            seen = seen + self.start(first)
        # By rest coordinates: the fate of a node is mostly told by the token that began next to it.
        bias = self.near(rest, centre)
        x = self.point(query).expand(n_times, -1, -1, -1).flatten(0, 1)
        over_times = bias.expand(n_times, -1, -1, -1, -1).flatten(0, 1)
        for look in self.look:
            x = look(x, seen.flatten(0, 1), None, over_times)
        answer: Tensor = self.leave(self.norm(x)).unflatten(0, (n_times, -1))
        return torch.cat([answer[..., :6] + self.blended(seen, rest, centre, alien), answer[..., 6:]], -1)

    def blended(self, seen: Tensor, rest: Tensor, centre: Tensor, alien: Tensor) -> Tensor:
        """The motions of the tokens' matter (T, B, K, C), blended at rest coordinates (B, L, 3), (T, B, L, 6)."""
        field = self.field(seen)
        share = (self.blend(rest, centre).squeeze(1) - ALIEN * alien).softmax(-1)
        # Σ_k α_k (b_k + A_k r_k) as one product: of shares and shares times offsets, (B, L, 4 K), with b and A, (T, B, 4 K, 3).
        offset = (share.unsqueeze(-1) * (rest.unsqueeze(2) - centre.unsqueeze(1))).flatten(2)
        turn = field[..., 6:].unflatten(-1, (3, 3)).transpose(-1, -2).flatten(2, 3)
        moved = torch.cat([share, offset], -1) @ torch.cat([field[..., :3], turn], 2)
        return torch.cat([moved, share @ field[..., 3:6]], -1)
