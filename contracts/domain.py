"""Domain: one kind of physics, with its truth, its rivals, its invariants and what it is compared on."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from . import siblings as sibling
from .curve import Curve
from .errors import MisuseError
from .model import Stepper
from .nearest import one_of
from .scene import Scene
from .seeds import stream
from .siblings import PLAIN, Ranges, Variation
from .trajectory import Trajectory, stack

SPLITS = ("train", "valid", "test", "more", "material", "shape", "long")
"""In distribution: train, valid (all choices are made on it), test. Out of it: more nodes, material, shape, long horizon."""


@dataclass(frozen=True)
class Recipe:
    """How large the scenes of a track are."""

    dim: int
    """Space axes, 2 or 3."""
    resolution: float
    """Node spacing of the reference [m]."""
    past: int
    """Frames that every model sees."""
    horizon: int
    """New frames to be predicted, in every split but `long`."""
    long_factor: int = 2
    """How much longer the horizon of the split `long` is."""

    def n_frames(self, split: str) -> int:
        """Frames of a stored trajectory: the past and the horizon."""
        return self.past + self.horizon * (self.long_factor if split == "long" else 1)


@dataclass(frozen=True)
class PhysicsCheck:
    """One row of `hedgefox validate`: a measured number against what physics says."""

    name: str
    measured: float
    low: float
    high: float
    unit: str
    expected: str
    """What is right, in words or as a number."""
    source: str
    """Closed form, paper or experiment that the band comes from."""
    curve: Curve | None = field(default=None, repr=False, compare=False)
    """What the number was reduced from, to be drawn; None where a number says it all."""

    @property
    def holds(self) -> bool:
        """True when the measured value lies within the band; NaN never does."""
        return self.low <= self.measured <= self.high


class Domain(ABC):
    """One kind of physics. A file under simulators/ exports one of these as DOMAIN."""

    name: ClassVar[str]
    version: ClassVar[int]
    """Generator version: raised whenever the same seed would give other data."""
    frame_interval: ClassVar[float]
    """Time between frames [s]."""
    trust_threshold: ClassVar[float]
    """Position RMSE [m] past which a rollout is no longer trusted."""
    observable_name: ClassVar[str]
    """The scalar field on which settings of any resolution are compared, with its unit."""
    families: ClassVar[tuple[str, ...]]
    parameter_units: ClassVar[dict[str, str]]
    """Hidden parameters and their units."""
    recipes: ClassVar[Mapping[str, Recipe]] = {}
    """Scene sizes by name, from xs for CI to l for a GPU."""
    parameter_ranges: ClassVar[Ranges] = {}
    """What siblings may vary: by parameter and split, the range of its values. A parameter without one is never varied."""
    either_way: ClassVar[tuple[str, ...]] = ()
    """Parameters of `parameter_ranges` that plain samples draw with either sign, the range being that of their size."""

    def recipe(self, size: str) -> Recipe:
        """Scene sizes for a track's `size`; raises MisuseError for a size that the domain does not have."""
        if size not in self.recipes:
            raise MisuseError(f"{self.name} has no size {size!r}; {one_of(size, self.recipes)}")
        return self.recipes[size]

    @abstractmethod
    def sample_start(self, recipe: Recipe, split: str, index: int, root_seed: int) -> Trajectory:
        """Frame 0 of one scene, float32 on the CPU, its script covering `recipe.n_frames(split)` frames.

        The same arguments give the same bytes. Raises MisuseError for an unknown split or a negative index.
        """

    @abstractmethod
    def reference(self, recipe: Recipe, device: str = "cpu") -> Stepper[Any]:
        """The simulator that makes the truth."""

    @abstractmethod
    def ladder(self, recipe: Recipe, device: str = "cpu") -> dict[str, Stepper[Any]]:
        """At least eight cheaper settings of the same simulator, by name, dearest first."""

    def refined(self, recipe: Recipe, device: str = "cpu") -> Stepper[Any] | None:
        """The reference at twice its resolution in space and time, on the same nodes: where the two part, the truth is uncertain.

        None for a domain that has no such thing.
        """
        return None

    @abstractmethod
    def invariants(self, film: Trajectory) -> dict[str, Tensor]:
        """Quantities that physics conserves or bounds, by name with unit, each (T, B)."""

    @abstractmethod
    def observable(self, film: Trajectory) -> Tensor:
        """The field named by `observable_name`, defined at every resolution, shape (T, B, Q)."""

    @abstractmethod
    def events(self, film: Trajectory) -> dict[str, Tensor]:
        """Labels computed from the states alone, the same for truth and prediction, each (T, B), bool."""

    @abstractmethod
    def validate(self, full: bool = False) -> list[PhysicsCheck]:
        """Run the simulator against physics. `full` adds what takes minutes."""

    @abstractmethod
    def example(self, n_frames: int) -> Trajectory:
        """A film of a few small unlike scenes, driven nodes among them, its script covering 8 frames more: for contract tests."""

    def check_split(self, split: str, index: int) -> None:
        """Raise MisuseError for an unknown split or a negative index."""
        if split not in SPLITS:
            raise MisuseError(f"split {split!r} is unknown; {one_of(split, SPLITS)}")
        if index < 0:
            raise MisuseError(f"trajectory index is {index}; it must be 0 or more")

    def with_parameter(self, scene: Scene, name: str, value: float) -> Scene:
        """One scene with one parameter changed, and all that follows from it (a domain whose gravity or masses do overrides
        this). Nothing that shows in frame 0 may change."""
        changed = torch.full_like(scene.parameters[name], value)
        return dataclasses.replace(scene, parameters={**scene.parameters, name: changed})

    def sample_sibling(
        self, recipe: Recipe, split: str, index: int, variant: int, root_seed: int
    ) -> tuple[Trajectory, Variation]:
        """Sibling `variant` of scene `index`: frame 0 as `sample_start` gives it, and what differs from sibling 0.

        Raises MisuseError for a negative variant, and where nothing about the scene can vary.
        """
        if variant < 0:
            raise MisuseError(f"sibling {variant} of scene {index}; it must be 0 or more")
        start = self.sample_start(recipe, split, index, root_seed)
        if variant == 0:
            return start, PLAIN
        taken: list[Variation] = []
        for k in range(1, variant + 1):
            rng = stream(root_seed, self.name, split, index, k)
            taken.append(sibling.draw(start.scene, split, self.parameter_ranges, rng, taken))
        variation = taken[-1]
        if variation.varied in start.scene.parameters:
            scene = self.with_parameter(start.scene, variation.varied, variation.value)
        else:
            scene = sibling.with_script_changed(start.scene, variation)
        return dataclasses.replace(start, scene=scene), variation

    def simulate(
        self,
        recipe: Recipe,
        split: str,
        indices: Sequence[int],
        root_seed: int,
        device: str = "cpu",
        siblings: int = 1,
    ) -> Trajectory:
        """Truth from frame 0 for some trajectories of a split, as one batch on the CPU: stored trajectories are made so.

        With siblings, trajectory j is sibling j mod `siblings` of scene j div `siblings`.
        """
        starts = [self.sample_sibling(recipe, split, *divmod(j, siblings), root_seed)[0] for j in indices]
        start = stack(starts).to(device)
        with torch.no_grad():
            film = self.reference(recipe, device).rollout(start, recipe.n_frames(split) - 1)
        return start.followed_by(film).with_divergence().to("cpu")
