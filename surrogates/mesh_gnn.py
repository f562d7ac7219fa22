"""Mesh graph network for cloth: MeshGraphNets (Pfaff et al. 2021, arXiv:2010.03409), on positions alone.

    x(t+1) = 2 x(t) - x(t-1) + a,     a = network(graph of x(t-K) … x(t)) · σ + μ      [m per frame²]

Three kinds of edges on one network, told apart by a flag: edges of the mesh; links far across the undeformed sheet, because a
stretch wave crosses it within one frame; and contacts of the sheet with itself. Along the first two: undeformed length, present
offset, strain now, and strain as it would be one frame ahead if all moved on as they do (driven vertices by the script). On
nodes: the last K displacements, nearness and motion of floor and obstacles, gravity, wind against the vertex and what of it
blows along its normal, material parameters, and the coming step of driven vertices.

Trained on one step at a time with noise (surrogates/_specialist.py), on every film in its eight positions under quarter turns
and mirrors. Good values: see `preset`; error against baselines in results/LOG.md. Fails where …
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts import ModelCard, Scene, Script, Trajectory
from ._base import Run, Setting, configured
from ._features import (
    History,
    box_displacement,
    displacements,
    driven_step,
    obstacle_contact,
    side_nearness,
)
from ._mesh import both_ways, edge_length, far_links, rest_offset, self_contacts, vertex_normals
from ._message_passing import EncodeProcessDecode
from ._specialist import Accelerated, SpecialistSettings, learn, require_velocity, width_and_steps
from ._symmetry import turned

KIND = "specialist"
DOMAINS = ("cloth",)

WIND = ("wind_x", "wind_y", "wind_z")
"""Parameters that together are the velocity of the air [m/s]; absent or withheld ones count as zero."""


@dataclass(frozen=True)
class Settings(SpecialistSettings):
    """What a mesh_gnn is made of."""

    history: int = 2
    spacing: float = 0.07
    dim: int = 3
    reach_in_spacings: float = 2.0
    """Distance at which floor and obstacles are seen, in undeformed edge lengths."""
    contact_in_spacings: float = 1.2
    """Distance at which the sheet sees itself, in undeformed edge lengths."""
    far_steps: int = 3
    """Number of scales of far links: 2, 4, 8 … spacings."""


def preset(size: str) -> Settings:
    """Settings by size."""
    return Settings(*width_and_steps("mesh_gnn", size))


@dataclass(frozen=True)
class Sheet(History):
    """A history, and the graph of the undeformed sheet, which stays."""

    index: Tensor
    """Mesh edges and far links, directed (2, E)."""
    n_mesh: int
    """How many of them are mesh edges; they come first."""


class MeshGNN(Accelerated):
    """The physics of a mesh_gnn: features around a network that knows none."""

    strain_std: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: Settings) -> None:
        super().__init__(card, domain, settings)
        self.set = settings
        dim, extra = settings.dim, len(settings.parameters)
        n_node = dim * settings.history + 2 * dim + (1 + 2 * dim) + dim + extra + (1 + dim) + 2 * dim
        n_edge = 3 + 1 + dim + 1 + 2 + dim
        self.network = EncodeProcessDecode(n_node, n_edge, dim, settings.width, settings.message_passing_steps)
        self.register_buffer("strain_std", torch.full((2,), 0.1, dtype=torch.float64))

    def start(self, scene: Scene, position: Tensor) -> Sheet:
        """The history, and the links that the undeformed sheet gives."""
        mesh = both_ways(scene.edges)
        far = far_links(scene, self.set.spacing, tuple(2 ** (k + 1) for k in range(self.set.far_steps)))
        return Sheet(scene, position, torch.cat([mesh, far], dim=1), mesh.shape[1])

    # What it sees

    def node_features(self, scene: Scene, moved: Tensor, position: Tensor, script: Script) -> Tensor:
        """All that a vertex knows by itself, (N, F); moved (K, N, D) are its last displacements."""
        owner, step = scene.node_scene, self.displacement_std.float()
        reach = self.set.reach_in_spacings * self.set.spacing
        box = box_displacement(script)[owner]
        obstacle_near, obstacle_normal, obstacle_moves = obstacle_contact(scene, position, script, reach)
        wind = self.wind(scene)[owner] * scene.frame_interval - moved[-1]
        normal = vertex_normals(scene, position)
        parts = [
            ((moved - box) / step).permute(1, 0, 2).flatten(1),
            side_nearness(scene, position, script, reach),
            obstacle_near,
            obstacle_normal,
            obstacle_moves / step,
            scene.gravity[owner] * scene.frame_interval**2 / self.acceleration_std.float(),
            self.material(scene)[owner],
            (~scene.free).to(position.dtype).unsqueeze(-1),
            driven_step(scene, script) / step,
            wind / step,
            # Even in the normal: a sheet has no front.
            normal * (normal * wind).sum(-1, keepdim=True) / step,
        ]
        return torch.cat(parts, dim=-1)

    def wind(self, scene: Scene) -> Tensor:
        """Velocity of the air [m/s], shape (B, D)."""
        still = torch.zeros_like(scene.gravity[:, 0])
        return torch.stack([scene.parameters.get(name, still).nan_to_num(nan=0.0) for name in WIND], dim=-1)

    def edges(self, state: Sheet, moved: Tensor, script: Script) -> tuple[Tensor, Tensor]:
        """Edges (2, E), those of the sheet and then those of contact, and what is known along them, (E, F)."""
        scene, now = state.scene, state.position[-1]
        contact = self_contacts(scene, now, self.set.contact_in_spacings * self.set.spacing)
        index = torch.cat([state.index, contact], dim=1)
        n_sheet = state.index.shape[1]
        kind = torch.zeros((index.shape[1], 3), dtype=now.dtype, device=now.device)
        kind[: state.n_mesh, 0], kind[state.n_mesh : n_sheet, 1], kind[n_sheet:, 2] = 1.0, 1.0, 1.0
        ahead = now + moved[-1]
        driven = scene.driven_nodes
        ahead[driven] = script.node_position[1].to(now.dtype)
        sender, receiver = index
        offset, later = (x.index_select(0, sender) - x.index_select(0, receiver) for x in (now, ahead))
        rest = torch.linalg.vector_norm(rest_offset(scene, index), dim=-1, keepdim=True)
        strain = torch.cat([_length(offset), _length(later)], -1) / rest - 1
        strain[n_sheet:] = 0.0
        rest[n_sheet:] = 0.0
        along = [
            kind,
            rest / self.set.spacing,
            offset / self.set.spacing,
            _length(offset) / self.set.spacing,
            strain / self.strain_std.float(),
            (later - offset) / self.displacement_std.float(),
        ]
        return index, torch.cat(along, dim=-1)

    def predict(self, state: History, script: Script) -> Tensor:
        """Normalised acceleration of every node (N, D); script frame 0 is the state's last frame."""
        assert isinstance(state, Sheet)
        moved = displacements(state.scene, state.position)
        index, along = self.edges(state, moved, script)
        seen = self.node_features(state.scene, moved, state.position[-1], script)
        out: Tensor = self.network(seen, along, index)
        return out

    def measure(self, film: Trajectory) -> None:
        """Set the normalisers, float64, from the free nodes and the mesh edges of a film."""
        super().measure(film)
        scene, x = film.scene, film.position.to(torch.float64)
        index = both_ways(scene.edges)
        rest = _length(rest_offset(scene, index).to(torch.float64))
        ahead = 2 * x[1:] - x[:-1]
        for k, place in enumerate((x, ahead)):
            strain = _length(place[:, index[0]] - place[:, index[1]]) / rest - 1
            self.strain_std[k] = strain.square().mean().sqrt().clamp(min=1e-6)


def _length(offset: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
    return length


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> MeshGNN:
    """An untrained network; its weights are drawn from `seed` and nothing else."""
    chosen = configured(preset(size), settings)
    require_velocity("mesh_gnn", chosen)
    card = ModelCard(
        "mesh_gnn",
        KIND,
        "next-step acceleration, pseudo-Huber error",
        "Adam",
        "encode-process-decode graph network",
        (domain,),
        history=chosen.history + 1,
        seed=seed,
        source="Pfaff et al. 2021, arXiv:2010.03409",
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return MeshGNN(card, domain, chosen)


def train(run: Run, **settings: Setting) -> MeshGNN:
    """Train on windows of the run's data; `settings` override those of the track's size."""
    film = turned(run.data.train, WIND[:1], [WIND[:2]])
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, train=film))
    known: dict[str, Any] = {
        "spacing": edge_length(film),
        "dim": film.scene.dim,
        "parameters": tuple(sorted(set(film.scene.parameters) - set(WIND))),
    }
    model = build(run.domain, size=run.track.size, seed=run.seed, **{**known, **settings}).to(run.device)
    learn(model, run, film)
    return model
