"""Sheets of cloth in three dimensions: in wind, over a ball, dragged by a corner, folded upon themselves.

The reference is the explicit finite-element solver of `_cloth.py` (equations, scheme, source, good values and failures stand
there). The ladder below it is the same solver made cheaper in time (longer substeps; a softer membrane, which allows longer ones
still) and in space (a coarser mesh; see `_coarse_cloth.py`).

Hidden parameters: stretch stiffness k [N/m] (shear stiffness goes with it), bending stiffness D [N m], mass per area [kg/m²],
friction μ. Driven: pinned and dragged vertices, solids, and the box.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from ..contracts.card import ModelCard
from ..contracts.domain import Domain, PhysicsCheck, Recipe
from ..contracts.model import Stepper
from ..contracts.scene import Scene, Script
from ..contracts.seeds import stream
from ..contracts.siblings import Ranges
from ..contracts.trajectory import Frame, Trajectory, stack
from ._cloth import PARAMETERS, ClothSettings, ClothSolver, ClothState, solver_card
from ._cloth_scenes import FAMILIES, RANGES, draw_scene

RECIPES = {
    "xs": Recipe(dim=3, resolution=0.14, past=5, horizon=12),
    "s": Recipe(dim=3, resolution=0.07, past=5, horizon=50),
    "m": Recipe(dim=3, resolution=0.035, past=5, horizon=100),
    "l": Recipe(dim=3, resolution=0.02, past=5, horizon=100),
}
"""xs, s, m, l: vertices 14, 7, 3.5 and 2 cm apart, about 45, 160, 600 and 1900 a sheet."""


class FabricSolver(Stepper[ClothState]):
    """The finite-element solver as a contestant: a frame's positions and velocities are its full state."""

    def __init__(self, name: str, kind: str, cloth: ClothSettings, device: str = "cpu") -> None:
        self.solver = ClothSolver(cloth, device)
        self._card = solver_card(name, kind, cloth)

    @property
    def card(self) -> ModelCard:
        """See ModelCard."""
        return self._card

    def encode(self, past: Trajectory) -> ClothState:
        """Upload the last frame."""
        now = past.frame(-1)
        return self.solver.state(past.scene, now.position, now.velocity)

    def advance(self, state: ClothState, script: Script) -> ClothState:
        """One frame of substeps."""
        return self.solver.advance(state, script)

    def decode(self, state: ClothState) -> Frame:
        """Positions and velocities."""
        return Frame(state.position, state.velocity)


class Cloth(Domain):
    """See the module's text."""

    name: ClassVar[str] = "cloth"
    version: ClassVar[int] = 1
    frame_interval: ClassVar[float] = 0.02
    trust_threshold: ClassVar[float] = 0.05
    observable_name: ClassVar[str] = "coordinates of material points [m]"
    families: ClassVar[tuple[str, ...]] = tuple(FAMILIES)
    parameter_units: ClassVar[dict[str, str]] = PARAMETERS
    recipes: ClassVar[Mapping[str, Recipe]] = RECIPES
    parameter_ranges: ClassVar[Ranges] = RANGES

    def sample_start(self, recipe: Recipe, split: str, index: int, root_seed: int) -> Trajectory:
        """See Domain."""
        self.check_split(split, index)
        rng = stream(root_seed, self.name, split, index)
        return draw_scene(self.name, recipe, split, index, rng, self.frame_interval)

    def with_parameter(self, scene: Scene, name: str, value: float) -> Scene:
        """See Domain: vertices weigh as the mass per area has it."""
        changed = super().with_parameter(scene, name, value)
        if name != "mass_per_area":
            return changed
        return dataclasses.replace(changed, mass=scene.mass * (value / float(scene.parameters[name][0])))

    def reference(self, recipe: Recipe, device: str = "cpu") -> FabricSolver:
        """Finite elements on the scene's own mesh, substeps half of the stability limit."""
        return FabricSolver("fem", "reference", ClothSettings(), device)

    def refined(self, recipe: Recipe, device: str = "cpu") -> Stepper[Any]:
        """Half the mesh's edge and half the substep's share of the stability limit, which the finer mesh lowers as well."""
        from ._coarse_cloth import CoarseFabric

        halved = ClothSettings(0.5 * ClothSettings().courant)
        return CoarseFabric("fem-h0.5", halved, 0.5, device)

    def ladder(self, recipe: Recipe, device: str = "cpu") -> dict[str, Stepper[Any]]:
        """Longer substeps, softer membranes, coarser meshes, and all of them; dearest first."""
        from ._coarse_cloth import CoarseFabric

        fast = 0.9
        same_mesh = {
            "fem-c0.9": ClothSettings(fast),
            "fem-soft2": ClothSettings(fast, 2.0),
            "fem-soft4": ClothSettings(fast, 4.0),
        }
        coarse_mesh = {
            "fem-h1.4": (ClothSettings(fast), 1.4),
            "fem-h1.4-soft2": (ClothSettings(fast, 2.0), 1.4),
            "fem-h2": (ClothSettings(fast), 2.0),
            "fem-h2-soft2": (ClothSettings(fast, 2.0), 2.0),
            "fem-h3": (ClothSettings(fast), 3.0),
            "fem-h3-soft2": (ClothSettings(fast, 2.0), 3.0),
        }
        rungs: dict[str, Stepper[Any]] = {n: FabricSolver(n, "ladder", s, device) for n, s in same_mesh.items()}
        rungs |= {n: CoarseFabric(n, s, factor, device) for n, (s, factor) in coarse_mesh.items()}
        return rungs

    def invariants(self, film: Trajectory) -> dict[str, Tensor]:
        """Energies [J], of which only wind and what is driven can add to the sum, and the height of the centre of mass [m]."""
        from ._cloth_energy import energies

        return energies(film)

    def observable(self, film: Trajectory) -> Tensor:
        """See `_cloth_probes.py`."""
        from ._cloth_probes import material_points

        return material_points(film)

    def events(self, film: Trajectory) -> dict[str, Tensor]:
        """See `_cloth_probes.py`."""
        from ._cloth_probes import events

        return events(film)

    def validate(self, full: bool = False) -> list[PhysicsCheck]:
        """See `_cloth_physics.py`."""
        from ._cloth_physics import validate

        return validate(full)

    def example(self, n_frames: int) -> Trajectory:
        """One small sheet of each family."""
        recipe = dataclasses.replace(RECIPES["xs"], past=n_frames, horizon=8)
        start = stack([self.sample_start(recipe, "test", i, 5) for i in range(len(FAMILIES))])
        film = self.reference(recipe).rollout(start, n_frames - 1)
        return start.followed_by(film).with_divergence()


DOMAIN = Cloth()
