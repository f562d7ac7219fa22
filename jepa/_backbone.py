"""The backbone that all cells of the two-by-two share: encoder, predictor, position read-out, and how they are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..contracts import Scene, Script, Trajectory
from ..surrogates._embedding import lifted
from ._conditions import Condition, on_device, script_tokens
from ._layout import Layout
from ._leaps import Predict
from ._moment import VELOCITY, Matter, Moment, at_frame, matter, moment, script_from
from ._settings import Settings
from ._units import Units
from .encoder import Encoder, at
from .predictor import Predictor
from .readout import PositionReadout


@dataclass(frozen=True)
class Tokens:
    """Latent tokens at one time, and those a leap earlier."""

    latest: Tensor
    """(B, K, C)."""
    identity: Tensor
    """What the tokens are about, (B, K, IDENTITY_FEATURES): the same at all times."""
    before: Tensor | None = None
    """(B, K, C), or None where nothing is known of an earlier time."""
    age: int | Tensor = 0
    """Frames between the two."""


class Backbone(nn.Module):
    """Encoder, predictor and read-out of one width; weights are drawn from torch's generator."""

    def __init__(self, units: Units, settings: Settings) -> None:
        super().__init__()
        s = settings
        self.units, self.history, self.stride, self.horizon = units, s.history, s.stride, s.horizon
        self.known = Condition(units, s.width)
        self.encoder = Encoder(s.width, s.tokens, s.supernodes, s.neighbours, s.encoder_blocks)
        self.foreknown = Condition(units, s.width)
        self.predictor = Predictor(s.width, s.predictor_blocks, s.mixer)
        self.readout = PositionReadout(s.width, s.readout_width, s.readout_looks, s.readout_told)

    def matter(self, scene: Scene) -> Matter:
        """What stays fixed of some scenes."""
        return matter(scene, self.units, max(self.encoder.supernodes, self.encoder.tokens))

    def moment(self, film: Trajectory, last: int | Tensor, known: Matter | None = None) -> Moment:
        """What is seen of the `history` frames of a film that end with frame `last`; `known` saves finding it again.

        With it, and with `last` on the device, the device is asked nothing.
        """
        first, scene = last - self.history + 1, film.scene
        known = known or self.matter(scene)
        script = script_from(scene.script, first, self.history)
        if isinstance(first, Tensor):
            frames = film.position.index_select(0, first + torch.arange(self.history, device=first.device))
        else:
            frames = film.position[first : first + self.history]
        pose = None if film.pose is None else at_frame(film.pose, last)
        return moment(scene, frames, at_frame(film.velocity, last), pose, script, self.units, known)

    def encode(self, seen: Moment, kept: Tensor | None = None, hidden: Tensor | None = None) -> Tokens:
        """Latent tokens of a moment; `kept` and `hidden` as for Condition and Encoder."""
        condition = self.known(self.units, seen.scene, self.history, self.stride, kept)
        return Tokens(self.encoder(seen, condition, hidden), self.encoder.identity(seen))

    def leap(
        self, now: Tokens, scene: Scene, script: Script, frames: int | Tensor, kept: Tensor | None = None,
        predict: Predict | None = None, known: Layout | None = None,
    ) -> Tokens:  # fmt: skip
        """Tokens `frames` later; frame 0 of the script is the time of the latest tokens.

        `predict` stands for the predictor; `known` saves finding out where obstacles and driven nodes stand. With it, and with
        `frames` on the device, the device is asked nothing.
        """
        condition = self.foreknown(self.units, scene, frames, self.stride, kept)
        told, there = script_tokens(scene, script, frames, self.units, known)
        age = None
        if now.before is not None:
            share = on_device(now.age, now.latest) / self.stride
            age = share.to(now.latest.dtype).expand(len(now.latest), 1)
        predict = predict or self.predictor
        then = predict(now.latest, now.identity, now.before, age, told, there, condition)
        return Tokens(then, now.identity, now.latest, frames)

    def time_features(self, scene: Scene, elapsed: Sequence[int]) -> Tensor:
        """(T, 4) features of the frames since the start; beyond the horizon trained on they stay."""
        k = self.units.number(scene.domain)
        crossed = scene.frame_interval * float(self.units.speed[k] / self.units.length[k])
        known = [min(t, self.horizon) for t in elapsed]
        rows = [(t / self.horizon, (t / self.horizon) ** 0.5, (t / self.horizon) ** 2, t * crossed) for t in known]
        return self.units.length.new_tensor(rows)

    def reach(self, scene: Scene, elapsed: Sequence[int]) -> Tensor:
        """How far matter gets in so many frames [m], (T, 1, 1): by its usual speed, and no farther than its box is wide."""
        k = self.units.number(scene.domain)
        frames = self.units.speed.new_tensor(list(elapsed))
        far = torch.minimum(self.units.speed[k] * scene.frame_interval * frames, self.units.length[k])
        return far.to(scene.gravity.dtype).view(-1, 1, 1)

    def read(self, start: Moment, first: Tokens, then: Tokens, elapsed: int, rows: Tensor | None = None) -> Tensor:
        """Displacement in reaches and velocity in speeds of nodes, in table places (B, L, 6); `rows` (B, L') are some of them."""
        return self.read_all(start, first, then.latest.unsqueeze(0), [elapsed], rows)[0]

    def read_all(
        self, start: Moment, first: Tokens, then: Tensor, elapsed: Sequence[int], rows: Tensor | None = None
    ) -> Tensor:
        """As `read`, from tokens (T, B, K, C) of T times at once: (T, B, L, 6)."""
        points = start.packing.pack(start.points)
        if rows is not None:
            points = points.gather(1, rows.unsqueeze(-1).expand(-1, -1, points.shape[-1]))
        time = self.time_features(start.scene, elapsed)[:, None, None].expand(-1, *points.shape[:2], -1)
        body = start.packing.pack(start.scene.body_id)
        body = body if rows is None else body.gather(1, rows)
        alien = (body.unsqueeze(-1) != self.encoder.body(start).unsqueeze(1)).to(points.dtype)
        query = torch.cat([points.expand(len(time), -1, -1, -1), time], -1)
        out: Tensor = self.readout(query, first.latest, then, first.identity, alien)
        return out[..., :6] + self.flight(start.scene, points, out[..., 6:], elapsed)

    def flight(self, scene: Scene, points: Tensor, share: Tensor, elapsed: Sequence[int]) -> Tensor:
        """The share (T, B, L, 2) of free flight that holds, as displacement in reaches and velocity in speeds, (T, B, L, 6)."""
        k = self.units.number(scene.domain)
        seconds = points.new_tensor([min(t, self.horizon) * scene.frame_interval for t in elapsed]).view(-1, 1, 1, 1)
        velocity = points[..., VELOCITY] * self.units.speed[k] * share[..., :1]
        fall = lifted(scene.gravity)[:, None, :] * seconds * share[..., 1:]
        moved = (velocity + fall / 2) * seconds / self.reach(scene, elapsed).unsqueeze(-1)
        return torch.cat([moved, (velocity + fall) / self.units.speed[k]], -1)

    def raw(self, seen: Moment) -> Tensor:
        """What the encoder is given, at its supernodes and of its box, (B, F)."""
        chosen, found = (x[:, : self.encoder.supernodes] for x in (seen.matter.chosen, seen.matter.found))
        rows = at(seen, seen.points, chosen) * found.unsqueeze(-1)
        return torch.cat([rows.flatten(1), seen.geometry[:, -1]], -1)
