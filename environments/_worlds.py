"""Worlds: some driven scenes that began together and step together, under one batched call of a simulator or a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..contracts import Domain, Frame, MisuseError, Model, Recipe, Script, Stepper, Trajectory, registry, stack
from ..contracts._ragged import group_of_row, group_sum
from ..contracts.scene import SCRIPT_GROUP_OF
from ..contracts.seeds import stream
from ..contracts.trajectory import from_frames
from ._tasks import Task, task

PROBES = 16
"""Free nodes observed, evenly spaced in node order."""
LIMIT = 10.0
"""Observations are clipped to this, either way."""
FORESEEN = 16
"""Frames of the script beyond the next that models may read: as if the present velocity were kept."""
SPLIT = "train"
_TRIES = 64


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all episodes of an environment share."""

    task: Task
    domain: Domain
    recipe: Recipe
    horizon: int
    """Steps of an episode."""
    backend: Model
    """What continues the films: the reference, one of its cheaper settings, or a surrogate."""
    reference: Stepper[Any]
    """What makes the frames that every backend is shown first."""
    device: str

    @property
    def n_actions(self) -> int:
        """Components of an action."""
        return len(self.task.axes)

    @property
    def n_seen(self) -> int:
        """Numbers of an observation: probes, centre, handle and goal, and the share of time that is left."""
        return self.recipe.dim * (2 * PROBES + 5) + 1


def setup(
    of: str | Task,
    size: str = "xs",
    backend: Model | str | Path | None = None,
    horizon: int | None = None,
    device: str = "cpu",
) -> Setup:
    """Settings of an environment.

    `backend` is a Model, the folder of saved weights, the name of a setting of the simulator's ladder, or None for the
    reference. Raises MisuseError for what does not exist, and for a model that does not continue the task's domain.
    """
    chosen = task(of)
    domain = registry.domain(chosen.domain)
    recipe = domain.recipe(size)
    steps = recipe.horizon if horizon is None else horizon
    if steps < 1:
        raise MisuseError(f"an episode of {steps} steps; at least 1 is right")
    reference = domain.reference(recipe, device)
    model = _backend(domain, recipe, backend, reference, device)
    return Setup(chosen, domain, recipe, steps, model, reference, device)


def _backend(
    domain: Domain, recipe: Recipe, asked: Model | str | Path | None, reference: Stepper[Any], device: str
) -> Model:
    if asked is None:
        return reference
    if isinstance(asked, Model):
        return asked
    if isinstance(asked, Path) or (Path(asked) / "model.json").is_file():
        from .. import surrogates

        return surrogates.load(Path(asked), device)
    rungs = domain.ladder(recipe, device)
    if asked not in rungs:
        raise MisuseError(
            f"{asked!r} is no folder of weights and no setting of {domain.name}; one of {', '.join(rungs)} is right"
        )
    return rungs[asked]


def start_of(s: Setup, seed: int) -> Trajectory:
    """Frame 0 of the scene that a seed means: the first of its family that has what the task moves."""
    families = len(s.domain.families)
    for k in range(_TRIES):
        start = s.domain.sample_start(s.recipe, SPLIT, s.task.family % families + k * families, seed)
        if s.task.fits(start.scene):
            return start
    raise MisuseError(f"no scene of {s.domain.families[s.task.family % families]} has a {s.task.moves} to move")


class Worlds:
    """B scenes that began together, each from its own seed. Which others are beside a scene does not matter to it."""

    def __init__(self, s: Setup, seeds: Sequence[int]) -> None:
        self.setup, self.steps = s, 0
        starts = stack([start_of(s, seed) for seed in seeds]).to(s.device)
        # The task drives, not the script that the scene was drawn with: it stands still at its first frame.
        rows = s.recipe.past + FORESEEN
        script: Any = starts.scene.script._map(lambda _, x: x[:1].expand(rows, *x.shape[1:]).contiguous())
        starts = dataclasses.replace(starts, scene=starts.scene.with_script(script))
        self.film = _shown(s, starts)
        """The last frames, as long as every model is shown."""
        self.handle = getattr(script, s.task.moves)[0]
        self._home = self.handle.clone()
        self._owner = _owners(starts, s.task.moves)
        self.velocity = torch.zeros((len(seeds), s.recipe.dim), dtype=self.handle.dtype, device=self.handle.device)
        self._probes = _probes(starts)
        shift = [s.task.goal(stream(seed, s.domain.name, "goal", 0), s.recipe.dim) for seed in seeds]
        self.goal = self._centre(self.film.position[-1]) + torch.tensor(np.array(shift)).to(self.handle)
        self.diverged = torch.zeros(len(seeds), dtype=torch.bool, device=self.handle.device)
        with torch.no_grad():
            self._state = s.backend.encode(self.film) if isinstance(s.backend, Stepper) else None

    @torch.no_grad()
    def step(self, actions: np.ndarray) -> None:
        """One frame: move what is driven by actions (B, A) in [-1, 1], and let the backend continue."""
        s = self.setup
        script = self._next_script(actions)
        if isinstance(s.backend, Stepper):
            self._state = s.backend.advance(self._state, script)
            frame = s.backend.decode(self._state)
        else:
            frame = s.backend.rollout(self._with(script), 1).frame(-1)
        self._take(frame, script)
        self.steps += 1

    def _next_script(self, actions: np.ndarray) -> Script:
        """From now on; row 0 is now, row 1 the next frame, later ones as if the velocity were kept."""
        t, dt, scene = self.setup.task, self.setup.domain.frame_interval, self.film.scene
        axes = list(t.axes)
        wanted = torch.zeros_like(self.velocity)
        wanted[:, axes] = t.speed * torch.as_tensor(actions).to(wanted).clamp(-1, 1)
        change = (wanted - self.velocity).clamp(-t.acceleration * dt, t.acceleration * dt)
        now = self.handle
        ahead = torch.arange(FORESEEN + 2, device=now.device, dtype=now.dtype).view(-1, 1, 1)
        path = now + ahead * dt * (self.velocity + change)[self._owner]
        path = torch.minimum(torch.maximum(path, self._home - t.reach), self._home + t.reach)
        self.handle = path[1]
        self.velocity = _of_scene((path[1] - now) / dt, self._owner, len(self.velocity))
        held: Any = scene.script._map(lambda _, x: x[-1:].expand(FORESEEN + 2, *x.shape[1:]))
        led: Script = dataclasses.replace(held, **{t.moves: path})
        return led

    def _with(self, script: Script) -> Trajectory:
        """The frames shown, under the script that led to them and goes on from here."""
        known = self.film.scene.script
        led = _joined(known, 0, self.film.n_frames, script)
        return dataclasses.replace(self.film, scene=self.film.scene.with_script(led))

    def _take(self, frame: Frame, script: Script) -> None:
        """Note a new frame; a scene that diverged stays as it was last seen."""
        scene, before = self.film.scene, self.film
        new = from_frames(scene.with_script(script.starting_at(1)), [frame])
        assert new.diverged_at is not None
        self.diverged = self.diverged | (new.diverged_at >= 0)
        lost = self.diverged[scene.node_scene].view(1, -1, 1)
        kept = dataclasses.replace(
            new,
            position=torch.where(lost, before.position[-1:], new.position),
            velocity=torch.where(lost, before.velocity[-1:], new.velocity),
            diverged_at=None,
        )
        grown = before.followed_by(kept).frames(1)
        led = _joined(scene.script, 1, before.n_frames, script)
        self.film = dataclasses.replace(grown, scene=scene.with_script(led))

    # What is seen and what it is worth

    def _centre(self, position: Tensor) -> Tensor:
        """Centre of mass of the free nodes of each scene [m], (B, D)."""
        scene = self.film.scene
        mass = torch.where(scene.free, scene.mass, 0.0)
        return (group_sum(mass * position.T, scene.scene_ptr) / group_sum(mass, scene.scene_ptr)).T

    def distance(self) -> Tensor:
        """From the centre of mass to the goal, along the axes that are judged [m], (B,)."""
        off = (self._centre(self.film.position[-1]) - self.goal)[:, list(self.setup.task.judged)]
        length: Tensor = torch.linalg.vector_norm(off, dim=-1)
        return length

    def reward(self) -> Tensor:
        """Minus the distance over the box's diagonal; -1 for a scene that diverged, (B,)."""
        return torch.where(self.diverged, -1.0, -self.distance() / self.film.scene.diagonal)

    def observation(self) -> Tensor:
        """See docs/gym.md, (B, F), float32."""
        scene, now = self.film.scene, self.film.frame(-1)
        length, speed = scene.diagonal.unsqueeze(-1), self.setup.task.speed
        middle = scene.bounds.mean(1)
        where, moves = now.position[self._probes], now.velocity[self._probes]
        hand = _of_scene(self.handle, self._owner, len(middle)) - _of_scene(self._home, self._owner, len(middle))
        centre = self._centre(now.position)
        left = torch.full_like(length, 1 - self.steps / self.setup.horizon)
        parts = [
            ((where - middle.unsqueeze(1)) / length.unsqueeze(1)).flatten(1),
            (moves / speed).flatten(1),
            (centre - middle) / length,
            self._centre(now.velocity) / speed,
            hand / length,
            self.velocity / speed,
            (self.goal - centre) / length,
            left,
        ]
        return torch.cat(parts, -1).float().clamp(-LIMIT, LIMIT)


def _shown(s: Setup, starts: Trajectory) -> Trajectory:
    """The frames that every backend sees first: the reference's, nothing being driven."""
    if s.recipe.past == 1:
        return starts
    with torch.no_grad():
        film = s.reference.rollout(starts, s.recipe.past - 1)
    return dataclasses.replace(starts.followed_by(film), diverged_at=None)


def _joined(known: Script, first: int, stop: int, coming: Script) -> Script:
    """Rows of a script, the last of them now, and then those of one whose row 0 is now."""
    rows = {
        f.name: torch.cat([getattr(known, f.name)[first:stop], getattr(coming, f.name)[1:]])
        for f in dataclasses.fields(known)
    }
    return Script(**rows)


def _owners(film: Trajectory, moves: str) -> Tensor:
    """The scene of each row of what is driven."""
    return group_of_row(film.scene.ptr(SCRIPT_GROUP_OF[moves]))


def _of_scene(rows: Tensor, owner: Tensor, number: int) -> Tensor:
    """The first row of each scene: all of them move alike."""
    first = torch.searchsorted(owner, torch.arange(number, device=rows.device))
    return rows[first]


def _probes(film: Trajectory) -> Tensor:
    """Node indices (B, PROBES), evenly spaced among the free nodes of each scene; fewer nodes are seen more than once."""
    scene, chosen = film.scene, []
    for b in range(scene.n_scenes):
        low, high = int(scene.scene_ptr[b]), int(scene.scene_ptr[b + 1])
        free = low + torch.nonzero(scene.free[low:high]).flatten()
        chosen.append(free[torch.linspace(0, len(free) - 1, PROBES, device=free.device).round().long()])
    return torch.stack(chosen)
