"""The one-step acceleration on positions, which specialists and the generalist share.

    x(t+1) = x(t) + (x(t) - x(t-1)) + a,     a = network(…) · σ + μ      [m per frame²]

The scheme of GNS (Sanchez-Gonzalez et al. 2020, arXiv:2002.09405): noise on the history as a random walk, a target that corrects
the noise in the velocity but not in the position. Driven nodes carry no noise and no loss. What a network sees, and the units of
what it answers, is said by the model.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Frame, Scene, Script, Trajectory
from ._base import Learner
from ._features import History, accelerations, free_moments, noisy_window


@dataclass(frozen=True)
class OneStepSettings:
    """What every model trained on one step is made of; its file on disk holds the same."""

    width: int
    """Features of a node and of an edge."""
    message_passing_steps: int
    history: int = 4
    """Past displacements read, K."""
    noise: float = 0.03
    """Standard deviation of the noise on the last displacement, as a share of the accelerations' standard deviation."""
    sharpness: float = 0.1
    """Normalised error beyond which the loss grows linearly instead of as a square."""
    learning_rate: float = 2e-3
    batch_size: int = 4


class OneStep(Learner[History]):
    """A model that goes by positions alone and predicts the acceleration of every node."""

    common: OneStepSettings

    @abstractmethod
    def scale(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Mean (D,) and standard deviation (1,) of what is predicted [m per frame²], float32."""

    @abstractmethod
    def noise_std(self, scene: Scene) -> float:
        """Standard deviation of the training noise on the last displacement [m]."""

    @abstractmethod
    def predict(self, state: History, script: Script, known: Tensor | None) -> Tensor:
        """Normalised acceleration of every node (N, D) beyond the known; script frame 0 is the state's last frame."""

    def start(self, scene: Scene, position: Tensor) -> History:
        """The state at the last of K+1 frames (K+1, N, D); what is known of a scene for good belongs into it."""
        return History(scene, position)

    def known(self, state: History, script: Script) -> Tensor | None:
        """What of the acceleration (N, D) [m per frame²] is known without the network; None for nothing."""
        return None

    def encode(self, past: Trajectory) -> History:
        """The last K+1 positions."""
        return self.start(past.scene, past.position[-(self.common.history + 1) :])

    def advance(self, state: History, script: Script) -> History:
        """x(t+1) = x(t) + (x(t) - x(t-1)) + a."""
        known, (mean, std) = self.known(state, script), self.scale(state.scene)
        acceleration = self.predict(state, script, known) * std + mean
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
        scene, (mean, std) = window.scene, self.scale(window.scene)
        noisy = self.noisy(window, generator)
        script, state = scene.script.starting_at(self.common.history), self.start(scene, noisy[:-1])
        known, target = self.known(state, script), accelerations(scene, noisy[-3:])[0]
        target = target if known is None else target - known
        error = self.predict(state, script, known) - (target - mean) / std
        return pseudo_huber(error[scene.free], self.common.sharpness)

    def noisy(self, window: Trajectory, generator: torch.Generator) -> Tensor:
        """Positions (K+2, N, D) of a window, with noise."""
        return noisy_window(window.position, window.scene.free, self.noise_std(window.scene), generator)


def pseudo_huber(error: Tensor, sharpness: float) -> Tensor:
    """Mean of √(|e|² + s²) - s over rows (n, D): a square where errors are small, linear beyond, for heavy tails."""
    return ((error.square().sum(-1) + sharpness**2).sqrt() - sharpness).mean()


@dataclass(frozen=True)
class Scales:
    """Spreads of the free nodes of a film, float64."""

    mean: Tensor
    """Mean acceleration [m per frame²], (D,)."""
    spread: Tensor
    """Of accelerations [m per frame²], over all axes, (); the unit of noise."""
    std: Tensor
    """Of accelerations with noise added, the unit of answers, ()."""
    step: Tensor
    """Of displacements [m], over all axes, ()."""


def scales(accelerated: tuple[Tensor, Tensor], film: Trajectory, noise: float) -> Scales:
    """Spreads of a film from mean and standard deviation (D,) of what is to be predicted: σ² = σ_data² + noise²."""
    mean, std = accelerated
    spread = std.square().mean().sqrt()
    step = free_moments(film, 1)[1].square().mean().sqrt()
    return Scales(mean, spread, (spread**2 * (1 + noise**2)).sqrt(), step)
