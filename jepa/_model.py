"""Encoder, predictor and position read-out as a Model: `encode` a past, `advance` in latent space, `decode` what is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Frame, ModelCard, Scene, Script, Trajectory
from ..contracts.model import place_driven
from ..contracts.rotation import fitted_pose, local_points, rotate
from ..contracts.trajectory import from_frames
from ..surrogates._base import Surrogate, as_settings
from ..surrogates._embedding import flattened
from ..surrogates._rigid_motion import fitted_twist
from ._backbone import Backbone, Tokens
from ._future import latents
from ._leaps import Leaps
from ._moment import Moment
from ._settings import Settings
from ._units import Units

ROWS = 2**17
"""Nodes × frames that are read together at most: some 200 MB."""


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
        self.captured: bool | None = None
        """Whether leaps of rollouts and plans go in calls of fixed shape, on CUDA one graph each; None: on CUDA."""
        self.leaps = Leaps()

    @property
    def units(self) -> Units:
        """The scales of its domains."""
        return self.backbone.units

    def predict(self, *inputs: Tensor | None) -> Tensor:
        """The predictor, for rollouts and plans, in which nothing has gradients."""
        on = self.units.length.is_cuda if self.captured is None else self.captured
        return self.leaps(self.backbone.predictor, *inputs) if on else self.backbone.predictor(*inputs)

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
        return self.placed(state, out.unsqueeze(0), [state.elapsed], state.step)[0]

    @torch.no_grad()
    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        """See `Model.rollout`. What `advance` and `decode` say frame by frame, in a few calls for all frames."""
        self.check_request(past, n_frames)
        state, scene = self.encode(past), past.scene
        then = latents(self.backbone, state.first, scene, state.script, n_frames, self.predict)
        together = max(1, ROWS // max(1, state.start.packing.index.numel()))
        frames = []
        for part in torch.split(torch.arange(1, n_frames + 1), together):
            elapsed: list[int] = part.tolist()
            out = self.backbone.read_all(state.start, state.first, then[elapsed[0] - 1 : elapsed[-1]], elapsed)
            frames += self.placed(state, out, elapsed, state.script.starting_at(elapsed[0] - 1))
        return from_frames(scene.with_script(state.script.starting_at(1)), frames)

    def placed(self, state: Latent, out: Tensor, elapsed: Sequence[int], script: Script) -> list[Frame]:
        """Frames from the read-out's answers (T, B, L, 6); frame 1 of the script is the first of them."""
        film = self.nodes(state, out, elapsed)
        fields = (film.position, film.velocity, film.pose, film.twist)
        frames = (Frame(*(None if x is None else x[t] for x in fields)) for t in range(len(out)))  # type: ignore[arg-type]
        return [place_driven(frame, state.start.scene, script.starting_at(t)) for t, frame in enumerate(frames)]

    def nodes(self, state: Latent, out: Tensor, elapsed: Sequence[int]) -> Frame:
        """What the read-out's answers (T, B, L, 6) say of all nodes and bodies, the driven ones too; T before every shape."""
        scene = state.start.scene
        k, nodes = self.units.number(scene.domain), state.start.packing.unpack(out)
        position = state.position + flattened(nodes[..., :3], scene.dim) * self.backbone.reach(scene, elapsed)
        velocity = flattened(nodes[..., 3:], scene.dim) * self.units.speed[k]
        if state.local is None:
            return Frame(position, velocity)
        return self.rigid(scene, state.local, position, velocity)

    def rigid(self, scene: Scene, local: Tensor, position: Tensor, velocity: Tensor) -> Frame:
        """Nodes (T, N, 3) brought back to the nearest rigid motions."""
        body, n_times = scene.body_id, len(position)
        pose = fitted_pose(local, position, scene.mass, body)
        turn = pose[:, body]
        arm = rotate(turn[..., 3:], local.expand_as(turn[..., :3]))
        # The bodies of each time count as bodies of their own, so that all are fitted in one call.
        each = body + pose.shape[1] * torch.arange(n_times, device=body.device).unsqueeze(-1)
        fitted = fitted_twist(velocity.flatten(0, 1), arm.flatten(0, 1), scene.mass.repeat(n_times), each.flatten())
        twist = fitted.reshape(*pose.shape[:2], 6)
        moving = twist[:, body, :3] + torch.linalg.cross(twist[:, body, 3:], arm)
        return Frame(turn[..., :3] + arm, moving, pose, twist)

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
