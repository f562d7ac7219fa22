"""Persistence: the film freezes.

x(t) = x(0), v(t) = 0. The velocity is zero, not the last one seen, because a velocity is the rate of change of the film that
goes with it, and this film stands still. Driven nodes follow the script.

Exact for matter at rest. Any model with a larger error than this has learned less than nothing.
"""

from __future__ import annotations

import torch

from ..contracts import Frame, ModelCard, Script, Trajectory
from ..contracts.model import place_driven
from ._base import FrameState, FrameSurrogate, NoSettings, Setting, as_settings, configured

KIND = "baseline"
DOMAINS = ("*",)


class Persistence(FrameSurrogate):
    """The last observed frame, for ever."""

    def encode(self, past: Trajectory) -> FrameState:
        """The last observed frame at rest."""
        last = past.frame(-1)
        still = Frame(
            last.position,
            torch.zeros_like(last.velocity),
            last.pose,
            None if last.twist is None else torch.zeros_like(last.twist),
        )
        return FrameState(past.scene, still)

    def advance(self, state: FrameState, script: Script) -> FrameState:
        """Move what is driven, and nothing else."""
        return FrameState(state.scene, place_driven(state.frame, state.scene, script))


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> Persistence:
    """The baseline; it has no sizes and draws nothing."""
    card = ModelCard("persistence", KIND, "none", "none", "last frame repeated", DOMAINS)
    return Persistence(card, domain, as_settings(configured(NoSettings(), settings)))
