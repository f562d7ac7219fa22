"""Linear model: the best that can be had without a network.

    x(t+1) = 2 x(t) - x(t-1) + W φ,     W = argmin Σ |a - W φ|² + λ |W|²      (ridge least squares, closed form, float64)

φ, for each free node: its last displacements against the box, gravity · Δt², nearness of walls and obstacles, alone and times the
speed towards them, and from the neighbours within the radius their number, their mean offset, a soft push away from them, and how
they move against it. All are differences, so that the model knows no place. Features are standardised before the ridge.

A one-step optimum can blow up over many steps. So the fit is repeated with noise on the history (which damps, as it does in GNS)
and with stronger ridges, and the pair that rolls out best on `valid` is kept; nothing else is tuned.

Nodes of rigid bodies are brought back to rigid bodies after each step, by which alone turning comes right.

Exact for free fall and for linear drag of one strength. Fails at all that depends on a product of its features, such as contact.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import datasets
from ..contracts import Frame, MisuseError, ModelCard, Scene, Script, Trajectory
from ._base import Run, Setting, Surrogate, as_settings, configured, require_dim
from ._features import (
    History,
    accelerations,
    box_displacement,
    displacements,
    free_moments,
    noisy_window,
    obstacle_contact,
    side_nearness,
    typical_spacing,
)
from ._neighbours import radius_graph
from ._rigid_motion import history_of
from ._training import Judge, Plan, one_thread

KIND = "baseline"
DOMAINS = ("*",)

NOISES = (0.0, 0.1, 0.3, 1.0, 3.0)
"""Noise on the last displacement, as a share of the accelerations' spread."""
RIDGES = (1e-9, 1e-3)
"""λ, as a share of the number of rows."""
MOST_WINDOWS = 1000
"""More windows do not change a fit of a few dozen numbers."""


@dataclass(frozen=True)
class Settings:
    """What a linear model reads."""

    history: int = 3
    """Past displacements read, K."""
    radius_in_spacings: float = 2.1
    """Radius within which neighbours count, in node spacings."""
    spacing: float = 0.02
    """Node spacing [m]; training measures it."""
    dim: int = 2

    @property
    def radius(self) -> float:
        """Radius within which neighbours and walls count [m]."""
        return self.radius_in_spacings * self.spacing


class Linear(Surrogate[History]):
    """A matrix from features to accelerations."""

    weight: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: Settings) -> None:
        super().__init__(card, domain, as_settings(settings))
        self.set = settings
        dim = settings.dim
        n_features = dim * settings.history + dim + 4 * dim + (1 + 3 * dim) + (1 + 3 * dim) + 1
        self.weight = torch.nn.Parameter(torch.zeros((n_features, dim), dtype=torch.float64), requires_grad=False)

    def features(self, scene: Scene, position: Tensor, script: Script) -> Tensor:
        """φ of every node, float64 (N, F), in metres; script frame 0 is the last of position (K+1, N, D)."""
        moved, radius = displacements(scene, position), self.set.radius
        box = box_displacement(script)[scene.node_scene]
        against_box = moved - box
        near = side_nearness(scene, position[-1], script, radius)
        obstacle_near, normal, obstacle_moves = obstacle_contact(scene, position[-1], script, radius)
        parts = [
            against_box.permute(1, 0, 2).flatten(1),
            scene.gravity[scene.node_scene] * scene.frame_interval**2,
            near * radius,
            near * against_box[-1].repeat_interleave(2, dim=-1),
            obstacle_near * radius,
            normal * radius,
            obstacle_near * against_box[-1],
            obstacle_moves,
            self.neighbour_features(scene, moved, position[-1]),
            torch.full_like(near[:, :1], radius),
        ]
        return torch.cat(parts, dim=-1).to(torch.float64)

    def neighbour_features(self, scene: Scene, moved: Tensor, position: Tensor) -> Tensor:
        """Number of neighbours, mean offset, soft push and mean relative displacement, (N, 1 + 3D)."""
        radius = self.set.radius
        sender, receiver = radius_graph(position, radius, scene.scene_ptr, scene.period)
        offset = scene.minimum_image(position[sender] - position[receiver], scene.node_scene[receiver])
        distance = torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
        push = (1 - distance / radius).clamp(min=0) ** 2 * offset / distance.clamp(min=1e-6 * radius) * radius
        values = torch.cat(
            [torch.full_like(distance, radius), offset, push, moved[-1][sender] - moved[-1][receiver]], -1
        )
        total = values.new_zeros((position.shape[0], values.shape[1])).index_add_(0, receiver, values)
        # In sums over a handful of neighbours a mean is a sum over the usual number.
        return total / 10

    def encode(self, past: Trajectory) -> History:
        """The last K+1 positions."""
        require_dim(self.card.name, self.set.dim, past.scene.dim)
        return history_of(past, self.set.history + 1)

    def advance(self, state: History, script: Script) -> History:
        """x(t+1) = x(t) + (x(t) - x(t-1)) + W φ, and for rigid bodies the rigid motion nearest to it."""
        scene, position = state.scene, state.position
        acceleration = (self.features(scene, position, script) @ self.weight).to(position.dtype)
        return state.accelerated(acceleration, script)

    def decode(self, state: History) -> Frame:
        """Positions, and velocities as their second-order backward difference."""
        return state.frame()


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> Linear:
    """The model before its fit: W = 0, constant velocity by differences. It has no sizes."""
    chosen = configured(Settings(), settings)
    if chosen.history < 2:
        raise MisuseError(f"linear reads {chosen.history} displacements; its velocities need at least 2")
    card = ModelCard(
        "linear",
        KIND,
        "next-step acceleration, mean squared error",
        "ridge least squares",
        "linear in node and neighbour features",
        DOMAINS,
        history=chosen.history + 1,
        seed=seed,
    )
    return Linear(card, domain, chosen)


def train(run: Run, **settings: Setting) -> Linear:
    """Fit for each noise and ridge, and keep what rolls out best on `valid`."""
    with one_thread():
        return _search(run, settings)


def _search(run: Run, settings: dict[str, Setting]) -> Linear:
    started, film = run.clock(), run.data.train
    known: dict[str, Any] = {"spacing": typical_spacing(film, Settings.radius_in_spacings), "dim": film.scene.dim}
    model = build(run.domain, seed=run.seed, **{**known, **settings}).to(run.device)
    judge = Judge(run.data.valid, model.card.history, Plan(0, 0, 0.0))
    unit = float(free_moments(film, 2)[1].square().mean().sqrt())
    windows = _pick(film, model.set.history + 2, run.seed)
    trials: list[tuple[float, float, float, Tensor]] = []
    for done, noise in enumerate(NOISES):
        normal = _normal_equations(model, windows, noise * unit, run.seed)
        for ridge in RIDGES:
            model.weight.copy_(_solve(*normal, ridge))
            trials.append((judge.ratio(model), noise, ridge, model.weight.clone()))
        if run.progress is not None:
            run.progress(done + 1, len(NOISES), min(t[0] for t in trials))
    ratio, noise, ridge, weight = min(trials, key=lambda t: t[0])
    model.weight.copy_(weight)
    notes = f"noise {noise:g}, ridge {ridge:g}: {ratio:.3f} of constant velocity's rollout error on valid"
    model.card = dataclasses.replace(model.card, notes=notes)
    run.trained(model, len(NOISES), run.clock() - started)
    return model


def _pick(film: Trajectory, length: int, seed: int) -> list[Trajectory]:
    """Batches of training windows: all, or as many as do any good, drawn without repeats."""
    windows = datasets.Windows(film, length)
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(seed))[:MOST_WINDOWS]
    return [windows.at(part.to(film.device)) for part in torch.split(order, 50)]


def _normal_equations(model: Linear, windows: list[Trajectory], noise: float, seed: int) -> tuple[Tensor, Tensor, int]:
    """Φᵀ Φ, Φᵀ a and the number of rows, over the free nodes, summed in float64."""
    n, dim = model.weight.shape
    gram, moment, rows = model.weight.new_zeros((n, n)), model.weight.new_zeros((n, dim)), 0
    generator = torch.Generator(device=model.weight.device).manual_seed(seed)
    for window in windows:
        scene, position = window.scene, window.position
        noisy = noisy_window(position, scene.free, noise, generator)
        phi = model.features(scene, noisy[:-1], scene.script.starting_at(model.set.history))[scene.free]
        target = accelerations(scene, noisy[-3:])[0][scene.free].to(torch.float64)
        gram += phi.T @ phi
        moment += phi.T @ target
        rows += phi.shape[0]
    return gram, moment, rows


def _solve(gram: Tensor, moment: Tensor, rows: int, ridge: float) -> Tensor:
    """W of the ridge problem in standardised features: features of any size are penalised alike."""
    size = gram.diagonal().div(rows).sqrt()
    size = torch.where(size > 0, size, 1.0)
    scaled = gram / size.unsqueeze(0) / size.unsqueeze(1) / rows
    scaled = scaled + ridge * torch.eye(len(scaled), dtype=scaled.dtype, device=scaled.device)
    weight: Tensor = torch.linalg.solve(scaled, moment / size.unsqueeze(1) / rows) / size.unsqueeze(1)
    return weight
