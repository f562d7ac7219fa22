"""Encoder, predictor and position read-out as a Model: `encode` a past, `advance` in latent space, `decode` what is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Frame, ModelCard, Script, Trajectory
from ..contracts.model import place_driven
from ..contracts.rotation import fitted_pose, local_points, rotate
from ..contracts.trajectory import from_frames
from ..surrogates._base import Surrogate, as_settings
from ..surrogates._embedding import flattened
from ..surrogates._rigid_motion import fitted_twist
from ._backbone import Backbone, Tokens
from ._moment import Moment
from ._settings import Settings
from ._units import Units


@dataclass(frozen=True)
class Latent:
    """The state of a rollout: the start, and latent tokens at the last leap."""

    start: Moment
    position: Tensor
    local: Tensor | None
    first: Tokens
    now: Tokens
    script: Script
    """Frame 0 is the time of `now`."""
    step: Script
    """Frame 1 is the time of this state."""
    since: int = 0
    """Frames since the last leap."""
    elapsed: int = 0
    """Frames since the start."""


class Jepa(Surrogate[Latent]):
    """Encoder, predictor and position read-out as a Model."""

    def __init__(self, card: ModelCard, domain: str, settings: Settings) -> None:
        super().__init__(card, domain, as_settings(settings))
        self.set = settings
        self.backbone = Backbone(Units(settings.domains, settings.parameters), settings)

    @property
    def units(self) -> Units:
        """The scales of its domains."""
        return self.backbone.units

    def encode(self, past: Trajectory) -> Latent:
        """Tokens of the last frames."""
        seen = self.backbone.moment(past, past.n_frames - 1)
        first = self.backbone.encode(seen)
        local = None
        if past.pose is not None:
            local = local_points(past.position[-1], past.pose[-1], past.scene.body_id)
        script = past.scene.script.starting_at(past.n_frames - 1)
        return Latent(seen, past.position[-1], local, first, first, script, script)

    def advance(self, state: Latent, script: Script) -> Latent:
        """One frame forward: a leap in latent space when a stride is full, and nothing before."""
        start = script if state.since == 0 else state.script
        state = dataclasses.replace(state, script=start, step=script, since=state.since + 1, elapsed=state.elapsed + 1)
        if state.since < self.set.stride:
            return state
        now = self.backbone.leap(state.now, state.start.scene, start, state.since)
        return dataclasses.replace(state, now=now, since=0)

    def decode(self, state: Latent) -> Frame:
        """Positions and velocities by the read-out, bodies brought back to rigid motions."""
        scene, now = state.start.scene, state.now
        if state.since:
            now = self.backbone.leap(now, scene, state.script, state.since)
        out = self.backbone.read(state.start, state.first, now, state.elapsed)
        return self.placed(state, state.start.packing.unpack(out))

    def placed(self, state: Latent, out: Tensor) -> Frame:
        """A frame from the read-out's answers (N, 6)."""
        scene, k = state.start.scene, self.units.number(state.start.scene.domain)
        moved = flattened(out[:, :3], scene.dim) * self.backbone.reach(scene, state.elapsed)
        position, velocity = state.position + moved, flattened(out[:, 3:], scene.dim) * self.units.speed[k]
        frame = Frame(position, velocity)
        if state.local is not None:
            pose = fitted_pose(state.local, position, scene.mass, scene.body_id)
            arm = rotate(pose[scene.body_id, 3:], state.local)
            twist = fitted_twist(velocity, arm, scene.mass, scene.body_id)
            velocity = twist[scene.body_id, :3] + torch.linalg.cross(twist[scene.body_id, 3:], arm)
            frame = Frame(pose[scene.body_id, :3] + arm, velocity, pose, twist)
        return place_driven(frame, scene, state.step)

    # What others ask of it

    def reconstruct(self, past: Trajectory, truth: Trajectory) -> Trajectory:
        """Every frame of `truth` read from the encoding of the true frames: what the read-out errs without any dynamics.

        `truth` follows `past`. The floor that no predictor can go below with this encoder and read-out.
        """
        film, now = past.followed_by(truth), past.n_frames - 1
        state, frames = self.encode(past), []
        for k in range(1, truth.n_frames + 1):
            seen = self.backbone.encode(self.backbone.moment(film, now + k, state.start.matter))
            step = film.scene.script.starting_at(now + k - 1)
            then = dataclasses.replace(state, now=seen, elapsed=k, step=step)
            frames.append(self.decode(then))
        return from_frames(truth.scene, frames)

    def features(self) -> dict[str, Callable[[Trajectory, int], Tensor]]:
        """What probes may look at, of a film at a frame, (B, F) each: all parameters are withheld."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(self.card.seed or 0))
            drawn = Backbone(self.units, self.set)
        drawn = drawn.to(self.units.length.device)
        return {
            "latent": lambda film, frame: unaided(self.backbone, film, frame),
            "random encoder": lambda film, frame: unaided(drawn, film, frame),
            "raw state": lambda film, frame: self.backbone.raw(self.backbone.moment(film, frame)),
        }


def unaided(backbone: Backbone, film: Trajectory, frame: int) -> Tensor:
    """Tokens of a film at a frame with all parameters withheld, (B, K C)."""
    kept = film.scene.gravity.new_zeros((film.scene.n_scenes, len(backbone.units.named)))
    return backbone.encode(backbone.moment(film, frame), kept).latest.flatten(1)
