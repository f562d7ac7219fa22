"""The fluid at another spacing: fewer, larger particles or more, smaller ones are stepped and carry the nodes along as tracers.

Restriction: a lattice of the coarse spacing is laid over the box; the fullest cells, as many as conserve the fluid's volume,
become one particle each, at the centroid and mean velocity of the fine particles in them. Refinement: every particle is split
into a lattice of smaller ones about its place, with its velocity. Prolongation: the fine nodes are
advected by the coarse velocity (Heun's rule over a frame), interpolated with Shepard weights; where no particle is within the
kernel's reach they fall freely. So every node keeps its identity and position RMSE is defined.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts._ragged import pointer
from ..contracts.card import ModelCard
from ..contracts.model import Stepper, place_driven
from ..contracts.scene import NodeType, Scene, Script
from ..contracts.trajectory import Frame, Trajectory
from ._sph import WATER_DENSITY, SphSettings, SphSolver, SphState, solver_card


@dataclass(frozen=True)
class CoarseState:
    """The coarse particles and the fine nodes they carry."""

    coarse: SphState
    scene: Scene
    tracer: Frame


class CoarseFluid(Stepper[CoarseState]):
    """The SPH solver at a spacing of its own, as a contestant on the nodes it is given."""

    def __init__(self, name: str, sph: SphSettings, device: str = "cpu") -> None:
        self.solver = SphSolver(sph, device)
        self._card = solver_card(name, "ladder", sph, ", nodes as tracers")

    @property
    def card(self) -> ModelCard:
        """See ModelCard."""
        return self._card

    def encode(self, past: Trajectory) -> CoarseState:
        """Restrict the last frame and relax its density."""
        now = past.frame(-1)
        scene, frame = restrict(past.scene, now, self.solver.settings.spacing)
        state = self.solver.state(scene, frame.position, frame.velocity)
        script = past.scene.script.starting_at(past.n_frames - 1)
        return CoarseState(self.solver.relax(state, script), past.scene.to(self.solver.device), now)

    def advance(self, state: CoarseState, script: Script) -> CoarseState:
        """Step the coarse particles by one frame and move the tracers with them."""
        driven = self.solver.driven(state.coarse.scene, script)
        coarse = self.solver.advance(state.coarse, script, driven)
        scene, dt, tracer = state.scene, state.scene.frame_interval, state.tracer
        # Spray that has lost the fluid flies freely.
        falling = tracer.velocity + dt * scene.gravity[scene.node_scene]
        after = self.solver.carry(coarse, driven, tracer.position + dt * tracer.velocity, scene, falling)
        position = _kept_in_box(scene, script, tracer.position + 0.5 * dt * (tracer.velocity + after))
        velocity = self.solver.carry(coarse, driven, position, scene, falling)
        return dataclasses.replace(state, coarse=coarse, tracer=place_driven(Frame(position, velocity), scene, script))

    def decode(self, state: CoarseState) -> Frame:
        """The tracers."""
        return state.tracer


def restrict(scene: Scene, frame: Frame, spacing: float) -> tuple[Scene, Frame]:
    """Replace the free nodes by particles of another spacing; driven nodes stay as they are."""
    resample = _split_one if _per_axis(scene, spacing) > 1 else _restrict_one
    parts = [resample(scene, frame, b, spacing) for b in range(scene.n_scenes)]
    sizes = torch.tensor([p["position"].shape[0] for p in parts], device=scene.device)
    joined: dict[str, Any] = {k: torch.cat([p[k] for p in parts]) for k in parts[0]}
    coarse = dataclasses.replace(
        scene,
        scene_ptr=pointer(sizes),
        node_type=joined["node_type"],
        mass=joined["mass"],
        rest_position=joined["position"],
        body_id=torch.full_like(joined["node_type"], -1),
    )
    return coarse, Frame(joined["position"], joined["velocity"])


def _per_axis(scene: Scene, spacing: float) -> int:
    """How many particles of a spacing stand for one of the scene's along each axis, at least 1."""
    lightest = float(scene.mass[scene.free].min()) if bool(scene.free.any()) else 0.0
    own_spacing: float = (lightest / WATER_DENSITY) ** (1 / scene.dim)
    return max(1, round(own_spacing / spacing))


def _split_one(scene: Scene, frame: Frame, b: int, spacing: float) -> dict[str, Tensor]:
    """Every free particle becomes a lattice of smaller ones about its place, kept within the solid sides of the box."""
    rows = torch.arange(int(scene.scene_ptr[b]), int(scene.scene_ptr[b + 1]), device=scene.device)
    free, driven = rows[scene.free[rows]], rows[~scene.free[rows]]
    number = _per_axis(scene, spacing)
    steps = spacing * (torch.arange(number, device=scene.device) - 0.5 * (number - 1))
    around = torch.cartesian_prod(*[steps] * scene.dim).reshape(-1, scene.dim).to(frame.position)
    x = (frame.position[free].unsqueeze(1) + around).flatten(0, 1)
    low, high = scene.bounds[b].to(x)
    solid = scene.solid[b]
    x = torch.where(solid[:, 0], torch.maximum(x, low + 0.25 * spacing), x)
    x = torch.where(solid[:, 1], torch.minimum(x, high - 0.25 * spacing), x)
    owner = free.repeat_interleave(len(around))
    return {
        "position": torch.cat([x, frame.position[driven]]),
        "velocity": torch.cat([frame.velocity[owner], frame.velocity[driven]]),
        "mass": torch.cat([scene.mass[owner] / len(around), scene.mass[driven]]),
        "node_type": torch.cat([scene.node_type[owner], scene.node_type[driven]]),
    }


def _restrict_one(scene: Scene, frame: Frame, b: int, spacing: float) -> dict[str, Tensor]:
    rows = torch.arange(int(scene.scene_ptr[b]), int(scene.scene_ptr[b + 1]), device=scene.device)
    free, driven = rows[scene.free[rows]], rows[~scene.free[rows]]
    x, v, m = frame.position[free], frame.velocity[free], scene.mass[free]
    if not bool(torch.isfinite(x).all()):
        x, v = torch.full_like(x[:1], torch.nan), torch.full_like(v[:1], torch.nan)
        m = m[:1]
    cell = ((x - scene.bounds[b, 0]) / spacing).floor().to(torch.int64)
    _, owner, count = torch.unique(cell, dim=0, return_inverse=True, return_counts=True)
    number = max(1, round(float(m.sum()) / (WATER_DENSITY * spacing**scene.dim)))
    fullest = torch.sort(count, descending=True, stable=True).indices[:number]
    centre = torch.zeros((count.numel(), scene.dim), dtype=x.dtype, device=x.device).index_add_(0, owner, x)
    speed = torch.zeros_like(centre).index_add_(0, owner, v)
    share = float(m.sum()) / fullest.numel()
    kept = count[fullest].unsqueeze(1)
    return {
        "position": torch.cat([centre[fullest] / kept, frame.position[driven]]),
        "velocity": torch.cat([speed[fullest] / kept, frame.velocity[driven]]),
        "mass": torch.cat([torch.full_like(fullest, 1, dtype=m.dtype) * share, scene.mass[driven]]),
        "node_type": torch.cat([torch.full_like(fullest, int(NodeType.FREE)), scene.node_type[driven]]),
    }


def _kept_in_box(scene: Scene, script: Script, position: Tensor) -> Tensor:
    """Clamp tracers to the solid sides of their box, which stands where script frame 1 says."""
    low, high = (scene.bounds + script.box_offset[1].unsqueeze(1))[scene.node_scene].unbind(1)
    solid = scene.solid[scene.node_scene]
    inside = torch.where(solid[..., 0], torch.maximum(position, low), position)
    return torch.where(solid[..., 1], torch.minimum(inside, high), inside)
