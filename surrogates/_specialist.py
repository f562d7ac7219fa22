"""What the specialists share: settings, normalisers, material parameters, and the one-step acceleration on positions.

    x(t+1) = 2 x(t) - x(t-1) + a,     a = network(…) · σ + μ      [m per frame²]

One file per kind of physics says what its network sees; the scheme of GNS (Sanchez-Gonzalez et al. 2020, arXiv:2002.09405) is
here: noise on the history as a random walk, a target that corrects the noise in the velocity but not in the position,
σ² = σ_data² + noise². Driven nodes carry no noise and no loss.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts import Frame, MisuseError, ModelCard, Scene, Script, Trajectory
from ._base import Learner, Run, State, as_settings, require_dim
from ._features import History, accelerations, free_moments, noisy_window
from ._training import Plan, fit

MATERIAL_REACH = 2.0
"""Standard deviations at which a material parameter saturates: beyond what was seen, the edge is the best guess."""


@dataclass(frozen=True)
class SpecialistSettings:
    """What every specialist is made of; its file on disk holds the same."""

    width: int
    """Features of a node and of an edge."""
    message_passing_steps: int
    history: int = 4
    """Past displacements read, K."""
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


def width_and_steps(name: str, size: str) -> tuple[int, int]:
    """Width and rounds of messages by size: xs for CI, s for the track quick on two CPU cores, m and l for a GPU."""
    sizes = {"xs": (16, 2), "s": (32, 3), "m": (64, 5), "l": (128, 10)}
    if size not in sizes:
        raise MisuseError(f"{name} has no size {size!r}; one of xs, s, m, l is right")
    return sizes[size]


class Specialist(Learner[State]):
    """A graph network for one kind of physics: its normalisers, and the material parameters it reads."""

    acceleration_std: Tensor
    displacement_std: Tensor
    parameter_mean: Tensor
    parameter_std: Tensor
    parameter_is_log: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: SpecialistSettings) -> None:
        super().__init__(card, domain, as_settings(settings))
        self.read, extra = settings.parameters, len(settings.parameters)
        self.register_buffer("parameter_mean", torch.zeros(extra, dtype=torch.float64))
        for name, size in (("acceleration_std", 1), ("displacement_std", 1), ("parameter_std", extra)):
            self.register_buffer(name, torch.full((size,), settings.spacing / 10, dtype=torch.float64))
        self.register_buffer("parameter_is_log", torch.zeros(extra, dtype=torch.bool))

    def material(self, scene: Scene) -> Tensor:
        """Material parameters, standardised; one that is withheld (NaN) counts as its mean, shape (B, parameters)."""
        if not self.read:
            return scene.gravity[:, :0]
        missing = [p for p in self.read if p not in scene.parameters]
        if missing:
            raise MisuseError(f"{self.card.name} reads the parameter {missing[0]!r}; the scene has none of that name")
        values = torch.stack([scene.parameters[p] for p in self.read], dim=-1)
        values = torch.where(self.parameter_is_log, values.clamp(min=1e-30).log(), values)
        standard = ((values - self.parameter_mean) / self.parameter_std).nan_to_num(nan=0.0)
        return standard.clamp(-MATERIAL_REACH, MATERIAL_REACH).to(scene.gravity.dtype)

    def parameter(self, scene: Scene, name: str) -> Tensor:
        """One material parameter as it is, (B,); its training mean where it is withheld, zero where none is read."""
        if name not in self.read:
            return torch.zeros_like(scene.gravity[:, 0])
        k = self.read.index(name)
        usual = torch.where(self.parameter_is_log[k], self.parameter_mean[k].exp(), self.parameter_mean[k])
        values = scene.parameters[name]
        return torch.where(torch.isfinite(values), values, usual.to(values.dtype))

    def measure_material(self, scene: Scene) -> None:
        """Set the material parameters' normalisers from the scenes of a training set."""
        for k, name in enumerate(self.read):
            values = scene.parameters[name].to(torch.float64)
            values = values[torch.isfinite(values)]
            # Positive quantities such as viscosities spread over ratios, not differences.
            self.parameter_is_log[k] = bool((values > 0).all())
            values = values.log() if bool(self.parameter_is_log[k]) else values
            self.parameter_mean[k] = values.mean()
            self.parameter_std[k] = values.std(unbiased=False).clamp(min=1e-12 + 1e-6 * values.mean().abs())

    @abstractmethod
    def measure(self, film: Trajectory) -> None:
        """Set all normalisers, float64, from a training set."""


class Accelerated(Specialist[History]):
    """A specialist that goes by positions alone and predicts the acceleration of every node."""

    acceleration_mean: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: SpecialistSettings) -> None:
        super().__init__(card, domain, settings)
        self.register_buffer("acceleration_mean", torch.zeros(settings.dim, dtype=torch.float64))
        self.common = settings
        self.noise_unit = 0.0

    def start(self, scene: Scene, position: Tensor) -> History:
        """The state at the last of K+1 frames (K+1, N, D); what is known of a scene for good belongs into it."""
        return History(scene, position)

    @abstractmethod
    def predict(self, state: History, script: Script, known: Tensor | None) -> Tensor:
        """Normalised acceleration of every node (N, D) beyond the known; script frame 0 is the state's last frame."""

    def known(self, state: History, script: Script) -> Tensor | None:
        """What of the acceleration (N, D) [m per frame²] is known without the network; None for nothing."""
        return None

    def encode(self, past: Trajectory) -> History:
        """The last K+1 positions."""
        require_dim(self.card.name, self.common.dim, past.scene.dim)
        return self.start(past.scene, past.position[-(self.common.history + 1) :])

    def advance(self, state: History, script: Script) -> History:
        """x(t+1) = x(t) + (x(t) - x(t-1)) + a."""
        known = self.known(state, script)
        predicted = self.predict(state, script, known)
        acceleration = predicted * self.acceleration_std.float() + self.acceleration_mean.float()
        return state.accelerated(acceleration if known is None else acceleration + known, script)

    def decode(self, state: History) -> Frame:
        """Positions, and velocities as their second-order backward difference."""
        return state.frame()

    @property
    def window(self) -> int:
        """Frames of a training window: the history and the frame to be predicted."""
        return self.common.history + 2

    def loss(self, window: Trajectory, generator: torch.Generator) -> Tensor:
        """Pseudo-Huber error of the normalised acceleration over free nodes, on a history with noise."""
        scene, position = window.scene, window.position
        std = float(self.common.noise * self.noise_unit)
        noisy = noisy_window(position, scene.free, std, generator)
        script, state = scene.script.starting_at(self.common.history), self.start(scene, noisy[:-1])
        known, target = self.known(state, script), accelerations(scene, noisy[-3:])[0]
        target = target if known is None else target - known
        target = (target - self.acceleration_mean.float()) / self.acceleration_std.float()
        error = self.predict(state, script, known) - target
        return pseudo_huber(error[scene.free], self.common.sharpness)

    def measure(self, film: Trajectory) -> None:
        """Set the normalisers, float64, from the free nodes of a film."""
        mean, std = free_moments(film, 2)
        unit = std.square().mean().sqrt()
        self.noise_unit = float(unit)
        self.acceleration_mean.copy_(mean)
        self.acceleration_std.copy_((unit**2 * (1 + self.common.noise**2)).sqrt())
        self.displacement_std.copy_(free_moments(film, 1)[1].square().mean().sqrt())
        self.measure_material(film.scene)


def pseudo_huber(error: Tensor, sharpness: float) -> Tensor:
    """Mean of √(|e|² + s²) - s over rows (n, D): a square where errors are small, linear beyond, for heavy tails."""
    return ((error.square().sum(-1) + sharpness**2).sqrt() - sharpness).mean()


def require_velocity(name: str, settings: SpecialistSettings) -> None:
    """Raise MisuseError for a history too short for the second-order velocity of its end."""
    if settings.history < 2:
        raise MisuseError(f"{name} reads {settings.history} displacements; its velocities need at least 2")


def learn(model: Specialist[Any], run: Run, film: Trajectory) -> None:
    """Measure a film and train on its windows for the track's number of steps."""
    model.measure(film)
    plan = Plan(run.track.training_steps, int(model.settings["batch_size"]), float(model.settings["learning_rate"]))  # type: ignore[arg-type]
    fit(model, run, plan)
