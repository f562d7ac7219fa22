"""Trajectory: a Scene and its frames. The one form in which simulators, data sets, models and metrics exchange films."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ._ragged import group_of_row, rows_of, window_rows
from .errors import MisuseError
from .scene import Scene, stack_scenes

NEVER = -1
"""Value of `diverged_at` for a scene that stayed finite."""

ESCAPE_DIAGONALS = 10.0
"""A node farther than this many box diagonals outside its box counts as diverged: no physics of ours goes there."""


@dataclass(frozen=True)
class Frame:
    """The state of all nodes at one instant."""

    position: Tensor
    """Node positions [m], shape (N, D)."""
    velocity: Tensor
    """Node velocities [m/s], shape (N, D)."""
    pose: Tensor | None = None
    """Body centre and quaternion xyzw, shape (P, 7), for rigid bodies."""
    twist: Tensor | None = None
    """Body linear [m/s] and world-frame angular velocity [rad/s], shape (P, 6), for rigid bodies."""


_GROUP_OF = {"position": "node", "velocity": "node", "pose": "body", "twist": "body"}


@dataclass(frozen=True)
class Trajectory:
    """A batch of scenes and T frames of each, as tensors on one device."""

    scene: Scene
    position: Tensor
    """Node positions [m], shape (T, N, D)."""
    velocity: Tensor
    """Node velocities [m/s], shape (T, N, D)."""
    pose: Tensor | None = None
    """Body centres and quaternions xyzw, shape (T, P, 7)."""
    twist: Tensor | None = None
    """Body linear and world-frame angular velocities, shape (T, P, 6)."""
    diverged_at: Tensor | None = None
    """First frame of each scene that is not finite, or NEVER, shape (B,); None means NEVER for all. Later frames are NaN."""

    def __post_init__(self) -> None:
        expected = (self.position.shape[0], self.scene.n_nodes, self.scene.dim)
        for name in ("position", "velocity"):
            got = tuple(getattr(self, name).shape)
            if got != expected:
                raise MisuseError(f"{name} has shape {got}; (frames, nodes, axes) = {expected} is right")

    def __repr__(self) -> str:
        scene = self.scene
        size = f"{scene.n_scenes} scene{'s' if scene.n_scenes != 1 else ''} of {scene.n_nodes} nodes in {scene.dim}D"
        gone = 0 if self.diverged_at is None else int((self.diverged_at != NEVER).sum())
        lost = f", {gone} diverged" if gone else ""
        return f"Trajectory({scene.domain}: {size}, {self.n_frames} frames of {scene.frame_interval:g} s on {self.device}{lost})"

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return int(self.position.shape[0])

    @property
    def device(self) -> torch.device:
        """Where all tensors lie."""
        return self.position.device

    def frame(self, index: int) -> Frame:
        """One frame; negative indices count from the end."""
        return Frame(
            self.position[index],
            self.velocity[index],
            None if self.pose is None else self.pose[index],
            None if self.twist is None else self.twist[index],
        )

    def frames(self, start: int, stop: int | None = None) -> Trajectory:
        """The frames from start up to, not including, stop. The script is cut at start, never at stop: it is prescribed."""
        first, last, _ = slice(start, stop).indices(self.n_frames)
        if last <= first:
            raise MisuseError(f"frames {start} to {stop} of a trajectory of {self.n_frames} frames are none")
        diverged = None
        if self.diverged_at is not None:
            inside = (self.diverged_at >= 0) & (self.diverged_at < last)
            diverged = torch.where(inside, (self.diverged_at - first).clamp(min=0), NEVER)
        scene = self.scene.with_script(self.scene.script.starting_at(first))
        return dataclasses.replace(self._map(lambda _, x: x[first:last]), scene=scene, diverged_at=diverged)

    def select(self, scenes: Tensor | Sequence[int]) -> Trajectory:
        """The chosen scenes as a new batch, in the order given; a scene may be chosen more than once."""
        index = torch.as_tensor(scenes, dtype=torch.int64, device=self.device)
        cut = self._map(lambda name, x: x[:, rows_of(self.scene.ptr(_GROUP_OF[name]), index)], self.scene.select(index))
        return dataclasses.replace(cut, diverged_at=None if self.diverged_at is None else self.diverged_at[index])

    def window(self, scenes: Tensor, starts: Tensor, length: int) -> Trajectory:
        """Windows of `length` frames: scene `scenes[k]` from its frame `starts[k]` on; both (b,). The script is cut alike."""
        scene = self.scene.window(scenes, starts, length)
        cut = self._map(lambda name, x: window_rows(x, self.scene.ptr(_GROUP_OF[name]), scenes, starts, length), scene)
        return dataclasses.replace(cut, diverged_at=None)

    def split(self) -> list[Trajectory]:
        """One trajectory a scene."""
        return [self.select([b]) for b in range(self.scene.n_scenes)]

    def to(self, device: torch.device | str) -> Trajectory:
        """The same trajectory with every tensor on `device`."""
        moved = self._map(lambda _, x: x.to(device), self.scene.to(device))
        return dataclasses.replace(moved, diverged_at=None if self.diverged_at is None else self.diverged_at.to(device))

    def followed_by(self, later: Trajectory) -> Trajectory:
        """This film and then `later` (without repeating a frame), on this trajectory's scene."""
        return self._map(lambda name, x: torch.cat([x, getattr(later, name)]))

    def with_divergence(self) -> Trajectory:
        """The same film with `diverged_at` set from its frames, and NaN from there on."""
        return mark_divergence(self)

    def _map(self, function: Callable[[str, Tensor], Tensor], scene: Scene | None = None) -> Trajectory:
        new = {n: function(n, x) for n in _GROUP_OF if (x := getattr(self, n)) is not None}
        # One construction, so that the shapes are checked against the scene they end up with.
        return dataclasses.replace(self, **new, scene=self.scene if scene is None else scene)


def stack(trajectories: Sequence[Trajectory]) -> Trajectory:
    """Put trajectories of equal length and domain into one batch; raises MisuseError when they differ."""
    if not trajectories:
        raise MisuseError("nothing to stack: give at least one trajectory")
    lengths = sorted({t.n_frames for t in trajectories})
    if len(lengths) > 1:
        raise MisuseError(f"cannot stack trajectories of {lengths[0]} and {lengths[-1]} frames")
    scene = stack_scenes([t.scene for t in trajectories])
    joined = {
        n: torch.cat([getattr(t, n) for t in trajectories], dim=1)
        for n in _GROUP_OF
        if getattr(trajectories[0], n) is not None
    }
    diverged = None
    if any(t.diverged_at is not None for t in trajectories):
        diverged = torch.cat([_diverged_or_never(t) for t in trajectories])
    return Trajectory(scene, **joined, diverged_at=diverged)


def _diverged_or_never(trajectory: Trajectory) -> Tensor:
    if trajectory.diverged_at is not None:
        return trajectory.diverged_at
    return torch.full((trajectory.scene.n_scenes,), NEVER, device=trajectory.device)


def from_frames(scene: Scene, frames: Sequence[Frame]) -> Trajectory:
    """Join frames into a film, find where each scene ceased to be finite, and blank all that follows with NaN."""

    def joined(name: str) -> Tensor | None:
        return None if getattr(frames[0], name) is None else torch.stack([getattr(f, name) for f in frames])

    position, velocity = joined("position"), joined("velocity")
    assert position is not None
    assert velocity is not None
    film = Trajectory(scene, position, velocity, joined("pose"), joined("twist"))
    return mark_divergence(film)


def mark_divergence(film: Trajectory) -> Trajectory:
    """Set `diverged_at` from the film itself; frames from there on become NaN. Divergence is a result, not an error."""
    bad = _bad_frames(film)
    if not bool(bad.any()):
        return dataclasses.replace(film, diverged_at=torch.full((film.scene.n_scenes,), NEVER, device=film.device))
    gone = bad.cumsum(0) > 0
    first = torch.where(gone.any(0), (~gone).sum(0), NEVER)

    def blank(name: str, values: Tensor) -> Tensor:
        owner = group_of_row(film.scene.ptr(_GROUP_OF[name]))
        return values.masked_fill(gone[:, owner].unsqueeze(-1), torch.nan)

    return dataclasses.replace(film._map(blank), diverged_at=first)


def _bad_frames(film: Trajectory) -> Tensor:
    """True where a scene's frame is not finite or has left the box by ESCAPE_DIAGONALS, shape (T, B)."""
    scene = film.scene
    centre = scene.bounds.mean(1)[scene.node_scene]
    reach = ESCAPE_DIAGONALS * scene.diagonal[scene.node_scene].unsqueeze(-1)
    fine = (film.position - centre).abs() <= reach  # False for NaN too
    # A periodic axis or an open side has no outside.
    unbounded = (~scene.solid).any(-1)[scene.node_scene] & torch.isfinite(film.position)
    node_bad = ~((fine | unbounded) & torch.isfinite(film.velocity)).all(-1)
    bad = torch.zeros((film.n_frames, scene.n_scenes), dtype=torch.int64, device=film.device)
    return bad.index_add_(1, scene.node_scene, node_bad.to(torch.int64)) > 0
