"""Mesh graph network for cloth: MeshGraphNets (Pfaff et al. 2021, arXiv:2010.03409) over a step that does not stretch.

    flown = where x(t) comes to by its motion, gravity, the script, and what keeps a sheet from stretching and solids apart
    x(t+1) = kept(flown + a),     a = network(graph of x(t-K) … x(t), flown) · σ + μ      [m per frame²]

A stretch wave crosses a sheet within a frame or two and rings many times on its way, which no network of a few rounds follows:
it saw to it in no variant tried that cloth kept its length over fifty frames (results/LOG.md). So the sheet is brought back to
one that does not stretch and enters nothing, before the network and after it, as rigid bodies are by their poses
(surrogates/_sheet_motion.py); the network learns all else: air, bending, friction, contact with itself, how stretch gives.

Two kinds of edges on one network, told apart by a flag: edges of the mesh, with their undeformed length, their offset, and their
strain now and in flown; and contacts of the sheet with itself. On vertices: the last K displacements and the one to flown,
nearness and motion of floor and obstacles, wind against the vertex and what of it blows along its normal, material
parameters, the coming step of driven vertices.

Trained on one step at a time with noise (surrogates/_specialist.py), on every film in its eight positions under quarter turns
and mirrors. Good values: see `Settings`; errors in results/LOG.md. Fails where stretch itself matters: cloth softer than gravity
stretches by more than a few per cent comes out stiff, and its ringing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import datasets
from ..contracts import ModelCard, Scene, Script, Trajectory
from ._base import Run, Setting, Variant, configured, in_width
from ._features import (
    History,
    accelerations,
    box_displacement,
    displacements,
    driven_step,
    moments,
    obstacle_contact,
    side_nearness,
)
from ._fixed_graph import Near, fixed_graph
from ._mesh import both_ways, edge_length, far_apart, far_links, length, rest_offset, self_contacts, vertex_normals
from ._message_passing import Arriving, EncodeProcessDecode, sums
from ._one_step import require_single, scales
from ._sheet_motion import Sheet, Tethers, from_rows, tabled, tethers
from ._specialist import Accelerated, SpecialistSettings, learn, require_velocity, width_and_steps
from ._symmetry import with_images
from ._uniform import Table, Uniform

KIND = "specialist"
DOMAINS = ("cloth",)
# Core-milliseconds a step of size s, medians: 33, 38 and 53 at widths 16, 32 and 64, in turn on one torch thread of a busy machine.
VARIANTS: Mapping[str, Variant] = in_width(16, 32, "7.8 k", 1.15) | in_width(64, 32, "105 k", 0.72)

WIND = ("wind_x", "wind_y", "wind_z")
"""Parameters that together are the velocity of the air [m/s]; absent or withheld ones count as zero."""
MEASURED_WINDOWS = 256
"""Training windows from which the normalisers are taken: each needs a step of the sheet."""


@dataclass(frozen=True)
class Settings(SpecialistSettings):
    """What a mesh_gnn is made of."""

    history: int = 4
    noise: float = 0.1
    sharpness: float = 1.0
    spacing: float = 0.07
    dim: int = 3
    reach_in_spacings: float = 2.0
    """Distance at which floor and obstacles are seen, in undeformed edge lengths."""
    contact_in_spacings: float = 0.8
    """Distance at which the sheet sees itself, in undeformed edge lengths."""
    link_in_spacings: float = 4.0
    """Length of the tethers across the sheet, in undeformed edge lengths."""
    rounds: int = 15
    """Of corrections to the sheet before the network."""
    rounds_after: int = 10
    """Of corrections to the sheet after it."""
    spectral_radius: float = 0.97
    """Assumed of the corrections; the nearer to one, the faster long sheets settle, and the more they overshoot."""

    @property
    def contact(self) -> float:
        """Distance at which the sheet sees itself [m]."""
        return self.contact_in_spacings * self.spacing


def preset(size: str) -> Settings:
    """Settings by size."""
    return Settings(*width_and_steps("mesh_gnn", size))


class MeshGNN(Accelerated):
    """The physics of a mesh_gnn: features and the motion of sheets around a network that knows none."""

    fixed = True
    strain_std: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: Settings) -> None:
        super().__init__(card, domain, settings)
        self.set = settings
        dim, extra = settings.dim, len(settings.parameters)
        n_node = dim * (settings.history + 1) + 2 * dim + (1 + 2 * dim) + dim + extra + (1 + dim) + 2 * dim
        n_edge = 2 + 1 + dim + 1 + 2 + 2 * dim
        size = settings.width, settings.message_passing_steps
        self.network = EncodeProcessDecode(n_node, n_edge, dim, *size, settings.precision)
        self.register_buffer("strain_std", torch.full((2,), 0.1, dtype=torch.float64))

    def start(self, scene: Scene, position: Tensor) -> Sheet:
        """The history, and what holds the sheet together."""
        return self.sheet(scene, position, self.held(scene))

    def held(self, scene: Scene) -> Tethers:
        """What holds the sheets together."""
        reach = self.set.link_in_spacings * self.set.spacing
        return tethers(scene, far_links(scene, reach, 0.5 * self.set.spacing))

    def sheet(self, scene: Scene, position: Tensor, held: Tethers) -> Sheet:
        """The history of a sheet of which this is known."""
        return Sheet(scene, position, held, self.set.rounds, self.set.rounds_after, self.set.spectral_radius)

    def constants(self, films: Uniform) -> dict[str, Table]:
        """The tethers, which are searched for on a CPU."""
        return tabled(self.held(films.scene), films)

    def start_with(self, scene: Scene, position: Tensor, held: Mapping[str, Tensor]) -> Sheet:
        """See `OneStep.start_with`."""
        return self.sheet(scene, position, from_rows(held))

    @torch.no_grad()
    def known(self, state: History, script: Script) -> Tensor:
        """What leads to flown instead of straight on [m per frame²], (N, D)."""
        assert isinstance(state, Sheet)
        return state.flown(script) - (2 * state.position[-1] - state.position[-2])

    # What it sees

    def node_features(self, scene: Scene, moved: Tensor, position: Tensor, script: Script, known: Tensor) -> Tensor:
        """All that a vertex knows by itself, (N, F); moved (K+1, N, D) are its last displacements and the one to flown."""
        owner, step = scene.node_scene, self.displacement_std.float()
        reach = self.set.reach_in_spacings * self.set.spacing
        obstacle_near, obstacle_normal, obstacle_moves = obstacle_contact(scene, position, script, reach)
        wind = wind_velocity(scene)[owner] * scene.frame_interval - moved[-2]
        normal = vertex_normals(scene, position)
        parts = [
            ((moved - box_displacement(script)[owner]) / step).permute(1, 0, 2).flatten(1),
            side_nearness(scene, position, script, reach),
            obstacle_near,
            obstacle_normal,
            obstacle_moves / step,
            known / self.acceleration_std.float(),
            self.material(scene)[owner],
            (~scene.free).to(position.dtype).unsqueeze(-1),
            driven_step(scene, script) / step,
            wind / step,
            # Even in the normal: a sheet has no front.
            normal * (normal * wind).sum(-1, keepdim=True) / step,
        ]
        return torch.cat(parts, dim=-1)

    def near(self, state: History) -> Near:
        """What of a sheet touches itself, in a graph of fixed shape."""
        assert state.room is not None
        scene, reach = state.scene, self.set.contact
        return fixed_graph(state.position[-1], reach, scene, state.room, lambda i, j: far_apart(scene, i, j, reach))

    def edges(self, state: History) -> tuple[Tensor, Arriving | None]:
        """Mesh edges and then contacts (2, E), and how they are summed where contacts have a fixed shape."""
        mesh = both_ways(state.scene.edges)
        if state.room is None:
            contact = self_contacts(state.scene, state.position[-1], self.set.contact)
            return torch.cat([mesh, contact], dim=1), None
        near, n_mesh = self.near(state), mesh.shape[1]

        def arriving(e_EC: Tensor) -> Tensor:
            assert near.receiver_ptr is not None
            total = torch.empty_like(e_EC[: len(near.order)]).index_copy(
                0, near.order, sums(e_EC[n_mesh:], near.receiver_ptr)
            )
            return total.index_add(0, mesh[1], e_EC[:n_mesh])

        return torch.cat([mesh, near.order[near.index]], dim=1), arriving

    def along(self, scene: Scene, index: Tensor, now: Tensor, moved: Tensor) -> Tensor:
        """What is known along mesh edges and then contacts, (E, F)."""
        of_mesh = (torch.arange(index.shape[1], device=now.device) < 2 * len(scene.edges)).unsqueeze(-1)
        sender, receiver = index
        offset, later, before = (
            x.index_select(0, sender) - x.index_select(0, receiver) for x in (now, now + moved[-1], moved[-2])
        )
        rest = length(rest_offset(scene, index))
        strain = (torch.cat([length(offset), length(later)], -1) / rest - 1) / self.strain_std.float()
        step = self.displacement_std.float()
        along = [
            torch.cat([of_mesh, ~of_mesh], -1).to(now.dtype),
            torch.where(of_mesh, rest / self.set.spacing, 0.0),
            offset / self.set.spacing,
            length(offset) / self.set.spacing,
            torch.where(of_mesh, strain, 0.0),
            before / step,
            (later - offset) / step,
        ]
        return torch.cat(along, dim=-1)

    def predict(self, state: History, script: Script, known: Tensor | None) -> Tensor:
        """Normalised acceleration of every node (N, D) beyond the known; script frame 0 is the state's last frame."""
        assert known is not None
        scene, now = state.scene, state.position[-1]
        moved = displacements(scene, state.position)
        moved = torch.cat([moved, (moved[-1] + known).unsqueeze(0)])
        index, arriving = self.edges(state)
        seen, along = self.node_features(scene, moved, now, script, known), self.along(scene, index, now, moved)
        out: Tensor = self.network(seen, along, index, arriving)
        return out

    # What it measures

    def measure(self, film: Trajectory) -> None:
        """Set the normalisers, float64, from the free nodes and the mesh edges of a film."""
        windows = datasets.Windows(film, self.window)
        draw = torch.randperm(len(windows), generator=torch.Generator().manual_seed(0))[:MEASURED_WINDOWS]
        beyond, strains = zip(
            *(self.examine(windows.at(part.to(film.device))) for part in torch.split(draw, 32)), strict=True
        )
        self.set_scales(scales(moments(torch.cat(beyond)), film, self.set.noise))
        self.strain_std.copy_(torch.cat(strains).square().mean(0).sqrt().clamp(min=1e-6))
        self.measure_material(film.scene)

    def examine(self, window: Trajectory) -> tuple[Tensor, Tensor]:
        """Of a batch of windows: accelerations of free nodes beyond the known (n, D), and strains now and in flown (E, 2)."""
        scene, position = window.scene, window.position
        known = self.known(self.start(scene, position[:-1]), scene.script.starting_at(self.set.history))
        beyond = accelerations(scene, position[-3:])[0] - known
        flown = 2 * position[-2] - position[-3] + known
        first, second = scene.edges.unbind(-1)
        strains = [
            length(x[first] - x[second]) / length(rest_offset(scene, scene.edges.T)) - 1 for x in (position[-2], flown)
        ]
        return beyond[scene.free], torch.cat(strains, -1).to(torch.float64)


def wind_velocity(scene: Scene) -> Tensor:
    """Velocity of the air [m/s], shape (B, D)."""
    still = torch.zeros_like(scene.gravity[:, 0])
    return torch.stack([scene.parameters.get(name, still).nan_to_num(nan=0.0) for name in WIND], dim=-1)


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> MeshGNN:
    """An untrained network; its weights are drawn from `seed` and nothing else."""
    chosen = configured(preset(size), settings)
    require_velocity("mesh_gnn", chosen)
    require_single("mesh_gnn", chosen)
    card = ModelCard(
        "mesh_gnn",
        KIND,
        "next-step acceleration beyond an unstretched step, pseudo-Huber error",
        "Adam",
        "encode-process-decode graph network around position-based corrections",
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
    film = with_images(run.data.train)
    run = run.with_train(film)
    known: dict[str, Any] = {
        "spacing": edge_length(film),
        "dim": film.scene.dim,
        "parameters": tuple(sorted(set(film.scene.parameters) - set(WIND))),
    }
    model = build(run.domain, size=run.track.size, seed=run.seed, **{**known, **settings}).to(run.device)
    learn(model, run, film)
    return model
