"""Free-surface water in two and three dimensions: dam breaks, falling drops, sloshing tanks, flow past obstacles.

The reference is the δ-SPH solver of `_sph.py` (equations, scheme, source, good values and failures stand there). The ladder
below it is the same solver made cheaper in time (a lower sound speed needs fewer substeps and compresses more), in
neighbours (a shorter smoothing length) and in space (fewer, larger particles; see `_coarse_fluid.py`).

Hidden parameters: kinematic viscosity ν [m²/s] and tilt of gravity [rad]. Driven: the tank, obstacles, and any node marked
driven (a paddle of boundary particles, dynamic boundary condition of Crespo et al. 2007).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..contracts._ragged import group_sum
from ..contracts.card import ModelCard
from ..contracts.domain import Domain, PhysicsCheck, Recipe
from ..contracts.model import Stepper
from ..contracts.scene import Scene, Script
from ..contracts.seeds import stream
from ..contracts.siblings import Ranges
from ..contracts.trajectory import Frame, Trajectory, stack
from ._fluid_scenes import FAMILIES, TILT, VISCOSITY, draw_scene, paddle_tank, tilted_gravity
from ._sph import SphSettings, SphSolver, SphState, settings_for, solver_card

SOUND_SPEED = 30.0
"""c₀ of the reference [m/s]: about ten times the greatest speed in the sampled scenes."""

RECIPES = {
    "xs": Recipe(dim=2, resolution=0.05, past=5, horizon=12),
    "s": Recipe(dim=2, resolution=0.025, past=5, horizon=50),
    "m": Recipe(dim=2, resolution=0.0125, past=5, horizon=100),
    "l": Recipe(dim=3, resolution=0.025, past=5, horizon=100),
}
"""xs, s, m in 2D (about 60, 250, 1000 particles a scene), l in 3D (about 2500)."""


def settings(
    spacing: float, frame: float, sound_speed: float = SOUND_SPEED, smoothing: float = SphSettings.smoothing
) -> SphSettings:
    """Settings of the reference at a spacing, unless told otherwise."""
    return settings_for(spacing, frame, sound_speed, smoothing)


class FluidSolver(Stepper[SphState]):
    """The SPH solver as a contestant: it sees the last frame, finds the pressure that goes with it, and steps."""

    def __init__(self, name: str, kind: str, sph: SphSettings, device: str = "cpu") -> None:
        self.solver = SphSolver(sph, device)
        self._card = solver_card(name, kind, sph)

    @property
    def card(self) -> ModelCard:
        """See ModelCard."""
        return self._card

    def encode(self, past: Trajectory) -> SphState:
        """Upload the last frame and relax the density, which no film holds."""
        now = past.frame(-1)
        state = self.solver.state(past.scene, now.position, now.velocity)
        return self.solver.relax(state, past.scene.script.starting_at(past.n_frames - 1))

    def advance(self, state: SphState, script: Script) -> SphState:
        """One frame of substeps."""
        return self.solver.advance(state, script)

    def decode(self, state: SphState) -> Frame:
        """Positions and velocities in float32."""
        return Frame(state.position.to(torch.float32), state.velocity.to(torch.float32))


class Fluid(Domain):
    """See the module's text."""

    name: ClassVar[str] = "fluid"
    version: ClassVar[int] = 2
    frame_interval: ClassVar[float] = 0.01
    trust_threshold: ClassVar[float] = 0.05
    observable_name: ClassVar[str] = "volume fraction on a probe grid [1]"
    families: ClassVar[tuple[str, ...]] = tuple(FAMILIES)
    parameter_units: ClassVar[dict[str, str]] = {"viscosity": "m²/s", "tilt": "rad"}
    recipes: ClassVar[Mapping[str, Recipe]] = RECIPES
    parameter_ranges: ClassVar[Ranges] = {"viscosity": VISCOSITY, "tilt": TILT}
    either_way: ClassVar[tuple[str, ...]] = ("tilt",)

    def sample_start(self, recipe: Recipe, split: str, index: int, root_seed: int) -> Trajectory:
        """See Domain."""
        self.check_split(split, index)
        rng = stream(root_seed, self.name, split, index)
        return draw_scene(self.name, recipe, split, index, rng, self.frame_interval)

    def with_parameter(self, scene: Scene, name: str, value: float) -> Scene:
        """See Domain; a tilt turns gravity."""
        changed = super().with_parameter(scene, name, value)
        if name != "tilt":
            return changed
        return dataclasses.replace(
            changed, gravity=torch.tensor(tilted_gravity(value, scene.dim), dtype=torch.float32)[None]
        )

    def reference(self, recipe: Recipe, device: str = "cpu") -> FluidSolver:
        """δ-SPH at the recipe's spacing."""
        return FluidSolver("sph", "reference", settings(recipe.resolution, self.frame_interval), device)

    def refined(self, recipe: Recipe, device: str = "cpu") -> Stepper[Any]:
        """Half the spacing, hence half the time step as well."""
        from ._coarse_fluid import CoarseFluid

        return CoarseFluid("sph-dx0.5", settings(0.5 * recipe.resolution, self.frame_interval), device)

    def ladder(self, recipe: Recipe, device: str = "cpu") -> dict[str, Stepper[Any]]:
        """Cheaper in time, in neighbours, in space; dearest first."""
        from ._coarse_fluid import CoarseFluid

        dx, frame = recipe.resolution, self.frame_interval
        same_particles = {
            "sph-c20": settings(dx, frame, 20.0),
            "sph-h1.4": settings(dx, frame, smoothing=1.4),
            "sph-c15": settings(dx, frame, 15.0),
            "sph-c10": settings(dx, frame, 10.0),
        }
        fewer_particles = {
            "sph-dx1.25": settings(1.25 * dx, frame),
            "sph-dx1.5": settings(1.5 * dx, frame),
            "sph-dx2": settings(2 * dx, frame),
            "sph-dx2-c15": settings(2 * dx, frame, 15.0),
            "sph-dx3-c15": settings(3 * dx, frame, 15.0),
        }
        rungs: dict[str, Stepper[Any]] = {n: FluidSolver(n, "ladder", s, device) for n, s in same_particles.items()}
        rungs |= {n: CoarseFluid(n, s, device) for n, s in fewer_particles.items()}
        return rungs

    def invariants(self, film: Trajectory) -> dict[str, Tensor]:
        """Mechanical energy [J], which only a driven wall may raise, and vertical centre of mass [m]."""
        scene, free = film.scene, film.scene.free
        mass = torch.where(free, scene.mass, 0.0).to(torch.float64)
        kinetic = 0.5 * mass * film.velocity.to(torch.float64).square().sum(-1)
        height = -(film.position * scene.gravity[scene.node_scene]).sum(-1).to(torch.float64)
        total = group_sum(mass, scene.scene_ptr)
        vertical = group_sum(mass * film.position[..., -1].to(torch.float64), scene.scene_ptr) / total
        return {
            "mechanical energy [J]": group_sum(kinetic + mass * height, scene.scene_ptr),
            "height of the centre of mass [m]": vertical,
        }

    def observable(self, film: Trajectory) -> Tensor:
        """See `_fluid_probes.py`."""
        from ._fluid_probes import volume_fraction

        return volume_fraction(film)

    def events(self, film: Trajectory) -> dict[str, Tensor]:
        """See `_fluid_probes.py`."""
        from ._fluid_probes import events

        return events(film)

    def validate(self, full: bool = False) -> list[PhysicsCheck]:
        """See `_fluid_physics.py`."""
        from ._fluid_physics import validate

        return validate(full)

    def example(self, n_frames: int) -> Trajectory:
        """A dam break, a sloshing tank past a ball, and a tank with a driven paddle, 0.05 m apart."""
        recipe = dataclasses.replace(RECIPES["xs"], past=n_frames, horizon=8)
        starts = [self.sample_start(recipe, "test", i, 5) for i in (0, 3, 2)]
        start = stack([*starts, paddle_tank(self.name, recipe, self.frame_interval)])
        film = self.reference(recipe).rollout(start, n_frames - 1)
        return start.followed_by(film).with_divergence()


DOMAIN = Fluid()
