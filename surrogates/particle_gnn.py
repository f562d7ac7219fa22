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

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts import Frame, MisuseError, ModelCard, Scene, Script, Trajectory, stack
from ._base import Learner, Run, Setting, as_settings, configured, require_dim
from ._features import (
    History,
    accelerations,
    box_displacement,
    displacements,
    free_moments,
    mirrored,
    noisy_window,
    obstacle_contact,
    side_nearness,
    typical_spacing,
)
from ._message_passing import EncodeProcessDecode
from ._neighbours import radius_graph, spatial_order
from ._training import Plan, fit

KIND = "specialist"
DOMAINS = ("fluid",)


MIRRORED_PARAMETERS = ("tilt",)
"""Material parameters that change sign in a mirror."""
MATERIAL_REACH = 2.0
"""Standard deviations at which a material parameter saturates: beyond what was seen, the edge is the best guess."""


@dataclass(frozen=True)
class Settings:
    """What a particle_gnn is made of; its file on disk holds the same."""

    width: int
    """Features of a node and of an edge."""
    message_passing_steps: int
    history: int = 4
    """Past displacements read, K."""
    radius_in_spacings: float = 2.1
    """Connectivity radius, in node spacings."""
    noise: float = 0.03
    """Standard deviation of the noise on the last displacement, as a share of the accelerations' standard deviation."""
    sharpness: float = 0.1
    """Normalised error beyond which the loss grows linearly instead of as a square."""
    spacing: float = 0.02
    """Node spacing [m]; training measures it."""
    dim: int = 2
    parameters: tuple[str, ...] = ()
    """Material parameters read, by name; training takes those of the data."""
    learning_rate: float = 2e-3
    batch_size: int = 4

    @property
    def radius(self) -> float:
        """Connectivity radius [m]."""
        return self.radius_in_spacings * self.spacing


def preset(size: str) -> Settings:
    """Settings by size: xs for CI, s for the track quick on two CPU cores, m and l for a GPU."""
    sizes = {"xs": (16, 2), "s": (32, 3), "m": (64, 5), "l": (128, 10)}
    if size not in sizes:
        raise MisuseError(f"particle_gnn has no size {size!r}; one of xs, s, m, l is right")
    width, steps = sizes[size]
    return Settings(width, steps)


class ParticleGNN(Learner[History]):
    """The physics of a particle_gnn: features, target and integration around a network that knows none."""

    acceleration_mean: Tensor
    acceleration_std: Tensor
    displacement_std: Tensor
    parameter_mean: Tensor
    parameter_std: Tensor
    parameter_is_log: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: Settings) -> None:
        super().__init__(card, domain, as_settings(settings))
        self.set = settings
        dim, extra = settings.dim, len(settings.parameters)
        n_node = dim * settings.history + 2 * dim + (1 + 2 * dim) + dim + extra + (1 + dim)
        n_edge = 2 * dim + 1
        self.network = EncodeProcessDecode(n_node, n_edge, dim, settings.width, settings.message_passing_steps)
        for name, size in (("acceleration_mean", dim), ("parameter_mean", extra)):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        for name, size in (("acceleration_std", 1), ("displacement_std", 1), ("parameter_std", extra)):
            self.register_buffer(name, torch.full((size,), settings.spacing / 10, dtype=torch.float64))
        self.register_buffer("parameter_is_log", torch.zeros(extra, dtype=torch.bool))

    # What it sees

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
            self.driven_step(scene, script, box) / step,
        ]
        return torch.cat(parts, dim=-1)

    def material(self, scene: Scene) -> Tensor:
        """Material parameters, standardised; one that is withheld (NaN) counts as its mean, shape (B, parameters)."""
        if not self.set.parameters:
            return scene.gravity[:, :0]
        missing = [p for p in self.set.parameters if p not in scene.parameters]
        if missing:
            raise MisuseError(f"{self.card.name} reads the parameter {missing[0]!r}; the scene has none of that name")
        values = torch.stack([scene.parameters[p] for p in self.set.parameters], dim=-1)
        values = torch.where(self.parameter_is_log, values.clamp(min=1e-30).log(), values)
        standard = ((values - self.parameter_mean) / self.parameter_std).nan_to_num(nan=0.0)
        return standard.clamp(-MATERIAL_REACH, MATERIAL_REACH).to(scene.gravity.dtype)

    def driven_step(self, scene: Scene, script: Script, box: Tensor) -> Tensor:
        """How far the script will move driven nodes against the box [m], zero for free ones, (N, D)."""
        driven = scene.driven_nodes
        step = torch.zeros_like(box)
        step[driven] = (script.node_position[1] - script.node_position[0]).to(box.dtype) - box[driven]
        return step

    def edges(self, scene: Scene, moved: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """The radius graph (2, E) and what is known along its edges, (E, F)."""
        radius = self.set.radius
        index = radius_graph(position, radius, scene.scene_ptr, scene.period)
        sender, receiver = index
        offset = position.index_select(0, sender) - position.index_select(0, receiver)
        offset = scene.minimum_image(offset, scene.node_scene[receiver]) / radius
        distance = torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
        shear = (
            moved[-1].index_select(0, sender) - moved[-1].index_select(0, receiver)
        ) / self.displacement_std.float()
        return index, torch.cat([offset, distance, shear], dim=-1)

    def predict(self, scene: Scene, position: Tensor, script: Script) -> Tensor:
        """Normalised acceleration of every node (N, D), from positions (K+1, N, D); script frame 0 is the last of them."""
        moved = displacements(scene, position)
        order = spatial_order(position[-1], self.set.radius, scene.scene_ptr)
        index, along = self.edges(scene, moved[:, order], position[-1, order])
        seen = self.node_features(scene, moved, position[-1], script)
        out: Tensor = self.network(seen[order], along, index)
        return torch.empty_like(out).index_copy(0, order, out)

    # How it moves

    def encode(self, past: Trajectory) -> History:
        """The last K+1 positions."""
        require_dim(self.card.name, self.set.dim, past.scene.dim)
        return History(past.scene, past.position[-(self.set.history + 1) :])

    def advance(self, state: History, script: Script) -> History:
        """x(t+1) = x(t) + (x(t) - x(t-1)) + a."""
        scene, position = state.scene, state.position
        predicted = self.predict(scene, position, script)
        acceleration = predicted * self.acceleration_std.float() + self.acceleration_mean.float()
        return state.accelerated(acceleration, script)

    def decode(self, state: History) -> Frame:
        """Positions, and velocities as their second-order backward difference."""
        return state.frame()

    # How it learns

    @property
    def window(self) -> int:
        """Frames of a training window: the history and the frame to be predicted."""
        return self.set.history + 2

    def loss(self, window: Trajectory, generator: torch.Generator) -> Tensor:
        """Pseudo-Huber error of the normalised acceleration over free nodes, on a history with noise."""
        scene, position = window.scene, window.position
        std = float(self.set.noise * self.displacement_noise_unit)
        noisy = noisy_window(position, scene.free, std, generator)
        target = (accelerations(scene, noisy[-3:])[0] - self.acceleration_mean.float()) / self.acceleration_std.float()
        script = scene.script.starting_at(self.set.history)
        error = self.predict(scene, noisy[:-1], script) - target
        sharpness = self.set.sharpness
        return ((error[scene.free].square().sum(-1) + sharpness**2).sqrt() - sharpness).mean()

    def measure(self, film: Trajectory) -> None:
        """Set the normalisers, float64, from the free nodes of a film."""
        mean, std = free_moments(film, 2)
        unit = std.square().mean().sqrt()
        self.displacement_noise_unit = float(unit)
        self.acceleration_mean.copy_(mean)
        self.acceleration_std.copy_((unit**2 * (1 + self.set.noise**2)).sqrt())
        self.displacement_std.copy_(free_moments(film, 1)[1].square().mean().sqrt())
        for k, name in enumerate(self.set.parameters):
            values = film.scene.parameters[name].to(torch.float64)
            values = values[torch.isfinite(values)]
            # Positive quantities such as viscosities spread over ratios, not differences.
            self.parameter_is_log[k] = bool((values > 0).all())
            values = values.log() if bool(self.parameter_is_log[k]) else values
            self.parameter_mean[k] = values.mean()
            self.parameter_std[k] = values.std(unbiased=False).clamp(min=1e-12 + 1e-6 * values.mean().abs())


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> ParticleGNN:
    """An untrained network; its weights are drawn from `seed` and nothing else."""
    chosen = configured(preset(size), settings)
    if chosen.history < 2:
        raise MisuseError(f"particle_gnn reads {chosen.history} displacements; its velocities need at least 2")
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
    film = stack([run.data.train, mirrored(run.data.train, MIRRORED_PARAMETERS)])
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, train=film))
    known: dict[str, Any] = {
        "spacing": typical_spacing(film),
        "dim": film.scene.dim,
        "parameters": tuple(sorted(film.scene.parameters)),
    }
    model = build(run.domain, size=run.track.size, seed=run.seed, **{**known, **settings}).to(run.device)
    model.measure(film)
    plan = Plan(run.track.training_steps, model.set.batch_size, model.set.learning_rate)
    fit(model, run, plan)
    return model
