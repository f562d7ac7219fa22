"""Model: anything that can continue a film. Stepper: the usual way to be one."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeGuard, TypeVar, runtime_checkable

import torch
from torch import Tensor

from ._ragged import counts
from .card import ModelCard, knows
from .errors import MisuseError
from .scene import Scene, Script
from .trajectory import Frame, Trajectory, from_frames

State = TypeVar("State")


class Model(ABC):
    """Anything that can continue a film."""

    @property
    @abstractmethod
    def card(self) -> ModelCard:
        """What this contestant is."""

    @abstractmethod
    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        """Continue the film by exactly `n_frames` new frames, on the device of `past`.

        `past` holds the last few observed frames; its script covers the horizon: script frame `past.n_frames - 1` is
        now, the one after belongs to the first new frame. The returned trajectory holds only new frames, its script is
        aligned with them, and driven nodes follow the script. A scene that goes non-finite sets `diverged_at` and is NaN
        from there on. Raises MisuseError when n_frames < 1, when `past` is shorter than the card's history, or when the
        script ends before the horizon.
        """

    def check_request(self, past: Trajectory, n_frames: int) -> None:
        """Raise MisuseError when a rollout cannot be asked for; see `rollout`."""
        name = self.card.name
        if n_frames < 1:
            raise MisuseError(f"{name}: asked for {n_frames} frames; ask for at least 1")
        if past.n_frames < self.card.history:
            raise MisuseError(f"{name} reads {self.card.history} frames of history; the past has {past.n_frames}")
        if not knows(self.card.domains, past.scene.domain):
            raise MisuseError(f"{name} continues {', '.join(self.card.domains)}; the film is of {past.scene.domain}")
        if bool((counts(past.scene.scene_ptr) == 0).any()):
            raise MisuseError(f"{name}: a scene has no nodes; each needs at least 1")
        need = past.n_frames + n_frames
        if past.scene.script.n_frames < need:
            raise MisuseError(
                f"{name}: the script covers {past.scene.script.n_frames} frames; "
                f"{past.n_frames} past and {n_frames} new ones need {need}"
            )


class Stepper(Model, Generic[State]):
    """A Model that steps: encode once, advance frame by frame, decode the frames asked for. Vary it by wrapping."""

    @abstractmethod
    def encode(self, past: Trajectory) -> State:
        """Turn the observed frames into a state at the last of them."""

    @abstractmethod
    def advance(self, state: State, script: Script) -> State:
        """One frame forward. Frame 0 of `script` is the state's own frame, frame 1 the one advanced to; later ones may be read."""

    @abstractmethod
    def decode(self, state: State) -> Frame:
        """The node fields of a state."""

    @torch.no_grad()
    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        """See `Model.rollout`."""
        self.check_request(past, n_frames)
        now = past.n_frames - 1
        script = past.scene.script.starting_at(now)
        state = self.encode(past)
        frames = []
        for k in range(n_frames):
            state = self.advance(state, script.starting_at(k))
            frames.append(self.decode(state))
        return from_frames(past.scene.with_script(script.starting_at(1)), frames)


@runtime_checkable
class Reconstructs(Protocol):
    """A model that can show what its decoder makes of the truth, without any dynamics."""

    def reconstruct(self, past: Trajectory, truth: Trajectory) -> Trajectory:
        """Every frame of `truth`, which follows `past`, decoded from the model's own encoding of the true frames."""


@runtime_checkable
class Probed(Protocol):
    """A model that offers vectors to linear probes; the first frame that they can be asked of is `card.history - 1`."""

    @property
    def card(self) -> ModelCard:
        """What this contestant is."""

    def features(self) -> dict[str, Callable[[Trajectory, int], Tensor]]:
        """By kind (as "latent", "random encoder", "raw state"): of a film at a frame, a vector a scene, (B, F)."""


def offers_features(model: object) -> TypeGuard[Probed]:
    """Whether a model is `Probed`: a method of that name that takes arguments is another."""
    return isinstance(model, Probed) and not inspect.signature(model.features).parameters


def place_driven(frame: Frame, scene: Scene, script: Script) -> Frame:
    """Overwrite the driven nodes of a frame with frame 1 of the script, and their velocities with its slope."""
    driven, dt = scene.driven_nodes, scene.frame_interval
    if driven.numel() == 0:
        return frame
    position, velocity = frame.position.clone(), frame.velocity.clone()
    position[driven] = script.node_position[1].to(position.dtype)
    velocity[driven] = ((script.node_position[1] - script.node_position[0]) / dt).to(velocity.dtype)
    return Frame(position, velocity, frame.pose, frame.twist)


def weight_bytes(model: Any) -> tuple[int, int]:
    """Number of learned parameters and their bytes, of a torch module."""
    tensors = list(model.parameters())
    return sum(t.numel() for t in tensors), sum(t.numel() * t.element_size() for t in tensors)
