"""What the specialists share: settings, normalisers and material parameters.

One file per kind of physics says what its network sees; how those that go by positions alone step and learn is in _one_step.py.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..contracts import MisuseError, ModelCard, Scene, Trajectory
from ._base import Learner, Run, State, as_settings, require_dim, steps_of
from ._features import History, free_moments
from ._material import spread, standardised
from ._one_step import OneStep, OneStepSettings, Scales, scales
from ._training import Plan, fit


@dataclass(frozen=True)
class SpecialistSettings(OneStepSettings):
    """What every specialist is made of; its file on disk holds the same."""

    spacing: float = 0.02
    """Node spacing [m]; training measures it."""
    dim: int = 2
    parameters: tuple[str, ...] = ()
    """Material parameters read, by name; training takes those of the data."""
    effort: float = 1.0
    """Training steps over the track's."""


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
        standard = standardised(values, self.parameter_is_log, self.parameter_mean, self.parameter_std)
        return standard.to(scene.gravity.dtype)

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
            self.parameter_is_log[k], self.parameter_mean[k], self.parameter_std[k] = spread(scene.parameters[name])

    @abstractmethod
    def measure(self, film: Trajectory) -> None:
        """Set all normalisers, float64, from a training set."""


class Accelerated(OneStep, Specialist[History]):
    """A specialist that goes by positions alone and predicts the acceleration of every node."""

    acceleration_mean: Tensor

    def __init__(self, card: ModelCard, domain: str, settings: SpecialistSettings) -> None:
        super().__init__(card, domain, settings)
        self.register_buffer("acceleration_mean", torch.zeros(settings.dim, dtype=torch.float64))
        self.common = settings
        self.dim = settings.dim
        self.noise_unit = 0.0

    def scale(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """As measured, whatever the scene."""
        return self.acceleration_mean.float(), self.acceleration_std.float()

    def noise_std(self, scene: Scene) -> float:
        """Set in settings, in the unit measured."""
        return float(self.common.noise * self.noise_unit)

    def encode(self, past: Trajectory) -> History:
        """The last K+1 positions."""
        require_dim(self.card.name, self.dim, past.scene.dim)
        return super().encode(past)

    def measure(self, film: Trajectory) -> None:
        """Set the normalisers, float64, from the free nodes of a film."""
        self.set_scales(scales(free_moments(film, 2), film, self.common.noise))
        self.measure_material(film.scene)

    def set_scales(self, found: Scales) -> None:
        """Set the normalisers of motion."""
        self.noise_unit = float(found.spread)
        self.acceleration_mean.copy_(found.mean)
        self.acceleration_std.copy_(found.std)
        self.displacement_std.copy_(found.step)


def require_velocity(name: str, settings: OneStepSettings) -> None:
    """Raise MisuseError for a history too short for the second-order velocity of its end."""
    if settings.history < 2:
        raise MisuseError(f"{name} reads {settings.history} displacements; its velocities need at least 2")


def learn(model: Specialist[Any], run: Run, film: Trajectory) -> None:
    """Measure a film and train on its windows for the track's number of steps, times the effort; or for its time, as all."""
    model.measure(film)
    batch, rate, effort = (float(model.settings[n]) for n in ("batch_size", "learning_rate", "effort"))  # type: ignore[arg-type]
    plan = Plan(steps_of(run.track, effort), int(batch), rate)
    fit(model, run, dataclasses.replace(plan, seconds=run.track.training_seconds))
