"""Transformer blocks conditioned by adaptive layer norms (AdaLN-zero, Peebles & Xie 2023, arXiv:2212.09748).

Axis letters: B scenes, L tokens, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD = 16
"""Channels of an attention head."""


class Attention(nn.Module):
    """Multi-head attention from one set of tokens to another; tokens that are not there are not looked at."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x_BLC: Tensor, seen_BMC: Tensor, there_BM: Tensor | None, bias_BHLM: Tensor | None = None
    ) -> Tensor:
        """(B, L, C) looks at (B, M, C), of which `there_BM` exist; a bias is added to the logits of each head."""
        q, (k, v) = self.query(x_BLC), self.key_value(seen_BMC).chunk(2, -1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        mask = None if there_BM is None else there_BM[:, None, None, :]
        if bias_BHLM is not None:
            mask = bias_BHLM if mask is None else bias_BHLM.masked_fill(~mask, -torch.inf)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return out


def mlp(n_in: int, width: int, n_out: int) -> nn.Sequential:
    """Linear, GELU, linear."""
    return nn.Sequential(nn.Linear(n_in, width), nn.GELU(), nn.Linear(width, n_out))


class Conditioned(nn.Module):
    """x + gate · f(norm(x) · (1 + scale) + shift), the three from a condition; `gate` starts at `start`."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = nn.Linear(width, 3 * width)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        with torch.no_grad():
            self.modulate.bias[2 * width :] = start

    def enter(self, x_BLC: Tensor, condition_BC: Tensor) -> tuple[Tensor, Tensor]:
        """What f is given, and its gate."""
        shift, scale, gate = self.modulate(condition_BC).unsqueeze(1).chunk(3, -1)
        return self.norm(x_BLC) * (1 + scale) + shift, gate


class Mixer(nn.Module):
    """What passes between tokens: attention, their mean, or messages along all pairs, at about equal numbers of weights."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "attention":
            self.attend = Attention(width)
        elif kind == "mean":
            self.pooled = mlp(2 * width, (4 * width) // 3, width)
        else:
            self.sender, self.receiver = nn.Linear(width, width), nn.Linear(width, width, bias=False)
            self.message = nn.Linear(width, width)
            self.arrive = nn.Linear(width, width)

    def forward(self, x_BLC: Tensor, there_BL: Tensor | None) -> Tensor:
        """(B, L, C) → (B, L, C)."""
        if self.kind == "attention":
            out: Tensor = self.attend(x_BLC, x_BLC, there_BL)
            return out
        there = torch.ones(x_BLC.shape[:2], device=x_BLC.device, dtype=x_BLC.dtype)
        there = (there if there_BL is None else there_BL.to(x_BLC.dtype)).unsqueeze(-1)
        number = there.sum(1, keepdim=True).clamp(min=1)
        if self.kind == "mean":
            mean = (x_BLC * there).sum(1, keepdim=True) / number
            pooled: Tensor = self.pooled(torch.cat([x_BLC, mean.expand_as(x_BLC)], -1))
            return pooled
        pair = F.gelu(self.sender(x_BLC).unsqueeze(1) + self.receiver(x_BLC).unsqueeze(2))
        arrived = (self.message(pair) * there.unsqueeze(1)).sum(2) / number
        gathered: Tensor = self.arrive(F.gelu(arrived))
        return gathered


MIXERS = ("attention", "mean", "messages")


class Block(nn.Module):
    """Tokens mix, then each thinks by itself."""

    def __init__(self, width: int, gate: float, mixer: str = "attention") -> None:
        super().__init__()
        self.to_mix, self.to_think = Conditioned(width, gate), Conditioned(width, gate)
        self.mix, self.think = Mixer(width, mixer), mlp(width, 2 * width, width)

    def forward(self, x_BLC: Tensor, condition_BC: Tensor, there_BL: Tensor | None = None) -> Tensor:
        """(B, L, C) under a condition (B, C)."""
        inner, gate = self.to_mix.enter(x_BLC, condition_BC)
        x_BLC = x_BLC + gate * self.mix(inner, there_BL)
        inner, gate = self.to_think.enter(x_BLC, condition_BC)
        thought: Tensor = x_BLC + gate * self.think(inner)
        return thought


class Nearness(nn.Module):
    """Logits that fall with the squared distance, by a slope a head that is learned: what is looked for is mostly near."""

    def __init__(self, width: int, first: float = 0.5) -> None:
        super().__init__()
        # Logarithms: from most of a scene to a few nodes, in lengths of the domain.
        self.slope = nn.Parameter(torch.linspace(first, 5.0, max(1, width // HEAD)))

    def forward(self, here_BL3: Tensor, there_BM3: Tensor) -> Tensor:
        """Bias (B, H, L, M)."""
        square = (here_BL3.unsqueeze(2) - there_BM3.unsqueeze(1)).square().sum(-1)
        return -self.slope.exp()[:, None, None] * square.unsqueeze(1)


class Gather(nn.Module):
    """Queries look at tokens, then each thinks by itself: pre-norm cross-attention (Perceiver, Jaegle et al. 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_query, self.norm_seen, self.norm_think = (nn.LayerNorm(width) for _ in range(3))
        self.attend, self.think = Attention(width), mlp(width, 2 * width, width)

    def forward(
        self, query_BLC: Tensor, seen_BMC: Tensor, there_BM: Tensor | None = None, bias_BHLM: Tensor | None = None
    ) -> Tensor:
        """(B, L, C) looking at (B, M, C)."""
        x = query_BLC + self.attend(self.norm_query(query_BLC), self.norm_seen(seen_BMC), there_BM, bias_BHLM)
        thought: Tensor = x + self.think(self.norm_think(x))
        return thought
