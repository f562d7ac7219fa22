"""What a node can know of its surroundings without knowing where it is: the physics side of every learned model.

All of it is unchanged when the whole scene is moved, and when everything in it, box included, moves on at one more constant
velocity (Galilean invariance): positions enter as differences and displacements relative to the box.
Displacements are per frame [m]; K is the number of past displacements read.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..contracts import Frame, Scene, Script, Trajectory
from ..contracts.boundary import obstacle_distance, side_distance
from ..contracts.model import place_driven
from . import _processes
from ._fixed_graph import Room
from ._neighbours import nearest_distance


@dataclass(frozen=True)
class History:
    """The state of a model that reads positions: a scene and its last K+1 frames."""

    scene: Scene
    position: Tensor
    """Oldest first [m], shape (K+1, N, D)."""
    coming: Tensor | None = field(default=None, kw_only=True)
    """Accelerations of the next frames that were predicted together [m per frame²], (m, N, D); None for none."""
    room: Room | None = field(default=None, kw_only=True)
    """Where graphs are to have fixed shapes: what they may hold."""

    def moving(self) -> tuple[Tensor, ...]:
        """What a step changes."""
        return (self.position,)

    def accelerated(self, acceleration: Tensor, script: Script) -> History:
        """One frame later: x(t+1) = x(t) + (x(t) - x(t-1)) + a, driven nodes by the script; a (N, D) [m per frame²]."""
        now = self.position[-1] + displacements(self.scene, self.position[-2:])[0] + acceleration
        placed = place_driven(Frame(now, now), self.scene, script).position
        return dataclasses.replace(self, position=torch.cat([self.position[1:], placed.unsqueeze(0)]))

    def frame(self) -> Frame:
        """Positions, and velocities as their second-order backward difference."""
        return Frame(self.position[-1], backward_velocity(self.scene, self.position))


def displacements(scene: Scene, position: Tensor) -> Tensor:
    """Differences of consecutive frames [m], the short way around periodic axes: (T, N, D) → (T-1, N, D)."""
    return scene.minimum_image(position[1:] - position[:-1])


def accelerations(scene: Scene, position: Tensor) -> Tensor:
    """Second differences of consecutive frames [m per frame²]: (T, N, D) → (T-2, N, D)."""
    moved = displacements(scene, position)
    return moved[1:] - moved[:-1]


def backward_velocity(scene: Scene, position: Tensor) -> Tensor:
    """Velocity [m/s] at the last of at least three frames, second order: (3x₀ - 4x₋₁ + x₋₂) / 2Δt, (T, N, D) → (N, D)."""
    before, last = displacements(scene, position[-3:])
    velocity: Tensor = (3 * last - before) / (2 * scene.frame_interval)
    return velocity


def box_displacement(script: Script) -> Tensor:
    """How far each box moves in the coming frame [m], shape (B, D)."""
    return script.box_offset[1] - script.box_offset[0]


def averaged(script: Script, frames: int) -> Script:
    """Two frames of a script: now, and where one would be after one frame of the mean motion over the coming `frames`."""

    def mean(rows: Tensor) -> Tensor:
        last = rows[min(frames, len(rows) - 1)]
        return torch.stack([rows[0], rows[0] + (last - rows[0]) / min(frames, len(rows) - 1)])

    return Script(mean(script.box_offset), mean(script.obstacle_position), mean(script.node_position))


def driven_step(scene: Scene, script: Script) -> Tensor:
    """How far the script will move driven nodes against the box [m], zero for free ones, (N, D)."""
    box = box_displacement(script)[scene.node_scene]
    step, driven = scripted_step(scene, script), scene.driven_nodes
    step[driven] -= box[driven]
    return step


def scripted_step(scene: Scene, script: Script) -> Tensor:
    """How far the script will move driven nodes [m], zero for free ones, (N, D)."""
    step = torch.zeros_like(scene.gravity[scene.node_scene])
    step[scene.driven_nodes] = (script.node_position[1] - script.node_position[0]).to(step.dtype)
    return step


def side_nearness(scene: Scene, position: Tensor, script: Script, reach: float) -> Tensor:
    """1 - distance / reach for each solid side, zero beyond the reach and where a side is not solid, shape (N, 2D)."""
    distance = side_distance(scene, position, script.box_offset[0]).flatten(1)
    return (1 - distance / reach).clamp(0, 2)


def obstacle_contact(scene: Scene, position: Tensor, script: Script, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """Nearness of the nearest obstacle (N, 1), zero beyond the reach; the normal out of it; how far it will move against the box.

    The latter two, (N, D), fade with the nearness: what is out of reach must not matter.
    """
    distance, normal, which = obstacle_distance(scene, position, script.obstacle_position[0])
    near = (1 - distance / reach).clamp(0, 2).unsqueeze(-1)
    if scene.obstacle_kind.numel() == 0:
        return near, normal, torch.zeros_like(normal)
    moves = script.obstacle_position[1] - script.obstacle_position[0]
    against_box = moves[which.clamp(min=0)] - box_displacement(script)[scene.node_scene]
    return near, near * normal, near * against_box


def random_walk(
    history: Tensor, free: Tensor, std: float, generator: torch.Generator, *, shared: bool = False
) -> Tensor:
    """Noise for positions (K+1, N, D) whose displacements walk at random to a standard deviation `std` [m] at the last one.

    GNS, Sanchez-Gonzalez et al. 2020, §4.3 and appendix C.3: each of the K displacements adds a step of std/√K; positions add up
    the displacements. Driven nodes (`free` False) get none. A new tensor: stored data are never written to. `shared`: the nodes
    are this process's part of a batch.
    """
    steps = history.shape[0] - 1
    if shared:
        draw = _processes.normal(history[1:], 1, generator)
    else:
        draw = torch.randn((steps, *history.shape[1:]), generator=generator, device=history.device, dtype=history.dtype)
    walk = (draw * (std / steps**0.5)).cumsum(0).cumsum(0)
    walk = torch.where(free.unsqueeze(-1), walk, 0.0)
    return torch.cat([torch.zeros_like(walk[:1]), walk])


def noisy_window(
    position: Tensor, free: Tensor, std: float, generator: torch.Generator, ahead: int = 1, *, shared: bool = False
) -> Tensor:
    """A window (K+1+m, N, D), its history with noise, its m last frames moved with the history's last noise.

    As in GNS, a model trained to reach those frames corrects the noise in the velocity and keeps that in the position.
    """
    walk = random_walk(position[:-ahead], free, std, generator, shared=shared)
    return torch.cat([position[:-ahead] + walk, position[-ahead:] + walk[-1:]])


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over all but the last axis, in float64 (float32 sums lose small spreads), each (C,)."""
    rows = values.reshape(-1, values.shape[-1]).to(torch.float64)
    return rows.mean(0), rows.std(0, unbiased=False)


def free_moments(film: Trajectory, difference: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the free nodes' displacements (difference 1) or accelerations (2), float64, each (D,)."""
    scene = film.scene
    values = (displacements if difference == 1 else accelerations)(scene, film.position)
    return moments(values[:, scene.free])


def typical_spacing(film: Trajectory, reach: float = 0.0) -> float:
    """Median distance of free nodes to their nearest neighbour [m], over a few frames of a film.

    In a periodic box it is at most what lets `reach` spacings be half of every period: farther, nodes would meet twice.
    """
    scene = film.scene
    frames = torch.linspace(0, film.n_frames - 1, 4).to(torch.int64).tolist()
    free = scene.free.cpu()
    near = [nearest_distance(film.position[t].cpu(), scene.scene_ptr.cpu())[free] for t in frames]
    found = torch.cat(near)
    spacing = float(found[torch.isfinite(found)].median())
    around = scene.period[scene.period > 0]
    # A hair less, since models keep it in single precision.
    return min(spacing, (1 - 1e-6) * float(around.min()) / (2 * reach)) if reach and around.numel() else spacing
