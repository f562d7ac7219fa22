"""The generalist graph network: one GNS (Sanchez-Gonzalez et al. 2020, arXiv:2002.09405), one set of weights for all domains.

    x(t+1) = 2 x(t) - x(t-1) + a,     a = network(graph of x(t-K) … x(t)) · σ + μ      [m per frame²]

The control of the benchmark: what the same network gains or loses when it is trained on every kind of physics together. It sees
all of them in one form: three axes, up the last (surrogates/_embedding.py), lengths in node spacings of the domain, motion in
spreads of the domain, and the domain's name as a flag. Edges join nodes within a radius, vertices along the edges of a mesh with
their undeformed length, and each node of a rigid body with the body's centre, a node of its own; nodes of one body meet through
it only. No law of any domain is built in but one: bodies are brought back to rigid ones after each frame
(surrogates/_rigid_motion.py), so that pose and twist can be told.

Material parameters are those of all domains, by name; each has a flag that it is known. Trained on one step with noise
(surrogates/_one_step.py), a batch of each domain in every step, on every film also in its mirror images.

Good values: see `Settings`; errors in results/LOG.md. Fails where a specialist's physics matters most: cloth stretches and sinks
into what it lies on, and bodies go through what they hit faster than the radius a frame.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts import MisuseError, ModelCard, Scene, Script, Trajectory
from ._base import Run, Setting, Variant, as_settings, configured, kind_of
from ._embedding import flattened, lifted, lifted_scene, lifted_script
from ._features import (
    History,
    box_displacement,
    displacements,
    driven_step,
    free_moments,
    obstacle_contact,
    scripted_step,
    side_nearness,
    typical_spacing,
)
from ._fixed_graph import Near, Room, fixed_graph
from ._material import spread, standardised
from ._mesh import both_ways, edge_length, length, rest_offset
from ._message_passing import Arriving, EncodeProcessDecode, sums
from ._neighbours import radius_graph
from ._one_step import OneStep, OneStepSettings, scales
from ._rigid_motion import history_of
from ._specialist import require_velocity, width_and_steps
from ._symmetry import with_images
from ._training import Plan, fit

KIND = "generalist"
DOMAINS = ("*",)
SCOPE = "all"
VARIANTS = {"each": Variant({}, scope="each", note="the same network, trained on one domain at a time")}

KINDS_OF_EDGE = 4
"""Near, along a mesh, from a body's node to its centre, and back."""


@dataclass(frozen=True)
class Settings(OneStepSettings):
    """What a gns is made of."""

    noise: float = 0.1
    sharpness: float = 0.3
    radius_in_spacings: float = 2.1
    """Connectivity radius, in node spacings of the domain."""
    parameters: tuple[str, ...] = ()
    """Material parameters read, of all domains, by name; training takes those of the data."""


def preset(size: str) -> Settings:
    """Settings by size."""
    return Settings(*width_and_steps("gns", size))


@dataclass(frozen=True)
class Graph:
    """Nodes of a batch and then the centres of its bodies, and the edges between them."""

    scene_of: Tensor
    """(N + P,)."""
    share: Tensor
    """Share of each node in the mass of its body, (N, 1)."""
    index: Tensor
    """Senders and receivers, (2, E)."""
    kind: Tensor
    """Which of the kinds of edge, (E,)."""
    mesh: slice
    """Those along a mesh."""
    held: Tensor
    """Nodes that have a body, (n,)."""
    arriving: Arriving | None = None
    """How edges are summed at their receivers, where not all of them count."""


class GNS(OneStep):
    """One network for all domains, and the units of each."""

    spacing: Tensor
    displacement_std: Tensor
    acceleration_std: Tensor
    acceleration_mean: Tensor
    strain_std: Tensor
    mass_mean: Tensor
    parameter_mean: Tensor
    parameter_std: Tensor
    parameter_is_log: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: Settings) -> None:
        super().__init__(card, domain, as_settings(settings))
        self.common = self.set = settings
        self.names = card.domains
        number, extra = len(self.names), len(settings.parameters)
        n_node = 3 * settings.history + 6 + 7 + 3 + 2 * extra + 4 + number + 4
        n_edge = KINDS_OF_EDGE + 3 + 1 + 3 + 1 + 2
        answer = 3 * settings.bundle
        size = settings.width, settings.message_passing_steps
        self.network = EncodeProcessDecode(n_node, n_edge, answer, *size, settings.precision)
        self.network.fused = False
        self.units(number, extra)
        self.numbers: dict[tuple[str, int, int, int], float] = {}

    def number(self, name: str, k: int) -> float:
        """A unit of a domain as a number, which the device is asked for once."""
        values: Tensor = getattr(self, name)
        key = (name, k, values.data_ptr(), values._version)
        if key not in self.numbers:
            self.numbers[key] = float(values[k])
        return self.numbers[key]

    @property
    def fixed_steps(self) -> bool:
        """See `Shaped`; rollouts of bodies need singular values, which cannot be had so."""
        return True

    def units(self, number: int, extra: int) -> None:
        """Buffers of what training measures of each domain."""
        guesses = {"spacing": 0.05, "displacement_std": 0.005, "acceleration_std": 0.002, "strain_std": 0.01}
        for name, guess in (*guesses.items(), ("mass_mean", 0.0)):
            self.register_buffer(name, torch.full((number,), guess, dtype=torch.float64))
        self.register_buffer("acceleration_mean", torch.zeros((number, 3), dtype=torch.float64))
        self.register_buffer("parameter_mean", torch.zeros((number, extra), dtype=torch.float64))
        self.register_buffer("parameter_std", torch.ones((number, extra), dtype=torch.float64))
        self.register_buffer("parameter_is_log", torch.zeros((number, extra), dtype=torch.bool))

    # Units

    def row(self, scene: Scene) -> int:
        """Which of the domains a scene is of; raises MisuseError when it is of none."""
        if scene.domain not in self.names:
            raise MisuseError(f"{self.card.name} knows {', '.join(self.names)}; the scene is of {scene.domain}")
        return self.names.index(scene.domain)

    def scale(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the accelerations of the scene's domain."""
        k = self.row(scene)
        return flattened(self.acceleration_mean[k].float(), scene.dim), self.acceleration_std[k].float()

    def noise_std(self, scene: Scene) -> float:
        """Set in settings, in the spread of accelerations without noise."""
        noise, std = self.set.noise, self.number("acceleration_std", self.row(scene))
        return noise * std / math.sqrt(1 + noise * noise)

    def encode(self, past: Trajectory) -> History:
        """The last K+1 positions, of rigid bodies as rigid bodies."""
        return history_of(past, self.set.history + 1)

    def material(self, scene: Scene) -> Tensor:
        """Material parameters, standardised, and which of them are known, (B, 2 · parameters)."""
        k, missing = self.row(scene), torch.full_like(scene.gravity[:, 0], torch.nan)
        if not self.set.parameters:
            return scene.gravity[:, :0]
        values = torch.stack([scene.parameters.get(name, missing) for name in self.set.parameters], dim=-1)
        known = torch.isfinite(values)
        standard = standardised(values, self.parameter_is_log[k], self.parameter_mean[k], self.parameter_std[k])
        return torch.cat([standard, known], dim=-1).to(scene.gravity.dtype)

    # What it sees

    def node_features(self, scene: Scene, moved: Tensor, position: Tensor, script: Script) -> Tensor:
        """All that a node knows by itself, (N, F); moved (K, N, 3) are its last displacements."""
        k, owner = self.row(scene), scene.node_scene
        step, reach = self.displacement_std[k].float(), self.set.radius_in_spacings * self.number("spacing", k)
        near, normal, moves = obstacle_contact(scene, position, script, reach)
        fall = scene.gravity[owner] * scene.frame_interval**2 / self.acceleration_std[k].float()
        parts = [
            ((moved - box_displacement(script)[owner]) / step).permute(1, 0, 2).flatten(1),
            side_nearness(scene, position, script, reach),
            near,
            normal,
            moves / step,
            fall,
            self.material(scene)[owner],
            driven_step(scene, script) / step,
            self.flags(scene),
            (scene.mass.log() - self.mass_mean[k].float()).unsqueeze(-1),
        ]
        return torch.cat(parts, dim=-1)

    def flags(self, scene: Scene) -> Tensor:
        """Driven, in a mesh, in a body, and the domain, (N, 3 + domains)."""
        meshed = torch.zeros_like(scene.free).index_fill(0, scene.edges.flatten(), True)
        flags = torch.zeros((scene.n_nodes, 3 + len(self.names)), device=scene.device)
        flags[:, 0], flags[:, 1], flags[:, 2] = ~scene.free, meshed, scene.body_id >= 0
        flags[:, 3 + self.row(scene)].fill_(1)
        return flags

    def graph(self, scene: Scene, position: Tensor, room: Room | None = None) -> Graph:
        """All edges at positions (N, 3); in a room those that are near have a fixed shape."""
        near = self.near(scene, position, room)
        if room is None:
            held = torch.nonzero(scene.body_id >= 0).flatten()
        else:
            # Of uniform films all nodes have a body, or none has.
            held = torch.arange(scene.n_nodes if len(scene.body_scene) else 0, device=position.device)
        inward = torch.stack([held, scene.n_nodes + scene.body_id[held]])
        parts = [near.order[near.index], both_ways(scene.edges), inward, inward.flip(0)]
        index, sizes = torch.cat(parts, dim=1), [part.shape[1] for part in parts]
        kind = torch.cat([torch.full((n,), k, device=index.device) for k, n in enumerate(sizes)])
        scene_of, mesh = torch.cat([scene.node_scene, scene.body_scene]), slice(sizes[0], sizes[0] + sizes[1])
        arriving = None if near.receiver_ptr is None else _arriving(near, near.receiver_ptr, index, len(scene_of))
        return Graph(scene_of, _mass_share(scene), index, kind, mesh, held, arriving)

    def near(self, scene: Scene, position: Tensor, room: Room | None) -> Near:
        """Who is near whom; nodes of one body are not."""
        radius = self.set.radius_in_spacings * self.number("spacing", self.row(scene))
        body = scene.body_id

        def strange(sender: Tensor, receiver: Tensor) -> Tensor:
            return (body[sender] != body[receiver]) | (body[sender] < 0)

        if room is not None:
            return fixed_graph(position, radius, scene, room, strange)
        near = radius_graph(position, radius, scene.scene_ptr, scene.period)
        return Near(torch.arange(scene.n_nodes, device=position.device), near[:, strange(near[0], near[1])])

    def edge_features(self, scene: Scene, graph: Graph, position: Tensor, moved: Tensor) -> Tensor:
        """What is known along the edges, (E, F), from positions and steps of nodes and centres (N + P, 3)."""
        k, (sender, receiver) = self.row(scene), graph.index
        offset = position.index_select(0, sender) - position.index_select(0, receiver)
        offset = scene.minimum_image(offset, graph.scene_of[receiver])
        shear = moved.index_select(0, sender) - moved.index_select(0, receiver)
        unit = self.number("spacing", k)
        flag = (graph.kind.unsqueeze(-1) == torch.arange(KINDS_OF_EDGE, device=offset.device)).to(offset.dtype)
        step, opening = self.displacement_std[k].float(), length(offset + shear) - length(offset)
        along = [flag, offset / unit, length(offset) / unit, shear / step, opening / step]
        return torch.cat([*along, self.strain(scene, graph, offset)], dim=-1)

    def strain(self, scene: Scene, graph: Graph, offset: Tensor) -> Tensor:
        """Undeformed length and strain of the edges of meshes, zero for all others, (E, 2)."""
        k, out = self.row(scene), torch.zeros_like(offset[:, :2])
        rest = length(rest_offset(scene, graph.index[:, graph.mesh]))
        stretch = (length(offset[graph.mesh]) / rest - 1) / self.strain_std[k].float()
        out[graph.mesh] = torch.cat([rest / self.number("spacing", k), stretch], dim=-1)
        return out

    def predict(self, state: History, script: Script, known: Tensor | None) -> Tensor:
        """Normalised accelerations of every node (N, m · D); script frame 0 is the state's last frame."""
        scene, script = lifted_scene(state.scene), lifted_script(script)
        position = lifted(state.position)
        moved = displacements(scene, position)
        graph = self.graph(scene, position[-1], state.room)
        seen = _with_centres(scene, graph, self.node_features(scene, moved, position[-1], script))
        is_centre = (torch.arange(len(seen), device=seen.device) >= scene.n_nodes).to(seen.dtype).unsqueeze(-1)
        coming = torch.where(scene.free.unsqueeze(-1), moved[-1], scripted_step(scene, script))
        place, step = (_with_centres(scene, graph, x) for x in (position[-1], coming))
        along = self.edge_features(scene, graph, place, step)
        out: Tensor = self.network(torch.cat([seen, is_centre], dim=-1), along, graph.index, graph.arriving)
        return flattened(out[: scene.n_nodes].view(scene.n_nodes, -1, 3), state.scene.dim).flatten(1)

    # What it measures

    def measure(self, film: Trajectory) -> None:
        """Set the units, float64, of the domain that a film is of."""
        k, scene = self.row(film.scene), film.scene
        found = scales(free_moments(film, 2), film, self.set.noise)
        self.acceleration_mean[k] = lifted(found.mean)
        self.acceleration_std[k], self.displacement_std[k] = found.std, found.step
        self.spacing[k] = edge_length(film) if len(scene.edges) else typical_spacing(film, self.set.radius_in_spacings)
        self.mass_mean[k] = scene.mass.to(torch.float64).log().mean()
        if len(scene.edges):
            self.strain_std[k] = strain_spread(film)
        for i, name in enumerate(self.set.parameters):
            if name in scene.parameters and bool(torch.isfinite(scene.parameters[name]).any()):
                is_log, mean, std = spread(scene.parameters[name])
                self.parameter_is_log[k, i], self.parameter_mean[k, i], self.parameter_std[k, i] = is_log, mean, std


def _mass_share(scene: Scene) -> Tensor:
    """Share of each node in the mass of its body, zero for nodes of none, (N, 1)."""
    held = scene.body_id >= 0
    mass = torch.where(held, scene.mass, 0.0)
    body = scene.body_id.clamp(min=0)
    total = mass.new_zeros(max(len(scene.body_scene), 1)).index_add(0, body, mass)
    return (mass / total[body].clamp(min=torch.finfo(mass.dtype).tiny)).unsqueeze(-1)


def _with_centres(scene: Scene, graph: Graph, rows: Tensor) -> Tensor:
    """Rows of nodes (N, F), and below them the means over the masses of the bodies, (N + P, F)."""
    centre, held = rows.new_zeros((len(scene.body_scene), rows.shape[1])), graph.held
    return torch.cat([rows, centre.index_add(0, scene.body_id[held], (rows * graph.share)[held])])


def _arriving(near: Near, ptr: Tensor, index: Tensor, number: int) -> Arriving:
    """Sums of near edges and then all others (2, E) at so many nodes and centres."""
    others = index[1, near.index.shape[1] :]

    def arriving(e_EC: Tensor) -> Tensor:
        total = e_EC.new_zeros((number, e_EC.shape[1]))
        total = total.index_copy(0, near.order, sums(e_EC[: near.index.shape[1]], ptr))
        return total.index_add(0, others, e_EC[near.index.shape[1] :])

    return arriving


def strain_spread(film: Trajectory) -> Tensor:
    """Root mean square strain of the edges of a film's meshes, float64, ()."""
    first, second = film.scene.edges.unbind(-1)
    rest = length(rest_offset(film.scene, film.scene.edges.T))
    strain = length(film.position[:, first] - film.position[:, second]) / rest - 1
    return strain.to(torch.float64).square().mean().sqrt().clamp(min=1e-6)


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> GNS:
    """An untrained network for the domains joined by "+"; its weights are drawn from `seed` and nothing else."""
    chosen = configured(preset(size), settings)
    require_velocity("gns", chosen)
    names = tuple(sorted(domain.split("+")))
    card = ModelCard(
        "gns",
        kind_of(domain),
        "next-step acceleration, pseudo-Huber error",
        "Adam",
        "encode-process-decode graph network",
        names,
        history=chosen.history + 1,
        seed=seed,
        source="Sanchez-Gonzalez et al. 2020, arXiv:2002.09405",
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return GNS(card, "+".join(names), chosen)


def train(run: Run, **settings: Setting) -> GNS:
    """Train on windows of all domains of the run; `settings` override those of the track's size."""
    films = {name: with_images(data.train) for name, data in run.domains.items()}
    known: dict[str, Any] = {"parameters": all_parameters([film.scene for film in films.values()])}
    model = build(run.domain, size=run.track.size, seed=run.seed, **{**known, **settings}).to(run.device)
    for film in films.values():
        model.measure(film)
    seen = {name: dataclasses.replace(data, train=films[name]) for name, data in run.domains.items()}
    plan = Plan(run.track.training_steps, model.set.batch_size, model.set.learning_rate)
    plan = dataclasses.replace(plan, seconds=run.track.training_seconds)
    fit(model, dataclasses.replace(run, domains=seen), plan)
    return model


def all_parameters(scenes: Sequence[Scene]) -> tuple[str, ...]:
    """Names of the material parameters of all scenes, sorted."""
    return tuple(sorted({name for scene in scenes for name in scene.parameters}))
