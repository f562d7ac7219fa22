"""Futures of one scene under many scripts side by side: by a jepa in latent space, by any other model as so many rollouts."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import MisuseError, Model, Scene, Script, Trajectory
from ..contracts.scene import SCRIPT_GROUP_OF
from ._backbone import Tokens
from ._future import latents_at
from ._layout import layout
from ._model import ROWS, Jepa
from ._moment import geometry_of

SHORT = 3
"""Frames of a script that an encoder reads: one before, now, and the next."""


@dataclass(frozen=True)
class Futures:
    """C futures of one scene at F chosen frames. What was not read out is None."""

    frames: tuple[int, ...]
    """Frames after now, rising."""
    scene: Scene
    """The one scene, as it is now."""
    position: Tensor | None = None
    """(F, C, N, D) [m]."""
    velocity: Tensor | None = None
    """(F, C, N, D) [m/s]."""
    pose: Tensor | None = None
    """Of rigid bodies, (F, C, P, 7)."""
    latent: Tensor | None = None
    """Of a jepa, (F, C, K, W)."""

    def centre(self) -> Tensor:
        """Centre of mass of the free nodes [m], (F, C, D)."""
        if self.position is None:
            raise MisuseError("these futures hold latents alone; ask for them with read=True")
        mass = torch.where(self.scene.free, self.scene.mass, 0.0)
        return torch.einsum("n,fcnd->fcd", mass / mass.sum(), self.position)


Imagine = Callable[[Script, Sequence[int], bool], Futures]
"""Of scripts of candidates, the futures at some frames, read out or not."""


def prepared(model: Model, past: Trajectory) -> Imagine:
    """What answers for futures of a film of one scene: for many calls the past is looked at once."""
    require_one(past)
    return Imagined(model, past) if isinstance(model, Jepa) else RolledOut(model, past)


def require_one(past: Trajectory) -> None:
    """Raises MisuseError for a film of several scenes."""
    if past.scene.n_scenes != 1:
        raise MisuseError(f"plans are for one scene; the film has {past.scene.n_scenes}")


def require_frames(past: Trajectory, script: Script, frames: Sequence[int]) -> int:
    """The number of candidates; raises MisuseError for frames that do not rise or reach beyond the script."""
    if not frames or frames[0] < 1 or any(b <= a for a, b in itertools.pairwise(frames)):
        raise MisuseError(f"frames are {tuple(frames)}; some that rise, from 1 on, are right")
    if frames[-1] >= script.n_frames:
        raise MisuseError(f"the scripts reach {script.n_frames - 1} frames ahead; frame {frames[-1]} is asked for")
    number = script.box_offset.shape[1]
    for name, group in SCRIPT_GROUP_OF.items():
        right = number * int(past.scene.ptr(group)[-1])
        if getattr(script, name).shape[1] != right:
            raise MisuseError(
                f"{name} has {getattr(script, name).shape[1]} rows for {number} candidates; {right} is right"
            )
    return int(number)


def followed(past: Trajectory, script: Script, first: int, number: int) -> Script:
    """The scene's own script from frame `first` to now, once a candidate, and then the candidates'."""
    known = past.scene.script._map(lambda _, x: x[first : past.n_frames].repeat(1, number, 1))
    rows = {
        f.name: torch.cat([getattr(known, f.name), getattr(script, f.name)[1:]]) for f in dataclasses.fields(script)
    }
    return Script(**rows)


class RolledOut:
    """Futures by a rollout of as many copies of the scene: any model."""

    def __init__(self, model: Model, past: Trajectory) -> None:
        self.model, self.past = model, past

    def __call__(self, script: Script, frames: Sequence[int], read: bool = True) -> Futures:
        """See `futures`; there are no latents, so all is read out."""
        number = require_frames(self.past, script, frames)
        many = self.past.select([0] * number)
        many = dataclasses.replace(many, scene=many.scene.with_script(followed(self.past, script, 0, number)))
        film = self.model.rollout(many, frames[-1])
        rows = [t - 1 for t in frames]
        fields = (film.position, film.velocity, film.pose)
        cut = [None if x is None else x[rows].reshape(len(rows), number, -1, x.shape[-1]) for x in fields]
        return Futures(tuple(frames), self.past.scene, *cut)


class Imagined:
    """Futures by a jepa: what depends on the past alone is made once, what the scripts change for all candidates together."""

    @torch.no_grad()
    def __init__(self, model: Jepa, past: Trajectory) -> None:
        held = dataclasses.replace(past, scene=past.scene.with_script(past.scene.script.held(1)))
        model.check_request(held, 1)
        self.model, self.past, self.state = model, past, model.encode(past)
        self.matter = model.backbone.encoder.gathered(self.state.start)

    @torch.no_grad()
    def __call__(self, script: Script, frames: Sequence[int], read: bool = True) -> Futures:
        """See `futures`."""
        number, b = require_frames(self.past, script, frames), self.model.backbone
        many = self.past.scene.select([0] * number).with_script(script)
        first = self.first(many, script, number)
        then = latents_at(b, first, many, script, frames, self.model.predict)
        latent = torch.stack([tokens.latest for tokens in then])
        seen = Futures(tuple(frames), self.past.scene, latent=latent)
        return self.read(seen, first, script) if read else seen

    def first(self, many: Scene, script: Script, number: int) -> Tokens:
        """Tokens now. Encoders are told how what is driven moves in the next frame, so candidates differ in them already."""
        b = self.model.backbone
        back = min(1, b.history - 1)
        short = followed(self.past, script._map(lambda _, x: x[: SHORT - 1]), self.past.n_frames - 1 - back, number)
        geometry = geometry_of(many, short, back, b.units, layout(many))
        condition = b.known(b.units, many, b.history, b.stride)
        matter = dataclasses.replace(
            self.matter, token=_each(self.matter.token, number), there=_each(self.matter.there, number),
            own=None if self.matter.own is None else _each(self.matter.own, number),
            identity=_each(self.matter.identity, number),
        )  # fmt: skip
        return Tokens(b.encoder.mixed(matter, *geometry, condition), matter.identity)

    def read(self, seen: Futures, first: Tokens, script: Script) -> Futures:
        """The same futures with positions, velocities and poses, some thousand nodes at a time."""
        assert seen.latent is not None
        together = max(1, ROWS // max(1, self.past.scene.n_nodes))
        fields: dict[str, list[Tensor]] = {}
        for t, latent in zip(seen.frames, seen.latent, strict=True):
            parts = zip(torch.split(latent, together), torch.split(first.latest, together), strict=True)
            nodes = [self.nodes(then, start, t) for then, start in parts]
            for name, values in zip(("position", "velocity", "pose"), zip(*nodes, strict=True), strict=True):
                if values[0] is not None:
                    fields.setdefault(name, []).append(torch.cat(values))
        found = {name: torch.stack(values) for name, values in fields.items()}
        return self.driven(dataclasses.replace(seen, **found), script)  # type: ignore[arg-type]

    def nodes(self, then: Tensor, start: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Positions (c, N, D), velocities and poses of some candidates: the read-out takes them for as many times of one film."""
        b, number = self.model.backbone, len(then)
        first = Tokens(start.unsqueeze(1), self.state.first.identity)
        out = b.read_all(self.state.start, first, then.unsqueeze(1), [t] * number)
        frame = self.model.nodes(self.state, out, [t] * number)
        return frame.position, frame.velocity, frame.pose

    def driven(self, seen: Futures, script: Script) -> Futures:
        """The driven nodes where the scripts say."""
        scene, position, velocity = self.past.scene, seen.position, seen.velocity
        assert position is not None
        assert velocity is not None
        if scene.driven_nodes.numel():
            path = script.node_position.reshape(script.n_frames, position.shape[1], -1, scene.dim).to(position.dtype)
            rows = list(seen.frames)
            position[:, :, scene.driven_nodes] = path[rows]
            speed = (path[rows] - path[[t - 1 for t in rows]]) / scene.frame_interval
            velocity[:, :, scene.driven_nodes] = speed.to(velocity.dtype)
        return seen


def _each(x: Tensor, number: int) -> Tensor:
    """(1, ...) as (number, ...), without copies."""
    return x.expand(number, *x.shape[1:])
