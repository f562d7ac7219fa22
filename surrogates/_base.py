"""Surrogate: the common body of all models here. A card, settings, and what they have learned as tensors."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from ..contracts import Frame, MisuseError, ModelCard, Scene, Stepper, Track, Trajectory
from ..contracts.deadline import Deadline
from ..contracts.model import weight_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

State = TypeVar("State")
Settings = TypeVar("Settings", bound="DataclassInstance")
Setting = int | float | str | bool | tuple[str, ...]

Progress = Callable[[int, int, float], None]
"""Called with (steps done, steps in all, loss)."""


class Surrogate(nn.Module, Stepper[State]):
    """A Stepper whose learned numbers are its `state_dict` and whose other numbers are its `settings`.

    `build(domain, size=, seed=, **settings)` of its file, and then the tensors, make it again: that is all a saved model is.
    """

    def __init__(self, card: ModelCard, domain: str, settings: Mapping[str, Setting] | None = None) -> None:
        super().__init__()
        self._card = card
        self.domain = domain
        self.settings = dict(settings or {})

    @property
    def card(self) -> ModelCard:
        """What this contestant is, its parameters counted."""
        number, size = self.count_parameters()
        return dataclasses.replace(self._card, parameters=number, bytes=size)

    @card.setter
    def card(self, card: ModelCard) -> None:
        self._card = card

    def count_parameters(self) -> tuple[int, int]:
        """Number of learned parameters and their bytes."""
        return weight_bytes(self)


@dataclass(frozen=True)
class FrameState:
    """The state of a model that goes by one frame alone: a scene and its frame."""

    scene: Scene
    frame: Frame


class FrameSurrogate(Surrogate[FrameState]):
    """A model whose state is a frame."""

    def decode(self, state: FrameState) -> Frame:
        """The frame itself."""
        return state.frame


class Learner(Surrogate[State]):
    """A Surrogate that `_training.fit` can train."""

    @property
    @abstractmethod
    def window(self) -> int:
        """Frames of a training window."""

    @abstractmethod
    def loss(self, window: Trajectory, generator: torch.Generator) -> Tensor:
        """The loss of one batch of windows, a scalar; whatever is random in it is drawn from the generator."""


@dataclass(frozen=True)
class Data:
    """What one training reads: whole splits in device memory. Nothing may write to it."""

    train: Trajectory
    valid: Trajectory
    manifest: str
    """SHA-256 of the data set's manifest, for the card."""


@dataclass(frozen=True)
class Variant:
    """A named preset of a model's file: FILE-VARIANT is the model with these settings."""

    settings: Mapping[str, Setting]
    """What it sets, as `build` and `train` of its file take it."""
    scope: str | None = None
    """"each" when it is trained on one domain at a time, "all" on all at once; None for as its file says."""
    note: str = ""
    """What it is for, in a line."""
    equal: str = ""
    """Of a variant that is the plain model in another size, what it has equal: "data" (as many steps) or "compute"."""


def in_width(width: int, base: int, parameters: str, effort: float, **more: Setting) -> dict[str, Variant]:
    """A model in another width, once with as many steps as in its own and once with as long a training.

    `effort` is its own core-seconds a step over that of this width, one torch thread; `parameters` says how many it has.
    """
    size = {"width": width, **more}
    what = f"width {width} and not {base}, {parameters} parameters"
    return {
        f"width_{width}": Variant(size, None, f"{what}, as many steps", "data"),
        f"width_{width}_timed": Variant({**size, "effort": effort}, None, f"{what}, {effort} as many steps", "compute"),
    }


def steps_of(track: Track, effort: float) -> int:
    """Training steps of a model whose effort is so many times the track's; at least one. 0 where the track fixes the time."""
    return 0 if track.training_seconds else max(1, round(effort * track.training_steps))


@dataclass(frozen=True)
class Tuned:
    """Settings that trials on the split `valid` chose, and what they cost."""

    settings: Mapping[str, Setting]
    """Batch size and learning rate; empty where no trial came to its end, so that the preset's hold."""
    how: str
    """What chose them, in words, for the card."""
    device_seconds: float
    """Device time of all trials [s]."""


@dataclass(frozen=True)
class Run:
    """One training: on what, for how long, where to."""

    name: str
    """Full name of the model, FILE or FILE-VARIANT."""
    domains: Mapping[str, Data]
    """What is read, by domain name, sorted: one entry, or several for a model that learns all domains at once."""
    track: Track
    seed: int
    out: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: Progress | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """Settings of this training that override those of the variant; `train` gets them as arguments."""
    tuned: Tuned | None = None
    """Where some of these settings come from, if trials chose them."""
    deadline: Deadline = field(default_factory=Deadline)
    """When to stop with a checkpoint, although steps are left."""
    marks: int | None = None
    """Parts of a fixed time that end with rollouts on `valid` and a checkpoint; None for as many as trainings have."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", dict(sorted(self.domains.items())))

    @property
    def domain(self) -> str:
        """Name of the domain; of several, their names joined by "+"."""
        return joined(self.domains)

    @property
    def data(self) -> Data:
        """The data of the only domain; raises MisuseError when there are several."""
        if len(self.domains) != 1:
            raise MisuseError(f"{self.name} learns one domain at a time; the data are of {self.domain}")
        return next(iter(self.domains.values()))

    def with_train(self, film: Trajectory) -> Run:
        """The same run, its only domain trained on another film."""
        return dataclasses.replace(self, domains={self.domain: dataclasses.replace(self.data, train=film)})

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds of the device that trains: of a CPU core-seconds of this process, which work beside it does not stretch."""
        return time.process_time if self.device.type == "cpu" else time.perf_counter

    def trained(self, model: Surrogate[Any], steps: int, seconds: float) -> None:
        """Write onto the card what the training was."""
        model.card = dataclasses.replace(
            model.card,
            seed=self.seed,
            training_data=manifest_of({name: data.manifest for name, data in self.domains.items()}),
            learned=tuple(self.domains),
            training_steps=steps,
            training_device_seconds=seconds,
        )


def joined(domains: Collection[str]) -> str:
    """One name for the domains of one training: theirs, sorted, with "+" between. Raises MisuseError when there are none."""
    if not domains:
        raise MisuseError("a training needs the data of at least one domain")
    return "+".join(sorted(domains))


def kind_of(domain: str) -> str:
    """What a model that can learn several domains is, by those it has: "specialist" for one, "generalist" for several."""
    return "generalist" if "+" in domain else "specialist"


def manifest_of(manifests: Mapping[str, str]) -> str:
    """One hash for the data of one training: the domain's own, or of several the SHA-256 of lines "name hash"."""
    if len(manifests) == 1:
        return next(iter(manifests.values()))
    lines = "".join(f"{name} {manifest}\n" for name, manifest in sorted(manifests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def require_dim(name: str, expected: int, got: int) -> None:
    """Raise MisuseError when a model made for one number of space axes is given another."""
    if expected != got:
        raise MisuseError(f"{name} was built for {expected} space axes; the film has {got}")


def configured(preset: Settings, settings: Mapping[str, Setting]) -> Settings:
    """A preset with some settings overridden; raises MisuseError naming one that is unknown or of the wrong kind."""
    known = {f.name for f in dataclasses.fields(preset)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise MisuseError(f"unknown setting {unknown[0]!r}; known are {', '.join(sorted(known)) or 'none'}")
    return dataclasses.replace(preset, **{k: _like(k, v, getattr(preset, k)) for k, v in settings.items()})


def _like(name: str, value: Any, example: Any) -> Any:
    """A setting in the type of its preset, for settings may come from a file."""
    if isinstance(example, tuple) and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if isinstance(example, str) and isinstance(value, str):
        return value
    number = isinstance(example, int | float) and isinstance(value, int | float) and not isinstance(value, bool)
    if number and math.isfinite(value) and value >= 0 and type(example)(value) == value:
        return type(example)(value)
    raise MisuseError(f"setting {name!r} is {value!r}; a value like {example!r} is right")


@dataclass(frozen=True)
class NoSettings:
    """For models that have nothing to set."""


def as_settings(settings: DataclassInstance) -> dict[str, Setting]:
    """Settings as plain data for JSON."""
    return dataclasses.asdict(settings)
