"""Predictor: latent tokens some frames later, from the latest ones, what was before, and what the script will move.

    z(t + k) = z(t) + blocks(z(t), z(t - …), script; condition)

Attention over tokens and time; the condition (frames k and seconds ahead, gravity, domain, known parameters) enters through
adaptive layer norms that start at zero, so that an untrained predictor says that nothing changes. One call leaps over any number
of frames up to the stride; longer futures are leaps from leaps. Ablations: `mixer` "mean" or "messages" instead of attention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._attention import Block, mlp
from ._moment import IDENTITY_FEATURES

SCRIPT_FEATURES = 3 * 4 + 2
"""Where a driven thing is, its size, how far it moves in half the leap and in the whole; what it is."""


class Predictor(nn.Module):
    """See the module."""

    def __init__(self, width: int, blocks: int, mixer: str) -> None:
        super().__init__()
        self.enter = nn.Linear(width, width)
        self.about = mlp(IDENTITY_FEATURES, width, width)
        self.age = mlp(1, width, width)
        self.script = mlp(SCRIPT_FEATURES, width, width)
        self.blocks = nn.ModuleList(Block(width, gate=0.0, mixer=mixer) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, width)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, latest: Tensor, identity: Tensor, before: Tensor | None, age: Tensor | None, script: Tensor,
        script_there: Tensor, condition: Tensor,
    ) -> Tensor:  # fmt: skip
        """Tokens (B, K, C) after the leap.

        latest (B, K, C), about matter of an `identity` (B, K, IDENTITY_FEATURES); before (B, K, C) or None, `age` (B, 1) its
        distance in time, in strides; script (B, M, SCRIPT_FEATURES) of which `script_there` (B, M) exist; condition (B, C).
        """
        n, tokens = latest.shape[:2]
        about = self.about(identity)
        parts = [self.enter(latest) + about]
        if before is not None:
            parts.append(self.enter(before) + about + self.age(age).unsqueeze(1))
        parts.append(self.script(script))
        there = torch.cat([script_there.new_ones((n, tokens * (len(parts) - 1))), script_there], 1)
        x = torch.cat(parts, 1)
        for block in self.blocks:
            x = block(x, condition, there)
        moved: Tensor = self.leave(self.norm(x[:, :tokens]))
        return latest + moved
