"""Particle graph network for fluid: GNS (Sanchez-Gonzalez et al. 2020, arXiv:2002.09405), on positions alone.

    x(t+1) = 2 x(t) - x(t-1) + a,     a = network(graph of x(t-K) … x(t)) · σ + μ      [m per frame²]

Nodes within the connectivity radius exchange messages. Features: the last K displacements against the box, nearness and motion
of walls and obstacles, gravity and material parameters; on edges the relative position and displacement. The output velocity is
the second-order backward difference of the positions.

Trained on one step at a time, with random-walk noise on the history and a target that corrects the noise in the velocity but not
in the position; σ² = σ_data² + noise². Driven nodes carry no noise and no loss. Every film is also seen in a mirror.

Good values: see `preset`; error against baselines in results/LOG.md. Fails where pressure must travel farther in one frame than
message_passing_steps · radius, and in scenes much deeper than those it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts import ModelCard, Scene, Script
from ._base import Run, Setting, Variant, configured, in_width
from ._features import (
    History,
    box_displacement,
    displacements,
    driven_step,
    obstacle_contact,
    side_nearness,
    typical_spacing,
)
from ._fixed_graph import Near, fixed_graph
from ._message_passing import AtReceivers, EncodeProcessDecode
from ._neighbours import radius_graph, spatial_order
from ._specialist import Accelerated, SpecialistSettings, learn, require_velocity, width_and_steps
from ._symmetry import with_images

KIND = "specialist"
DOMAINS = ("fluid",)
# Core-milliseconds a step of size s, medians: 26, 34 and 63 at widths 16, 32 and 64, in turn on one torch thread of a busy machine.
VARIANTS: Mapping[str, Variant] = (
    in_width(16, 32, "7.2 k", 1.32)
    | in_width(64, 32, "102 k", 0.54)
    | {"bfloat16": Variant({"precision": "bfloat16"}, note="products in bfloat16")}
    | {f"bundle_{m}": Variant({"bundle": m}, note=f"one call advances {m} frames") for m in (2, 4, 8)}
)


@dataclass(frozen=True)
class Settings(SpecialistSettings):
    """What a particle_gnn is made of."""

    radius_in_spacings: float = 2.1
    """Connectivity radius, in node spacings."""

    @property
    def radius(self) -> float:
        """Connectivity radius [m]."""
        return self.radius_in_spacings * self.spacing


def preset(size: str) -> Settings:
    """Settings by size."""
    return Settings(*width_and_steps("particle_gnn", size))


class ParticleGNN(Accelerated):
    """The physics of a particle_gnn: features around a network that knows none."""

    fixed = True

    def __init__(self, card: ModelCard, domain: str, settings: Settings) -> None:
        super().__init__(card, domain, settings)
        self.set = settings
        dim, extra = settings.dim, len(settings.parameters)
        n_node = dim * settings.history + 2 * dim + (1 + 2 * dim) + dim + extra + (1 + dim)
        n_edge = 2 * dim + 1
        answer = dim * settings.bundle
        size = settings.width, settings.message_passing_steps
        self.network = EncodeProcessDecode(n_node, n_edge, answer, *size, settings.precision)

    def node_features(self, scene: Scene, moved: Tensor, position: Tensor, script: Script) -> Tensor:
        """All that a node knows by itself, (N, F); moved (K, N, D) are its last displacements."""
        owner, radius, step = scene.node_scene, self.set.radius, self.displacement_std.float()
        box = box_displacement(script)[owner]
        obstacle_near, obstacle_normal, obstacle_moves = obstacle_contact(scene, position, script, radius)
        fall = scene.gravity[owner] * scene.frame_interval**2 / self.acceleration_std.float()
        parts = [
            ((moved - box) / step).permute(1, 0, 2).flatten(1),
            side_nearness(scene, position, script, radius),
            obstacle_near,
            obstacle_normal,
            obstacle_moves / step,
            fall,
            self.material(scene)[owner],
            (~scene.free).to(position.dtype).unsqueeze(-1),
            driven_step(scene, script) / step,
        ]
        return torch.cat(parts, dim=-1)

    def near(self, state: History) -> Near:
        """The radius graph of the last frame."""
        scene, place, radius = state.scene, state.position[-1], self.set.radius
        if state.room is not None:
            return fixed_graph(place, radius, scene, state.room)
        order = spatial_order(place, radius, scene.scene_ptr)
        return Near(order, radius_graph(place[order], radius, scene.scene_ptr, scene.period))

    def along(self, scene: Scene, index: Tensor, moved: Tensor, position: Tensor) -> Tensor:
        """What is known along edges (2, E), (E, F)."""
        sender, receiver = index
        offset = position.index_select(0, sender) - position.index_select(0, receiver)
        offset = scene.minimum_image(offset, scene.node_scene[receiver]) / self.set.radius
        distance = torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
        shear = (
            moved[-1].index_select(0, sender) - moved[-1].index_select(0, receiver)
        ) / self.displacement_std.float()
        return torch.cat([offset, distance, shear], dim=-1)

    def predict(self, state: History, script: Script, known: Tensor | None = None) -> Tensor:
        """Normalised accelerations of every node (N, m · D); script frame 0 is the state's last frame."""
        scene, position = state.scene, state.position
        moved = displacements(scene, position)
        near = self.near(state)
        order = near.order
        along = self.along(scene, near.index, moved[:, order], position[-1, order])
        seen = self.node_features(scene, moved, position[-1], script)
        arriving = None if near.receiver_ptr is None else AtReceivers(near.receiver_ptr)
        out: Tensor = self.network(seen[order], along, near.index, arriving)
        return torch.empty_like(out).index_copy(0, order, out)


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> ParticleGNN:
    """An untrained network; its weights are drawn from `seed` and nothing else."""
    chosen = configured(preset(size), settings)
    require_velocity("particle_gnn", chosen)
    card = ModelCard(
        "particle_gnn",
        KIND,
        "next-step acceleration, pseudo-Huber error",
        "Adam",
        "encode-process-decode graph network",
        (domain,),
        history=chosen.history + 1,
        seed=seed,
        source="Sanchez-Gonzalez et al. 2020, arXiv:2002.09405",
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return ParticleGNN(card, domain, chosen)


def train(run: Run, **settings: Setting) -> ParticleGNN:
    """Train on windows of the run's data; `settings` override those of the track's size."""
    film = with_images(run.data.train)
    run = run.with_train(film)
    known: dict[str, Any] = {
        "spacing": typical_spacing(film, Settings.radius_in_spacings),
        "dim": film.scene.dim,
        "parameters": tuple(sorted(film.scene.parameters)),
    }
    model = build(run.domain, size=run.track.size, seed=run.seed, **{**known, **settings}).to(run.device)
    learn(model, run, film)
    return model
