"""A whole generalist in one number, for tests of everything but learning: uniform motion, its speed damped by a share that one
training measures over all domains. Tests plug this file into jepa/, as a user would add one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from hedgefox.contracts import HedgefoxError, ModelCard, Trajectory
from hedgefox.surrogates._base import FrameState, Run, Setting, Variant, as_settings, configured
from hedgefox.surrogates.constant_velocity import ConstantVelocity
from torch import Tensor

KIND = "generalist"
DOMAINS = ("ballistic", "tumbling")
SCOPE = "all"
VARIANTS = {
    "half": Variant({"start": 0.5}, note="begins at half the speed"),
    "specialist": Variant({}, scope="each", note="one domain at a time"),
    "dull": Variant({"dull": 1}, note="collapses"),
    "frail": Variant({"frail": 1}, note="cannot be trained"),
}

trained: list[tuple[str, str]] = []
"""Model and domain of every training so far."""


@dataclass(frozen=True)
class Settings:
    start: float = 1.0
    dull: int = 0
    frail: int = 0


class Damped(ConstantVelocity):
    share: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: Settings) -> None:
        super().__init__(card, domain, as_settings(settings))
        self.register_buffer("share", torch.tensor(settings.start))

    def encode(self, past: Trajectory) -> FrameState:
        frame = past.frame(-1)
        return FrameState(past.scene, dataclasses.replace(frame, velocity=self.share * frame.velocity))


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> Damped:
    chosen = configured(Settings(), settings)
    card = ModelCard("damped", KIND, "speed", "mean", "one number", tuple(domain.split("+")), seed=seed)
    return Damped(card, domain, chosen)


def train(run: Run, **settings: Setting) -> Damped:
    trained.append((run.name, run.domain))
    model = build(run.domain, size=run.track.size, seed=run.seed, **settings)
    if model.settings["frail"]:
        raise HedgefoxError("too frail to be trained")
    speeds = [data.train.velocity.norm(dim=-1).mean() for data in run.domains.values()]
    model.share.mul_(0.9 + 0.1 * torch.stack(speeds).mean().tanh())
    model.card = dataclasses.replace(model.card, collapsed=bool(model.settings["dull"]))
    run.trained(model, run.track.training_steps, 0.0)
    return model
