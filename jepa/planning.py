"""Planning: many futures of one scene under scripts of our choosing, and the script whose future costs least.

    plan = min over actions a of cost(futures(model, past, script(a)))

The past is encoded once. The latents of all candidates advance together, a leap at a time, and only the frames that the cost asks
for are read out. Any other model, a simulator among them, is rolled out on as many copies of the scene instead.

Random shooting tries uniform actions and keeps the best. The cross-entropy method (Rubinstein 1999; for control by learned models
Chua et al. 2018, PETS, arXiv:1805.12114) goes on from there: a Gaussian is fitted to the best share, and drawn from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import MisuseError, Model, Script, Trajectory
from ..contracts.scene import SCRIPT_GROUP_OF
from ._imagined import Futures, prepared, require_one

__all__ = ["Cost", "Drive", "Futures", "Plan", "Search", "distance_to", "futures", "plan"]

Cost = Callable[[Futures], Tensor]
"""What each candidate costs, (C,); what is not finite is worse than all else."""


def distance_to(goal: Sequence[float] | Tensor, axes: Sequence[int] | None = None) -> Cost:
    """The distance of the centre of mass from a goal (D,) at the last frame asked for, along all or some axes [m]."""

    def cost(seen: Futures) -> Tensor:
        off = seen.centre()[-1] - torch.as_tensor(goal).to(seen.centre())
        far: Tensor = torch.linalg.vector_norm(off if axes is None else off[:, list(axes)], dim=-1)
        return far

    return cost


@dataclass(frozen=True)
class Drive:
    """What the actions of a candidate move, all of it alike and without turning.

    An action in [-1, 1] is the wanted velocity over `speed`, one a knot and axis. Velocity is linear in time from knot to knot,
    from rest on, so that no acceleration is larger than two speeds over the time between knots; what it leads to stops at `reach`.
    """

    moves: str
    """Of a script: "box_offset", "obstacle_position" or "node_position"."""
    speed: float
    """Along each axis [m/s]."""
    reach: float
    """From where it is now, along each axis [m]."""
    axes: tuple[int, ...] = (0,)
    knots: int = 4

    def script(self, past: Trajectory, actions: Tensor, n_frames: int) -> Script:
        """Scripts of candidates (C, knots, axes) from now on, n_frames + 1 frames; all else as the scene's own script says."""
        self.require(past, actions)
        now, number = past.n_frames - 1, len(actions)
        known = past.scene.script
        rows = (now + torch.arange(n_frames + 1, device=past.device)).clamp(max=known.n_frames - 1)
        many = known._map(lambda _, x: x[rows].repeat(1, number, 1))
        home = getattr(known, self.moves)[now]
        shift = self.shift(actions.to(home), n_frames, past.scene.frame_interval)
        path = home.new_zeros((n_frames + 1, number, 1, past.scene.dim))
        path[..., list(self.axes)] = shift.unsqueeze(2)
        return dataclasses.replace(many, **{self.moves: (home + path).flatten(1, 2)})

    def shift(self, actions: Tensor, n_frames: int, interval: float) -> Tensor:
        """How far what is driven is from where it began [m], (n_frames + 1, C, axes)."""
        time = torch.arange(1, n_frames + 1, device=actions.device) * (self.knots / n_frames)
        at = torch.arange(1, self.knots + 1, device=actions.device)
        share = (1 - (time.unsqueeze(-1) - at).abs()).clamp(min=0).to(actions.dtype)
        gone = torch.einsum("tk,cka->tca", share, self.speed * interval * actions.clamp(-1, 1)).cumsum(0)
        return torch.cat([torch.zeros_like(gone[:1]), gone]).clamp(-self.reach, self.reach)

    def require(self, past: Trajectory, actions: Tensor) -> None:
        """Raises MisuseError where a scene has nothing of the kind, or actions have another shape."""
        if self.moves not in SCRIPT_GROUP_OF:
            raise MisuseError(f"a script has no {self.moves!r}; one of {', '.join(SCRIPT_GROUP_OF)} is right")
        require_one(past)
        if not getattr(past.scene.script, self.moves).shape[1]:
            raise MisuseError(f"the scene has no {self.moves} to move")
        right = (self.knots, len(self.axes))
        if actions.dim() != 3 or tuple(actions.shape[1:]) != right:
            raise MisuseError(
                f"actions have shape {tuple(actions.shape)}; (candidates, knots, axes) = (C, {right[0]}, {right[1]}) is right"
            )


@dataclass(frozen=True)
class Search:
    """How candidates are drawn. One round is random shooting, more are the cross-entropy method."""

    candidates: int = 1000
    """In each round; the first of them does nothing."""
    rounds: int = 1
    elites: float = 0.1
    """Share that the next round's Gaussian is fitted to."""
    least: float = 0.05
    """Standard deviation that it keeps at least, so that it goes on looking."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.candidates < 2 or self.rounds < 1 or not 0 < self.elites <= 1:
            raise MisuseError(
                f"{self.candidates} candidates, {self.rounds} rounds, a share of {self.elites} elites; at least 2, at least 1, "
                "and a share above 0 and at most 1 are right"
            )


@dataclass(frozen=True)
class Plan:
    """The best candidate, and what it is to be held against."""

    actions: Tensor
    """(knots, axes)."""
    script: Script
    """Of the one scene, from now on."""
    cost: float
    """As the model foresees it; the same of the others here."""
    nothing: float
    """Of doing nothing."""
    by_round: tuple[float, ...]
    """The best so far after each round; the first is that of random shooting with as many candidates."""


def plan(
    model: Model,
    past: Trajectory,
    drive: Drive,
    cost: Cost,
    *,
    n_frames: int = 50,
    frames: Sequence[int] = (),
    read: bool = True,
    search: Search | None = None,
) -> Plan:
    """The actions whose future costs least, as a model sees it, for a film of one scene up to now.

    The cost is shown `frames` (of the n_frames ahead; by default the last alone), read out if `read`, else latents alone. The same
    seed gives the same plan. Raises MisuseError where nothing can be driven, or no candidate has a finite cost.
    """
    asked, s = tuple(frames) or (n_frames,), search or Search()
    imagine = prepared(model, past)
    drawn = torch.Generator().manual_seed(s.seed)
    shape = (s.candidates, drive.knots, len(drive.axes))
    actions = 2 * torch.rand(shape, generator=drawn) - 1
    actions[0] = 0
    costs: list[Tensor] = []
    best, found, by_round = actions[0], float("inf"), []
    for k in range(s.rounds):
        if k:
            mean, spread = _fitted(actions, costs[-1], s)
            actions = (mean + spread * torch.randn(shape, generator=drawn)).clamp(-1, 1)
        costs.append(_costs(cost(imagine(drive.script(past, actions, n_frames), asked, read)), s.candidates))
        least = int(costs[-1].argmin())
        if float(costs[-1][least]) < found:
            best, found = actions[least], float(costs[-1][least])
        by_round.append(found)
    if found == float("inf"):
        raise MisuseError(f"none of {s.candidates * s.rounds} candidates has a finite cost")
    return Plan(best, drive.script(past, best.unsqueeze(0), n_frames), found, float(costs[0][0]), tuple(by_round))


def _costs(values: Tensor, number: int) -> Tensor:
    if values.shape != (number,):
        raise MisuseError(f"the cost has shape {tuple(values.shape)}; one number a candidate, ({number},), is right")
    return torch.where(values.isfinite(), values, torch.inf).cpu()


def _fitted(actions: Tensor, costs: Tensor, s: Search) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the best share, (knots, axes) each."""
    elite = actions[costs.argsort(stable=True)[: max(2, round(s.elites * len(costs)))]]
    return elite.mean(0), elite.std(0).clamp(min=s.least)


def futures(model: Model, past: Trajectory, script: Script, frames: Sequence[int], *, read: bool = True) -> Futures:
    """Futures of one scene under C scripts side by side, at some frames after now.

    Frame 0 of the script is now; its rows are those of as many copies of the scene (`Drive.script` makes such). With `read` False a
    jepa reads nothing out and gives latents alone. Raises MisuseError for frames that the script does not cover.
    """
    return prepared(model, past)(script, frames, read)
