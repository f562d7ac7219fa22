"""The one-step acceleration on positions, which specialists and the generalist share.

    x(t+1) = x(t) + (x(t) - x(t-1)) + a,     a = network(…) · σ + μ      [m per frame²]

The scheme of GNS (Sanchez-Gonzalez et al. 2020, arXiv:2002.09405): noise on the history as a random walk, a target that corrects
the noise in the velocity but not in the position. Driven nodes carry no noise and no loss. What a network sees, and the units of
what it answers, is said by the model.

**Bundles** (temporal bundling, Brandstetter et al. 2022, arXiv:2202.03376, §3.1): one call may answer with the accelerations of
the next m frames, which then cost one graph and one network together. The loss is on where they lead,

    d(j) = Σ_i (j - i + 1) a(i),   i = 1 … j,      over j (j + 1) / 2,

the share of the displacement after j frames that no straight flight explains, in units of one frame's acceleration.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..contracts import Frame, MisuseError, Scene, Script, Trajectory
from . import _processes
from ._captured_rollout import InCalls, with_room
from ._features import History, accelerations, averaged, free_moments, noisy_window
from ._fixed_graph import Room
from ._message_passing import SINGLE
from ._uniform import Table, Uniform


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
    bundle: int = 1
    """Frames that one call of the network advances, m."""
    precision: str = SINGLE
    """Of the products of the network, in training and afterwards: float32 or bfloat16."""


class OneStep(InCalls[History]):
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
        """Normalised accelerations of every node (N, m · D) beyond the known; script frame 0 is the state's last frame.

        Of a bundle of m frames the script has two (`seen`), the second one frame of the mean motion.
        """

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
        """x(t+1) = x(t) + (x(t) - x(t-1)) + a; the network is asked when no acceleration is left of its last bundle."""
        coming = state.coming if state.coming is not None and len(state.coming) else self.accelerations(state, script)
        return dataclasses.replace(state.accelerated(coming[0], script), coming=coming[1:])

    def accelerations(self, state: History, script: Script) -> Tensor:
        """Of the next m frames [m per frame²], (m, N, D)."""
        return self.foreseen(state, self.seen(script))

    @property
    def per_call(self) -> int:
        """Frames of a bundle."""
        return self.common.bundle

    def bundle_ahead(self, state: History, seen: Script, ahead: Script) -> tuple[History, list[Frame]]:
        """The state m frames on, and these frames."""
        frames = []
        for j, acceleration in enumerate(self.foreseen(state, seen)):
            state = state.accelerated(acceleration, ahead.starting_at(j))
            frames.append(self.decode(state))
        return state, frames

    def seen(self, script: Script) -> Script:
        """The two frames of a script that the network is shown."""
        return averaged(script, self.common.bundle) if self.common.bundle > 1 else script

    def foreseen(self, state: History, seen: Script) -> Tensor:
        """As `accelerations`, from what of the script is seen."""
        known, (mean, std) = self.known(state, seen), self.scale(state.scene)
        answers = self.answers(state, seen, known) * std + mean
        return answers if known is None else answers + known

    def answers(self, state: History, seen: Script, known: Tensor | None) -> Tensor:
        """Normalised accelerations of the next m frames beyond the known, (m, N, D)."""
        together = self.predict(state, seen, known)
        return together.view(len(together), self.common.bundle, -1).movedim(1, 0)

    def decode(self, state: History) -> Frame:
        """Positions, and velocities as their second-order backward difference."""
        return state.frame()

    @property
    def window(self) -> int:
        """Frames of a training window: the history and the frames to be predicted."""
        return self.common.history + 1 + self.common.bundle

    def loss(self, window: Trajectory, generator: torch.Generator) -> Tensor:
        """Pseudo-Huber error of the normalised acceleration over free nodes, on a history with noise."""
        error = self.error(window, self.start, generator)
        return pseudo_huber(error[:, window.scene.free], self.common.sharpness)

    def loss_in_room(
        self, window: Trajectory, held: Mapping[str, Tensor], room: Room, generator: torch.Generator
    ) -> Tensor:
        """See `Shaped`."""

        def start(scene: Scene, position: Tensor) -> History:
            return with_room(self.start_with(scene, position, held), room)

        return pseudo_huber(self.error(window, start, generator), self.common.sharpness, window.scene.free)

    def constants(self, films: Uniform) -> dict[str, Table]:
        """See `Shaped`."""
        return {}

    def start_with(self, scene: Scene, position: Tensor, held: Mapping[str, Tensor]) -> History:
        """As `start`, of a scene whose `constants` are known."""
        return self.start(scene, position)

    def error(
        self, window: Trajectory, start: Callable[[Scene, Tensor], History], generator: torch.Generator
    ) -> Tensor:
        """Of the normalised accelerations of all nodes, in the form of what they lead to, (m, N, D)."""
        m, scene, (mean, std) = self.common.bundle, window.scene, self.scale(window.scene)
        noisy = self.noisy(window, generator)
        seen, state = self.seen(scene.script.starting_at(self.common.history)), start(scene, noisy[:-m])
        known, target = self.known(state, seen), accelerations(scene, noisy[-m - 2 :])
        target = target if known is None else target - known
        return led_to(self.answers(state, seen, known) - (target - mean) / std)

    def noisy(self, window: Trajectory, generator: torch.Generator) -> Tensor:
        """Positions (K+1+m, N, D) of a window, with noise."""
        free, std = window.scene.free, self.noise_std(window.scene)
        return noisy_window(window.position, free, std, generator, self.common.bundle, shared=True)


def led_to(accelerations: Tensor) -> Tensor:
    """What accelerations (m, N, D) of consecutive frames lead to after each of them, over j (j + 1) / 2: one stays itself."""
    frames = torch.arange(1, len(accelerations) + 1, device=accelerations.device, dtype=accelerations.dtype)
    return accelerations.cumsum(0).cumsum(0) / (frames * (frames + 1) / 2).view(-1, 1, 1)


def require_single(name: str, settings: OneStepSettings) -> None:
    """Raise MisuseError for bundles in a model whose every frame begins with what is known of it."""
    if settings.bundle != 1:
        raise MisuseError(f"{name} has bundle {settings.bundle}; it knows part of each frame's motion, so 1 is right")


def pseudo_huber(error: Tensor, sharpness: float, counts: Tensor | None = None) -> Tensor:
    """Mean of √(|e|² + s²) - s over rows (…, n, D), of all processes of a training: a square where errors are small, linear
    beyond, for heavy tails. `counts` (n,) tells which rows do, where choosing them would ask the device; of one process."""
    values = (error.square().sum(-1) + sharpness**2).sqrt() - sharpness
    if counts is None:
        return _processes.mean(values)
    weight = counts.to(values.dtype).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1)


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
